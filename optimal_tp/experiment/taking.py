"""Take the turns of an experiment: from the record of a resumed run first, then live on the servers."""

import collections
import collections.abc
import dataclasses
import datetime as dt
import math
import typing

from optimal_tp.errors import ResumeFailed
from optimal_tp.experiment.ledger import Kept, Ledger
from optimal_tp.experiment.turns import OpenArena, Turns
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.stretch import Stretch
from optimal_tp.measurement.steps import end_of
from optimal_tp.measurement.turns import Turn, of
from optimal_tp.results.restoration import Restored
from optimal_tp.telemetry.console import Watcher


class Taking(typing.Protocol):
    """The source of turns. All decisions follow from its answers, so that the same answers give the same run."""

    def now(self) -> float:
        """Return seconds from the run's origin to the end of the last turn, the time on which decisions are based."""

    async def take(self, stretch: Stretch, server_start: int) -> Kept | None:
        """Take a turn on that start of the servers; None if the run is halted or the candidate has left it."""

    async def is_restarted(self, candidate: Candidate, server_start: int) -> bool:
        """Whether the servers of ``candidate`` were restarted since, other than by the experiment."""

    async def restart(self, candidate: Candidate) -> None:
        """Restart the servers of ``candidate`` and those that run with them."""

    def close_part(self) -> None:
        """Secure everything kept so far."""


@dataclasses.dataclass(kw_only=True)
class Live:
    """Takes turns on the servers."""

    turns: Turns
    ledger: Ledger
    watcher: Watcher
    last_turns: collections.abc.Mapping[Candidate, Turn] = dataclasses.field(default_factory=dict)
    """An earlier process's last turn of each candidate whose servers this process has not used yet."""

    def __post_init__(self) -> None:
        self._now = self._seconds()
        self._unused = dict(self.last_turns)

    def now(self) -> float:
        """Return the time of the last turn's end; before the first turn, of the beginning."""
        return self._now

    def _seconds(self) -> float:
        return self.turns.clock() - self.turns.origin

    async def take(self, stretch: Stretch, server_start: int) -> Kept | None:
        """Drive ``stretch`` and keep its turn."""
        if self.turns.halt.event.is_set():
            return None
        asked_seconds = self._now
        turn = await self.turns.take(stretch)
        if turn is None:
            return None
        self._now = self._seconds()
        kept = self.ledger.add_turn(dataclasses.replace(turn, server_start=server_start, asked_seconds=asked_seconds))
        if stretch.stage != "warm_up":
            self.watcher.say(self.ledger.figures(kept))
        return kept

    async def is_restarted(self, candidate: Candidate, server_start: int) -> bool:  # noqa: ARG002 - the protocol's
        """Whether the servers' last start came after the last turn that an earlier process took on them."""
        if candidate not in self._unused or self.turns.has_left(candidate):
            return False
        await self.turns.arena.admit(candidate)
        is_new = self._is_new(candidate)
        del self._unused[candidate]
        return is_new

    def _is_new(self, candidate: Candidate) -> bool:
        """Whether the servers were started since the last turn that an earlier process took on them."""
        before = self._unused.get(candidate)
        if before is None or before.start_epoch_seconds is None:
            return False
        starts = [
            dt.datetime.fromisoformat(step.began).timestamp()
            for step in self.turns.arena.steps
            if (step.what, step.candidate) == ("start", candidate)
        ]
        return max(starts, default=0.0) > before.start_epoch_seconds

    async def restart(self, candidate: Candidate) -> None:
        """Have the arena restart the running servers, unless an earlier process had begun to."""
        if not self._is_new(candidate):
            await self.turns.arena.restart()

    def close_part(self) -> None:
        """Secure the results in folder and bucket."""
        self.ledger.close_part()


Open = collections.abc.Callable[[Candidate], collections.abc.Awaitable[Live]]
"""Prepares turns on the servers; the first turn is the candidate's."""


class RunReplay:
    """Returns the recorded turns of ``restored``, and after the last of them takes turns on the servers."""

    def __init__(self, restored: Restored, ledger: Ledger, arena: OpenArena, now: float, go_live: Open) -> None:
        """Make decisions after the recorded turns at ``now``; ``go_live`` is called for the first new turn."""
        pairs = zip(restored.record.turns, restored.samples, strict=True)
        self._left = collections.deque((turn, samples) for turn, samples in pairs if turn.stage != "cut")
        self._ledger = ledger
        self._arena = arena
        self._end = now
        self._go_live = go_live
        self._live: Live | None = None

    def now(self) -> float:
        """Return the time at which the next recorded turn was requested; after the last one, the real time."""
        if not self._left:
            return self._end if self._live is None else self._live.now()
        asked_seconds = self._left[0][0].asked_seconds
        if asked_seconds is None:
            raise ResumeFailed(
                "the recorded turns lack the time they were requested: another release measured them; a new run begins"
            )
        return asked_seconds

    async def take(self, stretch: Stretch, server_start: int) -> Kept | None:
        """Return the recorded turn, or drive ``stretch``. Raises ResumeFailed if the recorded turn is another one.

        Without a match None if the candidate has left by now, because it may have left at that point already.
        """
        if not self._left:
            return await (await self._opened(stretch.candidate)).take(stretch, server_start)
        turn, samples = self._left[0]
        if not _is_asked(turn, server_start, stretch):
            if end_of(self._arena.steps, stretch.candidate) is not None:
                return None
            raise ResumeFailed(
                f"the recorded turn ({_words(turn)}) must match the one due now "
                f"({stretch.stage}, {stretch.candidate.name}, block {stretch.block}, {stretch.arrivals}, "
                f"server start {server_start}): another release or other settings measured it; a new run begins"
            )
        self._left.popleft()
        return self._ledger.kept(turn, samples)

    async def _opened(self, candidate: Candidate) -> Live:
        if self._live is None:
            self._live = await self._go_live(candidate)
        return self._live

    async def is_restarted(self, candidate: Candidate, server_start: int) -> bool:
        """Whether the record says so about its next turn."""
        if not self._left:
            return await (await self._opened(candidate)).is_restarted(candidate, server_start)
        turn = self._left[0][0]
        return of(turn) == candidate and turn.server_start is not None and turn.server_start > server_start

    async def restart(self, candidate: Candidate) -> None:
        """Do nothing if the record has turns after this restart."""
        if not self._left:
            await (await self._opened(candidate)).restart(candidate)

    def close_part(self) -> None:
        """Secure the results that are not in the record."""
        if not self._left:
            self._ledger.close_part()


def _is_asked(turn: Turn, server_start: int, stretch: Stretch) -> bool:
    """Whether ``turn`` is a turn of ``stretch``; rates may differ by the rounding of another processor."""
    arrivals, counted = stretch.arrivals, stretch.counted
    same_rate = turn.rate_per_second == arrivals.rate_per_second or (
        turn.rate_per_second is not None
        and arrivals.rate_per_second is not None
        and math.isclose(turn.rate_per_second, arrivals.rate_per_second, rel_tol=1e-6)
    )
    return (
        same_rate
        and (turn.stage, of(turn), turn.block) == (stretch.stage, stretch.candidate, stretch.block)
        and (turn.concurrency, turn.server_start) == (arrivals.concurrency, server_start)
        and turn.counted == (None if counted is None else counted.count)
    )


def _words(turn: Turn) -> str:
    load = f"{turn.rate_per_second}/s" if turn.concurrency is None else f"{turn.concurrency} in flight"
    return f"{turn.stage}, {of(turn).name}, block {turn.block}, {load}, server start {turn.server_start}"


def last_turns(turns: collections.abc.Iterable[Turn]) -> dict[Candidate, Turn]:
    """Return the last of ``turns`` of each candidate."""
    return {of(turn): turn for turn in turns if turn.stage != "cut"}
