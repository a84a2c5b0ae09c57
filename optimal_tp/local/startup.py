"""Brings this machine's servers up, one process group a degree, and says what each one waits for."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import pathlib
import socket
import time

import psutil

from optimal_tp.errors import CapacityError, Interrupted, ServerFailed
from optimal_tp.experiment.turns import Halt
from optimal_tp.loadgen import calls
from optimal_tp.local.quota import throttled_periods
from optimal_tp.local.server import Server, ServerPlan
from optimal_tp.telemetry.console import Watcher

_POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Started:
    """The servers by degree, all ready, and how long each took, in seconds."""

    servers: dict[int, Server]
    ready_seconds: dict[int, float]


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
                    "set local.first_port to another number, or leave it out to take free ports"
                ) from None
            found.append(listener.getsockname()[1])
        return tuple(found)


@contextlib.asynccontextmanager
async def running_servers(
    plans: collections.abc.Sequence[ServerPlan], *, halt: Halt, watcher: Watcher
) -> collections.abc.AsyncIterator[Started]:
    """Start a server for each plan, yield when all are ready, and end them all, whatever happens inside.

    Raises ServerFailed when one ends or is not ready in time, Interrupted when ``halt`` is set meanwhile.
    """
    servers: dict[int, Server] = {}
    try:
        for plan in plans:
            cores = ", ".join(str(core) for core in plan.cores)
            watcher.say(f"starting vLLM at TP{plan.degree} on core {cores} (log: {plan.log})")
            servers[plan.degree] = Server(plan)
        yield Started(servers=servers, ready_seconds=await _ready(servers, halt=halt, watcher=watcher))
    finally:
        await asyncio.gather(*(server.stop() for server in servers.values()))


async def _ready(servers: dict[int, Server], *, halt: Halt, watcher: Watcher) -> dict[int, float]:
    start = time.monotonic()
    limit = max(server.plan.local.ready_timeout_seconds for server in servers.values())
    watcher.stage("servers loading", total=limit)
    ready: dict[int, float] = {}
    while len(ready) < len(servers):
        for degree, server in servers.items():
            if server.failure is not None:
                raise ServerFailed(server.failure)
            if degree not in ready and await calls.Server(url=server.plan.url, timeout_seconds=2).healthy():
                ready[degree] = time.monotonic() - start
                watcher.say(f"TP{degree} is ready after {ready[degree]:.0f} s, holds {server.resident_gib():.1f} GiB")
        waited = time.monotonic() - start
        watcher.advance(f"{len(ready)} of {len(servers)} ready", done=waited)
        if waited > limit and len(ready) < len(servers):
            _late(servers, ready, limit)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(halt.event.wait(), _POLL_SECONDS)
            raise Interrupted(
                "interrupted while the servers were loading; nothing was measured and nothing is left running"
            )
    return ready


def _late(servers: dict[int, Server], ready: dict[int, float], limit: float) -> None:
    degree = next(degree for degree in servers if degree not in ready)
    raise ServerFailed(
        f"the server of TP{degree} was not ready after local.ready_timeout_seconds ({limit:.0f} s); its log "
        f"{servers[degree].plan.log} ends: {servers[degree].last_words()}; raise it in the profile if it was still "
        "loading"
    )


def log_path(folder: pathlib.Path, degree: int) -> pathlib.Path:
    """Return where the log of ``degree``'s server is kept."""
    return folder / f"server-tp{degree}.log"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """Clocks of the watched cores, all in seconds."""

    at: float
    busy: float
    """Not idle, over the watched cores, time stolen by the hypervisor included."""
    server: float
    """Used by all servers; those that are stopped use nothing."""
    own: float


class MachineArena:
    """Stops every server's process group but the one whose turn it is.

    Tried: an idle vLLM's workers go on spinning; left alone they change the answer (noise 26 to 44 % instead of
    4 to 5 %; docs/decisions/0002-stop-the-others.md).
    """

    def __init__(self, servers: dict[int, Server]) -> None:
        """Take over ``servers``, by degree, all running."""
        self._servers = servers
        self._before: _Reading | None = None
        self._throttled_before: int | None = None

    async def admit(self, degree: int) -> None:
        """Stop the others first, then wake ``degree``."""
        for other, server in self._servers.items():
            if other != degree:
                server.pause()
        self._servers[degree].resume()

    def start_watch(self, degree: int) -> None:  # noqa: ARG002 - a neighbour counts on every server's cores alike
        """Read the clocks of all servers' cores."""
        self._throttled_before = throttled_periods()
        self._before = self._read()

    def foreign_cpu_share(self) -> float | None:
        """Return the share of all servers' cores that neither they nor this process used since ``start_watch``.

        The cores of every degree, whoever has its turn: or a neighbour on TP2's second core would void the turns of
        TP2 and leave those of TP1 in.
        """
        if self._before is None:
            return None
        return foreign_share(self._before, self._read(), cores=len(self._cores()))

    def throttled_periods(self) -> int | None:
        """Return in how many periods since ``start_watch`` a container's quota held us back; None without a count."""
        now, before = throttled_periods(), self._throttled_before
        return None if now is None or before is None else now - before

    def _cores(self) -> set[int]:
        return {core for server in self._servers.values() for core in server.plan.cores}

    def _read(self) -> _Reading:
        times = psutil.cpu_times(percpu=True)
        own = psutil.Process().cpu_times()
        return _Reading(
            at=time.monotonic(),
            busy=sum(_busy_seconds(times[core]) for core in self._cores()),
            server=sum(server.cpu_seconds() for server in self._servers.values()),
            own=own.user + own.system,
        )

    def failure(self) -> str | None:
        """Return the first server's failure, if any has ended."""
        failures = (server.failure for server in self._servers.values())
        return next((failure for failure in failures if failure is not None), None)


def foreign_share(before: _Reading, after: _Reading, *, cores: int) -> float | None:
    """Return ``(busy - server - own) / (elapsed * cores)``, at least 0; None for no time at all.

    The load generator's own time is taken off whole although some of it may have run on other cores: the figure errs
    on the low side by its load, about 1 %.
    """
    elapsed = after.at - before.at
    if elapsed <= 0:
        return None
    foreign = (after.busy - before.busy) - (after.server - before.server) - (after.own - before.own)
    return max(0.0, foreign / (elapsed * cores))


def _busy_seconds(times: "psutil._ntuples.scputimes") -> float:
    # Guests' time is part of user and nice already.
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
