"""A histogram's exact figures, whatever the values are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimal_tp.measurement.distribution import Histogram, percentile_of


def filled(*values: float, most: int = 150, width: float = 0.005) -> Histogram:
    """Return a histogram of ``values``."""
    made = Histogram(most=most, width=width)
    made.add_all(values)
    return made


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=400))
def test_count_sum_least_and_greatest_are_exact(values: list[float]) -> None:
    """However many values: at most 150 stand for them, ascending."""
    kept = filled(*values)
    means, counts = zip(*kept.means(), strict=True)

    assert len(means) <= len(kept) <= 150
    assert sum(counts) == kept.count == len(values)
    assert math.fsum(a * c for a, c in kept.means()) == pytest.approx(math.fsum(values), abs=1e-6)
    assert kept.mean == pytest.approx(math.fsum(values) / len(values), abs=1e-6)
    assert list(means) == sorted(means)
    assert (means[0], means[-1], kept.greatest) == (min(values), max(values), max(values))


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.floats(0, 100))
def test_percentiles_of_classes_are_at_most_a_class_too_high(values: list[int], percent: float) -> None:
    """And never too low; of few values they are exact."""
    exact = percentile_of(sorted(values), percent)
    wide, narrow = filled(*values, most=5_000, width=0.001), filled(*values, most=1_000, width=0.001)
    folded = filled(*values, most=290, width=0.1)

    assert exact is not None
    assert wide.percentile(percent) == narrow.percentile(percent) == exact
    assert exact <= (folded.percentile(percent) or 0) * (1 + 1e-9) <= exact * 1.1 * (1 + 1e-9)
