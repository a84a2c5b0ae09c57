"""Restarts of servers between blocks, servers that do not come back, and deaths of the process around both."""

import pathlib
import shutil
import typing

import pytest

from optimal_tp.measurement.run import RunRecord
from optimal_tp.results.source import read
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_candidates import TP1, TP2
from tests.fakes_lives import DECISION, Pods, World, edited, planted_world
from tests.fakes_run import total_limit


@pytest.fixture
def world(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world in which TP2 is the better one."""
    found = planted_world(tmp_path / "run", total_limit(500, 75))
    found.install(monkeypatch)
    return found


def all_at_once(world: World, **plan: typing.Any) -> Pods:
    """Have the experiment start the servers of ``world``, all at the same time."""
    world.rounds = ((TP1, TP2),)
    pods = Pods(world=world, **plan)
    world.arena = lambda: pods
    return pods


def twelve(world: World) -> World:
    """Let ``world`` measure twelve blocks, whatever they say."""
    decision = DECISION | {"minimum_blocks": 12, "fixed_looks": None, "maximum_blocks": 12, "resolution": 0.001}
    section = {**world.settings.model_dump(exclude_unset=True), "decision": decision}
    world.settings = parse_workloads(section, file="test")
    return world


def starts(record: RunRecord, degree: int) -> list[tuple[int | None, str, int | None]]:
    """Return start, stage and block of the first turn of ``degree`` on each start of its servers."""
    own = [turn for turn in record.turns if turn.degree == degree and turn.stage != "cut"]
    firsts = {turn.server_start: turn for turn in reversed(own)}
    return [(start, turn.stage, turn.block) for start, turn in sorted(firsts.items(), key=lambda item: str(item[0]))]


def test_servers_that_run_at_once_have_three_starts(world: World) -> None:
    """They are restarted before the fifth block and the ninth; the first turn of each after it is thrown away."""
    pods = all_at_once(twelve(world))
    record = world.live()

    assert record is not None
    assert pods.restarts == 2
    for degree in (1, 2):
        assert starts(record, degree) == [(0, "warm_up", None), (1, "warm_up", 4), (2, "warm_up", 8)]
    assert {turn.server_start: turn.block for turn in record.turns if turn.stage == "block"} == {0: 3, 1: 7, 2: 11}
    assert [step.number for step in record.steps if step.candidate == TP2] == [0, 1, 2]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_restarts_are_not_done_again_by_who_goes_on(world: World, share: float) -> None:
    """A process dies in every turn, and so do the ones after both restarts: servers that stayed up are not cold."""
    pods = all_at_once(twelve(world))
    record = world.live(dies=(20, share))
    while record is None:
        record = world.live(dies=(1, share))

    for degree in (1, 2):
        assert [stage for _, stage, _ in starts(record, degree)] == ["warm_up"] * 3
    assert pods.restarts == 2
    assert len(read(str(world.folder)).samples) == len(world.handed)


def test_a_process_that_dies_in_a_restart_is_followed_by_one_that_restarts(world: World) -> None:
    """Nothing was measured on the new servers, so nothing is known of them."""
    pods = all_at_once(twelve(world), dies_in_restart=1)
    assert world.live() is None
    record = world.live()

    assert record is not None
    assert pods.restarts == 3
    assert [step.number for step in record.steps if step.candidate == TP1] == [0, 1, 2]
    assert starts(record, 1) == [(0, "warm_up", None), (1, "warm_up", 4), (2, "warm_up", 8)]


def test_servers_that_were_started_in_the_gap_are_cold(world: World) -> None:
    """The first new turn of each candidate is thrown away, and the turns after it are on another start."""
    pods = all_at_once(twelve(world))
    world.live(dies=(20, 0.5))
    pods._start(pods.running)
    record = world.live()

    assert record is not None
    index = next(index for index, turn in enumerate(record.turns) if turn.stage == "cut")
    for degree in (1, 2):
        before = [turn for turn in record.turns[:index] if turn.degree == degree]
        first, second, *_ = [turn for turn in record.turns[index + 1 :] if turn.degree == degree]
        assert (first.stage, first.server_start) == ("warm_up", (before[-1].server_start or 0) + 1)
        assert second.stage != "warm_up"
    again = world.folder.with_name("again")
    shutil.copytree(world.folder, again)
    world.folder = again
    edited(again, ending="running")
    asked_before = len(world.asked)

    assert world.live() is not None  # the replay of a run with such a start asks for no turn
    assert len(world.asked) == asked_before


@pytest.mark.parametrize("dies", [False, True], ids=["one process", "a process for each turn"])
def test_a_candidate_that_does_not_come_back_leaves_and_the_rest_is_measured(world: World, *, dies: bool) -> None:
    """What it measured before is kept, its word says at which start, and no turn of it is asked for any more."""
    all_at_once(twelve(world), fails={TP2: 1})
    record = None
    while record is None:
        record = world.live(dies=(1, 0.0) if dies else None)
    blocks = {
        degree: [turn.block for turn in record.turns if (turn.stage, turn.degree) == ("block", degree)]
        for degree in (1, 2)
    }

    assert blocks == {1: list(range(12)), 2: [0, 1, 2, 3]}
    assert [(each.gate, each.reason) for each in record.degrees] == [
        (None, None),
        ("no-start", "start 1 ended with status 1"),
    ]
    assert [turn.degree for turn in record.turns if turn.stage == "held_out"] == [1]
    assert sum("leaves the experiment" in line for line in world.said) >= 1


def test_a_run_that_nobody_is_left_in_ends(world: World) -> None:
    """Without another turn, and with both words."""
    all_at_once(twelve(world), fails={TP1: 1, TP2: 1})
    record = world.live()

    assert record is not None
    assert (record.ending, record.ending_detail) == ("blocks", "no candidate was left after 4 blocks")
    assert {each.gate for each in record.degrees} == {"no-start"}


def test_candidates_of_one_round_are_both_cold_after_a_change(world: World) -> None:
    """Servers that take turns: the first turn of each after every start is thrown away, and deaths change nothing."""
    world.rounds = ((TP1,), (TP2,))
    pods = Pods(world=world)
    world.arena = lambda: pods
    record = None
    while record is None:
        record = world.live(dies=(2, 0.4))

    assert record.ending == "settled"
    for degree in (1, 2):
        found = starts(record, degree)
        assert len(found) >= 2
        assert {stage for _, stage, _ in found} == {"warm_up"}
