"""What the command lines are refused for: loadgen, local, report, infra. Nothing is asked of a server yet."""

import argparse
import contextlib
import dataclasses
import io
import pathlib
import typing
import unittest.mock

from tests.fakes_messages.told import Case

from optimal_tp.cli import load, run, share, sweep
from optimal_tp.cli.cores import pin, take_precedence
from optimal_tp.cli.leftovers import main as infra
from optimal_tp.cli.plan import _text
from optimal_tp.cli.report import main as report
from optimal_tp.fleet.demand import parse_forecast
from optimal_tp.loadgen import options
from optimal_tp.local.profile import read_profile
from optimal_tp.local.weights import read_shape
from optimal_tp.pods import guard
from optimal_tp.settings.stack_file import parse_loadtest
from tests.fakes_run import SEED_EXPERIMENT, Planted, no_fit, planted_run, price, settings, store

LOADS: typing.Final = (
    (),
    ("--requests", "0", "--max-tokens", "-1", "--limit-ms", "nan", "--grace-seconds", "-2"),
    ("--seconds", "1", "--mode", "poisson"),
    ("--seconds", "1", "--rate", "3"),
    ("--mode", "rising", "--rates", "1,x"),
    ("--seconds", "1", "--prompt", "file"),
    ("--seconds", "1", "--prompt-file", "prompts.txt"),
    ("--seconds", "1", "--url", "h:1", "--header", "oops"),
    ("--mode", "trace", "--trace", "/nowhere/trace.jsonl"),
    ("--seconds", "1", "--mode", "constant", "--rate", "3", "--concurrency", "4"),
    ("--seconds", "1", "--prompt", "seed", "--prompt-tokens", "5"),
    ("--seconds", "1", "--samples", "load.json"),
    ("--seconds", "1", "--output", "/"),
    ("--seconds", "1", "--mode", "poisson", "--rate", "0.001"),
)
RUNS: typing.Final = (
    ("--target", "http://a", "--pin", "image", "--results", "s3:///p"),
    ("--target", "4=http://a"),
    (),
    ("--target", "1=http://a", "--turns", "1,2"),
    ("--target", "1=http://a", "--stop-servers"),
)
SHARES: typing.Final = (
    ("--pods", "2", "--pod", "2", "--job", "loadgen", "--turns", "1,2"),
    ("--pods", "2", "--pod", "0", "--starts-at", "noon"),
    ("--pods", "2", "--pod", "0"),
)
PLANS: typing.Final = (
    ("--rate", "5", "--limit", "p99_total_s=1", "--forecast", "/nowhere/f.csv", "--burst", "0.5"),
    ("--limit", "p99_total_ms=400"),
    ("--rate", "5/s", "--limit", "p99_total_ms=900", "--degrees", "one"),
    ("--rate", "5/s", "--limit", "p99_total_ms=900", "--degrees", "2,4"),
    ("--rate", "5/s", "--limit", "p99_total_ms=100", "--degrees", "2"),
    ("--rate", "5/s", "--limit", "p99_total_ms=900", "--output", "{here}/a-file/plan"),
    ("--rate", "5/s", "--limit", "p99_total_ms=900", "--output", "{here}", "--manifests", "{here}/a-file/m"),
    ("--rate", "5/s", "--limit", "p99_total_ms=900", "--manifests", "{here}/m", "--stack-file", "{here}/none.yaml"),
    ("--rate", "5/s", "--limit", "p99_total_ms=900", "--manifests", "{here}/m", "--instance-type", "trn2.48xlarge"),
)
FORECASTS: typing.Final = (
    "hour,load\n",
    "time,rate\n",
    "time,rate\n2026-07-01T00:00,0\n",
    "time,rate\n2026-07-01T00:00,10\n2026-07-01T03:00,10\n2026-07-01T01:00,10\nsoon,1\n2026-07-01T02:00,-1\n",
)
SETTINGS: typing.Final = "workloads: {degrees: [1, 2]}\n"
SWEEP: typing.Final = (
    "workloads: {models: [{model: {name: me/a, revision: '1'}}, {model: {name: me/b, revision: '1'}}]}\n"
)


def _parser(configure: typing.Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser


def loaded(words: tuple[str, ...]) -> None:
    """Check the line of ``load``."""
    fixed = ["--url", "http://127.0.0.1:8001", "--output", "load.json"]
    options.checked(_parser(options.configure).parse_args([*fixed, *words]))


def pinned() -> None:
    """Ask for a core that is not there."""
    with unittest.mock.patch("os.sched_getaffinity", return_value={0, 1}):
        pin(4096)


def preferred() -> None:
    """Ask for real-time priority without the right to it."""
    with unittest.mock.patch("os.sched_setscheduler", side_effect=PermissionError(1, "Operation not permitted")):
        take_precedence()


def _settings(folder: pathlib.Path, text: str) -> str:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def ordered(folder: pathlib.Path, words: tuple[str, ...], text: str = SETTINGS) -> None:
    """Check the line of ``run``."""
    given = ["--settings", _settings(folder, text), "--results", str(folder), *words]
    run._order(_parser(run.configure).parse_args(given))


def swept(folder: pathlib.Path) -> None:
    """Check the line of ``sweep``."""
    words = ("--target", "1=http://a", "--target", "me/a@4=http://a", "--turns", "me/a@1,2")
    given = ["--settings", _settings(folder, SWEEP), "--results", str(folder), *words]
    sweep.orders(_parser(sweep.configure).parse_args(given))


def shared(folder: pathlib.Path, words: tuple[str, ...], text: str = SETTINGS) -> None:
    """Check the line of ``share``."""
    given = ["--settings", _settings(folder, text), "--results", str(folder), "--target", "1=http://a", *words]
    share.asked(_parser(share.configure).parse_args(given), {})


def said(main: typing.Any, *words: str) -> str:
    """Return what a command writes where it is refused."""
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(list(words))
        except SystemExit as stop:
            return errors.getvalue().strip().splitlines()[-1] + f" (exit {stop.code})"
    return f"{errors.getvalue().strip()}\n(exit {status})"


def planned(folder: pathlib.Path, words: tuple[str, ...], **changes: typing.Any) -> str:
    """Ask for a fleet from a run whose figures are planted."""
    (folder / "a-file").write_text("", encoding="utf-8")
    (folder / "run").mkdir()
    section = settings(degrees=[1, 2, 4], price=price(2.25, 4), **changes)
    source = store(folder / "run", *planned_from(section))
    return said(report, "plan", str(source), *(word.replace("{here}", str(folder)) for word in words))


def planned_from(section: dict[str, typing.Any]) -> typing.Any:
    """Return a run in which TP4 did not fit."""
    return planted_run(SEED_EXPERIMENT[:2], section, ended=[no_fit(4)], blocks=6)


def untimed(folder: pathlib.Path) -> str:
    """Ask a limit on first tokens of a run that saw none."""
    record, samples = planted_run(SEED_EXPERIMENT[:1], blocks=6)
    source = store(folder, record, [dataclasses.replace(sample, token_seconds=()) for sample in samples])
    return said(report, "plan", str(source), "--rate", "5/s", "--limit", "p99_ttft_ms=90")


def unserved(folder: pathlib.Path) -> str:
    """Ask for a fleet from a run in which nothing succeeded."""
    source = store(folder, *planted_run([Planted(degree=1, latency_ms=290, failing=1.0)], blocks=6))
    return said(report, "plan", str(source), "--rate", "5/s", "--limit", "p99_total_ms=900")


def void(folder: pathlib.Path) -> str:
    """Ask for a fleet from a run that failed its audit."""
    record, samples = planted_run(SEED_EXPERIMENT[:1], blocks=6)
    late = tuple(dataclasses.replace(turn, send_lag_p99_ms=500.0) for turn in record.turns)
    source = store(folder, dataclasses.replace(record, turns=late), samples)
    return said(report, "plan", str(source), "--rate", "5/s", "--limit", "p99_total_ms=900")


def profile(folder: pathlib.Path, text: str) -> None:
    """Read a profile of ``make local``."""
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    read_profile(str(path))


def model(folder: pathlib.Path, config: str | None) -> None:
    """Read the user's own model."""
    if config is not None:
        (folder / "config.json").write_text(config, encoding="utf-8")
    read_shape(folder)


def prompts(folder: pathlib.Path, name: str, text: str) -> None:
    """Read a file of prompts, or of a trace."""
    (folder / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    if name == "prompts.txt":
        options.prompt_lines(folder / name)
    else:
        loaded(("--mode", "trace", "--trace", str(folder / name)))


def forecast(text: str) -> None:
    """Read a forecast."""
    parse_forecast(text, name="f.csv")


CASES: typing.Final[tuple[Case, ...]] = (
    *(lambda _, words=words: loaded(words) for words in LOADS),
    lambda folder: prompts(folder, "prompts.txt", "\n\n"),
    lambda folder: prompts(folder, "prompts.txt", "caf\udce9\n"),
    lambda folder: prompts(folder, "trace.jsonl", '{"seconds": 1}\n'),
    lambda folder: prompts(folder, "trace.jsonl", '{"seconds": -1, "prompt_tokens": 1, "output_tokens": 1}\n'),
    lambda folder: prompts(
        folder,
        "trace.jsonl",
        "".join(f'{{"seconds": {second}, "prompt_tokens": 1, "output_tokens": 1}}\n' for second in (2, 1)),
    ),
    lambda _: load._trust(pathlib.Path("/nowhere/ca.pem")),
    lambda _: pinned(),
    lambda _: preferred(),
    *(lambda folder, words=words: ordered(folder, words) for words in RUNS),
    lambda folder: ordered(folder, ("--target", "1=http://a"), SWEEP),
    swept,
    *(lambda folder, words=words: shared(folder, words) for words in SHARES),
    lambda folder: shared(folder, ("--pods", "2", "--pod", "0", "--job", "loadgen"), SWEEP),
    *(lambda folder, words=words: planned(folder, words) for words in PLANS),
    *(lambda _, text=text: forecast(text) for text in FORECASTS),
    lambda _: _text(pathlib.Path("/nowhere/f.csv")),
    untimed,
    unserved,
    void,
    lambda _: read_profile("quickest"),
    lambda folder: profile(folder, "local: {sizes: {me/a: {shape: Qwen/Qwen4}}}\n"),
    lambda folder: profile(folder, "local: {sizes: {me/a: {shape: Qwen/Qwen3-0.6B}}}\n"),
    lambda folder: model(folder, None),
    lambda folder: model(folder, "{"),
    lambda folder: model(folder, "[]"),
    lambda folder: model(folder, '{"model_type": "bert"}'),
    lambda folder: model(folder, '{"model_type": "qwen3", "hidden_size": "wide"}'),
    lambda _: said(infra, "preflight"),
    lambda _: said(infra, "preflight", "--stack", "dev", "--remove"),
    lambda _: parse_loadtest({"results": {"on_destroy": "burn"}}, file="Pulumi.dev.yaml"),
    lambda _: said(guard.main, "--deadline", "2026-07-01T12:00:00", "--period-seconds", "60"),
    lambda _: said(report, "watch", "--results", "out"),
)
