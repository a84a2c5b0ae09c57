"""Reads a server's own counters before and after a stretch of load, outside of what is measured."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import time
import typing

from optimal_tp.loadgen.calls import Server
from optimal_tp.loadgen.exposition import reading
from optimal_tp.measurement.counters.reading import NAMES, Reading, ServerCounts, are_other_counters, between

QUIET_SECONDS = 0.1
"""Two readings so far apart with the same counts: nothing is under way. vLLM counts a token up to some ms after it was
sent, and a request that a client gave up until the step under way has ended."""
PATIENCE_SECONDS = 2.0
"""A server that does not become quiet is read as it is."""
READ_SECONDS = 2.0
"""Longest that one answer may take."""
_FIRST_READINGS = 4
"""Of a server met for the first time: one address may lead to several processes."""
_WORK = tuple(name for name in NAMES if name not in ("process_cpu_seconds", "queue_seconds"))


class Answers(typing.Protocol):
    """What is asked of a server."""

    async def exposition(self) -> str | None:
        """Return what GET /metrics answers; None where it fails, "" where the server has no such path."""


@dataclasses.dataclass
class Counting:
    """The counters of one server, or of whoever answers at its address."""

    server: Answers
    clock: collections.abc.Callable[[], float] = time.time
    """The wall clock."""
    is_silent: bool = False
    """True once it is known that there are no counters of one process to read: then nothing is asked any more."""
    _is_known: bool = False
    _before: Reading | None = None
    _unparsed: tuple[float, str | None] | None = None

    async def begin(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Read what the stretch that comes is counted from; several readings of a server that is new."""
        self._before = before = None
        for _ in range(0 if self._is_known else _FIRST_READINGS - 1):
            found = await self._read()
            if found is None:
                return
            self._look(before, found)
            before = found
        self._before = await self._quiet(patience_seconds)
        self._is_known = self._is_known or self._before is not None

    async def begin_unparsed(self) -> None:
        """Read once and leave the parsing to ``end``: a load begins as early as it can."""
        self._unparsed = (self.clock(), await self.server.exposition())

    async def end(self, patience_seconds: float = PATIENCE_SECONDS) -> ServerCounts | None:
        """Return what was counted since the beginning; None where the server tells nothing, or not of itself alone."""
        if self._unparsed is not None:
            asked, text = self._unparsed
            self._before = None if text is None else reading(text, asked)
        before = self._before
        after = None if before is None else await self._quiet(patience_seconds)
        if before is None or after is None:
            return None
        self._look(before, after)
        return None if self.is_silent else between(before, after)

    async def _quiet(self, patience_seconds: float) -> Reading | None:
        """Return a reading after which nothing was counted for a moment, or the last within patience."""
        last, found = None, await self._read()
        ends = time.monotonic() + patience_seconds
        while found is not None and time.monotonic() + QUIET_SECONDS < ends:
            await asyncio.sleep(QUIET_SECONDS)
            last, found = found, await self._read()
            if found is None or _has_same_work(last, found):
                break
        return last if found is None else found

    async def _read(self) -> Reading | None:
        if self.is_silent:
            return None
        asked = self.clock()
        text = await self.server.exposition()
        if text is None:
            return None
        found = reading(text, asked)
        self.is_silent = found is None
        return found

    def _look(self, before: Reading | None, after: Reading) -> None:
        """See whether two processes answered that had both begun before: counters of theirs cannot be compared."""
        if before is None or not are_other_counters(before, after):
            return
        start = after.started_epoch_seconds
        self.is_silent = not self._is_known if start is None else start < before.epoch_seconds


def _has_same_work(before: Reading, after: Reading) -> bool:
    return all(getattr(before.totals, name) == getattr(after.totals, name) for name in _WORK)


async def begin_all(
    every: collections.abc.Iterable[Counting],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    within_seconds: float | None = None,
) -> None:
    """Read all servers of a stretch that comes, side by side; who has not answered ``within_seconds`` is not read."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            await asyncio.gather(*(one.begin(patience_seconds) for one in every))


async def end_all(
    every: collections.abc.Sequence[Counting], patience_seconds: float = PATIENCE_SECONDS
) -> tuple[ServerCounts | None, ...]:
    """Return what each server counted in the stretch that has ended; nothing where none of them tells."""
    counts = await asyncio.gather(*(one.end(patience_seconds) for one in every))
    return tuple(counts) if any(one is not None for one in counts) else ()


def countings(
    urls: collections.abc.Iterable[str], ask: collections.abc.Callable[[str], Server]
) -> tuple[Counting, ...]:
    """Return the counters of the servers at ``urls``; ``ask`` makes one of a URL, to ask single questions."""
    return tuple(Counting(dataclasses.replace(ask(url), timeout_seconds=READ_SECONDS)) for url in urls)
