"""What a turn says of its candidate: which turns are compared, and which only tell where to begin."""

import dataclasses
import math
import random

import pytest

from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.scoring import GoodputScoring, Throughput, ThroughputScoring
from tests.fakes_candidates import TP1, TP2

ASKED = 0.9


def reading(aside: float, share: float, block: int | None) -> Reading:
    """Return a turn of 200 requests at ``aside`` from a capacity of 1, in logarithms."""
    return Reading(candidate=TP1, block=block, log_rate=aside, asked=ASKED, hits=round(200 * share), counted=200)


def near(block: int) -> Reading:
    """Return a turn of a block on one side of the capacity, with about the share that it has there."""
    draw = random.Random(block)
    aside = -0.05 if block % 2 else 0.05
    return reading(aside, min(1.0, 0.9 - aside + draw.gauss(0, 0.02)), block)


def scoring(blocks: int) -> GoodputScoring:
    """Return the scoring of a bracket and so many blocks."""
    found = GoodputScoring([TP1], [ASKED], reach=0.15)
    found.open_with(reading(-0.5, 1.0, None))
    found.open_with(reading(0.5, 0.1, None))
    for block in range(blocks):
        found.add(block, [near(block)])
        found.learn([TP1], {TP1: 0})
    return found


def test_the_bracket_says_where_to_begin_and_is_not_compared() -> None:
    """It has a fit, and no score."""
    found = scoring(0)

    assert abs(found.fits[TP1].log_capacity) < 0.3
    assert found.scores(TP1, 0) == {}


def test_blocks_near_the_capacity_are_scored() -> None:
    """Every one of them, about at the capacity."""
    scores = scoring(12).scores(TP1, 0)

    assert list(scores) == list(range(12))
    assert math.fsum(scores.values()) / 12 == pytest.approx(0, abs=0.03)


def test_a_capacity_like_a_cliff_is_followed_down() -> None:
    """Seen on a real engine: 96 % held at 34 requests/s, 8 % at 40, and all turns above were called disturbed."""
    found = GoodputScoring([TP1], [0.75], reach=0.25)
    for rate, share in ((17.0, 1.0), (33.9, 0.96), (67.8, 0.0)):
        found.open_with(dataclasses.replace(reading(math.log(rate), share, None), asked=0.75))
    rates = []
    for block in range(4):
        rates.append(math.exp(found.fits[TP1].log_capacity + (0.05 if block % 2 else -0.05)))
        turn = reading(math.log(rates[-1]), 0.08 if rates[-1] > 35 else 0.96, block)
        found.add(block, [dataclasses.replace(turn, asked=0.75)])
        found.learn([TP1], {TP1: 0})

    assert rates[0] > 35
    assert math.exp(found.fits[TP1].log_capacity) < 35.5


def warmed_up(*last: float) -> GoodputScoring:
    """Return the scoring of three blocks, whose last turns held these shares at the rate of the first."""
    found = scoring(1)
    for block, share in enumerate(last, start=1):
        found.add(block, [reading(0.0, share, block)])
        found.learn([TP1], {TP1: 0})
    return found


@pytest.mark.parametrize(("last", "warms"), [((0.9, 0.9), False), ((1.0, 0.8), False), ((0.99, 0.99), True)])
def test_two_turns_far_above_the_fit_are_those_of_a_server_that_warms_up(last: list[float], warms: bool) -> None:  # noqa: FBT001
    """One alone, or two as expected, are none."""
    assert warmed_up(*last).is_warming(TP1) == warms


def test_the_first_turn_shows_no_warming() -> None:
    """Two are asked for: one may be luck."""
    assert not scoring(1).is_warming(TP1)
    assert not scoring(0).is_warming(TP1)


def test_a_turn_out_of_reach_is_not_compared() -> None:
    """A quarter above the capacity shares saturate: what it says is censored."""
    found = scoring(12)
    found.add(12, [reading(0.3, 0.2, 12)])
    found.learn([TP1], {TP1: 0})

    assert 12 not in found.scores(TP1, 0)
    assert found.disturbed() == ()


def test_a_disturbed_turn_is_left_out_and_listed() -> None:
    """The fit and the scores of the others stay as they are without it."""
    clean, found = scoring(13), scoring(12)
    found.add(12, [reading(0.05, 0.0, 12)])
    found.add(13, [near(12)])
    found.learn([TP1], {TP1: 0})
    [listed] = found.disturbed()

    assert listed.block == 12
    assert 12 not in found.scores(TP1, 0)
    assert found.fits[TP1].log_capacity == pytest.approx(clean.fits[TP1].log_capacity, abs=1e-6)


def test_a_capacity_above_which_nothing_holds_is_found() -> None:
    """Turns a little above it are as bad as disturbed ones; they are not taken for those, and the fit does not run off.

    The bracket, which says so at first, drops out after six blocks.
    """
    found = GoodputScoring([TP1], [ASKED], reach=0.15)
    found.open_with(reading(-0.4, 1.0, None))
    found.open_with(reading(0.4, 0.0, None))
    for block in range(24):
        aside = found.fits[TP1].log_capacity + (0.05 if block % 2 else -0.05)
        found.add(block, [reading(aside, 1.0 if aside < 0 else 0.0, block)])
        found.learn([TP1], {TP1: 0})

    assert found.fits[TP1].log_capacity == pytest.approx(0, abs=0.05)
    assert len(found.scores(TP1, 0)) > 18
    assert len(found.disturbed()) <= 2


def test_turns_of_the_bracket_drop_out() -> None:
    """After six blocks they pull no more: they were taken far from the capacity."""
    alike, other = scoring(6), GoodputScoring([TP1], [ASKED], reach=0.15)
    other.open_with(reading(-2.0, 1.0, None))
    other.open_with(reading(2.0, 0.0, None))
    for block in range(6):
        other.add(block, [near(block)])
        other.learn([TP1], {TP1: 0})

    assert other.fits[TP1] == alike.fits[TP1]


def test_without_a_hit_and_a_miss_nothing_is_scored() -> None:
    """Where every turn held the asked share the capacity is a guess."""
    found = GoodputScoring([TP1], [ASKED], reach=0.15)
    for block in range(12):
        found.add(block, [reading(-0.05, 1.0, block)])
        found.learn([TP1], {TP1: 0})

    assert not found.is_bracketed(TP1)
    assert found.scores(TP1, 0) == {}


def test_what_is_older_than_asked_is_left_out() -> None:
    """A trend has thrown it out."""
    assert list(scoring(12).scores(TP1, 7)) == [7, 8, 9, 10, 11]


def test_throughput_is_its_own_score() -> None:
    """The logarithm itself, by block; a candidate that was not measured in a block has none there."""
    found = ThroughputScoring([TP1, TP2])
    found.add(0, [Throughput(candidate=TP1, block=0, log_rate=1.0), Throughput(candidate=TP2, block=0, log_rate=2.0)])
    found.add(1, [Throughput(candidate=TP1, block=1, log_rate=1.5)])

    assert (found.scores(TP1, 0), found.scores(TP2, 0)) == ({0: 1.0, 1: 1.5}, {0: 2.0})
    assert found.scores(TP1, 1) == {1: 1.5}


def both(aside: float, tail: float, middle: float, block: int | None) -> Reading:
    """Return a turn of 200 requests of which ``tail`` held the limit of p99 and ``middle`` that of p50."""
    median = Reading(candidate=TP1, block=block, log_rate=aside, asked=0.5, hits=round(200 * middle), counted=200)
    return dataclasses.replace(median, asked=0.99, hits=round(200 * tail), others=(median,))


@pytest.mark.parametrize(("middle_ends", "tail_ends"), [(0.0, 0.4), (0.4, 0.0)], ids=["p50 ends first", "p99 does"])
def test_a_candidate_is_scored_by_the_percentile_that_ends_first(middle_ends: float, tail_ends: float) -> None:
    """Each limit at its own share: the capacity is the least of theirs, near 0 in both cases."""
    found = GoodputScoring([TP1], [0.99, 0.5], reach=0.15)

    def turn(aside: float, block: int | None) -> Reading:
        """Return a turn whose shares fall by logistic curves through what is asked."""
        tail = 1 / (1 + math.exp(14 * (aside - tail_ends) - math.log(99)))
        return both(aside, tail, 1 / (1 + math.exp(14 * (aside - middle_ends))), block)

    for aside in (-0.5, -0.2, 0.2, 0.5):
        found.open_with(turn(aside, None))
    for block in range(12):
        found.add(block, [turn(0.05 if block % 2 else -0.05, block)])
        found.learn([TP1], {TP1: 0})

    assert found.fits[TP1].asked == (0.5 if middle_ends < tail_ends else 0.99)
    assert found.fits[TP1].log_capacity == pytest.approx(0, abs=0.05)
    assert len(found.scores(TP1, 0)) == 12


def test_a_turn_holds_only_what_every_percentile_holds() -> None:
    """99 % within the limit of p99 and 40 % within that of p50: it is not held."""
    assert both(0.0, 0.995, 0.6, None).is_held
    assert not both(0.0, 0.995, 0.4, None).is_held
    assert not both(0.0, 0.9, 0.6, None).is_held
