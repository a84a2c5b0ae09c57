"""``python -m bench.fleet``: latency predicted from one run's service times beside latency measured under open load.

Without ``--url`` it starts scripted servers whose service times vary and take one request at a time. It measures their
service times by an ordinary run (``optimal_tp run``), predicts the latency of one and of two servers at three
rates, drives them at those rates (``optimal_tp load --mode poisson``), and prints both as a table: total latency, and
TTFT and TPOT where the run knows them.
"""

import argparse
import contextlib
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import typing

import numpy as np
import yaml

from bench.tools import ROOT
from optimal_tp.facts.candidates import Candidate
from optimal_tp.fleet.engine.fitting import server_model
from optimal_tp.fleet.engine.model import EngineModel
from optimal_tp.fleet.simulation.answers import Percentile, ServerModel
from optimal_tp.fleet.simulation.arrivals import Arrivals
from optimal_tp.fleet.simulation.simulation import Effort, Fleet, simulate
from optimal_tp.fleet.simulation.times import ServiceTimes
from optimal_tp.measurement.estimate import Interval, bounds, figure, ranged
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import latency_ms
from optimal_tp.results.source import read, samples_in
from optimal_tp.settings.workload import Load
from optimal_tp.verdict.evidence import examine
from optimal_tp.verdict.latency import METRICS
from optimal_tp.verdict.statistics import percentile_point
from tests.fakes_server import Script, ScriptedServer

VOID = 4
RUNS = 200
"""Simulated runs as long as the measured one: how far its percentiles may lie from the long run's by chance."""
SHARES = (0.4, 0.6, 0.8)
"""Rates, as shares of what the servers complete with every slot taken."""
ASKED: tuple[Percentile, ...] = tuple((metric, percent) for metric in METRICS for percent in (50.0, 99.0))
TABLE = 10_000
"""Lengths in the table that the drives draw from."""
SCRIPT = Script(model="Qwen/Qwen3-0.6B", ttft_seconds=0.06, spread_seconds=0.08, gap_seconds=0.002, slots=1)
LIMIT_MS = 10_000
"""More than any answer takes here."""
SETTINGS: dict[str, typing.Any] = {
    "workloads": {
        "model": {"name": "Qwen/Qwen3-0.6B", "revision": "scripted", "max_num_seqs": 1},
        "degrees": [1],
        "load": {
            "prompt_tokens": 16,
            "output_tokens": 16,
            "idle_requests": 100,
            "concurrency": [1],
            "block_seconds": 5,
        },
        # The audit allows the client a lateness of 1 % of the limit: the machine may be busy.
        "limits": {"total_latency_ms": {"percentile": 99, "at_most_ms": LIMIT_MS}},
        "decision": {"budget_seconds": 30, "minimum_blocks": 5, "stop_when_settled": False},
    }
}


def main(arguments: typing.Sequence[str]) -> int:
    """Measure, predict, drive, compare; print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description="Predicted beside measured latency.")
    parser.add_argument("--url", action="append", default=[], help="servers that run already, one or more")
    parser.add_argument("--settings", type=pathlib.Path, help="YAML of the run on them, as for optimal_tp run")
    parser.add_argument("--degree", type=int, default=1, help="their degree (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=90, help="of each drive (default %(default)s)")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = options.url or [stack.enter_context(ScriptedServer(SCRIPT, process=True)).url for _ in range(2)]
        settings = options.settings or folder / "settings.yaml"
        if options.settings is None:
            settings.write_text(yaml.safe_dump(SETTINGS))
        load = yaml.safe_load(settings.read_text())["workloads"]["load"]
        lengths = _lengths(folder, Load.model_validate(load))
        times = _measured(folder, settings, options.degree, urls[0])
        if isinstance(times, EngineModel):
            print(f"Step by step: {times.costs}")
        elif isinstance(times, ServiceTimes):
            print(f"From service times, because {times.why}")
        print(
            "| servers | share of capacity | requests/s | | predicted, ms | one run as long | measured, ms "
            "| predicted over measured | requests |"
        )
        print("| ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
        for servers in range(1, len(urls) + 1):
            for share in SHARES:
                rate = share * servers * times.capacity_per_second
                fleet = Fleet(replicas=servers, routing="round-robin", arrivals=Arrivals(rate_per_second=rate))
                seed = 10 * servers + SHARES.index(share)
                found, valid = _driven(folder, urls[:servers], rate, options.seconds, lengths, seed)
                _print(times, fleet, share, found, valid=valid)
    return 0


def _run(*arguments: str) -> bool:
    """Run our load generator; return whether its own audit passed it."""
    done = subprocess.run(
        [sys.executable, "-m", "optimal_tp", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode not in {0, 3, VOID}:
        raise SystemExit(f"optimal_tp {arguments[0]} ended with {done.returncode}: {done.stderr}{done.stdout}")
    return done.returncode != VOID


def _measured(folder: pathlib.Path, settings: pathlib.Path, degree: int, url: str) -> ServerModel:
    """Return the model of an ordinary run on one server."""
    valid = _run("run", "--settings", str(settings), "--target", f"{degree}={url}", "--results", str(folder / "out"))
    (run,) = (path.parent for path in (folder / "out").glob("*/run.json") if not path.parent.is_symlink())
    source = read(str(run))
    slots = source.record.settings.model.batch_of(Candidate(degree))
    pairs = [pair for pair in examine(source.record, source.samples).turns if pair[0].degree == degree]
    times = server_model(Candidate(degree), pairs, slots)
    if times is None:
        raise SystemExit("the run has no service times")
    if not valid:
        print("The run behind these service times is void by its own audit: this machine was not quiet.")
    return times


def _lengths(folder: pathlib.Path, load: Load) -> pathlib.Path:
    """Write a table of lengths as the run draws them: a drive with requests of one length would be another load."""
    low, high = load.output_range
    drawn = np.random.default_rng(1).integers(low, high + 1, TABLE)
    table = folder / "lengths.csv"
    rows = "".join(f"{load.prompt_tokens},{tokens}\n" for tokens in drawn)
    table.write_text(f"prompt_tokens,output_tokens\n{rows}")
    return table


def _driven(
    folder: pathlib.Path,
    urls: typing.Sequence[str],
    rate: float,
    seconds: float,
    lengths: pathlib.Path,
    seed: int,
) -> tuple[list[Sample], bool]:
    """Return the samples of an open load without its first tenth, and whether it passed its audit."""
    output = folder / f"load-{seed}.json"  # a samples file that is there would be added to
    valid = _run(
        "load",
        *urls,
        "--mode",
        "poisson",
        "--rate",
        f"{rate:.4f}",
        "--seconds",
        f"{seconds:g}",
        "--trace",
        str(lengths),
        "--stream",
        "--ignore-eos",
        "--limit-ms",
        str(LIMIT_MS),
        "--seed",
        str(seed),
        "--output",
        str(output),
    )
    stored = pathlib.Path(json.loads(output.read_text())["load"]["samples"])
    samples, _ = samples_in(stored.read_text(), stored.name)
    return [sample for sample in samples if sample.intended_seconds >= 0.1 * seconds], valid


def _one_run(times: ServerModel, fleet: Fleet, asked: Percentile, count: int) -> Interval:
    """Return where the percentile of one run of ``count`` requests falls, 95 % of the time."""
    effort = Effort(requests=math.ceil(count / fleet.replicas), plain=1, resampled=0, busy_factor=1)
    found = [simulate(times, fleet, [asked], effort, seed=seed).percentiles[asked].value for seed in range(RUNS)]
    return Interval(low=float(np.quantile(found, 0.025)), high=float(np.quantile(found, 0.975)))


def _print(times: ServerModel, fleet: Fleet, share: float, samples: typing.Sequence[Sample], *, valid: bool) -> None:
    asked = [each for each in ASKED if times.has_first_tokens or each[0] == "total_latency_ms"]
    outcome = simulate(times, fleet, asked)
    for each in asked:
        metric, percent = each
        found = [value for sample in samples if (value := latency_ms(sample, metric)) is not None]
        measured, predicted = percentile_point(found, percent), outcome.percentiles[each]
        ratio = "" if measured is None else f"{predicted.value / measured:.2f}"
        print(
            f"| {fleet.replicas} | {100 * share:.0f} % | {figure(fleet.arrivals.rate_per_second)} | "
            f"{metric.partition('_')[0]} p{percent:.0f} | {ranged(predicted)} | "
            f"{bounds(_one_run(times, fleet, each, len(found)))} | {figure(measured)}{'' if valid else ' void'} | "
            f"{ratio} | {len(found):,} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
