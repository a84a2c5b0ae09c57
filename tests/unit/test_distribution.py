"""Many values as few: exact where they are few, in classes where they are many."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimal_tp.measurement.distribution import Histogram, percentile_of


def filled(*values: float, most: int = 150, width: float = 0.005) -> Histogram:
    """Return a histogram of ``values``, counted one by one."""
    made = Histogram(most=most, width=width)
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    ("percent", "value"),
    [(0, 1), (25, 1), (26, 2), (50, 2), (75, 3), (99, 4), (100, 4)],
)
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    """The smallest that so many percent of them do not exceed, from the list and from the histogram alike."""
    assert percentile_of([1, 2, 3, 4], percent) == filled(4, 3, 2, 1).percentile(percent) == value


def test_a_percentile_is_no_victim_of_binary_fractions() -> None:
    """0.07 of 100 is 7.000000000000001 to the machine, and still the seventh."""
    assert percentile_of(range(1, 101), 7) == 7


def test_without_values_nothing_is_known() -> None:
    """None, never 0."""
    nothing = filled()

    assert percentile_of([], 50) is nothing.percentile(50) is nothing.mean is nothing.greatest is None
    assert (nothing.count, nothing.means()) == (0, [])


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


def test_there_are_never_more_than_allowed() -> None:
    """Also while classes fill up, with several values in the first and the last."""
    kept = filled()
    for step in range(400):
        kept.add(1.006**step)
        kept.add(1.006**step * 1.001)

        assert len(kept.means()) <= len(kept) <= 150


def test_means_of_classes_keep_percentiles() -> None:
    """100,000 latencies between 100 ms and 1 s: p50 and p99 are within 2 %."""
    draw = random.Random(3)
    values = sorted(draw.uniform(100, 1000) for _ in range(100_000))
    kept = filled()
    kept.add_all(values)
    for share in (0.5, 0.99):
        seen = 0.0
        found = next(a for a, c in kept.means() if (seen := seen + c) >= share * len(values))

        assert found == pytest.approx(values[int(share * len(values)) - 1], rel=0.02)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.floats(0, 100))
def test_percentiles_of_classes_are_at_most_a_class_too_high(values: list[int], percent: float) -> None:
    """And never too low; of few values they are exact."""
    exact = percentile_of(sorted(values), percent)
    wide, narrow = filled(*values, most=5_000, width=0.001), filled(*values, most=1_000, width=0.001)
    folded = filled(*values, most=290, width=0.1)

    assert exact is not None
    assert wide.percentile(percent) == narrow.percentile(percent) == exact
    assert exact <= (folded.percentile(percent) or 0) * (1 + 1e-9) <= exact * 1.1 * (1 + 1e-9)


def test_values_may_come_with_their_counts() -> None:
    """A thousand zeros are one step."""
    kept = filled(5)
    kept.add_all({0: 999})

    assert (kept.count, kept.mean, kept.percentile(99), kept.percentile(99.95)) == (1000, 0.005, 0, 5)
