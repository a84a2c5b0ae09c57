"""Confidence sequences, order statistics and autocorrelation against closed forms and published tables."""

import math

import numpy as np
import pytest
import scipy.special

from optimal_tp.measurement.estimate import UNBOUNDED, Interval
from optimal_tp.verdict.statistics import (
    batched,
    design_effect,
    lag_one,
    mean_sequence,
    percentile,
    share_sequence,
    t_bound,
)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_values_refuse_no_mean(count: int) -> None:
    """With so few values no t statistic, however large, is evidence enough at 5 % over three pairs."""
    assert math.isinf(t_bound(count, alpha=0.05 / 3))


def test_mean_sequence_holds_the_mean_at_every_look() -> None:
    """Over 2000 experiments of 200 looks each, the mean is ever excluded in at most alpha of them."""
    generator = np.random.default_rng(7)
    values = generator.standard_normal((2000, 200))
    counts = np.arange(1, 201)
    mean = values.cumsum(axis=1) / counts
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(((values**2).cumsum(axis=1) - counts * mean**2) / (counts - 1))
        t = np.abs(mean) / (deviation / np.sqrt(counts))
    bounds = np.array([t_bound(int(count), alpha=0.05) for count in counts])

    excluded = (t[:, 1:] > bounds[1:]).any(axis=1).mean()

    assert 0.01 < excluded <= 0.05


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0], [0.1 + 0.2, 0.3, 0.3]], ids=str)
def test_no_spread_gives_no_interval(values: list[float]) -> None:
    """No, one or identical values say nothing about how far the mean may lie: None, not a width of 0."""
    assert mean_sequence(values, alpha=0.05) is None


def test_two_values_refuse_nothing() -> None:
    """Two values have a spread but leave every mean possible."""
    assert mean_sequence([1.0, 2.0], alpha=0.01) == UNBOUNDED


def test_share_sequence_holds_the_share_at_every_look() -> None:
    """Over 120 experiments of 10 looks each, a share of 0.9 is ever excluded in at most alpha of them."""
    generator = np.random.default_rng(3)
    hits = generator.binomial(1, 0.9, (120, 150)).cumsum(axis=1)
    excluded = 0
    for row in hits:
        for look in range(9, 150, 15):
            found = share_sequence(float(row[look]), look + 1.0, alpha=0.05)
            if found.is_above(0.9) or found.is_below(0.9):
                excluded += 1
                break

    assert excluded / 120 <= 0.05


def test_share_sequence_of_hits_alone_matches_its_closed_form() -> None:
    """Without a miss the lower end is where (B(n+1/2, 1/2)/B(1/2, 1/2) + 1) / 3 equals p^n / alpha."""
    trials, alpha = 300, 0.01
    mixture = scipy.special.beta(trials + 0.5, 0.5) / scipy.special.beta(0.5, 0.5)
    expected = ((mixture + 1) / 3 * alpha) ** (1 / trials)

    assert share_sequence(trials, trials, alpha=alpha).low == pytest.approx(expected, rel=1e-6)


def test_no_trials_leave_every_share_possible() -> None:
    """Nothing seen excludes nothing."""
    assert share_sequence(0, 0, alpha=0.05) == Interval(low=0.0, high=1.0)


@pytest.mark.parametrize(("count", "low", "high"), [(10, 2, 9), (15, 4, 12), (20, 6, 15), (25, 8, 18), (30, 10, 21)])
def test_median_bounds_match_the_published_table(count: int, low: int, high: int) -> None:
    """Ranks of the 95 % interval of a median, as tables of order statistics print them."""
    found = percentile([float(rank) for rank in range(1, count + 1)], 50, alpha=0.05)

    assert found is not None
    assert found.interval == Interval(low=low, high=high)


def test_p99_of_few_values_has_no_upper_bound() -> None:
    """Of 100 requests none is surely above the 99th percentile; the point is the 99th value."""
    found = percentile([float(rank) for rank in range(1, 101)], 99, alpha=0.05)

    assert found is not None
    assert found.value == 99
    assert found.interval.high is None


def test_failures_push_the_percentile_up_and_take_its_bound() -> None:
    """Requests that never ended are slower than all others; a percentile among them is None."""
    values = [float(rank) for rank in range(1, 91)] + [math.inf] * 10

    assert percentile(values, 95, alpha=0.05) is None
    found = percentile(values, 88, alpha=0.05)
    assert found is not None
    assert found.interval.high is None


def test_percentile_of_nothing_is_none() -> None:
    """No value has no percentile."""
    assert percentile([], 50, alpha=0.05) is None


def test_design_effect_widens_the_percentile() -> None:
    """Requests that come in clusters of four tell as much as a quarter of them."""
    values = [float(rank) for rank in range(1, 401)]
    plain = percentile(values, 50, alpha=0.05)
    clustered = percentile(values, 50, alpha=0.05, design_effect=4.0)

    assert plain is not None
    assert clustered is not None
    assert plain.interval == Interval(low=180, high=221)
    assert clustered.interval == Interval(low=160, high=244)


def test_lag_one_finds_a_planted_autocorrelation() -> None:
    """A first-order process of coefficient 0.6 is seen within its interval, and above 0 beyond doubt."""
    generator = np.random.default_rng(5)
    values = [0.0]
    for step in generator.standard_normal(400):
        values.append(0.6 * values[-1] + float(step))
    found = lag_one(values)

    assert found is not None
    assert found.interval.is_above(0.45)
    assert found.interval.is_below(0.75)


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [5.0] * 20], ids=["three", "flat"])
def test_lag_one_of_too_little_is_none(values: list[float]) -> None:
    """Three values, or values without spread, have no autocorrelation."""
    assert lag_one(values) is None


def test_batched_leaves_an_incomplete_batch_out() -> None:
    """Means of two at a time; the fifth value waits for its neighbour."""
    assert batched([1.0, 3.0, 5.0, 7.0, 100.0], 2) == (2.0, 6.0)


def test_design_effect_of_whole_clusters_is_their_size() -> None:
    """Where a turn's ten requests all hit or all miss, ten count as about one."""
    groups = [(10 * (index % 2), 10) for index in range(100)]

    assert design_effect(groups) == pytest.approx(10, rel=0.02)


def test_design_effect_of_independent_requests_is_about_one() -> None:
    """Binomial turns vary as independent requests do."""
    generator = np.random.default_rng(11)
    groups = [(int(hits), 20) for hits in generator.binomial(20, 0.8, 2000)]

    assert design_effect(groups) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("groups", [[], [(3, 10)], [(10, 10), (10, 10)], [(0, 10), (0, 10)]], ids=str)
def test_design_effect_without_variation_is_one(groups: list[tuple[int, int]]) -> None:
    """Nothing varies, so nothing widens."""
    assert design_effect(groups) == 1.0


def test_interval_of_a_ratio_turns_with_its_sign() -> None:
    """Negating swaps the ends and keeps an open end open."""
    assert Interval(low=0.1, high=None).negated() == Interval(low=None, high=-0.1)


def test_hull_is_open_where_one_part_is() -> None:
    """The hull of a bounded and an unbounded interval is unbounded."""
    assert Interval(low=0.0, high=1.0).hull(Interval(low=-1.0, high=None)) == Interval(low=-1.0, high=None)
