"""The simulations' second implementation says what the verdict says, look by look."""

import math

import numpy as np
import pytest

from bench.rule_sequences import gate_words, lows_and_highs, settle
from optimal_tp.verdict.findings import Comparison
from optimal_tp.verdict.ranking import MARGIN, compare, paired_interval, rank
from optimal_tp.verdict.statistics import design_effect, share_sequence


def wandering(seed: int, resemblance: float, looks: int = 60) -> list[float]:
    """Return values of which each resembles the one before."""
    generator = np.random.default_rng(seed)
    values = [float(generator.standard_normal())]
    while len(values) < looks:
        values.append(resemblance * values[-1] + float(generator.standard_normal()))
    return values


@pytest.mark.parametrize("resemblance", [0.0, 0.7, -0.5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_intervals_agree_at_every_look(seed: int, resemblance: float) -> None:
    """Batching included: the same ends, or no end on both sides."""
    values = wandering(seed, resemblance)
    low, high = lows_and_highs(np.array([values]), 0.02)
    for look in range(2, len(values) + 1):
        interval, _ = paired_interval(values[:look], alpha=0.02)

        assert interval is not None
        assert (-math.inf if interval.low is None else interval.low) == pytest.approx(low[0, look - 1])
        assert (math.inf if interval.high is None else interval.high) == pytest.approx(high[0, look - 1])


@pytest.mark.parametrize("seed", range(4))
def test_settlement_agrees_with_the_ranking(seed: int) -> None:
    """The block at which three close degrees settle, and the choice, by both implementations."""
    generator = np.random.default_rng(seed)
    truth = (0.0, 0.02, -0.01)
    logs = np.array(truth) + 0.02 * generator.standard_normal((1, 120, 3))
    found = settle(logs, truth, alpha=0.01, minimum_blocks=5)
    when, chosen = 0, -1
    for look in range(5, 121):
        ranking = rank([1, 2, 4], [], pairs(logs[0, :look], 0.01))
        if ranking.leader is not None and not ranking.unsettled:
            when, chosen = look, [1, 2, 4].index(ranking.leader)
            break

    assert (int(found.blocks[0]), int(found.chosen[0])) == (when, chosen)


def pairs(logs: np.typing.NDArray[np.float64], alpha: float) -> list[Comparison]:
    """Return the verdict's comparisons of three degrees."""
    named = [
        (degree, {block: float(row[place]) for block, row in enumerate(logs)}) for place, degree in enumerate((1, 2, 4))
    ]
    return [compare(named[a], named[b], alpha=alpha) for a, b in ((0, 1), (0, 2), (1, 2))]


@pytest.mark.parametrize(("share", "per_block"), [(0.95, 20), (0.99, 20), (0.6, 8), (1.0, 30)])
def test_gate_words_agree_at_every_look(share: float, per_block: int) -> None:
    """Held, missed or neither, with the design effect, by both implementations."""
    generator = np.random.default_rng(9)
    hits = generator.binomial(per_block, share, (1, 40)).astype(float)
    held, missed = gate_words(hits, per_block, 0.9, 0.02)
    for look in range(2, 41):
        groups = [(int(count), per_block) for count in hits[0, :look]]
        effect = design_effect(groups)
        seen = share_sequence(sum(h for h, _ in groups) / effect, look * per_block / effect, alpha=0.02)

        assert bool(held[0, look - 1]) == (seen.low is not None and seen.low >= 0.9)
        assert bool(missed[0, look - 1]) == seen.is_below(0.9)


def test_a_wrong_claim_is_counted() -> None:
    """A degree that truly gives less but is declared better counts as wrong."""
    logs = np.array([[[0.1 + 0.001 * (block % 2), 0.0] for block in range(20)]])

    assert settle(logs, (0.0, 0.0), alpha=0.05, minimum_blocks=5).claimed.tolist() == [True]
    assert settle(logs, (0.1, 0.0), alpha=0.05, minimum_blocks=5).claimed.tolist() == [False]


def test_the_first_look_is_not_before_its_block() -> None:
    """However clear the data, nothing settles before the first look."""
    generator = np.random.default_rng(2)
    logs = np.array([1.0, 0.0]) + 0.001 * generator.standard_normal((1, 20, 2))

    assert settle(logs, (1.0, 0.0), alpha=0.05, minimum_blocks=7).blocks.tolist() == [7]


def test_the_margin_is_two_percent() -> None:
    """The documents quote it."""
    assert MARGIN == 0.02
