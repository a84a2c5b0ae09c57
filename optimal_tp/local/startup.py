"""Start this machine's servers, each in its own process group, and say how far each one is."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import pathlib
import socket
import time

import psutil

from optimal_tp.errors import CapacityError, Interrupted, ServerFailed
from optimal_tp.experiment.turns import Halt, OpenArena
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen import calls
from optimal_tp.local.server import LocalServer, ServerPlan
from optimal_tp.telemetry.console import Watcher

_POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartedServers:
    """The servers by candidate, all ready, and the seconds that the slowest server of each took."""

    servers: dict[Candidate, tuple[LocalServer, ...]]
    ready_seconds: dict[Candidate, float]


def ports(count: int, *, first: int | None) -> tuple[int, ...]:
    """Return ``count`` ports on loopback: from ``first`` upwards, or any that are free.

    Raises CapacityError that names the first port in use.
    """
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for index in range(count):
            listener = held.enter_context(socket.socket())
            wanted = 0 if first is None else first + index
            try:
                listener.bind(("127.0.0.1", wanted))
            except OSError as error:
                raise CapacityError(
                    f"port {wanted} on 127.0.0.1 cannot be used ({error.strerror}); "
                    "set local.first_port to another number or remove it to use free ports"
                ) from None
            found.append(listener.getsockname()[1])
        return tuple(found)


@contextlib.asynccontextmanager
async def running_servers(
    plans: collections.abc.Sequence[ServerPlan], *, halt: Halt, watcher: Watcher
) -> collections.abc.AsyncIterator[StartedServers]:
    """Start a server for each plan, yield when all are ready, and end them all, whatever happens inside.

    Raises ServerFailed when one ends or is not ready in time, Interrupted when ``halt`` is set meanwhile.
    """
    servers: list[LocalServer] = []
    try:
        for plan in plans:
            cores = ", ".join(str(core) for core in plan.cores)
            where = "core" if len(plan.cores) == 1 else "cores"
            watcher.say(f"starting vLLM at {plan.title} on {where} {cores} (log: {plan.log})")
            servers.append(LocalServer(plan))
        ready = await _ready(servers, halt=halt, watcher=watcher)
        by_candidate: dict[Candidate, tuple[LocalServer, ...]] = {}
        seconds: dict[Candidate, float] = {}
        for server in servers:
            whose = server.plan.candidate
            by_candidate[whose] = (*by_candidate.get(whose, ()), server)
            seconds[whose] = max(seconds.get(whose, 0.0), ready[server.plan.url])
        yield StartedServers(servers=by_candidate, ready_seconds=seconds)
    finally:
        await asyncio.gather(*(server.stop() for server in servers))


async def _ready(servers: collections.abc.Sequence[LocalServer], *, halt: Halt, watcher: Watcher) -> dict[str, float]:
    """Wait until all are ready, and return the seconds that each took, by its URL."""
    start = time.monotonic()
    limit = max(server.plan.local.ready_timeout_seconds for server in servers)
    watcher.stage("servers loading", total=limit)
    ready: dict[str, float] = {}
    while len(ready) < len(servers):
        for server in servers:
            if server.failure is not None:
                raise ServerFailed(server.failure)
            url = server.plan.url
            if url not in ready and await calls.Server(url=url, timeout_seconds=2).healthy():
                ready[url] = time.monotonic() - start
                title, holds = server.plan.title, server.resident_gib()
                watcher.say(f"{title} is ready after {ready[url]:.0f} s, holds {holds:.1f} GiB")
        waited = time.monotonic() - start
        slowest = next((server for server in servers if server.plan.url not in ready), None)
        doing = "" if slowest is None else f"; {slowest.plan.title}: {slowest.last_line()}"
        watcher.advance(f"{len(ready)} of {len(servers)} ready{doing}", done=waited)
        if waited > limit and len(ready) < len(servers):
            raise _late(next(server for server in servers if server.plan.url not in ready), limit)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(halt.event.wait(), _POLL_SECONDS)
            raise Interrupted(
                "interrupted while the servers were loading; nothing was measured and nothing is left running"
            )
    return ready


def _late(server: LocalServer, limit: float) -> ServerFailed:
    return ServerFailed(
        f"the server of {server.plan.title} was not ready after local.ready_timeout_seconds ({limit:.0f} s); its log "
        f"{server.plan.log} ends: {server.last_words()}; raise the timeout in the profile if the server was "
        "still loading"
    )


def log_path(folder: pathlib.Path, candidate: Candidate, replica: int | None) -> pathlib.Path:
    """Return the log file of one of ``candidate``'s servers; ``replica`` is None for the only one.

    The first of several has the same name as an only one.
    """
    return folder / (f"server-{candidate.slug}-{replica}.log" if replica else f"server-{candidate.slug}.log")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """Clocks of the watched cores, all in seconds."""

    at: float
    busy: float
    """Time that the watched cores were not idle, including time stolen by the hypervisor."""
    server: float
    """CPU time of all servers; a paused server uses none."""
    own: float


class MachineArena(OpenArena):
    """Pauses every server but those of the candidate whose turn it is.

    An idle vLLM's workers keep spinning. Tried without pausing them: they change the answer (noise 26 to 44 % instead
    of 4 to 5 %; docs/decisions/0002-stop-the-others.md).
    """

    def __init__(self, servers: dict[Candidate, tuple[LocalServer, ...]]) -> None:
        """Take over ``servers``, by candidate, all running."""
        self._servers = servers
        self._before: _Reading | None = None

    async def admit(self, candidate: Candidate) -> None:
        """Pause the others first, then resume ``candidate``."""
        for other, servers in self._servers.items():
            for server in servers if other != candidate else ():
                server.pause()
        for server in self._servers[candidate]:
            server.resume()

    def start_watch(self, candidate: Candidate) -> None:  # noqa: ARG002 - every server's cores are watched in each turn
        """Read the clocks of all servers' cores."""
        self._before = self._read()

    def foreign_cpu_share(self) -> float | None:
        """Return the share of all servers' cores that other processes used since ``start_watch``.

        Each turn counts the cores of every candidate. Otherwise a neighbour on TP2's second core would void the turns
        of TP2 but not those of TP1.
        """
        if self._before is None:
            return None
        return foreign_share(self._before, self._read(), cores=len(self._cores()))

    def _cores(self) -> set[int]:
        return {core for server in self._all() for core in server.plan.cores}

    def _all(self) -> list[LocalServer]:
        return [server for servers in self._servers.values() for server in servers]

    def _read(self) -> _Reading:
        times = psutil.cpu_times(percpu=True)
        own = psutil.Process().cpu_times()
        return _Reading(
            at=time.monotonic(),
            busy=sum(_busy_seconds(times[core]) for core in self._cores()),
            server=sum(server.cpu_seconds() for server in self._all()),
            own=own.user + own.system,
        )

    def failure(self) -> str | None:
        """Return the first server's failure, if any has ended."""
        failures = (server.failure for server in self._all())
        return next((failure for failure in failures if failure is not None), None)


def foreign_share(before: _Reading, after: _Reading, *, cores: int) -> float | None:
    """Return ``(busy - server - own) / (elapsed * cores)``, at least 0; None for no time at all.

    The load generator's own time is subtracted whole although some of it may have run on other cores, so the figure
    may be too low by its load, about 1 %.
    """
    elapsed = after.at - before.at
    if elapsed <= 0:
        return None
    foreign = (after.busy - before.busy) - (after.server - before.server) - (after.own - before.own)
    return max(0.0, foreign / (elapsed * cores))


def _busy_seconds(times: "psutil._ntuples.scputimes") -> float:
    # user and nice include the time of guests already.
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
