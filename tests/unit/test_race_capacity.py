"""The fit of a candidate's capacity to its open turns, and which of them are disturbed."""

import dataclasses
import math
import random

import pytest

from optimal_tp.verdict.race.capacity import LEAST_SLOPE, Reading, fit, is_disturbed, score
from tests.fakes_candidates import TP1

ASKED = 0.9
CAPACITY, SLOPE = math.log(3.0), 10.0


def chance(log_rate: float) -> float:
    """Return the planted share of requests that hold the limits."""
    return 1 / (1 + math.exp(SLOPE * (log_rate - CAPACITY) - math.log(ASKED / (1 - ASKED))))


def reading(log_rate: float, share: float, *, counted: int = 200, block: int | None = 0) -> Reading:
    """Return a turn at ``log_rate`` of which ``share`` held the limits."""
    return Reading(
        candidate=TP1, block=block, log_rate=log_rate, asked=ASKED, hits=round(share * counted), counted=counted
    )


def drawn(count: int, seed: int, *, counted: int = 200) -> list[Reading]:
    """Return turns a little below and above the capacity, each request by its planted chance."""
    draw = random.Random(seed)
    rates = [CAPACITY + (-0.05 if number % 2 else 0.05) for number in range(count)]
    return [
        reading(rate, sum(draw.random() < chance(rate) for _ in range(counted)) / counted, block=number)
        for number, rate in enumerate(rates)
    ]


def test_the_fit_finds_a_planted_capacity() -> None:
    """Over 100 seeded runs of twelve turns the mean error is below 1 %, and none is above 5 %."""
    errors = [fit(drawn(12, seed), ASKED).log_capacity - CAPACITY for seed in range(100)]

    assert abs(math.fsum(errors) / 100) < 0.01
    assert max(map(abs, errors)) < 0.05


def test_exact_shares_give_the_capacity_exactly() -> None:
    """Where the readings lie on the planted curve, only the priors pull, and they pull little."""
    rates = [CAPACITY + aside for aside in (-0.2, -0.1, 0.0, 0.1, 0.2)] * 4
    found = fit([reading(rate, chance(rate), counted=100_000) for rate in rates], ASKED)

    assert found.log_capacity == pytest.approx(CAPACITY, abs=1e-3)
    assert found.slope == pytest.approx(SLOPE, rel=0.01)


@pytest.mark.parametrize(("share", "sign"), [(1.0, 1), (0.0, -1)], ids=["all hit", "all miss"])
def test_turns_that_all_hit_or_all_miss_move_the_capacity_to_their_side(share: float, sign: int) -> None:
    """It stays within a step's reach, for the prior holds it."""
    moved = fit([reading(CAPACITY, share)], ASKED).log_capacity - CAPACITY

    assert 0 < sign * moved < 1


def test_a_share_that_rises_with_the_rate_keeps_a_falling_slope() -> None:
    """Noise may turn the order around; the fit never says that more load is better."""
    rising = [reading(0.0, 0.5, counted=2000), reading(0.5, 0.99, counted=2000)] * 20

    assert fit(rising, ASKED).slope == pytest.approx(LEAST_SLOPE)


@pytest.mark.parametrize("steepness", [30.0, 100.0, 300.0, 1000.0])
def test_a_steep_fall_keeps_its_capacity(steepness: float) -> None:
    """Between the turns that all hit and those that all miss, wherever the turns lie: the fit does not run off."""
    draw = random.Random(5)
    for _ in range(50):
        rates = sorted(draw.gauss(0, 0.1) for _ in range(draw.randrange(2, 20)))
        shares = [1 / (1 + math.exp(min(700.0, steepness * rate - 2))) for rate in rates]
        found = fit([reading(rate, share, counted=400) for rate, share in zip(rates, shares, strict=True)], ASKED)
        held = [rate for rate, share in zip(rates, shares, strict=True) if share > 0.99]
        missed = [rate for rate, share in zip(rates, shares, strict=True) if share < 0.01]

        assert max(held, default=-math.inf) - 0.3 < found.log_capacity < min(missed, default=math.inf) + 0.3


def test_a_fit_does_not_run_off() -> None:
    """Six turns of 8B-like servers at p99, from the bench: steps back and forth once ended at a third of the rate."""
    turns = ((-0.047, 1029, 1029), (0.077, 649, 1166), (-0.166, 914, 914), (-0.049, 1028, 1028), (-0.14, 938, 938))
    found = fit(
        [
            dataclasses.replace(reading(rate, 1.0, counted=counted), asked=0.99, hits=hits)
            for rate, hits, counted in (*turns, (-0.025, 1052, 1052))
        ],
        0.99,
    )

    assert -0.1 < found.log_capacity < 0.077
    assert 20 < found.slope < 40


def test_the_fitted_share_at_the_capacity_is_the_asked_one() -> None:
    """That is what the capacity means."""
    found = fit(drawn(6, 1), ASKED)

    assert found.share(found.log_capacity) == pytest.approx(ASKED)
    assert found.share(found.log_capacity - 0.1) > ASKED > found.share(found.log_capacity + 0.1)


def test_a_score_is_the_capacity_where_the_turn_is_as_expected() -> None:
    """More than expected scores higher, less lower."""
    by = fit(drawn(12, 1), ASKED)
    expected = by.share(CAPACITY)

    assert score(reading(CAPACITY, expected, counted=10**6), by) == pytest.approx(by.log_capacity, abs=1e-5)
    assert score(reading(CAPACITY, expected + 0.05), by) > by.log_capacity > score(reading(CAPACITY, 0.7), by)


def test_scores_are_right_on_average() -> None:
    """A candidate that takes 10 % more than its fit says scores about 10 % more."""
    by = fit(drawn(40, 2), ASKED)
    draw = random.Random(3)
    scores = [
        score(reading(CAPACITY, sum(draw.random() < chance(CAPACITY - 0.05) for _ in range(200)) / 200), by)
        for _ in range(400)
    ]

    assert math.fsum(scores) / 400 - by.log_capacity == pytest.approx(0.05, abs=0.02)


def test_a_turn_that_went_far_too_slowly_is_disturbed() -> None:
    """A third of what is expected, beyond chance; a turn that is merely bad is not, nor one of a few requests."""
    by = fit(drawn(12, 1), ASKED)

    assert is_disturbed(reading(CAPACITY, 0.1), by)
    assert not is_disturbed(reading(CAPACITY, 0.6), by)
    assert not is_disturbed(reading(CAPACITY, 0.0, counted=10), by)


def test_a_turn_far_above_the_capacity_is_not_disturbed() -> None:
    """There it is the rate that makes it slow."""
    by = fit(drawn(12, 1), ASKED)

    assert not is_disturbed(reading(CAPACITY + 1, 0.0), by)
