"""Confidence sequences and order statistics against SciPy's own distributions, which take long to import."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from bench.rule import _welch
from optimal_tp.verdict.statistics import _binomial, mean_sequence, share_sequence, t_bound


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


@pytest.mark.parametrize(("hits", "trials"), [(0, 40), (3, 40), (20, 40), (40, 40)])
def test_share_sequence_holds_the_exact_interval_of_one_look(hits: int, trials: int) -> None:
    """It contains Clopper and Pearson's exact interval, which is right at one look only."""
    found = share_sequence(hits, trials, alpha=0.05)
    exact = scipy.stats.binomtest(hits, trials).proportion_ci(0.95)

    assert found.low is not None
    assert found.high is not None
    assert found.low <= exact.low
    assert found.high >= exact.high


@pytest.mark.parametrize("trials", [1, 2, 10, 33, 184, 1000, 20_000])
@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9, 0.99, 0.999])
def test_ranks_are_those_of_the_binomial_distribution(trials: int, share: float) -> None:
    """At both ends of every interval that is shown."""
    for alpha in (0.1, 0.05, 0.01, 0.001):
        for chance in (alpha / 2, 1 - alpha / 2):
            assert _binomial(chance, trials, share) == scipy.stats.binom.ppf(chance, trials, share)


def test_usual_practice_is_welchs_test() -> None:
    """What the table in docs/verdict.md calls Welch's t is SciPy's."""
    one, other = np.random.default_rng(1).standard_normal((2, 50, 30))
    exact = scipy.stats.ttest_ind(one, other + 0.4, axis=1, equal_var=False).pvalue

    assert _welch(one, other + 0.4) == pytest.approx(exact, rel=1e-9)
