"""Two real processes that share one experiment, numbered as Kubernetes numbers the pods of an Indexed Job."""

import collections
import dataclasses
import datetime as dt
import os
import pathlib
import shutil
import subprocess
import sys
import typing

import pytest
import yaml

from tests.fakes_server import Script, ScriptedServer
from workloads.loadgen.timetable import timetable
from workloads.report.evidence import gather
from workloads.report.retrial import Retrial, retry
from workloads.report.source import read
from workloads.run import Turn
from workloads.samples import Sample
from workloads.settings import parse_workloads
from workloads.turns import key, samples_by_turn

# Two interpreters start on whatever the machine has to spare.
pytestmark = pytest.mark.timeout(240)
ROOT = pathlib.Path(__file__).parents[2]
SETTINGS: dict[str, typing.Any] = {
    "model": {"name": "planted", "revision": "none"},
    "degrees": [1, 2],
    "load": {
        "prompt_tokens": 7,
        "output_tokens": 8,
        "warm_up_requests": 1,
        "idle_requests": 3,
        "concurrency": [1, 4],
        "step_seconds": 0.15,
        "block_seconds": 0.2,
        "pause_seconds": 0,
        "request_timeout_seconds": 0.15,
    },
    # Wide, so that a busy machine's lateness does not void a turn: what is tested is the division, not the machine.
    "limits": {"total_latency_ms": {"percentile": 50, "at_most_ms": 10_000}},
    "decision": {"minimum_blocks": 4, "maximum_blocks": 4, "budget_seconds": 60},
}
START_SECONDS = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Together:
    """What two processes kept, and what one alone keeps of the same servers."""

    folder: pathlib.Path
    """Of the run of two."""
    both: Retrial
    alone: Retrial
    output: tuple[str, str]
    """What each of the two printed."""


def _command(folder: pathlib.Path, command: str, *words: str, urls: dict[int, str]) -> list[str]:
    settings = folder / "settings.yaml"
    settings.write_text(yaml.safe_dump({"workloads": SETTINGS}))
    targets = [word for degree, url in urls.items() for word in ("--target", f"{degree}={url}")]
    options = ["--settings", str(settings), *targets, "--results", str(folder / "out")]
    return [sys.executable, "-m", "workloads.loadgen", command, *options, *words]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    """Run two shares side by side, then the experiment alone, on servers with four places of a fixed speed."""
    folder, single = tmp_path_factory.mktemp("two"), tmp_path_factory.mktemp("one")
    script = Script(model="planted", ttft_seconds=0.006, gap_seconds=0.002, slots=4)
    with ScriptedServer(script) as first, ScriptedServer(dataclasses.replace(script, gap_seconds=0.001)) as second:
        urls = {1: first.url, 2: second.url}
        start = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=START_SECONDS)).isoformat()
        words = _command(folder, "share", "--pods", "2", "--starts-at", start, urls=urls)
        pods = [
            subprocess.Popen(
                words,
                cwd=ROOT,
                env={**os.environ, "JOB_COMPLETION_INDEX": str(pod)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for pod in range(2)
        ]
        output = tuple(pod.communicate(timeout=100)[0] for pod in pods)
        assert [pod.returncode for pod in pods] == [0, 0], output
        alone = subprocess.run(
            _command(single, "run", urls=urls), cwd=ROOT, capture_output=True, check=False, timeout=100
        )
        assert alone.returncode in (0, 3), alone.stderr
    (run,) = (folder / "out").iterdir()
    (one,) = (single / "out").iterdir()
    return Together(
        folder=run,
        both=retry(read(str(run))),
        alone=retry(read(str(one))),
        output=(output[0], output[1]),
    )


def _rates(found: Retrial) -> dict[int, list[float]]:
    evidence = gather(found.record, found.samples, {})
    return {degree: list(one.tokens_per_second.values()) for degree, one in evidence.degrees.items()}


def test_the_whole_is_measured_as_one_process_measures_it(together: Together) -> None:
    """Throughput of two shares of four slots is that of four slots: within a tenth, which is the machine's noise."""
    both, alone = _rates(together.both), _rates(together.alone)

    assert together.both.verdict.outcome != "void", together.both.verdict.reasons
    for degree in (1, 2):
        assert len(both[degree]) >= 3
        assert sorted(both[degree])[len(both[degree]) // 2] == pytest.approx(
            sorted(alone[degree])[len(alone[degree]) // 2], rel=0.1
        )


def test_every_turn_is_whole(together: Together) -> None:
    """Every planned turn is there once; both pods' samples are in it, and no request twice."""
    planned = timetable(parse_workloads(SETTINGS, file="test"), (1, 2))
    source = read(str(together.folder))
    grouped = samples_by_turn(source.samples)
    wanted = collections.Counter(
        (turn.stage, turn.degree, turn.block) for turn in planned.turns if turn.stage != "block"
    )
    found = collections.Counter((turn.stage, turn.degree, turn.block) for turn in source.record.turns)
    blocks = {(turn.degree, turn.block) for turn in source.record.turns if turn.stage == "block"}

    assert {name: count for name, count in found.items() if name[0] != "block"} == wanted
    assert blocks == {(degree, block) for degree in (1, 2) for block in range(4)}
    for turn in source.record.turns:
        _is_whole(turn, grouped[key(turn)])
    assert source.void == ()


def _is_whole(turn: Turn, samples: list[Sample]) -> None:
    """Check that each sample of ``turn`` is there, whichever pod sent it."""
    numbers = [sample.request for sample in samples]

    assert len(samples) == turn.requests > 0
    assert len(set(numbers)) == len(numbers)
    if turn.concurrency == 4:
        assert {number % 2 for number in numbers} == {0, 1}


def test_turns_begin_at_the_planned_moments(tmp_path: pathlib.Path, together: Together) -> None:
    """Both pods begin each turn at the very second of the plan, by the common start."""
    planned = {
        (turn.stage, turn.degree, turn.block, turn.arrivals.concurrency): turn.begin_seconds
        for turn in timetable(parse_workloads(SETTINGS, file="test"), (1, 2)).turns
    }
    for pod in (0, 1):
        alone = tmp_path / str(pod)
        shutil.copytree(together.folder / f"pod-{pod}", alone)
        record = read(str(alone)).record

        assert {
            (turn.stage, turn.degree, turn.block, turn.concurrency): pytest.approx(turn.start_seconds, abs=1e-6)
            for turn in record.turns
        }.items() <= planned.items()
        assert len(record.turns) == (len(planned) if pod == 0 else len(planned) - 2 - 2 - 2 - 8)


def test_a_missing_pod_voids_the_run(tmp_path: pathlib.Path, together: Together) -> None:
    """Half the load is no measurement: the verdict is void and says which pod kept nothing."""
    shutil.copytree(together.folder / "pod-1", tmp_path / "run" / "pod-1")
    verdict = retry(read(str(tmp_path / "run"))).verdict

    assert verdict.outcome == "void"
    assert "pod 0 of 2 kept nothing: their share of every turn is unknown; measure again" in verdict.reasons


def test_a_pod_says_where_the_verdict_will_be(together: Together) -> None:
    """Neither pod judges its half; both say what judges the whole."""
    for pod, words in enumerate(together.output):
        assert f"pod {pod} of 2; all begin at " in words
        assert f"when all 2 pods have ended: python -m workloads.report {together.folder}" in words
        assert "settled" not in words
