"""The choice at other limits, from the same requests; and how it is put into words."""

import dataclasses
import functools
import math

import pytest

from optimal_tp.report.choice_by_limit import CLOSE, NONE, UNKNOWN, Range, answers, by_limit_claim, ranges
from optimal_tp.report.words import span
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.rule import decide
from optimal_tp.verdict.views.by_limit import AtLimit, ByLimit, LimitPoint, falling, round_limit
from tests.fakes_crossing import LOOSE_MS, crossing_run
from tests.fakes_run import SEED_EXPERIMENT, planted_run


@functools.cache
def crossing() -> Analysis:
    """Return a run in which TP1 does most within a loose limit, and only TP2 holds a tight one."""
    record, samples = crossing_run(LOOSE_MS)
    return analyse(record, samples, decide(record, samples))


def view(*told: str | None, asked: int | None = None) -> ByLimit:
    """Return a view of one limit per second; ``-`` is undecided, None is nobody, ``~TP1`` a lead within the noise."""
    points = []
    for place, one in enumerate(told):
        name = None if one in (None, "-") else str(one).lstrip("~")
        near = ("TP9",) if one is not None and one.startswith("~") else ()
        points.append(
            LimitPoint(limit_ms=1000.0 * (place + 1), choice=name, is_decided=one != "-", near=near, candidates=())
        )
    asked_ms = None if asked is None else 1000.0 * (asked + 1)
    return ByLimit(metric="total_latency_ms", percent=90, asked_ms=asked_ms, per_core="requests", points=tuple(points))


def test_at_its_own_limit_a_run_says_what_it_settled() -> None:
    """The point has the verdict's choice and the race's own capacities."""
    analysis = crossing()
    (found,) = analysis.by_limit
    own = next(point for point in found.points if point.limit_ms == LOOSE_MS)

    assert found.asked_ms == LOOSE_MS
    assert own.choice == analysis.verdict.chosen == "TP1"
    assert [one.per_core for one in own.candidates] == [
        degree.goodput_per_second_per_core for degree in analysis.verdict.degrees
    ]


def test_a_tight_limit_has_another_choice() -> None:
    """TP1 takes a second alone: below it only TP2 can hold a limit; below 0.6 s nobody."""
    (found,) = crossing().by_limit
    by_ms = {point.limit_ms: point for point in found.points}
    tight = [point for ms, point in by_ms.items() if 750 <= ms <= 950]

    assert {point.choice for point in tight} == {"TP2"}
    assert {one.reach for point in tight for one in point.candidates if one.degree == 1} == {"misses"}
    assert found.points[0].choice is None
    assert found.points[0].is_decided


def test_more_is_allowed_more_is_done() -> None:
    """A looser limit never lowers what a candidate does, but at the run's own, which the race has fitted."""
    (found,) = crossing().by_limit
    for degree in (1, 2):
        rates = [
            one.per_core
            for point in found.points
            for one in point.candidates
            if one.degree == degree and one.reach == "measured" and point.limit_ms != LOOSE_MS
        ]

        assert rates == sorted(rates, key=lambda rate: rate or 0.0)


def test_nothing_is_said_beyond_the_rates_that_were_tried() -> None:
    """Where every rate holds the limit, the highest is a lower bound and called so."""
    (found,) = crossing().by_limit
    last = {one.degree: one for one in found.points[-1].candidates}

    assert last[1].reach == "at least"
    assert last[1].per_core == pytest.approx(4.4)


def test_without_limits_the_median_decides() -> None:
    """Each number of requests in flight is a point; at the loosest the choice is the verdict's."""
    record, samples = planted_run(SEED_EXPERIMENT, rising=(1, 2, 4))
    analysis = analyse(record, samples, decide(record, samples))
    (found,) = analysis.by_limit

    assert (found.per_core, found.asked_ms, found.percent) == ("output tokens", None, 50)
    assert found.points[-1].choice == analysis.verdict.chosen == "TP1"
    assert {point.choice for point in found.points} == {None, "TP4", "TP2", "TP1"}


def test_a_void_run_has_no_choice_at_any_limit() -> None:
    """Nothing is claimed from what it measured."""
    record, samples = planted_run()

    assert analyse(record, samples, decide(record, samples, {None: ("late",)})).by_limit == ()


def test_shares_that_rise_with_the_rate_are_pooled() -> None:
    """Rates keep their places; those out of order take their common share, by weight."""
    assert falling([(0.0, 1.0, 10), (1.0, 0.5, 10), (2.0, 0.8, 20), (3.0, 0.2, 10)]) == [
        (0.0, 1.0),
        (1.0, pytest.approx(0.7)),
        (2.0, pytest.approx(0.7)),
        (3.0, 0.2),
    ]


@pytest.mark.parametrize(("value", "expected"), [(683.2, 685), (1234.0, 1250), (98.4, 98.5), (2500.0, 2500)])
def test_limits_are_those_a_person_would_set(value: float, expected: float) -> None:
    """Two digits and a half."""
    assert math.isclose(round_limit(value), expected)


def test_one_answer_over_several_limits_is_one_range() -> None:
    """The last has no end."""
    assert ranges(view(None, "TP2", "TP2", "TP1")) == (
        Range(from_ms=1000, to_ms=2000, answer=NONE),
        Range(from_ms=2000, to_ms=4000, answer="TP2"),
        Range(from_ms=4000, to_ms=None, answer="TP1"),
    )


def test_a_choice_that_flips_back_is_too_close_to_call() -> None:
    """TP1 wins once below where TP2 still wins: between them nobody is named."""
    told = answers(view(*["TP2"] * 6, "TP1", "TP2", *["TP1"] * 6))

    assert told == [*["TP2"] * 6, CLOSE, CLOSE, *["TP1"] * 6]


def test_the_runs_own_limit_keeps_its_answer() -> None:
    """The race compared there; estimates beside it do not take that back."""
    assert answers(view("TP2", "~TP1", "TP1", "~TP2", "TP1", asked=2))[2] == "TP1"
    assert answers(view("-", "~TP1"))[0] == UNKNOWN


def test_a_lead_within_the_resolution_names_nobody() -> None:
    """Also where a few limits beside it would."""
    assert answers(view(*["TP2"] * 6, "~TP1", "TP1", "~TP1", *["TP1"] * 6)) == [
        *["TP2"] * 6,
        *[CLOSE] * 3,
        *["TP1"] * 6,
    ]


def test_the_claim_reads_from_the_loosest_limit_down() -> None:
    """One sentence a range, and where it was compared."""
    found = dataclasses.replace(crossing(), by_limit=(view(None, "TP2", "TP1", "TP1", asked=2),))

    assert by_limit_claim(found) == (
        "Limit on p90 of total latency: allow 3 s or more: TP1. 2 to 3 s: TP2. Below 2 s: no candidate qualifies. "
        "Measured at 3 s; other limits are estimated."
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1300, 2250, "1.3 to 2.25 s"), (750, 1100, "750 ms to 1.1 s"), (200, 260, "200 to 260 ms")],
)
def test_two_limits_share_their_unit(low: float, high: float, expected: str) -> None:
    """Where they have the same."""
    assert span(low, high) == expected


def test_a_candidate_at_a_limit_knows_its_name() -> None:
    """A batch is part of it."""
    assert AtLimit(degree=2, max_num_seqs=8, reach="misses", per_core=None).candidate.name == "TP2-B8"
