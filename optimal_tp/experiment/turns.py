"""One turn: a stretch of load on one candidate, with the others kept still and the cores watched."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import signal
import ssl
import time
import typing

from optimal_tp.errors import ServerFailed
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.counting import QUIET_SECONDS, Counting, begin_all, end_all
from optimal_tp.loadgen.driver import drive
from optimal_tp.loadgen.stretch import Drive, Stretch, Target
from optimal_tp.loadgen.transport import Network
from optimal_tp.measurement.quota import Throttled, throttled
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.steps import Step, end_of
from optimal_tp.measurement.turns import Turn
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import opening
from optimal_tp.plan.timetable import READY_SECONDS


class Arena(typing.Protocol):
    """The servers' surroundings, as the experiment needs them."""

    async def admit(self, candidate: Candidate) -> None:
        """Let ``candidate``'s servers work and keep the others from disturbing them.

        Servers that are started for it may not come: then ``steps`` has the word with which it leaves the run.
        """

    @property
    def steps(self) -> tuple[Step, ...]:
        """What stood before the load so far, in the order in which it ended; it only grows.

        A candidate of which ``end_of`` finds a step has left the run: nothing more can be measured of it.
        """

    @property
    def can_restart(self) -> bool:
        """Whether ``admit`` starts servers, so that ``restart`` starts them anew."""

    @property
    def doing(self) -> str:
        """What ``admit`` does, or did when it was stopped: "TP1 and TP2 were compiling"."""

    async def restart(self) -> None:
        """Start every server that runs anew, and wait for all of them as ``admit`` does."""

    async def refuse(self, candidate: Candidate, sentence: str) -> None:
        """Let ``candidate``, whose servers were started but do not serve, leave the run because of ``sentence``."""

    def start_watch(self, candidate: Candidate) -> None:
        """Begin to watch who uses the servers' cores while ``candidate`` has its turn."""

    def foreign_cpu_share(self) -> float | None:
        """Return the share of the watched cores, 0 to 1, that others took since ``start_watch``; None if unseen."""

    def failure(self) -> str | None:
        """Return what went wrong with a server that we started, in a sentence; None while all is well."""


class OpenArena:
    """Servers that somebody else runs: nothing to stop, nothing to see."""

    async def admit(self, candidate: Candidate) -> None:
        """Do nothing: each server has its own cores."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return none: whoever started the servers knows."""
        return ()

    @property
    def can_restart(self) -> bool:
        """Return False: they are not ours to stop."""
        return False

    @property
    def doing(self) -> str:
        """Return that the servers were waited for."""
        return "the servers were starting"

    async def restart(self) -> None:
        """Do nothing."""

    async def refuse(self, candidate: Candidate, sentence: str) -> None:
        """Raise ServerFailed: whoever started the server can mend it, and asks again."""
        raise ServerFailed(f"{candidate.name}: {sentence}")

    def start_watch(self, candidate: Candidate) -> None:
        """Do nothing."""

    def foreign_cpu_share(self) -> float | None:
        """Return None: other machines' processors cannot be seen from here."""
        return None

    def failure(self) -> str | None:
        """Return None: a server that fails shows in its samples."""
        return None


_LOOK_SECONDS = 0.2
COUNTERS_SECONDS = 0.3
"""Longest that reading the servers' counters may take where the turn's start is fixed; later they are not read."""
How = typing.Literal["interrupted", "failed", "budget"]
"""What ends a run early: a signal, a failure, the money."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Halt:
    """The one way to end a run early: ``event`` is set once, ``reason`` says by what."""

    event: asyncio.Event
    reasons: list[tuple[How, str]] = dataclasses.field(default_factory=list)

    def set(self, how: How, sentence: str) -> None:
        """End the run; only the first call's words are kept as the reason."""
        self.reasons.append((how, sentence))
        self.event.set()


@contextlib.contextmanager
def halting_on_signals(halt: Halt) -> collections.abc.Iterator[None]:
    """Set ``halt`` on SIGINT and SIGTERM while inside. A second signal does nothing more: ending takes seconds."""
    loop = asyncio.get_running_loop()
    words = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
    for number, word in words.items():
        loop.add_signal_handler(number, halt.set, "interrupted", f"{word} ended the run; the samples so far are kept")
    try:
        yield
    finally:
        for number in words:
            loop.remove_signal_handler(number)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for ``seconds``, or until ``stop`` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


@dataclasses.dataclass(kw_only=True)
class Turns:
    """Takes turns on the servers of all candidates."""

    targets: dict[Candidate, Target]
    prompts: dict[Candidate, collections.abc.Callable[[Stretch], collections.abc.Iterator[Prompt]]]
    """What makes the prompts of each stretch."""
    arena: Arena
    halt: Halt
    pause_seconds: float
    clock: collections.abc.Callable[[], float]
    origin: float
    """The clock's reading at the run's origin."""
    on_sample: collections.abc.Callable[[Sample], None]
    trust: ssl.SSLContext | None = None
    """Certificates of servers with TLS; None trusts what the system does."""
    countings: collections.abc.Mapping[Candidate, tuple[Counting, ...]] = dataclasses.field(default_factory=dict)
    """The counters of each candidate's servers; nothing is read of one without."""
    held_back: collections.abc.Callable[[], Throttled | None] = throttled
    """What a CPU quota has held this process back, and the servers that run beside it in its container."""

    def has_left(self, candidate: Candidate) -> bool:
        """Whether the servers of ``candidate`` did not come, or come back, so that nothing more can be measured."""
        return end_of(self.arena.steps, candidate) is not None

    async def take(self, stretch: Stretch) -> Turn | None:
        """Drive ``stretch``; returns when every request of it has ended and its sample was handed over.

        The turn's ``cut_short`` tells one that the halt ended from a whole one. None where the candidate has left.
        """
        if not self.has_left(stretch.candidate):
            await self.arena.admit(stretch.candidate)
        if self.has_left(stretch.candidate):
            return None
        countings = self.countings.get(stretch.candidate, ())
        await self._pause(stretch.begin)
        if stretch.begin is None:
            await begin_all(countings)
        else:
            await begin_all(countings, patience_seconds=0, within_seconds=COUNTERS_SECONDS)
        self.arena.start_watch(stretch.candidate)
        before = self.held_back()
        driven = await self._driven(stretch)
        foreign, after = self.arena.foreign_cpu_share(), self.held_back()
        held = None if before is None or after is None else after.since(before)
        epoch_seconds = time.time() - (self.clock() - self.origin)
        servers = await end_all(countings)
        counted = stretch.counted
        return Turn(
            stage=stretch.stage,
            degree=stretch.degree,
            max_num_seqs=stretch.max_num_seqs,
            block=stretch.block,
            concurrency=stretch.arrivals.concurrency,
            rate_per_second=stretch.arrivals.rate_per_second,
            start_seconds=driven.start_seconds,
            end_seconds=driven.end_seconds,
            requests=driven.intended,
            uncounted=opening(stretch.arrivals) if counted is None else counted.first,
            counted=None if counted is None else counted.count,
            cut_short=not driven.whole,
            longest_lag_ms=driven.lag_max_ms,
            send_lag_p99_ms=driven.lag_p99_ms,
            foreign_cpu_share=foreign,
            throttled_periods=None if held is None else held.periods,
            throttled_seconds=None if held is None else held.seconds,
            start_epoch_seconds=epoch_seconds + driven.start_seconds,
            servers=servers,
        )

    async def _pause(self, begin: float | None) -> None:
        """Keep silent, or until shortly before ``begin``: connections that are opened earlier might be closed again.

        The servers' counters are read in the last part of it, by all that begin together after everybody's requests.
        """
        if begin is None:
            seconds = self.pause_seconds - QUIET_SECONDS
        else:
            seconds = begin - READY_SECONDS - COUNTERS_SECONDS - self.clock()
        await pause(self.halt.event, max(0, seconds))

    async def _driven(self, stretch: Stretch) -> Drive:
        lookout = asyncio.create_task(self._look_out())
        try:
            return await drive(
                self.targets[stretch.candidate],
                dataclasses.replace(stretch, origin=self.origin),
                self.prompts[stretch.candidate](stretch),
                on_sample=self.on_sample,
                transport=Network(self.trust, clock=self.clock, stamped=stretch.stream),
                clock=self.clock,
                stop=self.halt.event,
            )
        finally:
            lookout.cancel()

    async def _look_out(self) -> None:
        """End the run as soon as a server of ours has died."""
        while (failure := self.arena.failure()) is None:  # noqa: ASYNC110 - a process's end sets no event
            await asyncio.sleep(_LOOK_SECONDS)
        self.halt.set("failed", failure)
