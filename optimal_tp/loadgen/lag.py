"""How late the client's own clock ticks beside the load: a busy core or a pause shows here before anywhere else."""

import asyncio
import typing

from optimal_tp.measurement.distribution import Histogram

PERIOD_SECONDS = 0.005


class Ticker:
    """Ticks at absolute times and keeps how late each planned tick was, in ms to the microsecond.

    A pause makes every tick planned within it late, each by the rest of the pause, so its share of the time is its
    share of the ticks.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: typing.Callable[[], float], on_tick: typing.Callable[[], None]
    ) -> None:
        """Call ``on_tick`` at each tick that comes through, for work that waits for a quiet moment."""
        self._loop = loop
        self._clock = clock
        self._on_tick = on_tick
        self._planned = 0.0
        self._late = Histogram(most=10_000, width=0.001)
        self._handle: asyncio.TimerHandle | None = None
        self.ticks = 0

    def start(self) -> None:
        """Begin; the first tick is one period from now."""
        self._planned = self._clock() + PERIOD_SECONDS
        self._handle = self._loop.call_later(PERIOD_SECONDS, self._tick)

    def stop(self) -> None:
        """End; a tick that is overdue now is counted as late as it is."""
        if self._handle is not None:
            self._handle.cancel()
            self._count(self._clock())

    def _tick(self) -> None:
        self._count(self._clock())
        self._on_tick()
        self._handle = self._loop.call_later(max(self._planned - self._clock(), 0), self._tick)

    def _count(self, now: float) -> None:
        while self._planned <= now:
            self._late.add(round(1000 * (now - self._planned), 3))
            self.ticks += 1
            self._planned += PERIOD_SECONDS

    @property
    def max_ms(self) -> float | None:
        """How late the latest tick was; None without a tick."""
        return self._late.greatest

    def p99_ms(self) -> float | None:
        """Return the 99th percentile of lateness, at most 0.1 % too high; None without a tick."""
        return self._late.percentile(99)
