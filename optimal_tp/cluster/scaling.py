"""Servers that take turns on too few nodes: each turn's servers are started, the others stopped, through Kubernetes."""

import asyncio
import collections.abc
import dataclasses

from optimal_tp.errors import ServerFailed
from optimal_tp.experiment.targets import wait_until_healthy
from optimal_tp.experiment.turns import OpenArena
from optimal_tp.facts.candidates import Candidate
from optimal_tp.plan.timetable import Rounds
from optimal_tp.pods.kubernetes import Namespace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployments:
    """The scale subresource of a namespace's Deployments."""

    namespace: Namespace

    def scale(self, name: str, replicas: int) -> None:
        """Ask for ``replicas`` pods. Raises ServerFailed when that is refused or nobody answers."""
        patch = {"spec": {"replicas": replicas}}
        self.namespace.ask(f"scale {name} to {replicas}", "apps/v1", f"deployments/{name}/scale", patch=patch)


@dataclasses.dataclass(kw_only=True)
class Rota(OpenArena):
    """The surroundings of servers that take turns."""

    rounds: Rounds
    targets: collections.abc.Mapping[Candidate, tuple[str, ...]]
    """URLs by candidate."""
    names: collections.abc.Mapping[Candidate, tuple[str, ...]]
    """Deployments by candidate."""
    scaler: Deployments
    ready_timeout_seconds: float
    stop: asyncio.Event
    others: tuple[str, ...] = ()
    """Deployments of a sweep's other models."""
    makes_room: bool = True
    """True if the others' cores are needed, so that they are stopped first."""
    _running: tuple[Candidate, ...] | None = None
    _failure: str | None = None

    async def stop_all(self) -> None:
        """Stop every server, each whatever becomes of the others. Raises ServerFailed with all that were not."""
        failures = []
        for name in (*(name for each in self.names.values() for name in each), *self.others):
            try:
                await asyncio.to_thread(self.scaler.scale, name, 0)
            except ServerFailed as error:
                failures.append(str(error))
        self._running = None
        if failures:
            raise ServerFailed("; ".join(failures))

    async def admit(self, candidate: Candidate) -> None:
        """Start the servers of ``candidate``'s round and stop all others, unless they run already."""
        (wanted,) = [together for together in self.rounds if candidate in together]
        if wanted == self._running or self._failure is not None:
            return
        try:
            # Stopped first: the others' cores are what the next round waits for.
            for name in self.others if self.makes_room and self._running is None else ():
                await asyncio.to_thread(self.scaler.scale, name, 0)
            for each in sorted(self.names, key=lambda each: each in wanted):
                for name in self.names[each]:
                    await asyncio.to_thread(self.scaler.scale, name, 1 if each in wanted else 0)
        except ServerFailed as error:
            self._failure = str(error)
            return
        self._running = wanted
        targets = {each: self.targets[each] for each in wanted if each in self.targets}
        late = await wait_until_healthy(targets, timeout_seconds=self.ready_timeout_seconds, stop=self.stop)
        if late:
            self._failure = f"after {self.ready_timeout_seconds:g} s of its turn no answer from {', '.join(late)}"

    def failure(self) -> str | None:
        """Return why a round could not be started; None while all is well."""
        return self._failure
