"""One machine's arena: only the measured server runs, and whoever else takes its cores is seen."""

import dataclasses
import time

import psutil

from optimal_tp.local.server import Server


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """Clocks of the watched cores, all in seconds."""

    at: float
    busy: float
    """Not idle, over the watched cores, time stolen by the hypervisor included."""
    server: float
    own: float


class MachineArena:
    """Stops every server's process group but the one whose turn it is.

    Tried: an idle vLLM's workers go on spinning; left alone they change the answer (noise 26 to 44 % instead of
    4 to 5 %; docs/decisions/0002-stop-the-others.md).
    """

    def __init__(self, servers: dict[int, Server]) -> None:
        """Take over ``servers``, by degree, all running."""
        self._servers = servers
        self._watched: Server | None = None
        self._before: _Reading | None = None

    async def admit(self, degree: int) -> None:
        """Stop the others first, then wake ``degree``."""
        for other, server in self._servers.items():
            if other != degree:
                server.pause()
        self._servers[degree].resume()

    def start_watch(self, degree: int) -> None:
        """Read the clocks of ``degree``'s cores."""
        self._watched = self._servers[degree]
        self._before = _read(self._watched)

    def foreign_cpu_share(self) -> float | None:
        """Return the share of the cores' time that neither the server nor this process used since ``start_watch``."""
        if self._watched is None or self._before is None:
            return None
        return foreign_share(self._before, _read(self._watched), cores=len(self._watched.plan.cores))

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


def _read(server: Server) -> _Reading:
    times = psutil.cpu_times(percpu=True)
    own = psutil.Process().cpu_times()
    return _Reading(
        at=time.monotonic(),
        busy=sum(_busy_seconds(times[core]) for core in server.plan.cores),
        server=server.cpu_seconds(),
        own=own.user + own.system,
    )


def _busy_seconds(times: "psutil._ntuples.scputimes") -> float:
    # Guests' time is part of user and nice already.
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
