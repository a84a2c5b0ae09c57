"""Many values as few: exact where they are few, in classes where they are many."""

import random

import pytest

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


def test_values_may_come_with_their_counts() -> None:
    """A thousand zeros are one step."""
    kept = filled(5)
    kept.add_all({0: 999})

    assert (kept.count, kept.mean, kept.percentile(99), kept.percentile(99.95)) == (1000, 0.005, 0, 5)
