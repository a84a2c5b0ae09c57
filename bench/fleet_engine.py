"""``python -m bench.fleet_engine``: plans from runs on an engine of known costs beside a million requests on it.

The engine is the test suite's own, every step by itself. Each row is the median over several runs with their own
seeds: how far the plan is from the truth, and how many of its intervals hold it.
"""

import argparse
import dataclasses
import sys
import typing

import numpy as np

from optimal_tp.facts.candidates import Candidate
from optimal_tp.fleet.engine.fitting import engine_model
from optimal_tp.fleet.engine.model import EngineModel
from optimal_tp.fleet.engine.replay import CHECKED
from optimal_tp.fleet.simulation.answers import Percentile
from optimal_tp.fleet.simulation.arrivals import Arrivals
from optimal_tp.fleet.simulation.simulation import Fleet, simulate
from optimal_tp.verdict.latency import METRICS
from tests.fakes_engine import TrueEngine, long_run, whole_run

MIXED = TrueEngine(base=0.01, per_sequence=0.0006, per_prompt_token=0.0002, slots=16, overhead=0.003)
ASKED: tuple[Percentile, ...] = tuple((metric, share) for metric in METRICS for share in CHECKED)
LOADS = (0.5, 0.7, 0.85, 0.95)
FRESH = 1_000_000


def main(arguments: typing.Sequence[str]) -> int:
    """Print a row per order of work, jitter and load."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet_engine", description="Plans beside a known engine.")
    parser.add_argument("--runs", type=int, default=5, help="of each row (default %(default)s)")
    parser.add_argument(
        "--loads", type=float, nargs="+", default=LOADS, help="shares of the capacity (default %(default)s)"
    )
    options = parser.parse_args(arguments)
    names = " | ".join(f"{metric.partition('_')[0]} p{share:g}" for metric, share in ASKED)
    print(f"| prompts | steps vary | load | {names} | intervals that hold the truth |")
    print("| --- | ---: | ---: |" + " ---: |" * (len(ASKED) + 1))
    for first in (False, True):
        for jitter in (0.0, 0.1):
            engine = dataclasses.replace(MIXED, prefill_first=first, jitter=jitter)
            models = [engine_model(Candidate(1), whole_run(engine, seed).timed, 16) for seed in range(options.runs)]
            for load in options.loads:
                found = [_one(engine, model, load, seed) for seed, model in enumerate(models)]
                errors = " | ".join(f"{100 * np.median([one[0][index] for one in found]):.1f} %" for index in range(6))
                order = "first" if first else "mixed"
                held = f"{sum(one[1] for one in found)} of {len(ASKED) * len(found)}"
                print(f"| {order} | {100 * jitter:g} % | {100 * load:g} % | {errors} | {held} |", flush=True)
    return 0


def _one(engine: TrueEngine, model: EngineModel | str, load: float, seed: int) -> tuple[list[float], int]:
    """Return the share by which each figure is off, and how many intervals hold the truth."""
    if isinstance(model, str):
        raise SystemExit(f"no engine was fitted: {model}")
    rate = load * model.capacity_per_second
    fresh = long_run(engine, rate, FRESH, 100 + seed)
    found = simulate(model, Fleet(replicas=1, routing="random", arrivals=Arrivals(rate_per_second=rate)), ASKED)
    errors, held = [], 0
    for asked in ASKED:
        estimate, true = found.percentiles[asked], float(np.percentile(fresh[asked[0]], asked[1]))
        low, high = estimate.interval.low, estimate.interval.high
        errors.append(abs(estimate.value / true - 1))
        held += low is not None and high is not None and low <= true <= high
    return errors, held


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
