"""The requests of a stretch that count: which ones they are, and when the outcome of all of them is certain."""

import dataclasses
import math

from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.measurement.shares import Share

READ_SECONDS = 0.02
"""Wait after a request's limit before it is given up, because an answer that came in time may still be unread."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted:
    """Requests ``first`` to ``first + count - 1`` of a stretch count; earlier ones let the servers settle.

    Raises ValueError for a first below 0, a count below 1, or a limit that is not a finite number above 0.
    """

    first: int
    count: int
    total_ms: float | None = None
    """A request misses this limit if it has not ended so long after its intended send; None: no limit."""
    ttft_ms: float | None = None
    """A request misses this limit if it has no output so long after its intended send; None: no limit."""

    def __post_init__(self) -> None:
        if self.first < 0 or self.count < 1:
            raise ValueError(f"first must be at least 0 and count at least 1 (got {self.first} and {self.count})")
        for limit in (self.total_ms, self.ttft_ms):
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise ValueError(f"a limit must be a finite number of ms above 0 (got {limit!r})")


class Tally:
    """Follows the requests that ``share`` sends of a stretch until the outcome of all counted ones is known."""

    def __init__(self, counted: Counted, share: Share) -> None:
        """Nothing is sent yet."""
        self.last_end: float | None = None
        """The clock when the latest counted request ended; None before the first has."""
        self._counted = counted
        self._step = share.count
        self._end = counted.first + counted.count
        self._open: dict[int, Exchange] = {}
        self._all_sent = False

    def sent(self, exchange: Exchange) -> None:
        """Take note of the next request, in order."""
        if self._counted.first <= exchange.number < self._end:
            self._open[exchange.number] = exchange
        self._all_sent = exchange.number + self._step >= self._end

    def ended(self, exchange: Exchange) -> None:
        """Note that a request has ended, whether it succeeded or failed."""
        if self._open.pop(exchange.number, None) is not None:
            self.last_end = exchange.end if self.last_end is None else max(self.last_end, exchange.end)

    def known(self, now: float) -> bool:
        """Return whether every counted request was sent and has ended or has certainly missed its limit."""
        return self._all_sent and all(self.miss(exchange, now) for exchange in self._open.values())

    def miss(self, exchange: Exchange, now: float) -> str | None:
        """Return, in words, the limit that an unfinished counted ``exchange`` has missed by ``now``; None if none."""
        if exchange.number not in self._open:
            return None
        waited_ms = 1000 * (now - exchange.intended - READ_SECONDS)
        total, first = self._counted.total_ms, self._counted.ttft_ms
        if total is not None and waited_ms > total:
            return f"cancelled after missing its limit: no end within {total:g} ms of its planned send"
        if first is None:
            return None
        late_ms = 1000 * (exchange.tokens[0] - exchange.intended) if exchange.tokens else waited_ms
        if late_ms > first:
            return f"cancelled after missing its limit: no output within {first:g} ms of its planned send"
        return None
