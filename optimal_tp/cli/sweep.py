"""Run the experiment for several models, one after the other, and show the table across them.

Exit status: the gravest of the runs', 5 where a model was not measured; 2 bad settings or targets, 130 interrupted.
Example: optimal-tp sweep --settings models.yaml --target Qwen/Qwen3-0.6B@1=http://a:8000 --results out
"""

import argparse
import collections.abc
import dataclasses
import re

import uvloop

from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.verdicts import newest, print_verdict
from optimal_tp.cluster.assembly import Assembly, assembled
from optimal_tp.cluster.order import ModelOrder, Order, configure_shared, order_of, read_order, settings_of, targets_of
from optimal_tp.errors import Problem
from optimal_tp.loadgen.command import access

_OF_MODEL = re.compile(r"([^=@]+)@.+")
"""A target of one model: the model's name and @, then a target as in ``run``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="MODEL@CANDIDATE=URL",
        help="a server of this model at a degree, or a degree and its batch (tp2-b16); repeat for others and replicas",
    )
    configure_shared(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run the sweep that ``arguments`` describe; return the exit status."""
    order = asked(arguments)
    with output.beside_json(arguments):
        status = uvloop.run(assembled(order, Assembly.sweep, access.checked(arguments)))
    if output.is_json(arguments):
        print_verdict(newest(order.folder))
    return status


def asked(arguments: argparse.Namespace) -> Order:
    """Return the checked order. Raises SettingsError with every fault of file and command line."""
    return read_order(arguments) or _of_options(arguments)


def _of_options(arguments: argparse.Namespace) -> Order:
    settings = settings_of(arguments.settings)
    problems: list[Problem] = []
    words = _by_model(arguments.target, [each.model.name for each in settings], problems)
    models = []
    for each in settings:
        own: list[Problem] = []
        models.append(ModelOrder(settings=each, targets=targets_of(words.get(each.model.name, ()), each, own)))
        problems += [dataclasses.replace(problem, path=f"{problem.path} of {each.model.name}") for problem in own]
    return order_of(arguments, models, problems)


def _by_model(
    words: collections.abc.Sequence[str], names: collections.abc.Sequence[str], problems: list[Problem]
) -> dict[str, list[str]]:
    """Return the targets in ``words`` by model, without the model's name."""
    found: dict[str, list[str]] = {}
    for index, word in enumerate(words):
        match = _OF_MODEL.match(word)
        if match is None or match[1] not in names:
            rule = f"must begin with a model of the settings and @ ({', '.join(names)})"
            remedy = f"write it as {names[0]}@1=http://127.0.0.1:8001"
            problems.append(Problem(path=f"--target[{index}]", value=word, rule=rule, remedy=remedy))
        else:
            found.setdefault(match[1], []).append(word.removeprefix(f"{match[1]}@"))
    return found
