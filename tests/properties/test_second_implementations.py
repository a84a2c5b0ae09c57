"""Confidence sequences and order statistics against SciPy's own distributions, which take long to import."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from optimal_tp.verdict.contest import _fisher
from optimal_tp.verdict.statistics import _binomial, mean_sequence, t_bound


def e_value(count: int, t: float, prior_variance: float) -> float:
    """Return the e-value of a t statistic by numerical integration over the prior: a second implementation."""
    root = math.sqrt(count)

    def weighted(effect: float) -> float:
        density = scipy.stats.nct.pdf(t, count - 1, root * effect)
        return float(density * scipy.stats.norm.pdf(effect, 0, math.sqrt(prior_variance)))

    above, _ = scipy.integrate.quad(weighted, -20, 20, limit=500, points=[0, t / root])
    return float(above / scipy.stats.t.pdf(t, count - 1))


@pytest.mark.parametrize(("count", "alpha"), [(6, 0.05), (12, 0.0167), (40, 0.01)])
def test_t_bound_is_where_the_e_value_reaches_its_limit(count: int, alpha: float) -> None:
    """At the bound the ratio of the t statistic's densities, integrated numerically, is 1/alpha."""
    bound = t_bound(count, alpha=alpha)

    assert e_value(count, bound, 10.0) == pytest.approx(1 / alpha, rel=1e-6)


def test_mean_sequence_is_wider_than_a_single_look() -> None:
    """Looking as often as one likes costs width against Student's interval for one look."""
    values = [0.1, 0.3, 0.2, 0.25, 0.15, 0.22, 0.18, 0.27]
    found = mean_sequence(values, alpha=0.05)
    single = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)

    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < single.low
    assert found.high > single.high


@pytest.mark.parametrize("counts", [(0, 24, 0, 24), (1, 24, 6, 24), (3, 12, 0, 30), (9, 10, 1, 10)])
def test_uneven_disturbance_is_fishers_exact_test(counts: tuple[int, int, int, int]) -> None:
    """Disturbed turns of two candidates: the chance of counts as uneven as these, two-sided."""
    bad, total, other_bad, other_total = counts
    exact = scipy.stats.fisher_exact(np.array([[bad, total - bad], [other_bad, other_total - other_bad]])).pvalue

    assert _fisher(*counts) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("trials", [1, 2, 10, 33, 184, 1000, 20_000])
@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9, 0.99, 0.999])
def test_ranks_are_those_of_the_binomial_distribution(trials: int, share: float) -> None:
    """At both ends of every interval that is shown."""
    for alpha in (0.1, 0.05, 0.01, 0.001):
        for chance in (alpha / 2, 1 - alpha / 2):
            assert _binomial(chance, trials, share) == scipy.stats.binom.ppf(chance, trials, share)
