"""The ``sweep`` command: the experiment for several models, one after the other, and the table across them.

Exit status: the gravest of the runs', 5 where a model was not measured; 2 for bad settings or targets, 130 interrupted.
"""

import argparse
import asyncio
import collections.abc
import dataclasses
import datetime as dt
import pathlib
import re

import uvloop

from optimal_tp.cli.run import (
    arena_of,
    bucket_of,
    conducted,
    configure_shared,
    deployments,
    ended,
    order_of,
    session_of,
    settings_of,
    within_money,
)
from optimal_tp.cluster.accounting import accounts_of, salvaged, watched
from optimal_tp.cluster.deadline import until_signalled
from optimal_tp.cluster.finished import is_measured, mark_of
from optimal_tp.cluster.order import Order
from optimal_tp.errors import Problem, ServerFailed, SettingsError
from optimal_tp.experiment.legs import SweepKeeper, measure_all, planned
from optimal_tp.experiment.probe import probe_for_ever
from optimal_tp.experiment.session import Session, halting_on_signals, raise_ending, run_name
from optimal_tp.experiment.turns import Halt
from optimal_tp.report.sweep import conclude_sweep, read_sweep
from optimal_tp.results.folder import new_folder
from optimal_tp.telemetry.console import Watcher, watcher

_OF_MODEL = re.compile(r"([^=@]+)@.+")
"""What belongs to one model: its name, then what ``run`` takes."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="MODEL@DEGREE=URL",
        help="a server of this model at this degree; again for each model, degree and replica",
    )
    parser.add_argument(
        "--turns",
        action="append",
        default=[],
        metavar="MODEL@1,2/4",
        help="in a pod: models that take turns, their servers started and stopped through Kubernetes; for every model",
    )
    parser.add_argument(
        "--together", action="store_true", help="with --turns: the models' servers need not make room for each other"
    )
    configure_shared(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run the sweep that ``arguments`` describe; return the exit status."""
    return uvloop.run(_sweep(orders(arguments)))


async def _sweep(wanted: tuple[Order, ...]) -> int:
    halt = Halt(event=asyncio.Event())
    with watcher() as watching, halting_on_signals(halt):
        return await conduct(wanted, watching, halt)


async def conduct(wanted: collections.abc.Sequence[Order], watching: Watcher, halt: Halt) -> int:
    """Run every order's experiment in turn, keep the sweep's record and report, and return the gravest exit status.

    The last model's servers go on with the steady probe where that is asked for. Raises Interrupted and StorageFailed,
    and ServerFailed where no model at all could be measured.
    """
    name = run_name(dt.datetime.now(dt.UTC))
    first = wanted[0]
    mark = mark_of(first, watching, stays=first.stays)
    if is_measured(mark):
        await until_signalled(halt)
        return 0
    folder = new_folder(first.folder / name)
    keeper = SweepKeeper(folder, bucket_of(first.bucket, name))
    plan = planned(name, (order.settings for order in wanted))
    sessions: dict[int, Session] = {}
    statuses: list[int] = []

    async def measure(index: int) -> None:
        """Run the sweep's model of that place."""
        session = session_of(_within(wanted[index], name, plan.legs[index].folder), watching, halt)
        record = await conducted(session)
        statuses.append(ended(session))
        raise_ending(record)
        sessions[index] = session

    accounts = accounts_of(first.accounts, first.settings, first.bucket, watching)
    begun: list[pathlib.Path] = []
    async with watched(accounts), salvaged(accounts, lambda: next(iter(begun), None)):
        # The first model's order names the others' servers too.
        async with within_money(first, halt, watching):
            begun.append(folder)
            await measure_all(plan, measure, keeper, watching, halt)
        watching.end()
        status = conclude_sweep(read_sweep(str(folder)), folder)
        if mark is not None and sessions:
            mark.put(name)
        if accounts is not None:
            await accounts.settle(folder, verdicts=statuses.count(0), halt=halt)
    if keeper.bucket is not None:
        keeper.bucket.store(path for path in folder.iterdir() if path.is_file())
        watching.say(keeper.bucket.failure or f"results and report: {keeper.bucket.uri}")
    if not sessions:
        raise ServerFailed(f"none of {len(wanted)} models was measured; {folder} says why")
    if first.steady and not halt.event.is_set():
        last = max(sessions)
        # Models after it failed, and took its servers' cores.
        await probe_for_ever(dataclasses.replace(sessions[last], arena=arena_of(wanted[last], halt)))
    elif first.stays:
        await until_signalled(halt)
    return status


def _within(order: Order, sweep: str, folder: str) -> Order:
    """Return ``order`` with its results below the sweep's."""
    bucket = None if order.bucket is None else (order.bucket[0], "/".join(filter(None, (order.bucket[1], sweep))))
    return dataclasses.replace(order, folder=order.folder / sweep, bucket=bucket, name=folder)


def orders(arguments: argparse.Namespace) -> tuple[Order, ...]:
    """Return the checked order of every model. Raises SettingsError with all that is wrong in file and command line."""
    settings = settings_of(arguments.settings)
    names = [each.model.name for each in settings]
    problems: list[Problem] = []
    targets = _by_model("--target", arguments.target, names, problems)
    turns = _by_model("--turns", arguments.turns, names, problems)
    if turns and set(turns) != set(names):
        rule = "where models take turns, every model has its own"
        remedy = "add --turns MODEL@1,2/4 for " + ", ".join(name for name in names if name not in turns)
        problems.append(Problem(path="--turns", value=arguments.turns, rule=rule, remedy=remedy))
    found: list[Order] = []
    for each in settings:
        name = each.model.name
        own = argparse.Namespace(
            **{**vars(arguments), "target": targets.get(name, []), "turns": next(iter(turns.get(name, ())), None)}
        )
        try:
            found.append(order_of(own, each, []))
        except SettingsError as error:
            problems += [dataclasses.replace(problem, path=_path(problem.path, name)) for problem in error.problems]
    problems = list({str(problem): problem for problem in problems}.values())
    if problems:
        raise SettingsError(problems)
    return tuple(_among(order, found, makes_room=not arguments.together) for order in found)


def _path(path: str, name: str) -> str:
    """Return ``path`` with the model it belongs to, where it is one model's alone."""
    return f"{path} of {name}" if path.startswith(("--target", "--turns")) else path


def _among(order: Order, every: collections.abc.Sequence[Order], *, makes_room: bool) -> Order:
    """Return ``order`` with what tells it from the others of its sweep."""
    others = tuple(
        name for each in every if each is not order for urls in each.targets.values() for name in deployments(urls)
    )
    return dataclasses.replace(order, others=others, makes_room=makes_room, model_title=order.settings.model.title)


def _by_model(
    option: str, words: collections.abc.Sequence[str], names: collections.abc.Sequence[str], problems: list[Problem]
) -> dict[str, list[str]]:
    """Return what ``words`` say, by model and without its name."""
    found: dict[str, list[str]] = {}
    for index, word in enumerate(words):
        match = _OF_MODEL.match(word)
        if match is None or match[1] not in names:
            rule = f"it begins with a model of the settings and @ ({', '.join(names)})"
            remedy = f"write it as {names[0]}@{'1=http://127.0.0.1:8001' if option == '--target' else '1,2/4'}"
            problems.append(Problem(path=f"{option}[{index}]", value=word, rule=rule, remedy=remedy))
        else:
            found.setdefault(match[1], []).append(word.removeprefix(f"{match[1]}@"))
    return found
