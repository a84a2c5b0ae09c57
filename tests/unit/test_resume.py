"""A run survives the death of its process: what was measured stands, what was not is measured, in the same order."""

import dataclasses
import pathlib
import typing

import pytest

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.turns import Turn, of
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import read
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_candidates import TP1, TP2
from tests.fakes_lives import GAP_SECONDS, World
from tests.fakes_run import Planted, settings, total_limit

LOAD = {
    "output_tokens": 50,
    "warm_up_requests": 2,
    "idle_requests": 4,
    "pause_seconds": 0,
    "bracket_turns": 4,
    "turn_requests": 20,
    "request_timeout_seconds": 30,
}
DECISION = {
    "minimum_blocks": 4,
    "fixed_looks": 5,
    "resolution": 0.2,
    "least_lead": 0.15,
    "maximum_blocks": 8,
    "budget_seconds": 2_000_000,
    "proof_seconds": 0,
}


@pytest.fixture(params=["within limits", "without limits"])
def world(request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world in which TP2 is the better one."""
    limits = total_limit(500, 75) if request.param == "within limits" else {}
    found = _world(tmp_path / "run", limits)
    found.install(monkeypatch)
    return found


def _world(folder: pathlib.Path, limits: dict[str, typing.Any]) -> World:
    section = settings(degrees=[1, 2], load=LOAD, decision=DECISION, **({"limits": limits} if limits else {}))
    return World(
        truths={
            TP1: Planted(degree=1, latency_ms=300, noise=0.01),
            TP2: Planted(degree=2, latency_ms=100, noise=0.01),
        },
        settings=parse_workloads(section, file="test"),
        folder=folder,
    )


def asked(turn: Turn) -> tuple[typing.Any, ...]:
    """Return what was asked of ``turn``; a rate to five digits, for it follows from times that a gap rounds anew."""
    rate = turn.rate_per_second
    return (turn.stage, of(turn).name, turn.block, turn.concurrency, None if rate is None else f"{rate:.5g}")


def whole(record: RunRecord) -> list[Turn]:
    """Return the turns that were not cut short."""
    return [turn for turn in record.turns if turn.stage != "cut"]


def uninterrupted(world: World) -> tuple[RunRecord, str | None]:
    """Return the run that nothing ends, and its choice."""
    alone = dataclasses.replace(
        world, folder=world.folder.with_name("alone"), asked=[], prompts=[], handed=[], said=[], lives=0
    )
    with pytest.MonkeyPatch.context() as patched:
        alone.install(patched)
        record = alone.live()
    assert record is not None
    return record, retry(read(str(alone.folder))).verdict.chosen


def check_whole(world: World, record: RunRecord) -> None:
    """Hold ``record``, of a run with deaths, against one without, and its samples against what was handed over."""
    smooth, chosen = uninterrupted(world)
    found = read(str(world.folder))
    verdict = retry(found).verdict

    assert [asked(turn) for turn in whole(record)] == [asked(turn) for turn in smooth.turns]
    assert record.ending == smooth.ending == "settled"
    assert (verdict.outcome, verdict.chosen) == ("settled", chosen)
    # Every sample that was handed over is kept once, those of turns that were cut short under a name of their own.
    assert len(found.samples) == len(world.handed) == sum(turn.requests for turn in record.turns)
    assert [sample.end_seconds for sample in found.samples] == [sample.end_seconds for sample in world.handed]
    assert found.notes == ()
    starts = [turn.start_seconds for turn in record.turns]
    assert starts == sorted(starts)
    assert len(set(world.prompts)) == len(world.prompts)


def test_a_process_that_dies_after_every_turn_measures_none_twice(world: World) -> None:
    """Each process takes one turn and dies before the next one's first sample; all of them together make the run."""
    record = None
    while record is None:
        record = world.live(dies=(1, 0.0))

    check_whole(world, record)
    assert not [turn for turn in record.turns if turn.stage == "cut"]
    assert world.lives == len(record.turns)
    taken = [stretch for stretch in world.asked if stretch.stage != "cut"]
    assert len(taken) == 2 * len(record.turns) - 1  # each but the first was asked for, and again by the next process
    assert record.elapsed_seconds > (world.lives - 1) * GAP_SECONDS


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0], ids=["its first sample", "the middle", "its last sample"])
def test_a_turn_in_whose_middle_a_process_dies_is_kept_and_taken_again(world: World, share: float) -> None:
    """Every turn of the run meets it once, also where all its samples are there and only its line is not."""
    record, lives = None, 0
    while record is None:
        record = world.live(dies=(0, share) if lives % 2 == 0 else (1, 0.0))
        lives += 1

    check_whole(world, record)
    cut = [turn for turn in record.turns if turn.stage == "cut"]
    assert len(cut) == len(whole(record))
    assert all(turn.cut_short and turn.asked_seconds is None for turn in cut)


def test_a_process_that_dies_again_and_again_in_one_turn_loses_nothing(world: World) -> None:
    """Three times the same turn."""
    world.live(dies=(5, 0.5))
    world.live(dies=(0, 0.3))
    world.live(dies=(0, 0.6))
    record = world.live()

    assert record is not None
    check_whole(world, record)
    assert len([turn for turn in record.turns if turn.stage == "cut"]) == 3
