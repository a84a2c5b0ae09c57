"""One turn: a stretch of load on one candidate, while the other servers are idle and the cores are watched."""

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
from optimal_tp.loadgen.transport import TcpTransport
from optimal_tp.measurement.quota import Throttled, throttled
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.steps import Step, end_of
from optimal_tp.measurement.turns import Turn
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import opening
from optimal_tp.plan.timetable import READY_SECONDS


class OpenArena:
    """The environment of the servers, as the experiment uses it: here servers that the user runs.

    They have cores of their own, and can be neither stopped nor watched from here.
    """

    async def admit(self, candidate: Candidate) -> None:
        """Let ``candidate``'s servers work and keep the others from disturbing them.

        If servers that it starts do not come up, the candidate leaves the run, and ``steps`` has the reason.
        """

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps before the load so far, in the order in which they ended; the list only grows.

        A candidate for which ``end_of`` finds a step has left the run and can no longer be measured.
        """
        return ()

    @property
    def can_restart(self) -> bool:
        """Whether ``admit`` starts servers, so that ``restart`` can restart them."""
        return False

    @property
    def doing(self) -> str:
        """The activity of ``admit``, now or when it was stopped: "TP1 and TP2 were compiling"."""
        return "the servers were starting"

    async def restart(self) -> None:
        """Restart every running server, and wait for all of them as ``admit`` does."""

    async def refuse(self, candidate: Candidate, sentence: str) -> None:
        """Take ``candidate``, whose servers started but do not serve, out of the run; ``sentence`` says why.

        Raises ServerFailed for servers of the user, who can repair them and run again.
        """
        raise ServerFailed(f"{candidate.name}: {sentence}")

    def start_watch(self, candidate: Candidate) -> None:
        """Begin to watch the servers' cores for other users during ``candidate``'s turn."""

    def foreign_cpu_share(self) -> float | None:
        """Return the share of the watched cores, 0 to 1, that others used since ``start_watch``; None if unknown."""
        return None

    def failure(self) -> str | None:
        """Return the failure of a server that we started, in a sentence; None without one."""
        return None


_LOOK_SECONDS = 0.2
COUNTERS_SECONDS = 0.3
"""Longest time for reading the servers' counters if the turn's start is fixed; slower counters are skipped."""
How = typing.Literal["interrupted", "failed", "budget"]
"""The cause that ends a run early: a signal, a failure, or the budget."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Halt:
    """The only way to end a run early: ``event`` is set once, ``reason`` says why."""

    event: asyncio.Event
    reasons: list[tuple[How, str]] = dataclasses.field(default_factory=list)

    def set(self, how: How, sentence: str) -> None:
        """End the run; only the first call gives the reason."""
        self.reasons.append((how, sentence))
        self.event.set()

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal came, be it first or later."""
        return any(how == "interrupted" for how, _ in self.reasons)


@contextlib.contextmanager
def halting_on_signals(halt: Halt) -> collections.abc.Iterator[None]:
    """Set ``halt`` on SIGINT and SIGTERM while the context is open. A second signal has no further effect."""
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
    """The maker of each stretch's prompts, by candidate."""
    arena: OpenArena
    halt: Halt
    pause_seconds: float
    clock: collections.abc.Callable[[], float]
    origin: float
    """The clock's reading at the run's origin."""
    on_sample: collections.abc.Callable[[Sample], None]
    trust: ssl.SSLContext | None = None
    """Trusted certificates of servers with TLS; None: the system's."""
    countings: collections.abc.Mapping[Candidate, tuple[Counting, ...]] = dataclasses.field(default_factory=dict)
    """The counters of each candidate's servers; those of other candidates are not read."""
    held_back: collections.abc.Callable[[], Throttled | None] = throttled
    """Returns how long a CPU quota has throttled this process and the servers in the same container."""

    def has_left(self, candidate: Candidate) -> bool:
        """Whether ``candidate`` can no longer be measured because its servers did not come up or come back."""
        return end_of(self.arena.steps, candidate) is not None

    async def take(self, stretch: Stretch) -> Turn | None:
        """Drive ``stretch``; return when every request has ended and its sample was handed over.

        The turn's ``cut_short`` says whether the halt ended it early. None if the candidate has left the run.
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
        """Pause; with ``begin``, until shortly before it: connections that are opened earlier might be closed again.

        The servers' counters are read in the last part of the pause, after all requests of the turn before.
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
                transport=TcpTransport(self.trust, clock=self.clock, stamped=stretch.stream),
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
