"""Assemble a run or a sweep from its order, and take it from the first measurement to the freed cores."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import pathlib
import platform
import typing
import urllib.parse

import boto3

from optimal_tp.cluster.accounting import accounts_of, salvaged, watched
from optimal_tp.cluster.beginnings import KeptResults, degree_of, progress_of
from optimal_tp.cluster.conductor import Conductor
from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.deadline import Cores, cores_free_after, until_signalled, within_budget
from optimal_tp.cluster.ground import ClusterGround
from optimal_tp.cluster.memory import Memory
from optimal_tp.cluster.order import Order, PatienceOrder
from optimal_tp.errors import OptimalTpError, ResumeFailed, ServerFailed
from optimal_tp.experiment.legs import SweepKeeper, measure_all, planned
from optimal_tp.experiment.planned import failure_of, raise_ending
from optimal_tp.experiment.probe import probe_for_ever
from optimal_tp.experiment.resuming import began_of, run_name
from optimal_tp.experiment.session import Session
from optimal_tp.experiment.turns import Halt, OpenArena, halting_on_signals
from optimal_tp.loadgen.command.access import OPEN, Access
from optimal_tp.measurement.run import RunRecord
from optimal_tp.pods.kubernetes import own_namespace
from optimal_tp.report.conclusion import conclude
from optimal_tp.report.sweep import conclude_sweep, read_sweep
from optimal_tp.results.folder import Bucket, new_folder
from optimal_tp.results.restoration import restored
from optimal_tp.results.source import read
from optimal_tp.telemetry.console import Watcher, watcher
from optimal_tp.telemetry.heartbeat import Heartbeat
from optimal_tp.telemetry.publish import CloudWatch


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredJob:
    """A run or sweep that was measured and judged."""

    name: str
    """Name of the run or the sweep."""
    results: KeptResults
    status: int
    """Exit status of the verdict; of several verdicts the gravest."""
    verdicts: int
    """Number of runs that ended settled."""
    session: Session | None
    """The session whose servers can be probed; None if no model was measured."""
    failure: OptimalTpError | None = None
    """The error that ended it early; None if it was completed."""
    add_receipt: collections.abc.Callable[[], None] = lambda: None
    """Adds the folder's receipt to the report, if the report does not have it yet."""


Measure = collections.abc.Callable[[list[pathlib.Path], Memory], collections.abc.Awaitable[MeasuredJob]]
"""Measures and judges, resuming the remembered run; adds the folder to the list once there is one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembly:
    """An order with its progress display and its halt."""

    order: Order
    watching: Watcher
    halt: Halt
    access: Access = OPEN
    """Headers, key and certificates that the servers require."""

    async def run(self) -> int:
        """Carry out the run of the order's first model; return the exit status. Raises the error that ends it early."""
        return await self.live(self._one)

    async def sweep(self) -> int:
        """Carry out the run of each model in turn, with a common record and report; return the gravest exit status.

        Raises Interrupted and StorageFailed, and ServerFailed if no model at all could be measured.
        """
        return await self.live(self._several)

    async def live(self, measure: Measure) -> int:
        """Measure unless that was done, keep results and receipt, probe or stop the servers; return the status."""
        order, halt = self.order, self.halt
        memory = Memory.load(order, self.watching)
        if memory.is_finished:
            remedy = "nothing is measured; set another loadtest.run to measure again"
            self.watching.say(f"{memory.run} already has a verdict: {remedy}")
            await until_signalled(halt)
            return 0
        accounts = accounts_of(order, self.watching)
        begun: list[pathlib.Path] = []
        async with watched(accounts), salvaged(accounts, lambda: next(iter(begun), None)):
            try:
                measured = await measure(begun, memory)
            except ResumeFailed as error:
                self.watching.say(str(error))
                memory.abandon()
                begun.clear()
                measured = await measure(begun, memory)
            measured.results.store(self.watching)
            folder, verdicts = measured.results.folder, measured.verdicts
            if accounts is not None:  # first, so that a process that is killed after the verdict has left a receipt
                accounts.keep_or_tell(folder, verdicts=verdicts)
            if measured.failure is None:
                memory.finish()
            if accounts is not None:
                await accounts.settle(folder, verdicts=verdicts, halt=halt)
                measured.add_receipt()
                measured.results.store(self.watching)
        if measured.session is not None and order.afterwards == "probe" and not halt.event.is_set():
            await probe_for_ever(measured.session)
        elif measured.session is not None and order.afterwards == "stop":
            await until_signalled(halt)
        elif measured.failure is not None:
            raise measured.failure
        return measured.status

    async def _one(self, begun: list[pathlib.Path], memory: Memory) -> MeasuredJob:
        async with self._within_money(memory):
            run, results, goes_on = self.begin(begun, memory)
            session = self.session(0, run, results, memory, goes_on=goes_on)
            record = await conducted(session)
        status = _judged(session)
        return MeasuredJob(
            name=run,
            results=results,
            status=status,
            verdicts=int(status == 0),
            session=session,
            failure=failure_of(record),
        )

    def begin(self, begun: list[pathlib.Path], memory: Memory) -> tuple[str, KeptResults, bool]:
        """Return name and results of the run or sweep, and whether it had begun before; remember it from now on."""
        run, goes_on = memory.run or run_name(dt.datetime.now(dt.UTC)), memory.run is not None
        results = self.results(run, exist_ok=goes_on)
        begun.append(results.folder)
        memory.begin(run)
        return run, results, goes_on

    async def _several(self, begun: list[pathlib.Path], memory: Memory) -> MeasuredJob:
        """Measure each model; if one fails, the others still have their turn."""
        sessions: dict[int, Session] = {}
        statuses: list[int] = []
        async with self._within_money(memory):
            name, results, goes_on = self.begin(begun, memory)
            sweep = planned(name, (model.settings for model in self.order.models))

            async def measure(index: int) -> None:
                """Run the sweep's model at ``index``, and keep its verdict."""
                own = self.results(f"{name}/{sweep.legs[index].folder}", exist_ok=goes_on)
                title = self.order.models[index].settings.model.title
                run = run_name(dt.datetime.now(dt.UTC))
                session = self.session(index, run, own, memory, model_title=title, goes_on=goes_on)
                record = await conducted(session)
                statuses.append(_judged(session))
                own.store(session.watcher)
                raise_ending(record)
                sessions[index] = session

            keeper = SweepKeeper(results.folder, results.bucket)
            await measure_all(keeper.restored(sweep) if goes_on else sweep, measure, keeper, self.watching, self.halt)
        self.watching.end()
        status = conclude_sweep(read_sweep(str(results.folder)), results.folder)
        last = max(sessions, default=None)
        none = f"none of {len(sweep.legs)} models was measured; read the reasons in {results.folder}"
        return MeasuredJob(
            name=name,
            results=results,
            status=status,
            verdicts=statuses.count(0),
            # Later models failed, and took the cores of its servers.
            session=None
            if last is None
            else dataclasses.replace(sessions[last], arena=self._arena(last, self.watching, memory)),
            failure=ServerFailed(none) if last is None else None,
        )

    @contextlib.asynccontextmanager
    async def _within_money(self, memory: Memory) -> collections.abc.AsyncIterator[None]:
        """End the context before the budget is spent, and free the cores then, if the order says so."""
        goes_on = memory.run is not None
        async with within_budget(self.order.deadline_file, self.halt, goes_on=goes_on), self.freeing():
            yield

    def freeing(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Return a context that frees the cores when it ends, if the order says so."""
        if self.order.afterwards != "stop":
            return cores_free_after(None, self.halt, self.watching)
        models = self.order.models
        names = (name for model in models for urls in model.targets.values() for name in deployments(urls))
        jobs = (job for model in models if model.jobs for job in (model.jobs.fetch, *model.jobs.compile.values()))
        cores = Cores(controls=Controls(namespace=own_namespace()), deployments=tuple(names), jobs=tuple(jobs))
        return cores_free_after(cores, self.halt, self.watching)

    def results(self, path: str, *, exist_ok: bool = False) -> KeptResults:
        """Create the folder ``path`` below the order's results, with its prefix in the bucket if there is one.

        Raises StorageFailed if the folder cannot be created, or exists already and ``exist_ok`` is False.
        """
        folder = new_folder(self.order.folder / path, exist_ok=exist_ok)
        if self.order.bucket is None:
            return KeptResults(folder=folder, bucket=None)
        bucket, prefix = self.order.bucket
        key = f"{prefix}/{path}" if prefix else path
        return KeptResults(folder=folder, bucket=Bucket(boto3.client("s3"), bucket, key))

    def session(
        self,
        index: int,
        run: str,
        results: KeptResults,
        memory: Memory | None,
        *,
        model_title: str = "",
        goes_on: bool = False,
    ) -> Session:
        """Return the run called ``run`` of the model at ``index``, its metrics under ``model_title`` in a sweep.

        If it ``goes_on``, it continues from the results that an earlier process kept. Raises ResumeFailed and
        StorageFailed if that is not possible.
        """
        order, model, watching = self.order, self.order.models[index], self.watching
        kept = restored(results.folder, results.bucket) if goes_on else None
        run = run if kept is None else kept.record.run
        if results.bucket is not None:
            watching = Heartbeat(watching, results.bucket.put_progress, progress_of(order, model, run, model_title))
        return Session(
            run=run,
            place="own-servers" if order.bucket is None else "cluster",
            settings=model.settings,
            degrees=tuple(degree_of(each, model) for each in model.settings.candidates),
            arena=self._arena(index, watching, memory),
            folder=results.folder,
            bucket=results.bucket,
            cloudwatch=typing.cast("CloudWatch", boto3.client("cloudwatch")) if order.publish else None,
            pins={"python": platform.python_version(), **order.pins},
            watcher=watching,
            halt=self.halt,
            ignore_eos=order.ignore_eos,
            ready_timeout_seconds=order.ready_timeout_seconds,
            # The experiment needs no rounds if there is only one.
            rounds=model.rounds if model.rounds is not None and len(model.rounds) > 1 else None,
            model_title=model_title,
            restored=kept,
            access=self.access,
            physics=model.physics,
        )

    def _arena(self, index: int, watching: Watcher, memory: Memory | None) -> OpenArena:
        """Return the arena of the servers of the model at ``index``, none of which is known to run."""
        order, model = self.order, self.order.models[index]
        if model.rounds is None:
            return OpenArena()
        others = (urls for each in order.models if each is not model for urls in each.targets.values())
        return Conductor(
            rounds=model.rounds,
            targets=model.targets,
            names={candidate: deployments(urls) for candidate, urls in model.targets.items()},
            jobs=model.jobs,
            ground=ClusterGround(
                controls=Controls(namespace=own_namespace()),
                patience=typing.cast("PatienceOrder", order.patience),
                price=model.settings.price,
                whole_chips=model.whole_chips,
                pool=None if order.receipt is None else order.receipt.node_pool,
                run_began=dt.datetime.now(dt.UTC) if memory is None or memory.run is None else began_of(memory.run),
            ),
            watcher=watching,
            stop=self.halt.event,
            others=tuple(each for urls in others for each in deployments(urls)),
            makes_room=order.makes_room,
            known=() if memory is None else memory.steps(model.settings.model.name),
            on_step=lambda step: None if memory is None else memory.add_step(model.settings.model.name, step),
        )


Life = collections.abc.Callable[[Assembly], collections.abc.Awaitable[int]]


async def assembled(order: Order, life: Life, access: Access = OPEN) -> int:
    """Carry out ``life`` of ``order`` with progress on this terminal; return the exit status. A signal ends it."""
    halt = Halt(event=asyncio.Event())
    with watcher() as watching, halting_on_signals(halt):
        return await life(Assembly(order=order, watching=watching, halt=halt, access=access))


async def conducted(session: Session) -> RunRecord:
    """Conduct ``session``; if it fails, show the error in the progress that the bucket keeps too.

    On a terminal the command itself prints the error when it ends.
    """
    try:
        return await session.conduct()
    except OptimalTpError as error:
        if isinstance(session.watcher, Heartbeat):
            session.watcher.say(str(error))
        session.watcher.end()
        raise


def _judged(session: Session) -> int:
    """Judge the run of ``session``, write its report, show its verdict, and return its exit status."""
    session.watcher.end()
    return conclude(read(str(session.folder)), session.folder)


def deployments(urls: collections.abc.Iterable[str]) -> tuple[str, ...]:
    """Return the Deployments behind ``urls``: a Deployment and its Service share one name, the host of the URL."""
    return tuple(str(urllib.parse.urlsplit(url).hostname) for url in urls)
