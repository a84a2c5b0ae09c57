"""The client's own clock, watched by a clock moved by hand."""

import asyncio
import typing

import pytest

from optimal_tp.loadgen.timers import Ticker


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        """Start at 0."""
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def loop() -> typing.Iterator[asyncio.AbstractEventLoop]:
    """Return a loop that never runs."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


def ticked(loop: asyncio.AbstractEventLoop, moments: typing.Iterable[float]) -> Ticker:
    """Return a ticker whose ticks came through at ``moments``."""
    clock = Hand()
    ticker = Ticker(loop, clock, lambda: None)
    ticker.start()
    for moment in moments:
        clock.now = moment
        ticker._tick()
    return ticker


def test_a_clock_on_time_has_no_lag(loop: asyncio.AbstractEventLoop) -> None:
    """Ticks at their planned moments are not late."""
    ticker = ticked(loop, [0.005 * tick + 1e-6 for tick in range(1, 1001)])

    assert ticker.ticks == 1000
    assert ticker.max_ms == pytest.approx(0.001)
    assert ticker.p99_ms() == pytest.approx(0.001)


def test_a_pause_makes_every_tick_within_it_late(loop: asyncio.AbstractEventLoop) -> None:
    """1 s in 10 is 10 % of the ticks: the 99th percentile is 0.9 s, where one late tick would hide below it."""
    ticker = ticked(loop, [*[0.005 * tick + 1e-6 for tick in range(1, 1801)], 10.000001])

    assert ticker.ticks == 2000
    assert ticker.max_ms == pytest.approx(995, abs=1)
    assert ticker.p99_ms() == pytest.approx(900, abs=6)


def test_a_clock_that_was_not_watched_has_no_lag_at_all(loop: asyncio.AbstractEventLoop) -> None:
    """No tick is None, never 0."""
    ticker = Ticker(loop, Hand(), lambda: None)

    assert ticker.p99_ms() is None
    assert ticker.max_ms is None


def test_a_pause_at_the_end_is_seen(loop: asyncio.AbstractEventLoop) -> None:
    """Ticks that are overdue when the watch ends are as late as they are."""
    clock = Hand()
    ticker = Ticker(loop, clock, lambda: None)
    ticker.start()
    clock.now = 2.0
    ticker.stop()

    assert ticker.max_ms == pytest.approx(1995)


def test_long_pauses_need_no_memory(loop: asyncio.AbstractEventLoop) -> None:
    """Beyond 10,000 different moments lateness is kept in classes of 0.1 %."""
    ticker = ticked(loop, [60.0])

    assert ticker.ticks == 11_999
    assert len(ticker._late) <= 10_000
    assert ticker.p99_ms() == pytest.approx(59_395, rel=0.001)
