"""How late the client's own clock ticks beside the load: a busy core or a pause shows here before anywhere else."""

import asyncio
import math
import typing

PERIOD_SECONDS = 0.005


class Ticker:
    """Ticks at absolute times and keeps how late each planned tick was.

    A pause makes every tick planned within it late, each by the rest of the pause, so its share of the time is its
    share of the ticks. Lateness is kept in a histogram of 0.1 ms up to 1 s and 0.1 s beyond, so memory is bounded.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: typing.Callable[[], float], on_tick: typing.Callable[[], None]
    ) -> None:
        """Call ``on_tick`` at each tick that comes through, for work that waits for a quiet moment."""
        self._loop = loop
        self._clock = clock
        self._on_tick = on_tick
        self._planned = 0.0
        self._counts: dict[int, int] = {}
        self._handle: asyncio.TimerHandle | None = None
        self.max_ms: float | None = None
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
            late_ms = 1000 * (now - self._planned)
            slot = int(late_ms * 10) if late_ms < 1000 else 10_000 + int(late_ms / 100)  # noqa: PLR2004 - see the class
            self._counts[slot] = self._counts.get(slot, 0) + 1
            self.max_ms = late_ms if self.max_ms is None or late_ms > self.max_ms else self.max_ms
            self.ticks += 1
            self._planned += PERIOD_SECONDS

    def p99_ms(self) -> float | None:
        """Return the 99th percentile of lateness (upper edge of its class); None without a tick."""
        rank = math.ceil(0.99 * self.ticks)
        seen = 0
        for slot in sorted(self._counts):
            seen += self._counts[slot]
            if seen >= rank:
                edge = (slot + 1) / 10 if slot < 10_000 else (slot - 10_000 + 1) * 100.0  # noqa: PLR2004 - see the class
                return min(edge, self.max_ms or edge)
        return None
