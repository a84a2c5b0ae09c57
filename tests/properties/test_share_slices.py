"""Shares: together they are the whole, whatever the arrivals, and nothing is in two of them."""

import itertools
import math
import typing

from hypothesis import given
from hypothesis import strategies as st

from optimal_tp.loadgen.pacing import pace
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.plan.schedule import (
    Arrivals,
    Closed,
    Constant,
    OpenArrivals,
    Poisson,
    Replay,
    Rising,
    Rotation,
    Stream,
    own_share,
    sliced,
)

_RATES = st.floats(min_value=0.1, max_value=5000)
_OPEN: st.SearchStrategy[OpenArrivals] = st.one_of(
    st.builds(Constant, rate_per_second=_RATES),
    st.builds(Poisson, rate_per_second=_RATES, seed=st.integers(0, 2**32)),
    st.builds(Stream, rate_per_second=_RATES, seed=st.integers(0, 2**32), opening=st.integers(0, 20)),
    st.builds(
        Rising,
        rates_per_second=st.lists(_RATES, min_size=1, max_size=4).map(tuple),
        step_seconds=st.floats(min_value=0.001, max_value=0.1),
    ),
    st.builds(
        Replay,
        recorded=st.lists(st.floats(0, 100), min_size=1, max_size=40).map(lambda times: tuple(sorted(times))),
    ),
    st.builds(
        Replay,
        recorded=st.lists(st.floats(1, 100), min_size=1, max_size=40).map(lambda times: (0.0, *sorted(times))),
        stretched_to_per_second=_RATES,
        first=st.integers(0, 1),
        opening=st.integers(0, 20),
        again=st.just(value=True),
    ),
)
_CLOSED: st.SearchStrategy[Arrivals] = st.one_of(
    st.builds(Closed, concurrency=st.integers(1, 40), think_seconds=st.floats(0, 1)),
    st.builds(Rotation, servers=st.integers(1, 4)),
)


def _number(share: Share, own: int) -> int:
    """Return the number, among all things, of the ``own``-th in ``share``; both from 0."""
    return own * share.count + share.index


def _sent(arrivals: OpenArrivals, share: Share, *, seconds: float, requests: int | None) -> dict[int, float]:
    """Return the intended moments of one share's sends by their number in the whole, as the client would pace them."""
    own: list[float] = []

    def launch(intended: float, slot: int) -> bool:
        assert slot == 0
        own.append(intended)
        return True

    pacer = pace(arrivals, share, seconds, requests, launch=launch)
    pacer.begin(0.0)
    while not pacer.over and len(own) < 400:
        pacer.due(math.inf if requests is not None else seconds)
    return {_number(share, index): moment for index, moment in enumerate(own)}


@given(_OPEN, st.integers(1, 7), st.integers(0, 300))
def test_open_slices_are_the_schedule(arrivals: OpenArrivals, count: int, requests: int) -> None:
    """All slices together are the unsliced schedule: the same moments under the same numbers, each in one slice."""
    slices = [_sent(arrivals, Share(index=index, count=count), seconds=50, requests=requests) for index in range(count)]
    together = dict(itertools.chain.from_iterable(each.items() for each in slices))

    assert together == _sent(arrivals, WHOLE, seconds=50, requests=requests)
    assert sum(map(len, slices)) == len(together)


@given(_CLOSED, st.integers(1, 9), st.integers(0, 300))
def test_closed_slices_are_the_slots(arrivals: Arrivals, count: int, requests: int) -> None:
    """All slices together have the slots of the whole, and its requests, each once."""
    shares = [own_share(arrivals, Share(index=index, count=count)) for index in range(count)]
    busy = [share for share in shares if share is not None]
    slots = [
        _number(share, slot)
        for share in busy
        for slot in range(typing.cast("int", sliced(arrivals, share).concurrency))
    ]
    numbers = [_number(share, own) for share in busy for own in range(share.of(requests))]

    assert sorted(slots) == list(range(typing.cast("int", arrivals.concurrency)))
    assert sorted(numbers) == list(range(requests))
    assert all(sliced(arrivals, share) == arrivals for share in busy if share == WHOLE)
