"""What a stored run, a bucket or a value is refused for: report, compare, watch and sweep."""

import argparse
import asyncio
import contextlib
import dataclasses
import io
import json
import math
import os
import pathlib
import subprocess
import types
import typing
import unittest.mock

import boto3
import botocore.exceptions
import yaml

from optimal_tp.cli import sweep, watch
from optimal_tp.cli.report import main as report
from optimal_tp.fleet import planning, search
from optimal_tp.fleet.buying import Buying
from optimal_tp.loadgen import wire
from optimal_tp.measurement.run import decode_run
from optimal_tp.measurement.samples import encode
from optimal_tp.measurement.shares import Share
from optimal_tp.measurement.sweep import decode_sweep
from optimal_tp.plan import schedule
from optimal_tp.plan.prompts import from_tokens, from_words
from optimal_tp.report import document, files, headline
from optimal_tp.report.compare import changes, refuse_different
from optimal_tp.report.sweep import read_sweep
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import Source, read
from optimal_tp.settings.workload import Model
from optimal_tp.telemetry.minutes import Minutes
from optimal_tp.telemetry.snapshot import Sight
from optimal_tp.verdict import flips
from tests.fakes_messages.commands import said
from tests.fakes_messages.running import NOWHERE, QUIET, _full, _halt
from tests.fakes_messages.told import Case
from tests.fakes_run import planted_run, store
from tests.fakes_samples import make_sample
from workloads.manifests import folded_bundle


def edited(where: pathlib.Path, **keys: object) -> None:
    """Read a run whose record has other ``keys``."""
    folder = store(where, *planted_run(blocks=5))
    data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for key, value in keys.items():
        place = data["degrees"][0] if key == "cores_used" else data
        place[key] = value
    (folder / "run.json").write_text(json.dumps(data), encoding="utf-8")
    read(str(folder))


def of_pods(where: pathlib.Path) -> None:
    """Read a folder whose pods kept whole runs."""
    for pod in (0, 1):
        store(where / f"pod-{pod}", *planted_run(blocks=5))
    read(str(where))


def unreadable(where: pathlib.Path) -> None:
    """Read a run whose file cannot be read."""
    store(where, *planted_run(blocks=5))
    with unittest.mock.patch.object(pathlib.Path, "read_text", _full):
        read(str(where))


def no_sweep(where: pathlib.Path, text: str) -> None:
    """Read a sweep's record."""
    (where / "sweep.json").write_text(text, encoding="utf-8")
    read_sweep(str(where))


def no_bucket(where: pathlib.Path) -> str:
    """Read a run from a bucket without credentials."""
    nobody = {
        "AWS_CONFIG_FILE": str(where),
        "AWS_SHARED_CREDENTIALS_FILE": str(where),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    known = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    with unittest.mock.patch.dict(os.environ, {**known, **nobody, "AWS_DEFAULT_REGION": "us-east-1"}, clear=True):
        return said(report, "s3://results/runs")


def different() -> None:
    """Compare runs of two models."""
    record, _ = planted_run(blocks=5)
    other = dataclasses.replace(
        record, settings=record.settings.model_copy(update={"model": Model(name="another/model")})
    )
    refuse_different(record, other)


def void() -> None:
    """Compare with a void run."""
    record, samples = planted_run(blocks=5)
    late = tuple(dataclasses.replace(turn, send_lag_p99_ms=500.0) for turn in record.turns)
    good, bad = (
        Source(name="run", record=each, samples=tuple(samples), notes=(), stored_verdict=None)
        for each in (record, dataclasses.replace(record, turns=late))
    )
    changes(retry(good), retry(bad))


def written(where: pathlib.Path) -> None:
    """Write a report where no folder can be made."""
    (where / "a-file").write_text("", encoding="utf-8")
    files.write_files(where / "a-file" / "report", {})


class _Blind:
    """Sees nothing but ``error``."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def look(self, _: float) -> typing.NoReturn:
        """Fail."""
        raise self.error


def blind(error: BaseException) -> None:
    """Watch a bucket that answers with ``error``."""
    sight, screen = typing.cast("Sight", _Blind(error)), typing.cast("watch.Screen", None)
    watch.follow(sight, "s3://results/runs", screen, every_seconds=0)


def interrupted() -> None:
    """Press Ctrl-C while a run is watched."""
    with (
        unittest.mock.patch.object(watch, "follow", side_effect=KeyboardInterrupt),
        unittest.mock.patch.object(boto3, "client"),
    ):
        watch.main(argparse.Namespace(stack=None, results="s3://results/runs", every_seconds=15.0, once=False))


def of_stack(status: int, out: str = "", error: str = "") -> None:
    """Ask Pulumi for a stack's outputs."""
    done = subprocess.CompletedProcess([], status, out, error)
    with unittest.mock.patch.object(subprocess, "run", return_value=done):
        watch.of_stack("dev")


def without_pulumi() -> None:
    """Ask where there is no Pulumi."""
    with unittest.mock.patch.object(subprocess, "run", side_effect=FileNotFoundError(2, "No such file or directory")):
        watch.of_stack("dev")


def none_measured(where: pathlib.Path) -> None:
    """Run a sweep whose servers are all down."""
    models = [{"model": {"name": f"me/{name}", "revision": "1"}} for name in ("small", "large")]
    (where / "settings.yaml").write_text(
        yaml.safe_dump({"workloads": {"degrees": [1], "models": models}}), encoding="utf-8"
    )
    parser = argparse.ArgumentParser()
    sweep.configure(parser)
    words = [word for name in ("small", "large") for word in ("--target", f"me/{name}@1={NOWHERE}")]
    fixed = [
        "--settings",
        str(where / "settings.yaml"),
        "--results",
        str(where / "out"),
        "--ready-timeout-seconds",
        "0.01",
    ]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        asyncio.run(sweep.conduct(sweep.orders(parser.parse_args([*fixed, *words])), QUIET, _halt()))


def no_node() -> None:
    """Plan nodes for a degree that the instance type has no cores for."""
    planning._nodes(1, 128, Buying(instance_type="trn2.3xlarge", usd_per_node_hour=None))


def overloaded() -> None:
    """Let a search end with a fleet that its simulation then calls overloaded."""
    times = typing.cast("typing.Any", unittest.mock.Mock(least_capacity_per_second=1.0))
    arrivals = typing.cast("typing.Any", unittest.mock.Mock(rate_per_second=1.0))
    with (
        unittest.mock.patch.object(search, "is_overloaded", return_value=True),
        unittest.mock.patch.object(search, "_halved", return_value=3),
    ):
        search.smallest(times, arrivals, "random", typing.cast("typing.Any", ()), ())


CASES: typing.Final[tuple[Case, ...]] = (
    lambda where: read(str(where / "nowhere")),
    lambda where: read(str(where)),
    lambda _: read("s3://results/runs"),
    unreadable,
    of_pods,
    lambda where: edited(where, cores_used=0),
    lambda where: edited(where, cores_used="many"),
    lambda where: edited(where, schema_version=99),
    lambda where: edited(where, degrees=[{}]),
    lambda where: no_sweep(where, '{"schema_version": 2}'),
    lambda where: no_sweep(where, '{"schema_version": 1}'),
    lambda where: no_sweep(
        where, '{"schema_version": 1, "sweep": "RUN", "legs": [{"model": "a/b", "folder": "../b"}]}'
    ),
    no_bucket,
    lambda _: different(),
    lambda _: void(),
    written,
    lambda _: blind(botocore.exceptions.NoCredentialsError()),
    lambda _: blind(botocore.exceptions.ClientError({"Error": {"Code": "NoSuchBucket", "Message": "m"}}, "GetObject")),
    lambda _: interrupted(),
    lambda _: of_stack(255, error="error: no stack named 'dev' found\n"),
    lambda _: of_stack(0, out="{}"),
    lambda _: without_pulumi(),
    none_measured,
    lambda _: decode_run("[]"),
    lambda _: decode_run('{"schema_version": 1}'),
    lambda _: decode_sweep("[]"),
    lambda _: document.read_stored('{"schema_version": 2}'),
    lambda _: document.read_stored('{"schema_version": 1, "verdict": {"outcome": "fine"}}'),
    lambda _: encode(make_sample(end_seconds=math.nan)),
    lambda _: Share(index=2, count=2),
    lambda _: folded_bundle.closure({}, ["workloads.nothing"]),
    lambda _: folded_bundle.parts("code", {"long.py": "x" * 100}, limit_bytes=10),
    lambda _: Minutes(origin_epoch_seconds=0, settle_seconds=0).add_turn(1, 0.0, {"RPS": 1.0}),
    lambda _: from_tokens([1], [4], seed=1),
    lambda _: from_words(["one"], [4], seed=1),
    lambda _: schedule.Rising(rates_per_second=(), step_seconds=1),
    lambda _: schedule.Rising(rates_per_second=(1.0,), step_seconds=math.inf),
    lambda _: schedule.Closed(concurrency=1, think_seconds=-1),
    lambda _: schedule.Replay(requests=()),
    lambda _: schedule.Replay(
        requests=tuple(schedule.Recorded(seconds=second, prompt_tokens=1, output_tokens=1) for second in (2.0, 1.0))
    ),
    lambda _: wire.address("http://h:port"),
    lambda _: wire.head(wire.address("http://h"), "GET", "/", [("x", "a\nb")], None),
    lambda _: flips._latency(typing.cast("typing.Any", unittest.mock.Mock(degree=1, concurrency=2, latency_ms=None))),
    lambda _: headline.degree_of(typing.cast("typing.Any", types.SimpleNamespace(degrees=())), 8),
    lambda _: no_node(),
    lambda _: overloaded(),
)
