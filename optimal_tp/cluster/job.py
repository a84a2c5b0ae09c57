"""Several load generators: each one's share of a run, and the verdict afterwards.

They are the pods of an Indexed Job: Kubernetes numbers them, and the Job's start is their common zero of time.
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

from optimal_tp.cluster.assembly import Assembly, MeasuredJob, conducted
from optimal_tp.cluster.beginnings import KeptResults
from optimal_tp.cluster.clocks import clock_error_ms, machine
from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.deadline import within_budget
from optimal_tp.cluster.memory import Memory
from optimal_tp.cluster.order import PodsOrder
from optimal_tp.cluster.sightings import Job
from optimal_tp.errors import Interrupted, Problem, ServerFailed, SettingsError
from optimal_tp.experiment.planned import raise_ending
from optimal_tp.experiment.session import Session
from optimal_tp.experiment.turns import OpenArena
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
"""Environment variable with the number of a pod in an Indexed Job, from 0."""
_LOOK_SECONDS = 10.0
_MOST_SILENT_LOOKS = 60
"""Most looks without an answer: after ten minutes the API server is given up."""


RUN, STEPS = "optimal-tp/conducted-run", "optimal-tp/conducted-steps"
"""Annotations that the conductor adds to the Job when it resumes it: the run's name, and the steps before the load."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """The data that all pods of one run share."""

    run: str
    start: str
    """UTC, ISO 8601."""
    steps: tuple[Step, ...] = ()
    """The steps before the load; candidates with a status word in them are not measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brought(OpenArena):
    """The arena of servers that the conductor has started."""

    known: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps before the load."""
        return self.known


@dataclasses.dataclass(frozen=True, kw_only=True)
class PodOptions:
    """The checked options for several pods."""

    pods: int
    pod: int | None
    """Number of this pod; None for the one that continues after their Job."""
    job: str | None
    start: dt.datetime | None
    """Start by option, if there is no Job to give it."""
    start_after_seconds: float = 0.0

    def part(self, common: Common) -> Part:
        """Return the part of this process, with the present error of its machine's clock."""
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
    """Return the options for several pods in ``asked``, or else in ``arguments``; add every fault to ``problems``."""
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
    """Return the data that all pods share: from the stated start and ``settings``, or from the Job's status.

    Raises ServerFailed if Kubernetes does not answer.
    """
    if options.start is not None:
        return _named(options.start, settings)
    return _of_job(Controls(namespace=kubernetes()).job(str(options.job)), options.start_after_seconds)


async def after(
    options: PodOptions, kubernetes: collections.abc.Callable[[], Namespace], stop: collections.abc.Callable[[], bool]
) -> bool:
    """Return True once Kubernetes says that the Job has ended; False if ``stop`` came first.

    Raises ServerFailed if Kubernetes has not answered for long.
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
    """Return a name for the run that all pods derive alike; another start gives another name."""
    digest = hashlib.sha256(f"{start.isoformat()} {salt}".encode()).hexdigest()[:4]
    return Common(run=f"{start:%Y%m%dT%H%M%SZ}-{digest}", start=start.isoformat())


async def measure_share(options: PodOptions, assembly: Assembly) -> int:
    """Measure one share into a folder of its own. There is no verdict, because one share alone says nothing."""
    order, watching = assembly.order, assembly.watching
    salt = order.models[0].settings.model_dump_json()
    known = await asyncio.to_thread(common, options, salt, own_namespace)
    # All of them end before the budget is spent, by the same date; the plan's last turn may be cut short.
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
    """Carry out a run that the Job's pods measure: start servers, run the Job, judge; return the exit status."""
    return await assembly.live(functools.partial(_after, options, assembly))


async def _after(options: PodOptions, assembly: Assembly, begun: list[pathlib.Path], memory: Memory) -> MeasuredJob:
    """Start the servers and the Job, unless it runs already; judge the results that its pods kept."""
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
            # Each of its pods ends by itself before the budget is spent; the results they kept are judged all the same.
            if not await after(options, own_namespace, lambda: halt.is_interrupted):
                raise Interrupted(f"stopped before the Job {options.job} ended; its pods run on, and nothing is judged")
            session.watcher.end()
            status = _judged(results, assembly.watching)
    return MeasuredJob(
        name=run,
        results=results,
        status=status,
        verdicts=int(status == 0),
        # Progress displays follow the pods' run; the probe after it has none.
        session=dataclasses.replace(session, watcher=assembly.watching),
        add_receipt=(lambda: None) if ended else functools.partial(_add_receipt, results, assembly.watching),
    )


def _resumed(options: PodOptions) -> Common | None:
    """Return the shared data in a Job that an earlier process has resumed; None if it is still suspended."""
    job = Controls(namespace=own_namespace()).job(str(options.job))
    return None if job.started is None else _of_job(job, options.start_after_seconds)


async def _brought_up(options: PodOptions, session: Session) -> RunRecord | None:
    """Start the servers of ``session`` and resume the Job; return the record if the run cannot measure, else None."""
    ended = await session.prepare()
    if ended is None:
        told = {RUN: session.run, STEPS: encode_steps(session.arena.steps)}
        await asyncio.to_thread(Controls(namespace=own_namespace()).resume, str(options.job), told)
    return ended


def _judged(results: KeptResults, watching: Watcher) -> int:
    """Return the exit status of the verdict on the whole run; its report goes beside the shares."""
    try:
        return conclude(_whole(results), results.folder)
    except SettingsError as error:
        # The probe goes on all the same: results that could not be judged are still in the bucket.
        watching.say(str(error))
        return error.exit_status


def _add_receipt(results: KeptResults, watching: Watcher) -> None:
    """Write the report of the whole run again, with the receipt in its folder."""
    if results.bucket is not None:
        results.bucket.store([results.folder / RECEIPT])
    try:
        again = retry(_whole(results))
    except SettingsError as error:
        watching.say(str(error))
        return
    write(results.folder, analysed(again))


def _whole(results: KeptResults) -> Source:
    """Return the run that all pods kept together. Raises SettingsError if it cannot be read."""
    if results.bucket is None:
        return read(str(results.folder))
    return read(results.bucket.uri, boto3.client("s3"))
