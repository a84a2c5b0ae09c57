"""Confidence sequences, order statistics and design effects against closed forms and published tables."""

import math

import numpy as np
import pytest

from optimal_tp.measurement.estimate import UNBOUNDED, Interval
from optimal_tp.verdict.statistics import design_effect, geometric_mean, mean_sequence, percentile, t_bound


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


def test_a_geometric_mean_lies_in_its_range() -> None:
    """Twenty logarithms around that of 8; none have no mean."""
    found = geometric_mean([math.log(8) + (0.1 if place % 2 else -0.1) for place in range(20)], alpha=0.05)

    assert found is not None
    assert found.value == pytest.approx(8)
    assert (found.interval.low or 0.0) < 8 < (found.interval.high or 0.0)
    assert geometric_mean([], alpha=0.05) is None


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
