"""Two real processes that share one experiment, numbered as Kubernetes numbers the pods of an Indexed Job."""

import collections
import dataclasses
import datetime as dt
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import typing

import pytest
import yaml

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, key, samples_by_turn
from optimal_tp.plan.timetable import timetable
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import read
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_candidates import TP1, TP2
from tests.fakes_server import Script, ScriptedServer

# Two interpreters start on whatever the machine has to spare.
pytestmark = pytest.mark.timeout(420)
ROOT = pathlib.Path(__file__).parents[2]
SETTINGS: dict[str, typing.Any] = {
    "model": {"name": "planted", "revision": "none"},
    "degrees": [1, 2],
    "load": {
        "prompt_tokens": 7,
        "output_tokens": 8,
        "output_spread": 0,
        "warm_up_requests": 1,
        "idle_requests": 3,
        "concurrency": [1, 4],
        "rates_per_second_per_core": [20],
        "block_seconds": 0.4,
        "pause_seconds": 0,
        "request_timeout_seconds": 0.6,
    },
    "decision": {"minimum_blocks": 4, "maximum_blocks": 4, "budget_seconds": 60},
}


SERVICE_SECONDS = {1: 0.1, 2: 0.065}
"""Of one request at each degree: 30 ms, then seven gaps of 10 and of 5 ms; some hundred times the client's cost."""
START_SECONDS = (15, 90)
"""Given to start in; the second if a busy machine was late for the first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Together:
    """What two processes kept."""

    folder: pathlib.Path
    output: tuple[str, str]
    """What each of the two printed."""


def _command(folder: pathlib.Path, command: str, *words: str, urls: dict[int, str]) -> list[str]:
    settings = folder / "settings.yaml"
    settings.write_text(yaml.safe_dump({"workloads": SETTINGS}))
    targets = [word for degree, url in urls.items() for word in ("--target", f"{degree}={url}")]
    options = ["--settings", str(settings), *targets, "--results", str(folder / "out")]
    return [sys.executable, "-m", "optimal_tp", command, *options, *words]


def _shared(folder: pathlib.Path, urls: dict[int, str], start_seconds: float) -> list[tuple[int, str]]:
    """Return exit status and words of each of two shares that begin together in ``start_seconds``."""
    start = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=start_seconds)).isoformat()
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
    output = [pod.communicate(timeout=start_seconds + 120)[0] for pod in pods]
    return [(pod.returncode, said) for pod, said in zip(pods, output, strict=True)]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    """Run two shares side by side, on servers with four places of a fixed speed."""
    script = Script(model="planted", ttft_seconds=0.03, gap_seconds=0.01, slots=4)
    with ScriptedServer(script) as first, ScriptedServer(dataclasses.replace(script, gap_seconds=0.005)) as second:
        for start_seconds in START_SECONDS:
            folder = tmp_path_factory.mktemp("two")
            ended = _shared(folder, {1: first.url, 2: second.url}, start_seconds)
            if not any("after the common start" in said for _, said in ended):
                break
    assert [status for status, _ in ended] == [0, 0], ended
    (run,) = (folder / "out").iterdir()
    return Together(folder=run, output=(ended[0][1], ended[1][1]))


def test_the_servers_places_are_shared_and_not_doubled(together: Together) -> None:
    """Two shares of four slots keep four requests in flight, never more: each its two, at the server's own speed."""
    source = read(str(together.folder))
    grouped = samples_by_turn(source.samples)
    for turn in (turn for turn in source.record.turns if turn.stage != "held_out"):
        samples = grouped[key(turn)]
        fastest = min(sample.end_seconds - sample.intended_seconds for sample in samples)

        assert turn.concurrency is not None
        assert _most_in_flight(samples) <= turn.concurrency
        assert {sample.output_tokens for sample in samples if sample.status == "ok"} <= {8}
        # A server that had to queue a fifth request would be seen in no fastest one, but one that is too fast would.
        assert fastest >= SERVICE_SECONDS[turn.degree] - 0.002
    for degree in (1, 2):
        full = [grouped[key(turn)] for turn in source.record.turns if (turn.degree, turn.concurrency) == (degree, 4)]

        assert max(_most_in_flight(samples) for samples in full) == 4


def _most_in_flight(samples: list[Sample]) -> int:
    """Return the most requests that were in flight at one time; clocks of two processes may differ by 5 ms."""
    moments = sorted(
        moment
        for sample in samples
        for moment in ((sample.intended_seconds + 0.005, 1), (sample.end_seconds - 0.005, -1))
    )
    return max(itertools.accumulate(change for _, change in moments))


def test_every_turn_is_whole(together: Together) -> None:
    """Every planned turn is there once; both pods' samples are in it, and no request twice."""
    planned = timetable(parse_workloads(SETTINGS, file="test"), {TP1: 1, TP2: 2})
    source = read(str(together.folder))
    grouped = samples_by_turn(source.samples)
    wanted = collections.Counter(
        (turn.stage, turn.candidate.degree, turn.block) for turn in planned.turns if turn.stage != "block"
    )
    found = collections.Counter((turn.stage, turn.degree, turn.block) for turn in source.record.turns)
    blocks = {(turn.degree, turn.block) for turn in source.record.turns if turn.stage == "block"}

    assert {name: count for name, count in found.items() if name[0] != "block"} == wanted
    assert blocks == {(degree, block) for degree in (1, 2) for block in range(4)}
    for turn in source.record.turns:
        _is_whole(turn, grouped[key(turn)])
    senders = {sample.request % 2 for sample in source.samples if sample.concurrency == 4}
    held_out = {(sample.degree, sample.request % 2) for sample in source.samples if sample.stage == "held_out"}

    assert senders == {0, 1}
    assert held_out == {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert source.void == ()


def test_the_warm_in_of_an_open_turn_does_not_count(together: Together) -> None:
    """A fifth of the turn, as 5 is of 5 + 20; both pods know from the plan how many requests count after it."""
    source = read(str(together.folder))
    grouped = samples_by_turn(source.samples)
    for turn in source.record.turns:
        samples = grouped[key(turn)]
        early = sum(one.intended_seconds - turn.start_seconds < 0.4 / 5 for one in samples)
        if turn.rate_per_second is None:
            assert (turn.uncounted, turn.counted) == (0, None)
        else:
            assert (turn.uncounted, turn.counted) == (early, turn.requests - early)
            assert not turn.cut_short


def _is_whole(turn: Turn, samples: list[Sample]) -> None:
    """Check that each sample of ``turn`` is there, whichever pod sent it."""
    numbers = [sample.request for sample in samples]

    assert len(samples) == turn.requests > 0
    assert len(set(numbers)) == len(numbers)


def test_turns_begin_at_the_planned_moments(tmp_path: pathlib.Path, together: Together) -> None:
    """Both pods begin each turn at the very second of the plan, by the common start."""
    planned = {
        (turn.stage, turn.candidate.degree, turn.block, turn.arrivals.concurrency): turn.begin_seconds
        for turn in timetable(parse_workloads(SETTINGS, file="test"), {TP1: 1, TP2: 2}).turns
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
    assert "pod 0 of 2 stored nothing, so their share of every turn is unknown; measure again" in verdict.reasons


def test_a_pod_says_where_the_verdict_will_be(together: Together) -> None:
    """Neither pod judges its half; both say what judges the whole."""
    for pod, words in enumerate(together.output):
        assert f"pod {pod} of 2; all begin at " in words
        assert f"when all 2 pods have ended: optimal-tp report {together.folder}" in words
        assert "settled" not in words
