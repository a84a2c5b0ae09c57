"""The conductor takes each candidate from a suspended Job to ready servers, or to the status word of its failure.

It is a control loop: it looks, compares with the goal, and acts. So another process can take over from the state of the
cluster and the memory of the run. A step is remembered before anything that follows from it is done.
"""

import asyncio
import collections.abc
import contextlib
import dataclasses
import functools

from optimal_tp.cluster.ground import ClusterGround, NodeEye, spent, stamp
from optimal_tp.cluster.order import JobsOrder
from optimal_tp.cluster.sightings import NodeClaim
from optimal_tp.cluster.staging import StagedJob
from optimal_tp.cluster.starting import Start, free
from optimal_tp.errors import ServerFailed
from optimal_tp.experiment.turns import OpenArena, pause
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen import calls
from optimal_tp.measurement.estimate import name_list
from optimal_tp.measurement.steps import Step, end_of
from optimal_tp.plan.timetable import Rounds
from optimal_tp.telemetry.console import Watcher

LOOK_SECONDS = 10.0
"""Time between two looks; a step takes minutes."""


async def is_healthy(url: str) -> bool:
    """Return whether the server at ``url`` says that it is ready."""
    return await calls.Server(url=url, timeout_seconds=5).healthy()


@dataclasses.dataclass(kw_only=True)
class Conductor(OpenArena):
    """The arena of one model's servers, which it starts and stops."""

    rounds: Rounds
    targets: collections.abc.Mapping[Candidate, tuple[str, ...]]
    """URLs by candidate."""
    names: collections.abc.Mapping[Candidate, tuple[str, ...]]
    """Deployments by candidate."""
    jobs: JobsOrder | None
    """None if everything was fetched and compiled before."""
    ground: ClusterGround
    watcher: Watcher
    stop: asyncio.Event
    others: tuple[str, ...] = ()
    """Deployments of a sweep's other models."""
    makes_room: bool = True
    """True if the others' cores are needed, so that they are stopped first."""
    known: tuple[Step, ...] = ()
    """Steps that an earlier conductor remembered."""
    on_step: collections.abc.Callable[[Step], None] = lambda _: None
    """Remembers a step."""
    healthy: collections.abc.Callable[[str], collections.abc.Awaitable[bool]] = is_healthy
    wait: collections.abc.Callable[[asyncio.Event, float], collections.abc.Awaitable[None]] = pause
    look_seconds: float = LOOK_SECONDS
    doing: str = "nothing had begun"
    """The activity, now or when it was stopped: "TP1 and TP2 were compiling"."""

    def __post_init__(self) -> None:
        """Start from the remembered steps, without knowing which servers run."""
        self._steps = list(self.known)
        self._eye = NodeEye(ground=self.ground)
        self._running: tuple[Candidate, ...] | None = None
        self._failure: str | None = None
        self._staged = {each.candidate for each in self.known if each.what != "start" and each.gate is None}
        """Compiled candidates; None stands for the fetched model."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return every step so far."""
        return tuple(self._steps)

    @property
    def can_restart(self) -> bool:
        """Return True: the servers are ours."""
        return True

    def failure(self) -> str | None:
        """Return why Kubernetes does not show or change the servers; None without such a failure."""
        return self._failure

    async def admit(self, candidate: Candidate) -> None:
        """Run the servers of ``candidate``'s round, and no others."""
        (wanted,) = [together for together in self.rounds if candidate in together]
        if wanted == self._running or self._failure is not None:
            return
        with self._noting_failure():
            is_new, self._running = self._running is None, ()
            await self._make_way(wanted, is_new=is_new)
            await self._stage(wanted)
            await self._start(wanted, is_new=is_new)
            self._running = wanted

    async def restart(self) -> None:
        """Stop the running servers, wait until their pods are gone, and start them again."""
        running = self._running
        if running is None or self._failure is not None:
            return
        with self._noting_failure():
            self._begin(f"stopping {name_list(self._left(running))}", "the servers were being restarted", None)
            names = [name for each in self._left(running) for name in self.names[each]]
            await self._scale(dict.fromkeys(names, 0))
            await self._until(lambda: asyncio.to_thread(self._are_gone, names))
            await self._start(running, is_new=False)

    async def refuse(self, candidate: Candidate, sentence: str) -> None:
        """Take ``candidate`` out of the run as ``no-start`` because of ``sentence``, and stop its servers."""
        starts = [each for each in self._steps if each.what == "start" and each.candidate == candidate]
        found = Step(
            candidate=candidate,
            what="start",
            number=starts[-1].number if starts else 0,
            began=stamp(self.ground.now()),
            node_seconds=None,
            seconds=None,
            usd=None,
            gate="no-start",
            detail=f"its servers are ready but do not answer: {sentence}",
        )
        with self._noting_failure():
            await self._remember(found)
            await self._scale(dict.fromkeys(self.names[candidate], 0))

    @contextlib.contextmanager
    def _noting_failure(self) -> collections.abc.Iterator[None]:
        try:
            yield
        except ServerFailed as error:
            self._failure = str(error)

    def _left(self, together: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Return the candidates of ``together`` that are still in the run."""
        return tuple(each for each in together if end_of(self._steps, each) is None)

    async def _make_way(self, wanted: tuple[Candidate, ...], *, is_new: bool) -> None:
        """Stop all servers and Jobs that hold cores and are not wanted, including those of candidates that failed."""
        here = self._left(wanted)
        # Servers of another image or model, left running, would hold the cores that their new compile Job waits for.
        running = {each.candidate for each in self._steps if each.what == "start"}
        stay = here if self.jobs is None else [each for each in here if each in self._staged | running]
        idle = [name for each, names in self.names.items() if each not in stay for name in names]
        # First, because the next round waits for the cores of the others.
        others = self.others if self.makes_room and is_new else ()
        await self._scale(dict.fromkeys((*others, *idle), 0))
        if is_new and self.jobs is not None:
            ended = [job for each, job in self.jobs.compile.items() if end_of(self._steps, each) is not None]
            await self._do([functools.partial(self.ground.controls.suspend, job) for job in ended])

    async def _stage(self, wanted: tuple[Candidate, ...]) -> None:
        """Fetch the model and compile the candidates of ``wanted``, each once."""
        if self.jobs is None:
            return
        patience = self.ground.patience
        longest = patience.capacity_seconds + patience.compile_seconds
        if None not in self._staged and self._left(wanted):
            self._begin("fetching the model", "the model was being fetched", longest)
            await self._run([StagedJob(name=self.jobs.fetch, candidate=None, ground=self.ground)])
        here = tuple(each for each in self._left(wanted) if each not in self._staged)
        if here and not self.stop.is_set():
            self._begin(f"compiling {name_list(here)}", f"{name_list(here)} {_were(here)} compiling", longest)
            await self._run(
                [StagedJob(name=self.jobs.compile[each], candidate=each, ground=self.ground) for each in here]
            )

    async def _run(self, jobs: list[StagedJob]) -> None:
        """Run ``jobs`` to their end; suspend those that fail."""
        suspended: set[str] = set()

        async def look() -> bool:
            """Look at each Job once, suspend those that failed, and return whether all have ended."""
            claims = await self._claims()
            for each in jobs:
                if not each.has_ended:
                    await asyncio.to_thread(each.look, claims)
                    if each.step is not None:
                        await self._remember(each.step)
                if each.step is not None and each.step.gate is not None and each.name not in suspended:
                    await asyncio.to_thread(self.ground.controls.suspend, each.name)
                    suspended.add(each.name)
            self._tell([(each.candidate, each.state) for each in jobs if not each.has_ended])
            return all(each.has_ended for each in jobs)

        await self._until(look)
        self._staged |= {each.candidate for each in jobs if each.has_ended and (not each.step or not each.step.gate)}

    async def _start(self, wanted: tuple[Candidate, ...], *, is_new: bool) -> None:
        """Start the servers of ``wanted``; stop those that fail."""
        here = self._left(wanted)
        if not here or self.stop.is_set():
            return
        patience = self.ground.patience
        longest = patience.capacity_seconds + patience.start_seconds
        self._begin(f"starting {name_list(here)}", f"{name_list(here)} {_were(here)} starting", longest)
        starts = [self._of(each, is_new=is_new) for each in here]
        await self._scale({name: 1 for each in starts for name in each.names})
        if not await self._until(lambda: self._look(starts)):
            return
        for each in starts:
            if each.step is not None and each.step.gate is None:
                await self._remember(each.step)

    def _of(self, candidate: Candidate, *, is_new: bool) -> Start:
        before = tuple(each for each in self._steps if each.what == "start" and each.candidate == candidate)
        number = 0 if not before else before[-1].number + (before[-1].removed is None)
        return Start(
            candidate=candidate,
            names=self.names[candidate],
            ground=self.ground,
            number=number,
            before=before,
            began=None if is_new else self.ground.now(),
        )

    async def _look(self, starts: list[Start]) -> bool:
        """Look at the ``starts`` that have not failed; return whether all have ended at the same look."""
        claims = await self._claims()
        for each in starts:
            if each.step is not None and each.step.gate is not None:
                continue
            healthy = await asyncio.gather(*(self.healthy(url) for url in self.targets[each.candidate]))
            freeing = await asyncio.to_thread(each.look, claims, healthy=all(healthy))
            if freeing is not None:
                await self._remember(freeing)
            pods = {pod.name: pod for one in starts for pod in one.pods}
            for target in each.removed:
                await asyncio.to_thread(free, self.ground, target, pods.values(), claims)
            if each.step is not None and each.step.gate is not None:
                await self._remember(each.step)
                await self._scale(dict.fromkeys(each.names, 0))
        self._tell([(each.candidate, each.state) for each in starts if not each.has_ended])
        return all(each.has_ended for each in starts)

    async def _claims(self) -> list[NodeClaim]:
        """Return the nodes, and report those that bill without use; empty if they cannot be listed."""
        try:
            claims = await asyncio.to_thread(self.ground.claims)
        except ServerFailed:
            return []
        for line in self._eye.lines(claims):
            self.watcher.say(line)
        return claims

    async def _scale(self, replicas: collections.abc.Mapping[str, int]) -> None:
        await self._do([functools.partial(self.ground.controls.scale, name, count) for name, count in replicas.items()])

    async def _do(self, acts: list[collections.abc.Callable[[], None]]) -> None:
        """Do each of ``acts`` once, and retry refused ones for a while."""
        left = list(acts)

        async def act() -> bool:
            """Continue with the act that was refused last time; return True once nothing is left."""
            while left:
                await asyncio.to_thread(left[0])
                left.pop(0)
            return True

        await self._until(act)

    def _are_gone(self, names: list[str]) -> bool:
        return not any(self.ground.controls.pods_of_server(name) for name in names)

    async def _until(self, look: collections.abc.Callable[[], collections.abc.Awaitable[bool]]) -> bool:
        """Repeat ``look`` until it returns True; return False if the run was stopped first.

        Waits for an API server that restarts; raises ServerFailed if it stays silent for the patience of a start.
        """
        silent = None
        while not self.stop.is_set():
            try:
                if await look():
                    return True
                silent = None
            except ServerFailed:
                silent = silent or self.ground.now()
                if self.ground.seconds_since(silent) > self.ground.patience.start_seconds:
                    raise
            await self.wait(self.stop, self.look_seconds)
        return False

    def _begin(self, stage: str, doing: str, longest_seconds: float | None) -> None:
        self.doing, self._stage_began = doing, self.ground.now()
        self.watcher.stage(stage, total=longest_seconds)

    def _tell(self, states: list[tuple[Candidate | None, str]]) -> None:
        words = "; ".join(f"{'the model' if each is None else each.name} {state}" for each, state in states)
        self.watcher.advance(words, done=self.ground.seconds_since(self._stage_began))

    async def _remember(self, step: Step) -> None:
        self._steps.append(step)
        self.watcher.say(sentence(step))
        await asyncio.to_thread(self.on_step, step)


def _were(candidates: tuple[Candidate, ...]) -> str:
    return "was" if len(candidates) == 1 else "were"


_DONE = {"fetch": "is fetched", "compile": "is compiled", "start": "is ready"}


def sentence(step: Step) -> str:
    """Return ``step`` in words: "TP1 is compiled, 41 min ($1.22)"."""
    who = "the model" if step.candidate is None else step.candidate.name
    if step.gate is not None:
        return f"{who}: {step.gate}: {step.detail}"
    if step.removed is not None:
        return f"{who}: {step.detail}"
    return f"{who} {_DONE[step.what]}" + ("" if step.seconds is None else f", {spent(step.seconds, step.usd)}")
