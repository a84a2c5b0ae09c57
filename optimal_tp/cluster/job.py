"""An Indexed Job's part in a run: Kubernetes numbers the pods, and the Job's start is everybody's clock zero."""

import argparse
import asyncio
import collections.abc
import dataclasses
import datetime as dt
import hashlib
import typing

from optimal_tp.cluster.clock import clock_error_ms, machine
from optimal_tp.errors import Problem, ServerFailed
from optimal_tp.measurement.run import Part
from optimal_tp.pods.kubernetes import Namespace

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Environment variable in which Kubernetes tells a pod of an Indexed Job its number, from 0."""
_LOOK_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """What all pods of one run know alike."""

    run: str
    start: str
    """UTC, ISO 8601."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PodOptions:
    """What the command line says of several pods, checked."""

    pods: int
    pod: int | None
    """Which of them this is; None for the one that goes on after their Job."""
    job: str | None
    start: dt.datetime | None
    """Stated start, where no Job says it."""
    start_after_seconds: float
    then_stop: bool = False
    """Stop the servers after the Job."""

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
    parser.add_argument("--pods", type=int, required=True, metavar="N", help="processes that share the load")
    parser.add_argument(
        "--pod", type=int, metavar="INDEX", help=f"which one, from 0; ${INDEX_VARIABLE} where Kubernetes says it"
    )
    parser.add_argument("--starts-at", metavar="TIME", help="common start, as 2026-07-01T12:00:00+00:00")
    parser.add_argument("--job", metavar="NAME", help="in a pod of this Job: its start is the common start")
    parser.add_argument("--after-job", metavar="NAME", help="in a pod: wait for this Job's end and judge what it kept")
    parser.add_argument(
        "--then-stop", action="store_true", help="after the Job: stop all servers, through Kubernetes, and stay"
    )
    parser.add_argument(
        "--start-after-seconds", type=float, default=0.0, help="time from the Job's start until all pods begin"
    )


def pod_options(
    arguments: argparse.Namespace, environment: collections.abc.Mapping[str, str], problems: list[Problem]
) -> PodOptions:
    """Return what ``arguments`` say of several pods. What is wrong is added to ``problems``."""
    pod = arguments.pod
    if pod is None and environment.get(INDEX_VARIABLE, "").isdecimal():
        pod = int(environment[INDEX_VARIABLE])
    after = arguments.after_job is not None
    if not after and (pod is None or not 0 <= pod < arguments.pods):
        rule = f"it numbers this process, from 0, among --pods ({arguments.pods})"
        problems.append(Problem(path="--pod", value=pod, rule=rule, remedy=f"state it, or set {INDEX_VARIABLE}"))
    start = _start(arguments.starts_at, problems)
    if [arguments.starts_at, arguments.job, arguments.after_job].count(None) != 2:  # noqa: PLR2004 - one of three
        rule = "the common start is stated, or is that of one Job"
        remedy = "give one of --starts-at, --job and --after-job"
        problems.append(Problem(path="--pods", value=arguments.pods, rule=rule, remedy=remedy))
    return PodOptions(
        pods=arguments.pods,
        pod=None if after else pod,
        job=arguments.job or arguments.after_job,
        start=start,
        start_after_seconds=arguments.start_after_seconds,
        then_stop=arguments.then_stop,
    )


def _start(words: str | None, problems: list[Problem]) -> dt.datetime | None:
    if words is None:
        return None
    try:
        start = dt.datetime.fromisoformat(words)
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        rule, remedy = "it is a moment with its zone", "write it as 2026-07-01T12:00:00+00:00"
        problems.append(Problem(path="--starts-at", value=words, rule=rule, remedy=remedy))
        return None
    return start.astimezone(dt.UTC)


def common(options: PodOptions, settings: str, kubernetes: collections.abc.Callable[[], Namespace]) -> Common:
    """Return what all pods know alike: from the stated start and ``settings``, or from what the Job's status says.

    Raises ServerFailed when Kubernetes does not answer.
    """
    if options.start is not None:
        return _named(options.start, settings)
    return _of_job(_job(kubernetes(), str(options.job)), options.start_after_seconds)


async def after(
    options: PodOptions, kubernetes: collections.abc.Callable[[], Namespace], stop: asyncio.Event
) -> Common | None:
    """Return what the Job's pods knew alike once Kubernetes says that it has ended; None when ``stop`` came first.

    Raises ServerFailed when Kubernetes does not answer.
    """
    namespace = kubernetes()
    while not stop.is_set():
        job = await asyncio.to_thread(_job, namespace, str(options.job))
        if has_ended(job):
            return _of_job(job, options.start_after_seconds)
        try:
            await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
        except TimeoutError:
            continue
    return None


def has_ended(job: collections.abc.Mapping[str, typing.Any]) -> bool:
    """Whether Kubernetes says that ``job`` is complete or has failed, and its pods are gone."""
    conditions = job.get("status", {}).get("conditions") or []
    return any(one.get("type") in ("Complete", "Failed") and one.get("status") == "True" for one in conditions)


def _job(namespace: Namespace, name: str) -> dict[str, typing.Any]:
    return namespace.ask(f"tell of the Job {name}", "batch/v1", f"jobs/{name}")


def _of_job(job: collections.abc.Mapping[str, typing.Any], start_after_seconds: float) -> Common:
    metadata, status = job.get("metadata", {}), job.get("status", {})
    started = status.get("startTime")
    if started is None:
        raise ServerFailed(
            f"Kubernetes does not say when the Job {metadata.get('name')} started: it is suspended, as the guard does "
            "when the budget is spent; name another loadtest.run to measure anew"
        )
    start = dt.datetime.fromisoformat(started) + dt.timedelta(seconds=start_after_seconds)
    return _named(start.astimezone(dt.UTC), str(metadata.get("uid")))


def _named(start: dt.datetime, salt: str) -> Common:
    """Return a run's name that all who start it together find, and whose start has a name of its own."""
    digest = hashlib.sha256(f"{start.isoformat()} {salt}".encode()).hexdigest()[:4]
    return Common(run=f"{start:%Y%m%dT%H%M%SZ}-{digest}", start=start.isoformat())
