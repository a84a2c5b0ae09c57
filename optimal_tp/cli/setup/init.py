r"""Write a stack file for AWS from seven answers: zone, network, reservation, price, budget, model and latency limit.

Without a terminal, give the answers as options. The reservation, budget, model and limit have defaults; the command
prints each default that it takes. An existing file is never overwritten. The sizes of a model that is not known by name
are read from its hub, with HF_TOKEN if that is set.
Exit status: 0 written, 2 answers that break a rule, all named at once, or the file exists, 5 it cannot be written.
Example: optimal-tp init --stack mine
  optimal-tp init --stack mine --zone ap-southeast-4c --network 198.51.100.7/32 \
    --reservation cr-0123456789abcdef0 --usd-per-hour 2.25 --budget-usd 20 --limit p99_total_ms=400 \
    --model Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218
"""

import argparse
import collections.abc
import dataclasses
import functools
import json
import os
import pathlib
import re
import sys
import typing

import yaml

from optimal_tp.account.model_files import ModelFiles
from optimal_tp.account.preflight.reservations import ON_DEMAND
from optimal_tp.cli.setup.stack_text import stack_text
from optimal_tp.cli.terminal import output
from optimal_tp.errors import Problem, SettingsError, StorageFailed, or_problems
from optimal_tp.facts.hardware import INSTANCE_TYPES, OFFERINGS_READ_ON, InstanceTypeName
from optimal_tp.fleet.demand import parse_limit
from optimal_tp.plan.model_sizes import Read
from optimal_tp.plan.stack import compose
from optimal_tp.settings.described.schema import STACK_SCHEMA, as_text, stack_schema
from optimal_tp.settings.stack_keys import SECTIONS
from optimal_tp.settings.workload import Model

_SHIPPED = pathlib.Path("optimal_tp/settings/described") / STACK_SCHEMA
_QUESTIONS: typing.Final = (
    ("zone", "Availability zone of your Trainium2 capacity, for example ap-southeast-4c", None),
    ("network", "Network that may reach the cluster's API, for example 198.51.100.7/32", None),
    ("reservation", "Capacity reservation or Capacity Block (cr-...); empty for on demand", ""),
    ("usd_per_hour", "What you pay for one node and hour, in USD", None),
    ("budget_usd", "The most that the hours in use may cost, in USD; a Capacity Block is paid in full", "20"),
    ("model", "Model and its commit on Hugging Face (owner/name@commit)", Model().name),
    ("limit", "Latency limits, with spaces between them", "p99_total_ms=400"),
)
"""Option, question, and default answer; None if there is no default. Each limit has a line of its answer."""
_AMOUNTS: typing.Final = ("usd_per_hour", "budget_usd")
_ZONE: typing.Final = re.compile(r"[a-z]+(-[a-z]+)+-\d+[a-z]")
_COMMIT: typing.Final = re.compile("[0-9a-f]{40}")
_ASKED_FOR: typing.Final = {
    "aws:region": "zone",
    "infra.cluster_name": "stack",
    "infra.zones": "zone",
    "infra.control_plane.public_access_cidrs": "network",
    "infra.neuron.instance_type": "instance_type",
    "infra.neuron.zones": "zone",
    "infra.neuron.reservation_ids": "reservation",
    "infra.neuron.price": "usd_per_hour",
    "workloads.model": "model",
    "workloads.limits": "limit",
    "spend.budget_usd": "budget_usd",
}
"""The option whose answer a key of the file has, by how the key begins."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--stack", default="dev", help="name of the stack; the file is Pulumi.<stack>.yaml (default %(default)s)")
    add("--zone", help="availability zone of the Trainium2 capacity")
    add("--network", metavar="CIDR", help="network that may reach the cluster's API")
    add("--reservation", metavar="ID", help="capacity reservation or Capacity Block; default: none, on demand")
    add("--usd-per-hour", metavar="USD", help="price of one node and hour")
    budget = (
        "the most that the hours in use may cost (default 20); a Capacity Block is paid in full, even if that is more"
    )
    add("--budget-usd", metavar="USD", help=budget)
    add("--model", metavar="NAME@COMMIT", help=f"model to serve, pinned to a commit (default {Model().name})")
    limit = "latency limit (default p99_total_ms=400); also ttft, tpot; repeat it for several"
    add("--limit", action="append", metavar="LIMIT", help=limit)
    add("--instance-type", choices=tuple(INSTANCE_TYPES), default="trn2.3xlarge", help="default %(default)s")
    add("--folder", type=pathlib.Path, default=pathlib.Path(), help="folder for the file (default: here)")


def main(
    options: argparse.Namespace, ask: collections.abc.Callable[[str], str] = input, read: Read | None = None
) -> int:
    """Write the file. ``read`` returns the config.json of a model that is not known by name.

    Raises SettingsError with every bad answer, or for a file that exists, and StorageFailed.
    """
    path = options.folder / f"Pulumi.{options.stack}.yaml"
    if path.exists():
        rule = "must be a stack without a file: init never overwrites one"
        remedy = f"{path} exists: add --stack NAME with another name"
        raise SettingsError([Problem(path="--stack", value=options.stack, rule=rule, remedy=remedy)])
    has_terminal = sys.stdin.isatty()
    answers, problems = answered(options, ask if has_terminal else None)
    text = stack_text(answers, options.instance_type, stack=options.stack, schema=_schema_path(options.folder))
    config = yaml.safe_load(text)["config"]
    sections = {key.removeprefix("optimal-tp:"): value for key, value in config.items() if ":" in key}
    absent = dict.fromkeys(SECTIONS)
    reader = read or ModelFiles(token=os.environ.get("HF_TOKEN"))
    try:
        compose({**absent, **sections}, config["aws:region"], file=path.name, read=reader, wrong=problems)
    except SettingsError as error:
        raise SettingsError(_by_option(error.problems, {**answers, "stack": options.stack})) from error
    try:
        path.write_text(text, encoding="utf-8")
        if not (options.folder / _SHIPPED).is_file():
            (options.folder / STACK_SCHEMA).write_text(as_text(stack_schema()), encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"{path} was not written: {error.strerror}; name another --folder") from error
    following = f"optimal-tp preflight --stack {options.stack}"
    defaults = {} if has_terminal else _defaults_taken(options)
    warnings = [] if answers["reservation"] else [f"--reservation: none, so on demand; {ON_DEMAND}"]
    if output.is_json(options):
        told = {"file": str(path), "defaults": defaults, "warnings": warnings, "next": following}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        lines = [f"default taken: {option} {value or 'none'}" for option, value in defaults.items()]
        lines += [f"warning: {line}" for line in warnings]
        sys.stdout.write("\n".join([*lines, f"{path} written; next: {following}"]) + "\n")
    return 0


def _defaults_taken(options: argparse.Namespace) -> dict[str, str]:
    """Return the default answer of each option that was not given."""
    return {
        _option(name): default
        for name, _, default in _QUESTIONS
        if default is not None and getattr(options, name) is None
    }


def answered(
    options: argparse.Namespace, ask: collections.abc.Callable[[str], str] | None
) -> tuple[dict[str, str], list[Problem]]:
    """Return every answer, from the options or else from ``ask``, and what is wrong with them.

    In place of an answer that is missing or bad stands a sound one, so that the others can still be checked.
    """
    found: dict[str, str] = {}
    for name, question, default in _QUESTIONS:
        given = getattr(options, name)
        if given is not None:
            found[name] = "\n".join(given) if isinstance(given, list) else given
        elif ask is not None:
            hint = "" if default is None else f" [{default or 'none'}]"
            found[name] = ask(f"{question}{hint}: ").strip() or (default or "")
        elif default is not None:
            found[name] = default
    if ask is not None and options.limit is None:
        found["limit"] = "\n".join(found["limit"].split())
    problems = {
        name: [Problem(path=_option(name), value=None, rule="must be set without a terminal")]
        for name, *_ in _QUESTIONS
        if name not in found
    }
    for name in _AMOUNTS:
        if name in found and not _is_amount(found[name]):
            problems[name] = [Problem(path=_option(name), value=found[name], rule="must be a number above 0")]
        elif name in found:
            found[name] = f"{float(found[name]):.12g}"  # as YAML reads it
    if "zone" in found:
        problems["zone"] = _zone_problems(found["zone"], options.instance_type)
    problems["model"] = _model_problems(found.get("model", ""))
    problems["limit"] = _limit_problems(found.get("limit", ""))
    stand_ins = _stand_ins(options.instance_type)
    sound = {name: stand_ins[name] if problems.get(name) else found[name] for name, *_ in _QUESTIONS}
    return sound, [each for of_answer in problems.values() for each in of_answer]


def _stand_ins(kind: InstanceTypeName) -> dict[str, str]:
    """Return a sound answer to every question."""
    given = {name: default for name, _, default in _QUESTIONS if default is not None}
    zone = next(zones[0] for zones in INSTANCE_TYPES[kind].offered.values())
    return {**given, "zone": zone, "network": "198.51.100.7/32", "usd_per_hour": "1"}


def _by_option(problems: collections.abc.Iterable[Problem], given: collections.abc.Mapping[str, str]) -> list[Problem]:
    """Return ``problems``, each once, in the order of the questions; of a key that an answer fills, at its option."""
    found: dict[str, Problem] = {}
    for each in problems:
        name = next((name for start, name in _ASKED_FOR.items() if each.path.startswith(start)), None)
        own = each
        if name is not None:
            value = each.value if name in (*_AMOUNTS, "limit") else given.get(name, each.value)
            own = dataclasses.replace(each, path=_option(name), value=value, file="", line=None)
        found.setdefault(str(own), own)
    order = [_option(name) for name, *_ in _QUESTIONS]
    return sorted(found.values(), key=lambda each: order.index(each.path) if each.path in order else -1)


def _zone_problems(zone: str, kind: InstanceTypeName) -> list[Problem]:
    """Return the fault of a zone whose region does not offer the instance type; its form is the file's to check."""
    region, offered = zone[:-1], INSTANCE_TYPES[kind].offered
    if region in offered or _ZONE.fullmatch(zone) is None:
        return []
    rule = f"must lie in a region that offers {kind}: on {OFFERINGS_READ_ON} only {', '.join(offered)} did"
    others = [name for name, facts in INSTANCE_TYPES.items() if region in facts.offered]
    remedy = f"choose one of these regions{''.join(f', or --instance-type {name}' for name in others)}"
    remedy += "; docs/get-started/aws.md says how to add another region"
    return [Problem(path="--zone", value=zone, rule=rule, remedy=remedy)]


def _model_problems(text: str) -> list[Problem]:
    """Return the faults of a model. All but the default one need a commit of their own."""
    name, _, commit = text.partition("@")
    if not name:
        rule = "must be a model's name and its commit, owner/name@commit"
        return [Problem(path="--model", value=text, rule=rule, remedy="name a model")]
    if _COMMIT.fullmatch(commit) or text == Model().name:
        return []
    rule = "must name the commit of the model's repository, so that every run has the same weights"
    remedy = f"write it as {name}@COMMIT"
    if commit:
        remedy += f", the commit's 40 digits in place of {commit}: a branch or a tag can move"
    return [Problem(path="--model", value=text, rule=rule, remedy=remedy)]


def _limit_problems(text: str) -> list[Problem]:
    """Return the faults of the limits, each on its line of ``text``."""
    problems: list[Problem] = []
    metrics: set[str] = set()
    for line in text.split("\n"):
        limit = or_problems(functools.partial(parse_limit, line), problems)
        if limit is not None and limit.metric in metrics:
            problems.append(Problem(path="--limit", value=line, rule="must limit each metric once"))
        elif limit is not None:
            metrics.add(limit.metric)
    return problems


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _is_amount(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def _schema_path(folder: pathlib.Path) -> str:
    return f"./{_SHIPPED}" if (folder / _SHIPPED).is_file() else f"./{STACK_SCHEMA}"
