"""The ``share`` command: one process's share of an experiment that several run together, or the judgement after them.

Exit status: 0 the share was measured, or as ``run`` has them for the judgement; 2 bad settings or targets, 5 a server,
the storage, Kubernetes or the common start failed, 130 interrupted.
"""

import argparse
import asyncio
import collections.abc
import dataclasses
import os
import pathlib

import boto3
import uvloop

from optimal_tp.cli import run
from optimal_tp.cluster import job
from optimal_tp.cluster.accounting import accounts_of, watched
from optimal_tp.cluster.deadline import until_signalled, within_budget
from optimal_tp.cluster.finished import is_measured, mark_of
from optimal_tp.cluster.job import Common, PodOptions
from optimal_tp.cluster.order import Order
from optimal_tp.cluster.scaling import Deployments
from optimal_tp.errors import Problem, ServerFailed, SettingsError
from optimal_tp.experiment.probe import probe_for_ever
from optimal_tp.experiment.session import Session, halting_on_signals, raise_ending
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.receipt import RECEIPT
from optimal_tp.pods.kubernetes import own_namespace
from optimal_tp.report.conclusion import conclude
from optimal_tp.report.files import write
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import read
from optimal_tp.telemetry.console import Watcher, watcher
from optimal_tp.verdict.analysis import analyse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    run.configure(parser)
    job.configure(parser)


def main(arguments: argparse.Namespace) -> int:
    """Measure the share, or judge what all shares kept; return the exit status."""
    return uvloop.run(_main(*asked(arguments, os.environ)))


def asked(arguments: argparse.Namespace, environment: collections.abc.Mapping[str, str]) -> tuple[Order, PodOptions]:
    """Return the checked order. Raises SettingsError with everything that is wrong in file and command line."""
    problems: list[Problem] = []
    options = job.pod_options(arguments, environment, problems)
    if arguments.turns is not None:
        rule = "servers that take turns start when they can, which no plan of several processes knows"
        problems.append(Problem(path="--turns", value=arguments.turns, rule=rule, remedy="use the command run"))
    settings = None
    try:
        (settings,) = run.settings_of(arguments.settings)
    except SettingsError as error:
        problems += error.problems
    except ValueError:
        rule = "several processes share the experiment of one model"
        problems.append(Problem(path="--settings", value=arguments.settings, rule=rule, remedy="use the command sweep"))
    order = run.order_of(arguments, settings, problems)
    return order, options


async def _main(order: Order, options: PodOptions) -> int:
    halt = Halt(event=asyncio.Event())
    with watcher() as watching, halting_on_signals(halt):
        if options.pod is None:
            return await _after(order, options, watching, halt)
        salt = order.settings.model_dump_json()
        known = await asyncio.to_thread(job.common, options, salt, own_namespace)
        # Each of them ends before the money does, by the same date; the plan's last turn may be cut short.
        async with within_budget(order.deadline_file, halt):
            return await _measure(order, options, known, watching, halt)


async def _measure(order: Order, options: PodOptions, known: Common, watching: Watcher, halt: Halt) -> int:
    """Measure one share into a folder of its own. Nothing is judged: one share alone says nothing."""
    named = dataclasses.replace(order, name=f"{known.run}/pod-{options.pod}")
    session = dataclasses.replace(run.session_of(named, watching, halt), run=known.run, part=options.part(known))
    watching.say(f"pod {options.pod} of {options.pods}; all begin at {known.start}")
    record = await run.conducted(session)
    session.watcher.end()
    raise_ending(record)
    place = session.folder.parent if session.bucket is None else session.bucket.uri.rpartition("/")[0]
    watching.say(f"when all {options.pods} pods have ended: optimal-tp report {place}")
    return 0


async def _after(order: Order, options: PodOptions, watching: Watcher, halt: Halt) -> int:
    """Judge what the Job's pods kept once it has ended, then go on with the steady probe where that is asked for."""
    mark = mark_of(order, watching, stays=options.then_stop)
    if is_measured(mark):
        await until_signalled(halt)
        return 0
    watching.stage("the load generators' Job", total=None)
    accounts = accounts_of(order.accounts, order.settings, order.bucket, watching)
    async with watched(accounts):
        known = await job.after(options, own_namespace, halt.event)
        if known is None:
            return 0
        # Whoever watches looks at the pods' run; the probe after it is none.
        session = dataclasses.replace(run.session_of(order, watching, halt), watcher=watching)
        status = _judged(order, known, session, watching)
        if options.then_stop:
            names = [name for urls in order.targets.values() for name in run.deployments(urls)]
            await stop_servers(names, Deployments(namespace=own_namespace()))
            watching.say(f"stopped: {', '.join(names)}")
        if mark is not None:
            mark.put(known.run)
        if accounts is not None:
            place = session.folder if order.bucket is not None else order.folder / known.run
            await accounts.settle(place, verdicts=int(status == 0), halt=halt)
            _with_receipt(order, known, place, watching)
    if order.steady and not halt.event.is_set():
        await probe_for_ever(session)
    if options.then_stop:
        await until_signalled(halt)
    return status


def _with_receipt(order: Order, known: Common, folder: pathlib.Path, watching: Watcher) -> None:
    """Write the report of the whole run again, with the receipt that lies in ``folder``."""
    bucket = run.bucket_of(order.bucket, known.run)
    try:
        if bucket is None:
            source = read(str(folder))
        else:
            bucket.store([folder / RECEIPT])
            source = read(bucket.uri, boto3.client("s3"))
    except SettingsError as error:
        watching.say(str(error))
        return
    again = retry(source)
    write(folder, analyse(again.record, again.samples, again.verdict))
    if bucket is not None:
        bucket.store(path for path in folder.iterdir() if path.is_file())


async def stop_servers(names: collections.abc.Sequence[str], scaler: Deployments) -> None:
    """Stop every server, whatever became of the others. Raises ServerFailed with each that could not be stopped."""
    failures = []
    for name in names:
        try:
            await asyncio.to_thread(scaler.scale, name, 0)
        except ServerFailed as error:
            failures.append(str(error))
    if failures:
        raise ServerFailed("; ".join(failures))


def _judged(order: Order, known: Common, session: Session, watching: Watcher) -> int:
    """Return the exit status of the verdict on the whole run; its report goes beside the shares."""
    bucket = run.bucket_of(order.bucket, known.run)
    watching.end()
    try:
        if bucket is None:
            return conclude(read(str(order.folder / known.run)), order.folder / known.run)
        status = conclude(read(bucket.uri, boto3.client("s3")), session.folder)
    except SettingsError as error:
        # The probe goes on all the same: what could not be judged is in the bucket still.
        watching.say(str(error))
        return error.exit_status
    bucket.store(path for path in session.folder.iterdir() if path.is_file())
    watching.say(bucket.failure or f"results and report: {bucket.uri}")
    return status
