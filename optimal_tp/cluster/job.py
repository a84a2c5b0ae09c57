"""Several load generators: each one's share of a run, and the judgement after them.

In an Indexed Job Kubernetes numbers the pods, and the Job's start is everybody's clock zero.
"""

import argparse
import asyncio
import collections.abc
import dataclasses
import datetime as dt
import functools
import hashlib
import pathlib
import time

import boto3

from optimal_tp.cluster.assembly import Assembly, Measured, conducted
from optimal_tp.cluster.beginnings import Results
from optimal_tp.cluster.clocks import clock_error_ms, machine
from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.deadline import within_budget
from optimal_tp.cluster.memory import Memory
from optimal_tp.cluster.order import PodsOrder
from optimal_tp.cluster.sightings import Job
from optimal_tp.errors import Interrupted, Problem, ServerFailed, SettingsError
from optimal_tp.experiment.planned import raise_ending
from optimal_tp.experiment.session import Session
from optimal_tp.experiment.turns import Halt, OpenArena
from optimal_tp.measurement.node_bill import RECEIPT
from optimal_tp.measurement.run import Part, RunRecord
from optimal_tp.measurement.steps import Step, decode_steps, encode_steps
from optimal_tp.pods.kubernetes import Namespace, own_namespace
from optimal_tp.report.conclusion import conclude
from optimal_tp.report.files import write
from optimal_tp.report.physics.reached import analysed
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import Source, read
from optimal_tp.telemetry.console import Watcher

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Environment variable in which Kubernetes tells a pod of an Indexed Job its number, from 0."""
_LOOK_SECONDS = 10.0
_MOST_SILENT_LOOKS = 60
"""An API server that has not answered for ten minutes is not waited for any longer."""


RUN, STEPS = "optimal-tp/conducted-run", "optimal-tp/conducted-steps"
"""Annotations of the Job, with which the conductor resumes it: the run's name, and what stood before the load."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """What all pods of one run know alike."""

    run: str
    start: str
    """UTC, ISO 8601."""
    steps: tuple[Step, ...] = ()
    """What stood before the load; the words in it are of candidates that nobody measures."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brought(OpenArena):
    """The surroundings of servers that the conductor has brought up."""

    known: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return what stood before the load."""
        return self.known


@dataclasses.dataclass(frozen=True, kw_only=True)
class PodOptions:
    """What the command line says of several pods, checked."""

    pods: int
    pod: int | None
    """Which of them this is; None for the one that goes on after their Job."""
    job: str | None
    start: dt.datetime | None
    """Stated start, where no Job says it."""
    start_after_seconds: float = 0.0

    def part(self, common: Common) -> Part:
        """Return the part of this process, with what its machine says of its clock now."""
        return Part(
            pod=self.pod or 0,
            pods=self.pods,
            start=common.start,
            machine=machine(),
            clock_error_ms=clock_error_ms(),
        )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of several pods to ``parser``."""
    parser.add_argument("--pods", type=int, metavar="N", help="processes that share the load")
    parser.add_argument(
        "--pod",
        type=int,
        metavar="INDEX",
        help=f"number of this process, from 0 (default ${INDEX_VARIABLE}, which Kubernetes sets)",
    )
    parser.add_argument("--starts-at", metavar="TIME", help="common start, as 2026-07-01T12:00:00+00:00")
    parser.add_argument(
        "--after", action="store_true", help="in a pod: wait for the Job to end, then judge its results"
    )


def pod_options(
    arguments: argparse.Namespace,
    asked: PodsOrder | None,
    environment: collections.abc.Mapping[str, str],
    problems: list[Problem],
) -> PodOptions:
    """Return what ``asked``, or else ``arguments``, say of several pods. What is wrong is added to ``problems``."""
    pod = arguments.pod
    if pod is None and environment.get(INDEX_VARIABLE, "").isdecimal():
        pod = int(environment[INDEX_VARIABLE])
    pods = arguments.pods if asked is None else asked.count
    if pods is None:
        rule = "must be set: the number of processes that share the load"
        problems.append(Problem(path="--pods", value=None, rule=rule, remedy="add --pods 2"))
    elif not arguments.after and (pod is None or not 0 <= pod < pods):
        rule = f"must number this process, from 0, below --pods ({pods})"
        problems.append(Problem(path="--pod", value=pod, rule=rule, remedy=f"add --pod or set {INDEX_VARIABLE}"))
    if arguments.after and asked is None:
        rule, remedy = "must go with --order, because it waits for that Job", "add --order FILE or remove --after"
        problems.append(Problem(path="--after", value=True, rule=rule, remedy=remedy))
    return PodOptions(
        pods=pods or 0,
        pod=None if arguments.after else pod,
        job=None if asked is None else asked.job,
        start=_start(arguments.starts_at, problems) if asked is None else None,
        start_after_seconds=0.0 if asked is None else asked.start_after_seconds,
    )


def _start(words: str | None, problems: list[Problem]) -> dt.datetime | None:
    try:
        start = dt.datetime.fromisoformat(words or "")
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        rule, remedy = "must be a time with its zone", "write it as 2026-07-01T12:00:00+00:00"
        problems.append(Problem(path="--starts-at", value=words, rule=rule, remedy=remedy))
        return None
    return start.astimezone(dt.UTC)


def common(options: PodOptions, settings: str, kubernetes: collections.abc.Callable[[], Namespace]) -> Common:
    """Return what all pods know alike: from the stated start and ``settings``, or from what the Job's status says.

    Raises ServerFailed when Kubernetes does not answer.
    """
    if options.start is not None:
        return _named(options.start, settings)
    return _of_job(Controls(namespace=kubernetes()).job(str(options.job)), options.start_after_seconds)


async def after(
    options: PodOptions, kubernetes: collections.abc.Callable[[], Namespace], stop: collections.abc.Callable[[], bool]
) -> bool:
    """Return once Kubernetes says that the Job has ended; False when ``stop`` came first.

    Raises ServerFailed when Kubernetes has not answered for long.
    """
    controls = Controls(namespace=kubernetes())
    silent = 0
    while not stop():
        try:
            if (await asyncio.to_thread(controls.job, str(options.job))).ending is not None:
                return True
            silent = 0
        except ServerFailed:
            silent += 1
            if silent >= _MOST_SILENT_LOOKS:
                raise
        asked = time.monotonic()
        while not stop() and time.monotonic() < asked + _LOOK_SECONDS:  # noqa: ASYNC110 - a signal is seen at once
            await asyncio.sleep(min(1.0, _LOOK_SECONDS))
    return False


def _of_job(job: Job, start_after_seconds: float) -> Common:
    if job.started is None:
        raise ServerFailed(
            f"the Job {job.name} must have a start time: it is suspended, as the guard does "
            "when the budget is spent; set another loadtest.run to measure again"
        )
    start = (job.started + dt.timedelta(seconds=start_after_seconds)).astimezone(dt.UTC)
    try:
        return Common(run=job.annotations[RUN], start=start.isoformat(), steps=decode_steps(job.annotations[STEPS]))
    except (KeyError, ValueError) as error:
        raise ServerFailed(
            f"the Job {job.name} must name its run ({error}), because only the conductor may resume it; delete "
            "the Job and run `pulumi up --refresh`"
        ) from error


def _named(start: dt.datetime, salt: str) -> Common:
    """Return a run's name that all who start it together find, and whose start has a name of its own."""
    digest = hashlib.sha256(f"{start.isoformat()} {salt}".encode()).hexdigest()[:4]
    return Common(run=f"{start:%Y%m%dT%H%M%SZ}-{digest}", start=start.isoformat())


async def measure_share(options: PodOptions, assembly: Assembly) -> int:
    """Measure one share into a folder of its own. Nothing is judged: one share alone says nothing."""
    order, watching = assembly.order, assembly.watching
    salt = order.models[0].settings.model_dump_json()
    known = await asyncio.to_thread(common, options, salt, own_namespace)
    # Each of them ends before the money does, by the same date; the plan's last turn may be cut short.
    async with within_budget(order.deadline_file, assembly.halt):
        session = assembly.session(0, known.run, assembly.results(f"{known.run}/pod-{options.pod}"), None)
        arena = Brought(known=known.steps) if options.start is None else session.arena
        session = dataclasses.replace(session, part=options.part(known), arena=arena)
        watching.say(f"pod {options.pod} of {options.pods}; all begin at {known.start}")
        record = await conducted(session)
    session.watcher.end()
    raise_ending(record)
    place = session.folder.parent if session.bucket is None else session.bucket.uri.rpartition("/")[0]
    watching.say(f"when all {options.pods} pods have ended: optimal-tp report {place}")
    return 0


async def judge_after(options: PodOptions, assembly: Assembly) -> int:
    """Live a run that the Job's pods measure: bring its servers up, let the Job run, judge; return the exit status."""
    return await assembly.live(functools.partial(_after, options, assembly))


async def _after(options: PodOptions, assembly: Assembly, begun: list[pathlib.Path], memory: Memory) -> Measured:
    """Bring the servers up and let the Job run unless it does already; judge what its pods kept."""
    order, halt = assembly.order, assembly.halt
    async with assembly.freeing():
        async with within_budget(order.deadline_file, halt, goes_on=memory.run is not None):
            known = await asyncio.to_thread(_resumed, options)
            if known is not None:
                memory.begin(known.run)
            run, results, _ = assembly.begin(begun, memory)
            session = assembly.session(0, run, results, memory)
            ended = None if known is not None else await _brought_up(options, session)
        if ended is not None:
            session.watcher.end()
            status = conclude(read(str(results.folder)), results.folder)
        else:
            session.watcher.stage("the load generators' Job", total=None)
            # Its pods end before the money does, each by itself; what they kept is judged all the same.
            if not await after(options, own_namespace, functools.partial(_is_signalled, halt)):
                raise Interrupted(f"stopped before the Job {options.job} ended; its pods run on, and nothing is judged")
            session.watcher.end()
            status = _judged(results, assembly.watching)
    return Measured(
        name=run,
        results=results,
        status=status,
        verdicts=int(status == 0),
        # Whoever watches looks at the pods' run; the probe after it is none.
        session=dataclasses.replace(session, watcher=assembly.watching),
        add_receipt=(lambda: None) if ended else functools.partial(_add_receipt, results, assembly.watching),
    )


def _is_signalled(halt: Halt) -> bool:
    return any(how == "interrupted" for how, _ in halt.reasons)


def _resumed(options: PodOptions) -> Common | None:
    """Return what the Job says where an earlier process has resumed it; None where it stands suspended still."""
    job = Controls(namespace=own_namespace()).job(str(options.job))
    return None if job.started is None else _of_job(job, options.start_after_seconds)


async def _brought_up(options: PodOptions, session: Session) -> RunRecord | None:
    """Bring the servers of ``session`` up and resume the Job; return the record of a run that cannot measure."""
    ended = await session.prepare()
    if ended is None:
        told = {RUN: session.run, STEPS: encode_steps(session.arena.steps)}
        await asyncio.to_thread(Controls(namespace=own_namespace()).resume, str(options.job), told)
    return ended


def _judged(results: Results, watching: Watcher) -> int:
    """Return the exit status of the verdict on the whole run; its report goes beside the shares."""
    try:
        return conclude(_whole(results), results.folder)
    except SettingsError as error:
        # The probe goes on all the same: what could not be judged is in the bucket still.
        watching.say(str(error))
        return error.exit_status


def _add_receipt(results: Results, watching: Watcher) -> None:
    """Write the report of the whole run again, with the receipt that lies in its folder."""
    if results.bucket is not None:
        results.bucket.store([results.folder / RECEIPT])
    try:
        again = retry(_whole(results))
    except SettingsError as error:
        watching.say(str(error))
        return
    write(results.folder, analysed(again))


def _whole(results: Results) -> Source:
    """Return the run that all pods kept together. Raises SettingsError for one that cannot be read."""
    if results.bucket is None:
        return read(str(results.folder))
    return read(results.bucket.uri, boto3.client("s3"))
