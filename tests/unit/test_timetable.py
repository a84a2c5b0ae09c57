"""The timetable: the same for everybody, nothing overlaps, and it ends within the budget."""

import dataclasses
import itertools
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.plan.schedule import Closed, Poisson, planned
from optimal_tp.plan.timetable import Timetable, timetable, turn_seconds
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_samples import whole

CORES = {TP1: 4, TP2: 4, TP4: 4}
"""Logical cores of each candidate's servers together."""


def settings(limits: dict[str, typing.Any] | None = None, **load: typing.Any) -> WorkloadSettings:
    """Return settings whose turns take 20 + 10 + 0.5 s."""
    stated = {"concurrency": [8, 16]} if limits is None else {"rates_per_second_per_core": [0.5, 1.0]}
    return parse_workloads(
        {
            "load": {"request_timeout_seconds": 10, **stated, **load},
            "limits": limits or {},
            "decision": {"minimum_blocks": 5, "maximum_blocks": 40, "budget_seconds": 3600},
        },
        file="test",
    )


LIMITS = {"total_latency_ms": {"at_most_ms": 400}}


def _blocks(table: Timetable, block: int) -> list[tuple[Candidate, object]]:
    return [(turn.candidate, turn.arrivals) for turn in table.turns if turn.block == block]


def test_everybody_has_the_same_plan() -> None:
    """The same settings give the same plan, another seed another order of candidates."""
    assert timetable(settings(seed=0), CORES) == timetable(settings(seed=0), CORES)
    assert [_blocks(timetable(settings(seed=0), CORES), block) for block in range(5)] != [
        _blocks(timetable(settings(seed=1), CORES), block) for block in range(5)
    ]


def test_a_turn_begins_when_the_last_request_before_it_must_have_ended() -> None:
    """Each turn has its seconds, its requests' time-out, and silence; none begins before that."""
    table = timetable(settings(), CORES)
    gaps = [
        later.begin_seconds - earlier.begin_seconds - earlier.seconds
        for earlier, later in itertools.pairwise(table.turns)
    ]

    assert gaps == [pytest.approx(10.5)] * (len(table.turns) - 1)
    assert turn_seconds(settings(pause_seconds=0).load, 20) == pytest.approx(30.1)
    assert table.turns[0].begin_seconds == 0


def test_the_budget_says_how_many_blocks_there_are() -> None:
    """12 turns of 30.5 s come before, a block has 6: 17 blocks fit into the hour; where 40 fit, the settings say so."""
    table = timetable(settings(), CORES)
    wide = timetable(settings(request_timeout_seconds=0.1, block_seconds=1), CORES)

    assert (table.blocks, table.by_budget) == (17, True)
    assert table.seconds == pytest.approx(12 * 30.5 + 17 * 6 * 30.5)
    assert table.seconds <= 3600 < table.seconds + 6 * 30.5
    assert (wide.blocks, wide.by_budget) == (40, False)


def test_a_block_measures_every_stated_load_of_every_candidate() -> None:
    """Nobody may choose a load while shares are apart, so each has its turn; the stages before are those of one."""
    table = timetable(settings(), CORES)
    stages = [(turn.stage, turn.candidate, turn.arrivals.concurrency) for turn in table.turns if turn.block is None]

    assert sorted(_blocks(table, 3), key=str) == sorted(
        [(each, Closed(concurrency=step)) for each in CORES for step in (8, 16)], key=str
    )
    assert stages == [
        *(("warm_up", each, 1) for each in CORES),
        *(("idle", each, 1) for each in CORES),
        *(("rising", each, step) for each in CORES for step in (8, 16)),
    ]


def test_stated_rates_are_per_core_and_fresh_in_each_block() -> None:
    """A candidate on two cores gets half of the requests of one on four; arrivals differ from block to block."""
    cores = {TP1: 2, TP2: 4}
    table = timetable(settings(LIMITS), cores)
    found = {
        (turn.candidate, turn.block, turn.arrivals.rate_per_second): turn.arrivals
        for turn in table.turns
        if turn.stage in ("rising", "block")
    }

    assert {type(one) for one in found.values()} == {Poisson}
    assert {rate for one, _, rate in found if one == TP1} == {1.0, 2.0}
    assert {rate for one, _, rate in found if one == TP2} == {2.0, 4.0}
    assert len({one.seed for one in found.values() if isinstance(one, Poisson)}) == 2 * (table.blocks + 1)


def test_an_open_turn_begins_with_a_part_that_does_not_count() -> None:
    """Of 20 s the first 4, as 5 are of 5 + 20; how many count after them is known from the plan."""
    table = timetable(settings(LIMITS), CORES)
    opened = [turn for turn in table.turns if turn.stage in {"rising", "block", "held_out"}]
    others = [turn for turn in (*table.turns, *timetable(settings(), CORES).turns) if turn not in opened]

    assert {turn.warm_in_seconds for turn in opened} == {4.0}
    for turn in opened:
        times = list(planned(turn.arrivals, seconds=20, requests=None)) if isinstance(turn.arrivals, Poisson) else []
        warm_in = sum(moment < 4 for moment in times)
        assert turn.counted == (warm_in, len(times) - warm_in)
    assert {(turn.warm_in_seconds, turn.counted) for turn in others} == {(0, None)}


def test_a_turn_with_nothing_after_its_warm_in_has_no_count() -> None:
    """At so low a rate nothing can be fixed."""
    turn = dataclasses.replace(
        timetable(settings(LIMITS), CORES).turns[-1], arrivals=Poisson(rate_per_second=1e-6, seed=1)
    )

    assert turn.counted is None


def test_candidates_share_the_luck_of_a_block() -> None:
    """The seed of the arrivals is the same for every candidate at a stated rate."""
    table = timetable(settings(LIMITS), CORES)
    seeds: dict[float, set[object]] = {}
    for turn in table.turns:
        if turn.block == 2 and isinstance(turn.arrivals, Poisson):
            seeds.setdefault(turn.arrivals.rate_per_second, set()).add(turn.arrivals.seed)

    assert [len(found) for found in seeds.values()] == [1, 1]


def test_every_candidate_ends_with_a_turn_that_tests_the_plan() -> None:
    """Below the lowest stated rate, within the budget, the same arrivals for all; none without a stated rate."""
    table = timetable(settings(LIMITS), CORES)
    unrated = timetable(settings(), CORES)
    rated = timetable(settings(rates_per_second_per_core=[2.0]), CORES)
    last = table.turns[-3:]

    assert [(turn.stage, turn.candidate, turn.block) for turn in last] == [("held_out", each, None) for each in CORES]
    assert [turn.arrivals.rate_per_second for turn in last] == [pytest.approx(0.7 * 0.5 * 4)] * 3
    assert len({turn.arrivals.seed for turn in last if isinstance(turn.arrivals, Poisson)}) == 1
    assert table.seconds == pytest.approx(last[-1].begin_seconds + turn_seconds(settings(LIMITS).load, 20))
    assert table.seconds <= 3600
    assert "held_out" not in {turn.stage for turn in unrated.turns}
    assert [turn.arrivals.rate_per_second for turn in rated.turns[-3:]] == [pytest.approx(0.7 * 2 * 4)] * 3


@pytest.mark.parametrize(
    ("limits", "key"),
    [(None, "concurrency"), (LIMITS, "rates_per_second_per_core")],
    ids=["without limits", "with limits"],
)
def test_loads_that_are_not_stated_are_refused(limits: dict[str, typing.Any] | None, key: str) -> None:
    """Where a capacity lies is known only after the run has looked for it."""
    sentence = (
        f"workloads.load.{key}: must be set: several load generators follow a plan made before the run (not set); "
        "state the loads, around where each candidate's capacity may lie, or use one load generator"
    )
    with pytest.raises(SettingsError, match=whole(sentence)):
        timetable(settings(limits, **{key: None}), CORES)


def test_a_budget_that_is_too_small_is_refused() -> None:
    """The arithmetic is in the sentence."""
    small = parse_workloads(
        {
            "load": {"request_timeout_seconds": 10, "concurrency": [8]},
            "decision": {"minimum_blocks": 5, "budget_seconds": 600},
        },
        file="test",
    )
    sentence = (
        "workloads.decision.budget_seconds: must hold the turns before and after the blocks (274 s) and "
        "decision.minimum_blocks (5) of 92 s, 732 s together (got 600); allow more, shorten load.block_seconds "
        "or load.request_timeout_seconds, or drop loads or degrees"
    )
    with pytest.raises(SettingsError, match=whole(sentence)):
        timetable(small, CORES)
