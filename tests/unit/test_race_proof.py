"""Betting on whole turns: never shown what is not so, shown what is."""

import dataclasses
import math

import numpy as np
import pytest

from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.proof import held, is_shown, missed, proof
from tests.fakes_candidates import TP1

ASKED = 0.9


def readings(log_rate: float, shares: "list[float] | np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[Reading]:
    """Return a turn of 100 requests for each of ``shares``."""
    return [
        Reading(
            candidate=TP1, block=number, log_rate=log_rate, asked=ASKED, hits=round(100 * float(share)), counted=100
        )
        for number, share in enumerate(shares)
    ]


def test_nothing_is_shown_at_the_boundary() -> None:
    """Just the asked share holds, in 300 runs of 150 turns: held or missed is ever shown in at most 5 % each."""
    shares = np.random.default_rng(1).binomial(100, ASKED, (300, 150)) / 100

    assert sum(is_shown(held(row, ASKED), 0.05) for row in shares) / 300 <= 0.05
    assert sum(is_shown(missed(row, ASKED), 0.05) for row in shares) / 300 <= 0.05


def test_slow_turns_do_not_fool_it() -> None:
    """One turn in ten misses as a whole, the others hold all: 90 % on average, and still shown in at most 5 %."""
    shares = 1.0 - np.random.default_rng(2).binomial(1, 1 - ASKED, (300, 150))

    assert sum(is_shown(held(row, ASKED), 0.05) for row in shares) / 300 <= 0.05


def test_well_below_the_capacity_it_is_shown() -> None:
    """98 % hold where 90 % are asked: every one of 100 runs is shown within 120 turns; 70 % are shown to miss."""
    generator = np.random.default_rng(3)
    good, bad = generator.binomial(100, 0.98, (100, 120)) / 100, generator.binomial(100, 0.7, (100, 120)) / 100

    assert all(is_shown(held(row, ASKED), 0.05) for row in good)
    assert all(is_shown(missed(row, ASKED), 0.05) for row in bad)


def test_faultless_turns_are_shown_as_soon_as_theory_allows() -> None:
    """Each multiplies the wealth by at most 1 + 0.95 / 9: three dozen at 5 %, never fewer than ln 20 / ln(1 / 0.9)."""
    least = next(count for count in range(1, 200) if is_shown(held([1.0] * count, ASKED), 0.05))

    assert math.log(20) / math.log(1 / ASKED) <= least <= 45


def test_what_was_shown_once_stays_shown() -> None:
    """Bad turns afterwards do not take a proof back: its chance of error is spent once."""
    assert is_shown(held([1.0] * 60 + [0.0] * 60, ASKED), 0.05)


def test_no_turns_show_nothing() -> None:
    """Of neither side."""
    assert not is_shown([], 0.05)
    found = proof([], alpha=0.05)
    assert (found.held_per_second_per_core, found.missed_per_second_per_core, found.turns) == (None, None, 0)


def test_both_sides_are_proven_at_their_rates() -> None:
    """Turns that hold below and turns that miss above: neither takes from the other."""
    low, high = math.log(2.0), math.log(2.5)
    found = proof([*readings(low, [0.98] * 90), *readings(high, [0.5] * 20)], alpha=0.05)

    assert found.held_per_second_per_core == pytest.approx(2.0)
    assert found.missed_per_second_per_core == pytest.approx(2.5)
    assert found.turns == 110


def test_rates_are_proven_from_the_safe_side() -> None:
    """The highest proven rate has every lower tested one proven: a lucky high rate alone proves nothing."""
    unlucky, lucky = readings(0.0, [0.5] * 60), readings(1.0, [1.0] * 60)

    assert proof([*unlucky, *lucky], alpha=0.05).held_per_second_per_core is None


def test_turns_at_a_slightly_higher_rate_prove_a_lower_one() -> None:
    """The share falls with the rate, so they count for it; turns far above do not."""
    few, near, far = readings(0.0, [1.0] * 2), readings(0.1, [1.0] * 60), readings(1.0, [1.0] * 60)

    assert proof([*few, *near], alpha=0.05).held_per_second_per_core == pytest.approx(math.exp(0.1))
    assert proof([*few, *far], alpha=0.05).held_per_second_per_core is None


def test_with_two_percentiles_both_are_proven_held_and_either_missed() -> None:
    """The tail holds and the median does not: nothing is held, and the median proves the miss."""
    turns = readings(0.0, [1.0] * 60)
    holds = [dataclasses.replace(one, others=(dataclasses.replace(one, asked=0.5, hits=90),)) for one in turns]
    fails = [dataclasses.replace(one, others=(dataclasses.replace(one, asked=0.5, hits=20),)) for one in turns]

    assert proof(holds, alpha=0.05).held_per_second_per_core == pytest.approx(1.0)
    assert proof(fails, alpha=0.05).held_per_second_per_core is None
    assert proof(fails, alpha=0.05).missed_per_second_per_core == pytest.approx(1.0)
