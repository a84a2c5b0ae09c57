"""Shares: together they are the whole, whatever the arrivals, and nothing is in two of them."""

import pytest

from optimal_tp.measurement.shares import Share
from optimal_tp.plan.schedule import Constant, Replay, sliced
from tests.fakes_samples import whole


def test_the_rate_of_a_slice_is_its_part() -> None:
    """Two slices of 6 a second have 3 a second each."""
    halves = [sliced(Constant(rate_per_second=6), Share(index=index, count=2)) for index in range(2)]

    assert [half.rate_per_second for half in halves] == [3, 3]
    assert sliced(Replay(recorded=(0.0,)), Share(index=1, count=2))


def test_a_share_beyond_its_count_is_refused() -> None:
    """The third share of two is none."""
    with pytest.raises(ValueError, match=whole("share 2 of 2; shares are numbered from 0 to their count less 1")):
        Share(index=2, count=2)
