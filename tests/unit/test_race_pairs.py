"""Two candidates against each other: coverage over seeded simulations, words, and refusals."""

import dataclasses
import math

import numpy as np
import pytest

from optimal_tp.verdict.race.pairs import Pair, Rules, autocorrelation, lead, trend, wandered, warmed
from tests.fakes_candidates import TP1, TP2

CAREFUL = Rules(resolution=0.05, bias=0.02, least_blocks=12, most_looks=None, alpha=0.05)
QUICK = Rules(resolution=0.2, bias=0.15, least_blocks=4, most_looks=5, alpha=0.05)


def pair(differences: "list[float] | np.ndarray[tuple[int], np.dtype[np.float64]]", rules: Rules = CAREFUL) -> Pair:
    """Return TP1 against TP2 after blocks with these differences."""
    return lead(TP1, TP2, {block: float(value) for block, value in enumerate(differences)}, rules)


def test_the_interval_holds_the_ratio_at_every_look() -> None:
    """Over 200 runs of 40 blocks each, independent differences: the true ratio is ever excluded in at most 5 %."""
    draws = np.random.default_rng(1).normal(0.3, 0.1, (200, 40))
    wrong = 0
    for row in draws:
        looks = (pair(row[:count]).interval for count in range(12, 41, 2))
        wrong += any(look.is_above(0.3) or look.is_below(0.3) for look in looks)

    assert wrong / 200 <= 0.05


def test_the_interval_of_fixed_looks_holds_the_ratio() -> None:
    """Over 400 runs, five looks at four to eight blocks: excluded at any of them in at most 5 %, and not in none."""
    draws = np.random.default_rng(2).normal(0, 0.1, (400, 8))
    wrong = 0
    for row in draws:
        looks = (pair(row[:count], QUICK).interval for count in range(4, 9))
        wrong += any(look.is_above(0) or look.is_below(0) for look in looks)

    assert 0 < wrong / 400 <= 0.05


def test_neighbours_that_resemble_each_other_widen_the_interval() -> None:
    """200 runs of 60 blocks with an autocorrelation of 0.5: the true ratio is excluded in at most 5 % at the end."""
    generator = np.random.default_rng(3)
    wrong = 0
    for _ in range(200):
        values = [0.0]
        for step in generator.normal(0, 1, 60):
            values.append(0.5 * values[-1] + float(step))
        found = pair(values[1:]).interval
        wrong += found.is_above(0) or found.is_below(0)

    assert wrong / 200 <= 0.05


def spread(mean: float, count: int = 24, half: float = 0.01) -> list[float]:
    """Return differences on either side of ``mean`` in turn: neither a trend nor a resemblance."""
    return [mean + (half if block % 2 else -half) for block in range(count)]


@pytest.mark.parametrize(
    ("mean", "better", "safe", "other_safe"),
    [(0.10, True, True, False), (0.0, False, True, True), (-0.10, False, False, True)],
    ids=["better", "equal", "worse"],
)
def test_what_is_shown(mean: float, better: bool, safe: bool, other_safe: bool) -> None:  # noqa: FBT001
    """A clear lead, none, and the other's: safe is who is at most the resolution behind."""
    found = pair(spread(mean))

    assert (found.is_better, found.is_safe, found.turned().is_safe) == (better, safe, other_safe)
    assert found.turned().is_better == (mean < 0)


def test_a_lead_below_the_bias_is_never_better() -> None:
    """However narrow the interval: routing and warm-ins may feign so much."""
    found = pair(spread(0.015, half=0.001, count=40))

    assert found.interval.is_above(0)
    assert not found.is_better


def test_better_takes_more_blocks_than_a_safe_choice() -> None:
    """What a dozen blocks show is safe; better is said when they are worth a dozen independent ones beyond doubt."""
    draws = np.random.default_rng(1).normal(0.10, 0.02, 40)
    few, many = pair(draws[:14]), pair(draws)

    assert (few.is_safe, few.is_better) == (True, False)
    assert (many.is_safe, many.is_better) == (True, True)


def test_a_large_lead_is_better_at_once() -> None:
    """Nothing that wanders by a few percent feigns a lead of four resolutions."""
    assert pair(np.random.default_rng(1).normal(0.5, 0.02, 14)).is_better


@pytest.mark.parametrize(
    ("mean", "safe", "other_safe"),
    [(0.0, False, False), (0.10, False, False), (0.30, True, False), (-0.30, False, True)],
    ids=["tie", "small lead", "large lead", "large lag"],
)
def test_a_candidate_that_wanders_shows_only_a_large_lead(mean: float, safe: bool, other_safe: bool) -> None:  # noqa: FBT001
    """Nothing is better on it, and a safe choice is only what leads by more than any wandering feigns."""
    found = dataclasses.replace(wandered(pair(spread(mean)), {TP2}), wanders=True)

    assert (found.is_better, found.turned().is_better) == (False, False)
    assert (found.is_safe, found.turned().is_safe) == (safe, other_safe)
    assert (found.why_open is None) == (safe or other_safe)
    assert found.why_open is None or found.why_open.startswith("this machine wanders: TP2 moved by more than the noise")


def test_a_pair_that_holds_still_is_as_it_was() -> None:
    """Nobody wanders, and an older reason to claim nothing stays the reason."""
    few = pair(spread(0.5, 10))

    assert wandered(pair(spread(0.0)), ()) == pair(spread(0.0))
    assert wandered(few, {TP1}).why_open == few.why_open


def test_few_blocks_claim_nothing_and_say_so() -> None:
    """Ten of the twelve that a claim takes."""
    found = pair(spread(0.5, 10))

    assert found.why_open == "both are near their capacity in 10 blocks, but a claim needs 12"
    assert not found.is_better
    assert not found.is_safe


def test_blocks_that_wander_are_no_evidence() -> None:
    """A slow swing of two dozen blocks is worth one or two independent ones: refused in words."""
    found = pair([0.2 + 0.1 * math.sin(block / 8) for block in range(24)])

    assert found.why_open == ("neighbouring blocks of the 24 are too similar to count separately")
    assert (found.is_better, found.is_safe) == (False, False)


def test_a_resemblance_is_found_and_its_lack_too() -> None:
    """Of independent blocks, and of blocks that keep half of the one before."""
    generator = np.random.default_rng(6)
    independent = list(generator.normal(0, 1, 60))
    alike = [0.0]
    for value in independent:
        alike.append(0.5 * alike[-1] + value)

    assert autocorrelation(independent) == pytest.approx(0, abs=0.2)
    assert autocorrelation(alike[1:]) == pytest.approx(0.5, abs=0.2)


def test_the_last_two_blocks_must_agree_in_a_short_run() -> None:
    """A server that still warms up: three blocks say better, the last two say otherwise."""
    rules = dataclasses.replace(QUICK, alpha=0.5)
    steady, turning = pair([0.5, 0.52, 0.48, 0.5, 0.5], rules), pair([0.5, 0.5, 0.5, 0.5, 0.1, 0.1], rules)

    assert steady.is_better
    assert turning.why_open == "the last two blocks contradict the earlier ones"
    assert not turning.is_better


def test_nothing_is_claimed_against_a_server_that_still_warms_up() -> None:
    """It may be better than its turns so far; worse it is not, so the other way round a claim stands."""
    ahead, level = pair([0.5, 0.52, 0.48, 0.5, 0.5], QUICK), pair([0.0, 0.01, -0.01, 0.0, 0.0], QUICK)

    held_down, untouched = warmed(ahead, {TP2}), warmed(ahead, {TP1})

    assert ahead.is_better
    assert (held_down.has_claim, untouched.is_better) == (False, True)
    assert (held_down.why_open or "").startswith("the last two turns of TP2 held more than the earlier ones promise")
    assert warmed(held_down, set()).warming == frozenset()
    assert (warmed(level, {TP2}).is_safe, warmed(level, {TP2}).turned().is_safe) == (False, True)
    assert warmed(level, {TP2}).why_open is None


def test_looks_are_those_of_the_rules() -> None:
    """After every block from the least on, or after so many and no more."""
    assert [block in CAREFUL.looks() for block in (11, 12, 400)] == [False, True, True]
    assert [block in QUICK.looks() for block in (3, 4, 8, 9)] == [False, True, True, False]


def test_a_turned_pair_is_the_other_way_round() -> None:
    """Twice is the same again."""
    found = pair(spread(0.1))
    turned = found.turned()

    assert (turned.first, turned.second) == (TP2, TP1)
    assert turned.log_ratio == pytest.approx(-0.1)
    assert turned.interval == found.interval.negated()
    assert turned.turned() == found


def test_a_trend_is_seen_and_noise_is_none() -> None:
    """A slope over the blocks; fewer than eight, or none without spread, have none."""
    noise = np.random.default_rng(6).normal(0, 0.01, 24)

    once = dict.fromkeys(range(24), 0)

    assert trend({block: 0.01 * block + float(noise[block]) for block in range(24)}, once) > 3
    assert abs(trend(dict(enumerate(map(float, noise))), once)) < 3
    assert trend({block: float(block) for block in range(7)}, once) == 0.0
    assert trend(dict.fromkeys(range(20), 1.0), once) == 0.0


def test_each_start_of_the_servers_has_its_own_level() -> None:
    """Steps between starts are no slope, a slope within each is one; blocks that are each a start have none."""
    noise = np.random.default_rng(7).normal(0, 0.01, 24)
    starts = {block: block // 8 for block in range(24)}

    assert abs(trend({block: 0.1 * starts[block] + float(noise[block]) for block in range(24)}, starts)) < 3
    assert trend({block: 0.01 * block + float(noise[block]) for block in range(24)}, starts) > 3
    assert trend({block: float(block) for block in range(24)}, {block: block for block in range(24)}) == 0.0


def test_a_pair_of_no_blocks_has_no_ratio() -> None:
    """Nothing is made of nothing."""
    found = pair([])

    assert (found.log_ratio, found.deviation, found.blocks) == (None, None, 0)
