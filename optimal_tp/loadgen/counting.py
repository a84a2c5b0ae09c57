"""Read a server's own counters before and after a stretch of load, outside the measured time."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import time
import typing

from optimal_tp.loadgen.calls import Server
from optimal_tp.loadgen.exposition import reading
from optimal_tp.measurement.counters.reading import NAMES, CounterReading, ServerCounts, are_other_counters, between

QUIET_SECONDS = 0.1
"""A server is idle if two readings this far apart have the same counts. vLLM counts a token up to some ms after it was
sent, and counts an abandoned request until its current step has ended."""
PATIENCE_SECONDS = 2.0
"""How long to wait for a server to become idle; then it is read as it is."""
READ_SECONDS = 2.0
"""Longest time for one answer."""
_FIRST_READINGS = 4
"""Readings of a new server, because one address may lead to several processes."""
_WORK = tuple(name for name in NAMES if name not in ("process_cpu_seconds", "queue_seconds"))


class ExpositionSource(typing.Protocol):
    """A server that can be asked for its metrics."""

    async def exposition(self) -> str | None:
        """Return the answer of GET /metrics; None if it fails, "" if the server has no such path."""


@dataclasses.dataclass
class Counting:
    """The counters at one server's address, even if several processes answer there."""

    server: ExpositionSource
    clock: collections.abc.Callable[[], float] = time.time
    """The wall clock."""
    is_silent: bool = False
    """True once it is known that no single process's counters can be read; the server is not asked again."""
    _is_known: bool = False
    _before: CounterReading | None = None
    _unparsed: tuple[float, str | None] | None = None

    async def begin(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Read the counters before the next stretch; a new server is read several times."""
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
        """Read once and leave the parsing to ``end``, so that a load begins as early as possible."""
        self._unparsed = (self.clock(), await self.server.exposition())

    async def end(self, patience_seconds: float = PATIENCE_SECONDS) -> ServerCounts | None:
        """Return the counts since ``begin``; None if the server has no counters, or other processes share them."""
        if self._unparsed is not None:
            asked, text = self._unparsed
            self._before = None if text is None else reading(text, asked)
        before = self._before
        after = None if before is None else await self._quiet(patience_seconds)
        if before is None or after is None:
            return None
        self._look(before, after)
        return None if self.is_silent else between(before, after)

    async def _quiet(self, patience_seconds: float) -> CounterReading | None:
        """Return a reading after which the counts stood still for a moment, or the last one within patience."""
        last, found = None, await self._read()
        ends = time.monotonic() + patience_seconds
        while found is not None and time.monotonic() + QUIET_SECONDS < ends:
            await asyncio.sleep(QUIET_SECONDS)
            last, found = found, await self._read()
            if found is None or _has_same_work(last, found):
                break
        return last if found is None else found

    async def _read(self) -> CounterReading | None:
        if self.is_silent:
            return None
        asked = self.clock()
        text = await self.server.exposition()
        if text is None:
            return None
        found = reading(text, asked)
        self.is_silent = found is None
        return found

    def _look(self, before: CounterReading | None, after: CounterReading) -> None:
        """Notice whether two older processes answer in turn: their counters cannot be compared."""
        if before is None or not are_other_counters(before, after):
            return
        start = after.started_epoch_seconds
        self.is_silent = not self._is_known if start is None else start < before.epoch_seconds


def _has_same_work(before: CounterReading, after: CounterReading) -> bool:
    return all(getattr(before.totals, name) == getattr(after.totals, name) for name in _WORK)


async def begin_all(
    every: collections.abc.Iterable[Counting],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    within_seconds: float | None = None,
) -> None:
    """Read all servers of the next stretch in parallel, leaving out those without an answer ``within_seconds``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            await asyncio.gather(*(one.begin(patience_seconds) for one in every))


async def end_all(
    every: collections.abc.Sequence[Counting], patience_seconds: float = PATIENCE_SECONDS
) -> tuple[ServerCounts | None, ...]:
    """Return the counts of each server in the stretch that has ended; empty if none of them tells."""
    counts = await asyncio.gather(*(one.end(patience_seconds) for one in every))
    return tuple(counts) if any(one is not None for one in counts) else ()


def countings(
    urls: collections.abc.Iterable[str], ask: collections.abc.Callable[[str], Server]
) -> tuple[Counting, ...]:
    """Return the counters of the servers at ``urls``; ``ask`` returns the server at a URL."""
    return tuple(Counting(dataclasses.replace(ask(url), timeout_seconds=READ_SECONDS)) for url in urls)
