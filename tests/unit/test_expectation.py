"""What a run is expected to take before it starts: from the table, in proportion, with a warning where that is much."""

import typing

import pytest

from optimal_tp.plan.expectation import PROOFS, expectation, expectation_warnings, foresight
from optimal_tp.settings.workload import WorkloadSettings


def settings(percentile: float | None = 90, at_most_ms: float = 500, **decision: typing.Any) -> WorkloadSettings:
    """Return settings with one limit, or none."""
    limit = {"percentile": percentile, "at_most_ms": at_most_ms}
    limits = {} if percentile is None else {"total_latency_ms": limit}
    return WorkloadSettings.model_validate({"limits": limits, "decision": decision})


def test_times_grow_with_the_limit_and_the_candidates() -> None:
    """A limit ten times as long takes ten times as long, pauses aside; more candidates take more turns."""
    short, long = (expectation(settings(at_most_ms=ms), 3) for ms in (500, 5000))
    more = expectation(settings(), 4)
    assert short is not None
    assert long is not None
    assert more is not None

    pause = 0.5
    assert long.turn_seconds - pause == pytest.approx(10 * (short.turn_seconds - pause))
    assert long.choice_seconds == pytest.approx(long.turns * long.turn_seconds)
    assert more.turns > short.turns


def test_a_higher_percentile_takes_longer_to_choose_and_far_longer_to_prove() -> None:
    """At p99 the proof is most of it."""
    middle, tail = (expectation(settings(percentile), 3) for percentile in (75, 99))
    assert middle is not None
    assert tail is not None

    assert tail.turns_p90 > middle.turns_p90
    assert (tail.proof_turns or 0) > 3 * (middle.proof_turns or 0)


def test_servers_that_take_turns_add_their_starts() -> None:
    """Four visits of three rounds, each with a start."""
    alone, rounds = (expectation(settings(), 3, rounds=rounds, start_seconds=600) for rounds in (1, 3))
    assert alone is not None
    assert rounds is not None

    assert rounds.choice_seconds - alone.choice_seconds == 4 * 3 * 600


def test_a_budget_that_cannot_hold_the_proof_is_known_before() -> None:
    """p99 within the usual 20 minutes: compared, hardly proven; p50 fits, and nobody is warned."""
    tail, middle = (expectation(settings(percentile, at_most_ms=2000), 3) for percentile in (99, 50))
    assert tail is not None
    assert middle is not None

    [warning] = expectation_warnings(tail)
    assert warning.startswith("p99 can be compared but hardly proven: a proof takes about ")
    assert "raise workloads.decision.proof_seconds and budget_seconds" in warning
    assert expectation_warnings(middle) == []


def test_a_budget_that_may_not_hold_the_choice_is_known_before() -> None:
    """Which key, its value, and what would do."""
    found = expectation(settings(budget_seconds=120, proof_seconds=0), 3)
    assert found is not None
    [warning] = expectation_warnings(found)

    assert warning.startswith("workloads.decision.budget_seconds (120) may end before a safe choice: more than half")
    assert found.proof_turns is None


def test_the_most_blocks_may_be_too_few() -> None:
    """Three candidates take more than five blocks."""
    found = expectation(settings(minimum_blocks=5, maximum_blocks=5, proof_seconds=0), 3)
    assert found is not None

    assert any(line.startswith("workloads.decision.maximum_blocks (5) ends") for line in expectation_warnings(found))


def test_without_limits_the_time_of_a_request_is_assumed() -> None:
    """The line says what it assumes; nothing is proven."""
    [line] = foresight(settings(None), None, settings(None).candidates)

    assert "without limits" in line
    assert "if one request alone takes 1.00 s" in line


def test_dollars_are_said_where_the_price_is_known() -> None:
    """Ten dollars an hour, for the choice and for the proof."""
    told = foresight(settings(), 10.0, settings().candidates)

    assert all("$" in line for line in told[:2])
    assert not any("$" in line for line in foresight(settings(), None, settings().candidates))


def test_stated_loads_and_single_candidates_have_no_race() -> None:
    """Their length is the timetable's, or there is nobody to race with."""
    stated = WorkloadSettings.model_validate({"load": {"concurrency": [1, 2]}})

    assert foresight(stated, None, stated.candidates) == []
    assert foresight(settings(), None, settings().candidates[:1]) == []


def test_proofs_are_by_rising_shares() -> None:
    """The first row that asks for at least as much is taken."""
    assert [row.asked for row in PROOFS] == sorted(row.asked for row in PROOFS)
