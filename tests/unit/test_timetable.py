"""The timetable: the same for everybody, nothing overlaps, and it ends within the budget."""

import itertools
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.plan.schedule import Closed, Constant, Poisson
from optimal_tp.plan.timetable import Timetable, timetable, turn_seconds
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_samples import whole

CANDIDATES = (TP1, TP2, TP4)


def settings(**load: typing.Any) -> WorkloadSettings:
    """Return settings whose turns take 20 + 10 + 0.5 s."""
    return parse_workloads(
        {
            "load": {"request_timeout_seconds": 10, "concurrency": [8, 16], **load},
            "decision": {"minimum_blocks": 5, "maximum_blocks": 40, "budget_seconds": 3600},
        },
        file="test",
    )


def _blocks(table: Timetable, block: int) -> list[tuple[Candidate, object]]:
    return [(turn.candidate, turn.arrivals) for turn in table.turns if turn.block == block]


def test_everybody_has_the_same_plan() -> None:
    """The same settings give the same plan, another seed another order of degrees."""
    assert timetable(settings(seed=0), CANDIDATES) == timetable(settings(seed=0), CANDIDATES)
    assert [_blocks(timetable(settings(seed=0), CANDIDATES), block) for block in range(5)] != [
        _blocks(timetable(settings(seed=1), CANDIDATES), block) for block in range(5)
    ]


def test_a_turn_begins_when_the_last_request_before_it_must_have_ended() -> None:
    """Each turn has its seconds, its requests' time-out, and silence; none begins before that."""
    table = timetable(settings(), CANDIDATES)
    gaps = [
        later.begin_seconds - earlier.begin_seconds - earlier.seconds
        for earlier, later in itertools.pairwise(table.turns)
    ]

    assert gaps == [pytest.approx(10.5)] * (len(table.turns) - 1)
    assert turn_seconds(settings(pause_seconds=0).load, 20) == pytest.approx(30.1)
    assert table.turns[0].begin_seconds == 0


def test_the_budget_says_how_many_blocks_there_are() -> None:
    """12 turns of 30.5 s come before, a block has 6: 17 blocks fit into the hour; where 40 fit, the settings say so."""
    table = timetable(settings(), CANDIDATES)
    wide = timetable(settings(request_timeout_seconds=0.1, step_seconds=1, block_seconds=1), CANDIDATES)

    assert (table.blocks, table.by_budget) == (17, True)
    assert table.seconds == pytest.approx(12 * 30.5 + 17 * 6 * 30.5)
    assert table.seconds <= 3600 < table.seconds + 6 * 30.5
    assert (wide.blocks, wide.by_budget) == (40, False)


def test_a_block_measures_every_step_at_every_degree() -> None:
    """Nobody may choose a step while shares are apart, so each has its turn; the stages before are those of one."""
    table = timetable(settings(), CANDIDATES)
    stages = [(turn.stage, turn.candidate, turn.arrivals.concurrency) for turn in table.turns if turn.block is None]

    assert sorted(_blocks(table, 3), key=str) == sorted(
        [(each, Closed(concurrency=step)) for each in CANDIDATES for step in (8, 16)], key=str
    )
    assert stages == [
        *(("warm_up", each, 1) for each in CANDIDATES),
        *(("idle", each, 1) for each in CANDIDATES),
        *(("rising", each, step) for each in CANDIDATES for step in (8, 16)),
    ]


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_open_arrivals_have_the_stated_rate(arrivals: str) -> None:
    """One turn per degree and block at that rate; Poisson arrivals are others in each."""
    table = timetable(settings(arrivals=arrivals, rate_per_second=400), CANDIDATES)
    found = [turn.arrivals for turn in table.turns if turn.block is not None]

    assert {type(one) for one in found} == {Constant if arrivals == "constant" else Poisson}
    assert {one.rate_per_second for one in found} == {400}
    assert len(found) == 3 * table.blocks
    assert len(set(found)) == (1 if arrivals == "constant" else len(found))


def test_open_arrivals_without_a_rate_are_refused() -> None:
    """A share of the highest rate is known only after the rising load."""
    sentence = (
        "workloads.load.rate_per_second is not set; several load generators follow a plan made before the run, so open "
        "arrivals have a stated rate; state it, or use arrivals: closed"
    )
    with pytest.raises(SettingsError, match=whole(sentence)):
        timetable(settings(arrivals="poisson"), CANDIDATES)


def test_a_budget_that_is_too_small_is_refused() -> None:
    """The arithmetic is in the sentence."""
    small = parse_workloads(
        {"load": {"request_timeout_seconds": 10, "concurrency": [8]}, "decision": {"budget_seconds": 600}}, file="test"
    )
    sentence = (
        "workloads.decision.budget_seconds is 600.0; it holds the stages before the blocks (274 s) and "
        "decision.minimum_blocks (5) of 92 s, 732 s together; allow more, shorten load.block_seconds or "
        "load.request_timeout_seconds, or drop steps or degrees"
    )
    with pytest.raises(SettingsError, match=whole(sentence)):
        timetable(small, CANDIDATES)


def test_a_rate_needs_open_arrivals() -> None:
    """A closed loop makes its own rate: a stated one would say nothing."""
    with pytest.raises(SettingsError, match=r"a rate is stated for arrivals 'constant' or 'poisson'"):
        settings(rate_per_second=3)
