"""Check the form of a stack file, print the schema for editors, or explain one key.

check names every bad key and warns of examples that were not replaced and of nodes on demand. It reads the file only:
preflight asks AWS.

Exit status: 0 the file is valid, 2 it breaks a rule, or the key is unknown, 3 a model's sizes are unknown here.
Example: optimal-tp settings check
  optimal-tp settings check Pulumi.dev.yaml
  optimal-tp settings explain infra.network.cidr
  optimal-tp settings schema > stack.schema.json
"""

import argparse
import dataclasses
import json
import pathlib
import re
import sys
import typing

from optimal_tp.account.preflight.making import example_networks
from optimal_tp.account.preflight.reservations import EXAMPLE, ON_DEMAND
from optimal_tp.account.stack_outputs import by_command, with_outputs
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.selection import STACK_HELP, selected_stack
from optimal_tp.errors import Exit, Problem, SettingsError, likely
from optimal_tp.local.profile import LocalSettings, read_profile
from optimal_tp.plan.stack import read_stack
from optimal_tp.settings.described.fields import Setting, all_settings
from optimal_tp.settings.described.schema import Schema, as_text, sections_schema, stack_schema
from optimal_tp.settings.infra import InfraSettings, parse_infra
from optimal_tp.settings.models import Workloads
from optimal_tp.settings.node_capacity import Neuron
from optimal_tp.settings.stack_config import stack_config
from optimal_tp.settings.stack_file import parse_cluster
from optimal_tp.settings.workload import WorkloadSettings

_STACK_FILE: typing.Final = re.compile(r"Pulumi\.([^.]+)\.ya?ml")
_ABSENT: typing.Final = "settings check reads nothing from the network"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="check|schema|explain")
    check = commands.add_parser(
        "check",
        help="parse a stack file or a profile and name every bad key",
        description="Parse a stack file or a profile and name every bad key. It reads files only, and asks nobody.\n\n"
        "Exit status: 0 the file is valid, 2 it breaks a rule, 3 the sizes of a model are on the network, so that "
        "nobody checked whether it fits.",
        epilog=_example("check --stack dev"),
    )
    check.add_argument("file", nargs="?", metavar="FILE", help="a stack file, Pulumi.<stack>.yaml, or a profile")
    check.add_argument("--stack", help=STACK_HELP)
    check.add_argument("--profile", metavar="FILE", help="a profile of optimal-tp local instead")
    schema = commands.add_parser(
        "schema",
        help="print the JSON Schema of stack files",
        description="Print the JSON Schema of stack files, for an editor's completion.\n\nExit status: 0 printed.",
        epilog=_example("schema > stack.schema.json"),
    )
    schema.add_argument("--profile", action="store_true", help="print the schema of profiles instead")
    explain = commands.add_parser(
        "explain",
        help="print type, range, default and meaning of a key",
        description="Print type, range, default and meaning of a key, and how to write it.\n\n"
        "Exit status: 0 printed, 2 there is no such key.",
        epilog=_example("explain infra.network.cidr"),
    )
    explain.add_argument("key", metavar="KEY", help="infra.network.cidr, or a section such as spend")
    for each in (check, schema, explain):
        output.configure(each)


def _example(words: str) -> str:
    return f"Example:\n  optimal-tp settings {words}"


def main(options: argparse.Namespace) -> int:
    """Check, print or explain. Raises SettingsError with every bad key, or for an unknown key."""
    if options.what == "schema":
        sys.stdout.write(as_text(profile_schema() if options.profile else stack_schema()))
    elif options.what == "explain":
        _print(explained(options.key), as_json=output.is_json(options))
    else:
        return _check(options)
    return Exit.GOOD


def profile_schema() -> Schema:
    """Return the schema of a profile: ``workloads`` as in a stack file, and a section for this machine."""
    return sections_schema("Profile of optimal-tp local", {"workloads": Workloads, "local": LocalSettings})


def _check(options: argparse.Namespace) -> Exit:
    stack, profile, folder = options.stack, options.profile, pathlib.Path()
    unread: list[str] = []
    if options.file is not None:
        stack, profile, folder = _named(options)
    if profile is not None:
        profiles, file = read_profile(profile)
        warnings = [line for each in profiles for line in _low_percentiles(each.workloads)]
        said = "the form is right"
    else:
        stack = selected_stack(stack, folder)
        try:
            file, infra, models = _stack(stack, folder, unread)
        except SettingsError as error:
            raise SettingsError([_in_folder(each, folder) for each in error.problems]) from error
        warnings = [
            *(
                f"unknown here: the sizes in {each}; pulumi preview and optimal-tp preflight read them"
                for each in unread
            ),
            *_examples(infra),
            *_on_demand(infra.neuron),
            *(line for each in models for line in _low_percentiles(each)),
        ]
        said = "the form is right; preflight checks the values"
    if output.is_json(options):
        sys.stdout.write(json.dumps({"file": file, "valid": True, "unknown": unread, "warnings": warnings}) + "\n")
    else:
        sys.stdout.write("".join(f"warning: {line}\n" for line in warnings) + f"{file}: {said}\n")
    return Exit.OPEN if unread else Exit.GOOD


def _stack(
    name: str, folder: pathlib.Path, unread: list[str]
) -> tuple[str, InfraSettings, tuple[WorkloadSettings, ...]]:
    """Return file, infra and experiments of a stack; ``unread`` gets the addresses that hold its models' sizes.

    Raises SettingsError for every mistake that shows without them.
    """

    def read(address: str) -> bytes:
        """Return a file of the folder; note an address on the network, and raise OSError for it."""
        if "://" in address:
            unread.append(address)
            raise OSError(_ABSENT)
        return (folder / address).read_bytes()

    try:
        found, config = read_stack(name, folder, lambda _token, _profile: read)
    except SettingsError as error:
        told = [each for each in error.problems if _ABSENT not in each.rule]
        if told or not unread:
            raise SettingsError(told or error.problems) from error
    else:
        return str(folder / config.file), found.infra, found.workloads.models
    config = stack_config(name, folder)  # all of it was parsed: nothing but the sizes is missing
    infra = parse_infra(with_outputs(config.sections["infra"], by_command, file=config.file), file=config.file)
    return str(folder / config.file), infra, parse_cluster(config.sections, file=config.file).models


def _in_folder(problem: Problem, folder: pathlib.Path) -> Problem:
    """Return ``problem`` with the folder of its stack file, so that its line can be found wherever the command runs."""
    name = pathlib.Path(problem.file).name
    return dataclasses.replace(problem, file=str(folder / name)) if name and name == problem.file else problem


def _examples(infra: InfraSettings) -> list[str]:
    """Return a sentence for each example of the stack files that still stands in ``infra``."""
    found = []
    if EXAMPLE in infra.neuron.reservation_ids:
        found.append(
            f"infra.neuron.reservation_ids: {EXAMPLE} is the example's; put in the id of your reservation or Capacity "
            "Block once you have one"
        )
    networks = ", ".join(example_networks(infra))
    if networks:
        found.append(
            f"infra.control_plane.public_access_cidrs: {networks} is kept for examples; put in the network that you "
            "work from"
        )
    return found


def _on_demand(neuron: Neuron) -> list[str]:
    """Return a sentence if nodes come on demand alone."""
    if neuron.reservation_ids or "on-demand" not in neuron.capacity_types:
        return []
    return [f"infra.neuron.capacity_types: on-demand without a reservation; {ON_DEMAND}"]


def _low_percentiles(settings: WorkloadSettings) -> list[str]:
    """Return a sentence for each limit whose percentile is below 1: it was probably meant as a share."""
    return [
        f"workloads.limits.{metric}.percentile: {limit.percentile:g} asks for {limit.percentile:g} % of the requests; "
        f"write {100 * limit.percentile:g} for {100 * limit.percentile:g} %"
        for metric, limit in settings.limits.asked().items()
        if limit.percentile < 1
    ]


def _named(options: argparse.Namespace) -> tuple[str | None, str | None, pathlib.Path]:
    """Return the stack or profile that FILE is, and a stack's folder. Raises SettingsError if it is neither."""
    path = pathlib.Path(options.file)
    match = _STACK_FILE.fullmatch(path.name)
    if options.stack is not None or options.profile is not None:
        rule, remedy = "must be absent beside --stack and --profile", "name one of the three"
    elif path.is_file() and match is not None:
        return match[1], None, path.parent
    elif path.is_file() and path.suffix in (".yaml", ".yml"):
        return None, str(path), path.parent
    elif path.is_file():
        rule = "must be a stack file, called Pulumi.<stack>.yaml, or a profile, whose name ends in .yaml"
        remedy = "name such a file"
    else:
        rule = "must be an existing stack file, Pulumi.<stack>.yaml, or a profile's .yaml"
        remedy = (
            f"for the stack {options.file}: --stack {options.file}" if _is_word(options.file) else "correct the path"
        )
    raise SettingsError([Problem(path="FILE", value=options.file, rule=rule, remedy=remedy)])


def _is_word(text: str) -> bool:
    return "." not in pathlib.Path(text).name


def explained(key: str) -> tuple[Setting, ...]:
    """Return the setting ``key`` and, for a section, all settings in it. Raises SettingsError for an unknown key."""
    asked = key.removeprefix("optimal-tp:").removesuffix(".")
    everything = all_settings()
    found = tuple(each for each in everything if each.key == asked or each.key.startswith(f"{asked}."))
    if not found:
        ends = {each.key.rsplit(".", maxsplit=1)[-1]: each.key for each in everything}
        like = likely(asked, (each.key for each in everything)) or ends.get(likely(asked, ends) or "")
        remedy = f"did you mean {like}?" if like else "docs/reference/settings.md lists every key"
        raise SettingsError([Problem(path="KEY", value=key, rule="must be a key of a stack file", remedy=remedy)])
    return found


def _print(found: tuple[Setting, ...], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([dataclasses.asdict(each) for each in found], indent=1) + "\n")
        return
    for index, each in enumerate(found):
        rows = (("type", each.type), ("range", each.range), ("default", each.default))
        lines = [each.key, *([f"  {each.meaning}"] if each.meaning else [])]
        lines += [f"  {name + ':':<9}{value}" for name, value in rows if value]
        if len(found) == 1:
            lines += ["", *each.notes] if each.notes else []
            lines += ["", *each.snippet().splitlines()]
        sys.stdout.write(("\n" if index else "") + "\n".join(lines) + "\n")
