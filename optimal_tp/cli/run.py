"""The ``run`` command: the whole experiment against servers that somebody else started.

Exit status: 0 settled, 2 bad settings or targets, 3 inconclusive, 4 void, 5 storage failed, 130 interrupted.
"""

import argparse
import asyncio
import collections.abc
import contextlib
import datetime as dt
import pathlib
import platform
import time
import typing
import urllib.parse

import boto3
import uvloop

from optimal_tp.cluster.accounting import account_words, accounts_of, configure_accounts, salvaged, watched
from optimal_tp.cluster.deadline import configure_stop, servers_stop_after, until_signalled, within_budget
from optimal_tp.cluster.finished import is_measured, mark_of
from optimal_tp.cluster.order import Order
from optimal_tp.cluster.scaling import Deployments, Rota, Rounds
from optimal_tp.cluster.words import pairs_of, place_of, rounds_of, targets_of
from optimal_tp.errors import OptimalTpError, Problem, SettingsError
from optimal_tp.experiment.arena import OpenArena
from optimal_tp.experiment.probe import probe_for_ever
from optimal_tp.experiment.session import Session, halting_on_signals, raise_ending, run_name
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.progress import Progress
from optimal_tp.measurement.run import DegreeRecord, RunRecord
from optimal_tp.pods.kubernetes import own_namespace
from optimal_tp.report.conclusion import conclude
from optimal_tp.results.folder import Bucket, new_folder
from optimal_tp.results.source import read
from optimal_tp.settings.models import parse_models
from optimal_tp.settings.parser import Section, parse, read_yaml
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.telemetry.console import Watcher, watcher
from optimal_tp.telemetry.heartbeat import Beacon
from optimal_tp.telemetry.publish import CloudWatch


class SettingsFile(Section):
    """A settings file as ``run`` and ``sweep`` read it: its sections, each left to its own parser."""

    workloads: object = None
    local: object = None
    """A local profile's section: not for servers that somebody else started, so it is left alone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="DEGREE=URL",
        help="a server at this degree; again for each degree and replica",
    )
    parser.add_argument(
        "--turns",
        metavar="1,2/4",
        help="in a pod: servers that take turns, started and stopped through Kubernetes; degrees of each turn",
    )
    configure_shared(parser)


def configure_shared(parser: argparse.ArgumentParser) -> None:
    """Add the options that a run and a sweep have in common."""
    parser.add_argument("--settings", required=True, help="YAML file with a workloads section")
    where = "folder for the run; or s3://bucket/prefix, and then beside a folder here"
    parser.add_argument("--results", required=True, metavar="DIR", help=where)
    parser.add_argument("--publish", action="store_true", help="publish metrics to CloudWatch")
    parser.add_argument("--steady", action="store_true", help="after the experiment, go on probing until stopped")
    parser.add_argument(
        "--no-ignore-eos", action="store_true", help="for servers that refuse vLLM's ignore_eos; outputs may be shorter"
    )
    parser.add_argument("--ready-timeout-seconds", type=float, default=60, help="wait so long for /health (default 60)")
    configure_stop(parser)
    configure_accounts(parser)
    parser.add_argument(
        "--pin", action="append", default=[], metavar="KEY=VALUE", help="what the servers run on, kept with the run"
    )


def main(arguments: argparse.Namespace) -> int:
    """Run the experiment that ``arguments`` describe; return the exit status."""
    return uvloop.run(_run(_order(arguments)))


async def _run(order: Order) -> int:
    halt = Halt(event=asyncio.Event())
    with watcher() as watching, halting_on_signals(halt):
        mark = mark_of(order, watching, stays=order.stays)
        if is_measured(mark):
            await until_signalled(halt)
            return 0
        accounts = accounts_of(order.accounts, order.settings, order.bucket, watching)
        session: Session | None = None
        async with watched(accounts), salvaged(accounts, lambda: None if session is None else session.folder):
            async with within_money(order, halt, watching):
                session = session_of(order, watching, halt)
                record = await conducted(session)
            status = ended(session)
            if mark is not None and record.ending not in ("interrupted", "failed"):
                mark.put(session.run)
            if accounts is not None:
                await accounts.settle(session.folder, verdicts=int(status == 0), halt=halt)
                store(session)
        if order.steady and not halt.event.is_set():
            await probe_for_ever(session)
            return status
        if order.stays:
            await until_signalled(halt)
            return status
    raise_ending(record)
    return status


async def conducted(session: Session) -> RunRecord:
    """Conduct ``session``; whoever watches is told the sentence with which it fails."""
    try:
        return await session.conduct()
    except OptimalTpError as error:
        session.watcher.say(str(error))
        session.watcher.end()
        raise


@contextlib.asynccontextmanager
async def within_money(order: Order, halt: Halt, watching: Watcher) -> collections.abc.AsyncIterator[None]:
    """End what is inside before the money does, and stop the servers when it has ended, where ``order`` says so."""
    arena = arena_of(order, halt) if order.stops_servers else None
    servers = arena if isinstance(arena, Rota) else None
    async with within_budget(order.deadline_file, halt), servers_stop_after(servers, halt, watching):
        yield


def ended(session: Session) -> int:
    """Judge the run of ``session``, keep its report, show its verdict, and return its exit status."""
    session.watcher.end()
    status = conclude(read(str(session.folder)), session.folder)
    store(session)
    return status


def store(session: Session) -> None:
    """Put everything that ``session`` kept into its bucket, where there is one."""
    if session.bucket is not None:
        session.bucket.store(path for path in session.folder.iterdir() if path.is_file())
        session.watcher.say(session.bucket.failure or f"results and report: {session.bucket.uri}")


def bucket_of(place: tuple[str, str] | None, name: str) -> Bucket | None:
    """Return the prefix called ``name`` below ``place``, a bucket and a prefix; None without one."""
    if place is None:
        return None
    bucket, prefix = place
    return Bucket(boto3.client("s3"), bucket, f"{prefix}/{name}" if prefix else name)


def session_of(order: Order, watching: Watcher, halt: Halt) -> Session:
    """Return the run that ``order`` asks for, with a folder of its own. Raises StorageFailed if it cannot be made."""
    run = run_name(dt.datetime.now(dt.UTC))
    folder = new_folder(order.folder / (order.name or run))
    bucket = bucket_of(order.bucket, order.name or run)
    if bucket is not None:
        watching = Beacon(watching, bucket.put_progress, _progress(run, order))
    return Session(
        run=run,
        place="own-servers" if order.bucket is None else "cluster",
        settings=order.settings,
        degrees=tuple(_degree(degree, order.targets.get(degree, ())) for degree in order.settings.degrees),
        arena=arena_of(order, halt),
        folder=folder,
        bucket=bucket,
        cloudwatch=typing.cast("CloudWatch", boto3.client("cloudwatch")) if order.publish else None,
        pins={"python": platform.python_version(), **order.pins},
        watcher=watching,
        halt=halt,
        ignore_eos=order.ignore_eos,
        ready_timeout_seconds=order.ready_timeout_seconds,
        rounds=order.rounds,
        model_title=order.model_title,
    )


def _progress(run: str, order: Order) -> Progress:
    """Return what is known of the run before it begins."""
    now = time.time()
    return Progress(
        run=run,
        model=order.settings.model.name,
        model_title=order.model_title,
        degrees=tuple(order.targets),
        region=boto3.Session().region_name if order.publish else None,
        started=now,
        stage_started=now,
        written=now,
    )


def arena_of(order: Order, halt: Halt) -> OpenArena | Rota:
    """Return the surroundings of ``order``'s servers, of which none is known to run."""
    return OpenArena() if order.rounds is None else _rota(order, order.rounds, halt)


def _rota(order: Order, rounds: Rounds, halt: Halt) -> Rota:
    return Rota(
        rounds=rounds,
        targets=order.targets,
        names={degree: deployments(urls) for degree, urls in order.targets.items()},
        others=order.others,
        makes_room=order.makes_room,
        scaler=Deployments(namespace=own_namespace()),
        ready_timeout_seconds=order.ready_timeout_seconds,
        stop=halt.event,
    )


def deployments(urls: collections.abc.Iterable[str]) -> tuple[str, ...]:
    """Return the servers behind ``urls``: a Deployment and its Service have one name, the host of the URL."""
    return tuple(str(urllib.parse.urlsplit(url).hostname) for url in urls)


def _degree(degree: int, urls: tuple[str, ...]) -> DegreeRecord:
    cores = degree * len(urls)
    return DegreeRecord(
        degree=degree,
        gate=None if urls else "no-capacity",
        reason=None if urls else f"no --target {degree}=URL was given",
        urls=urls,
        cores_used=cores,
        cores_allocated=cores,
        ready_seconds=None,
    )


def _order(arguments: argparse.Namespace) -> Order:
    """Return the checked order. Raises SettingsError with everything that is wrong in file and command line."""
    problems: list[Problem] = []
    settings = None
    try:
        settings = _settings(arguments.settings)
    except SettingsError as error:
        problems += error.problems
    return order_of(arguments, settings, problems)


def order_of(arguments: argparse.Namespace, settings: WorkloadSettings | None, problems: list[Problem]) -> Order:
    """Return the checked order for one model; ``settings`` are None where ``problems`` say why.

    Raises SettingsError with ``problems`` and everything that is wrong in the command line.
    """
    targets = targets_of(arguments.target, settings, problems)
    pins = dict(pairs_of(arguments.pin, problems))
    bucket = place_of(arguments.results, problems)
    rounds = rounds_of(arguments.turns, targets, problems)
    if arguments.stop_servers and arguments.turns is None:
        rule = "only servers that are started through Kubernetes are stopped"
        problems.append(Problem(path="--stop-servers", value=True, rule=rule, remedy="add --turns, or leave it out"))
    if settings is None or problems:
        raise SettingsError(problems)
    return Order(
        settings=settings,
        targets=targets,
        folder=pathlib.Path("." if bucket else arguments.results),
        bucket=bucket,
        publish=arguments.publish,
        steady=arguments.steady,
        ignore_eos=not arguments.no_ignore_eos,
        ready_timeout_seconds=arguments.ready_timeout_seconds,
        pins=pins,
        rounds=rounds,
        stops_servers=arguments.stop_servers,
        deadline_file=arguments.deadline_file,
        accounts=account_words(arguments),
        stays=arguments.stay,
    )


def _settings(file: str) -> WorkloadSettings:
    found = settings_of(file)
    if len(found) > 1:
        rule = f"it has one model; this one has {len(found)}"
        raise SettingsError([Problem(path="--settings", value=file, rule=rule, remedy="use the command sweep")])
    return found[0]


def settings_of(file: str) -> tuple[WorkloadSettings, ...]:
    """Return the experiments that the YAML file asks for, one per model. Raises SettingsError with every bad key."""
    data = read_yaml(pathlib.Path(file), key="--settings", value=file, remedy="name a YAML file")
    section = parse(SettingsFile, data, where="", file=file).workloads
    return parse_models({} if section is None else section, file=file)
