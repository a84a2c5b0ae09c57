"""Decide when to send the next request: by planned times, or by slots that wait for their answers."""

import heapq
import typing

from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.measurement.shares import Share
from optimal_tp.plan.schedule import Arrivals, Closed, ClosedArrivals, OpenArrivals, Rotation, planned, sliced

FIRST_BACK_OFF_SECONDS = 0.05
LONGEST_BACK_OFF_SECONDS = 1.0
LONGEST_RETRY_AFTER_SECONDS = 30.0
"""Longest pause, even if the server asks for a longer one."""

Launch = typing.Callable[[float, int], bool]
"""Sends a request (its intended moment, its slot); False if there is nothing left to send."""


class Pace(typing.Protocol):
    """Decides on sends. Moments are readings of the client's clock."""

    def begin(self, start: float) -> None:
        """Start at ``start``."""

    def due(self, now: float) -> float | None:
        """Launch what was intended by ``now``; return the next intended moment; None if there is none for now."""

    def ended(self, exchange: Exchange) -> None:
        """Note that an exchange has ended; called before the next ``due``."""

    def stop(self) -> None:
        """Launch nothing more."""

    @property
    def over(self) -> bool:
        """True once no further request will be launched."""


class OpenPace:
    """Follows planned times, independent of answers."""

    def __init__(self, arrivals: OpenArrivals, *, seconds: float | None, requests: int | None, launch: Launch) -> None:
        self._times = planned(arrivals, seconds=seconds, requests=requests)
        self._launch = launch
        self._start = 0.0
        self._next: float | None = None

    def begin(self, start: float) -> None:
        """Start at ``start``."""
        self._start = start
        self._advance()

    def _advance(self) -> None:
        moment = next(self._times, None)
        self._next = None if moment is None else self._start + moment

    def due(self, now: float) -> float | None:
        """Launch what was planned by ``now``; return the next planned moment."""
        while self._next is not None and self._next <= now:
            if not self._launch(self._next, 0):
                self.stop()
                break
            self._advance()
        return self._next

    def ended(self, exchange: Exchange) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Launch nothing more."""
        self._times = iter(())
        self._next = None

    @property
    def over(self) -> bool:
        """True after the last planned time."""
        return self._next is None


class ClosedPace:
    """Slots: each launches its next request when its last one has ended, after its pause.

    After a failure the pause is at least the server's retry-after, else 50 ms, doubled with each failure in a row up to
    1 s, so that a server that is down is not flooded and its refusals do not fill the disk.
    """

    def __init__(
        self, arrivals: ClosedArrivals, *, seconds: float | None, requests: int | None, launch: Launch
    ) -> None:
        self._arrivals = arrivals
        self._seconds = seconds
        self._left = requests
        self._launch = launch
        self._end: float | None = None
        self._waiting: list[tuple[float, int]] = []
        self._active = 0
        self._failures = [0] * arrivals.concurrency
        self._stopped = False

    def begin(self, start: float) -> None:
        """Start every slot at ``start``."""
        self._end = None if self._seconds is None else start + self._seconds
        self._waiting = [(start, slot) for slot in range(self._arrivals.concurrency)]

    def due(self, now: float) -> float | None:
        """Launch what was intended by ``now``, in order; return the next intended moment of a pausing slot."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            intended, slot = heapq.heappop(waiting)
            if self._left == 0 or not self._launch(intended, slot):
                self.stop()
                break
            self._active += 1
            if self._left is not None:
                self._left -= 1
        return waiting[0][0] if waiting else None

    def ended(self, exchange: Exchange) -> None:
        """Let the exchange's slot pause, then continue, unless the time for sends is over by then."""
        self._active -= 1
        pause = self._arrivals.pause_seconds(exchange.number)
        if exchange.status == "ok":
            self._failures[exchange.slot] = 0
        else:
            pause = max(pause, self._back_off(exchange))
        intended = exchange.end + pause
        if self._left != 0 and (self._end is None or intended < self._end) and not self._stopped:
            heapq.heappush(self._waiting, (intended, exchange.slot))

    def _back_off(self, exchange: Exchange) -> float:
        failures = self._failures[exchange.slot]
        self._failures[exchange.slot] += 1
        if exchange.retry_after is not None:
            return min(exchange.retry_after, LONGEST_RETRY_AFTER_SECONDS)
        return min(FIRST_BACK_OFF_SECONDS * 2.0 ** min(failures, 10), LONGEST_BACK_OFF_SECONDS)

    def stop(self) -> None:
        """Launch nothing more."""
        self._stopped = True
        self._waiting = []

    @property
    def over(self) -> bool:
        """True once every slot has finished."""
        return self._stopped or (self._active == 0 and not self._waiting)


def pace(arrivals: Arrivals, share: Share, seconds: float | None, requests: int | None, *, launch: Launch) -> Pace:
    """Return the pace of ``share`` of ``arrivals``; all shares send at most ``requests`` within ``seconds``."""
    own = sliced(arrivals, share)
    bound = None if requests is None else share.of(requests)
    if isinstance(own, (Closed, Rotation)):
        return ClosedPace(own, seconds=seconds, requests=bound, launch=launch)
    return OpenPace(own, seconds=seconds, requests=bound, launch=launch)
