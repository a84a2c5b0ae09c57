"""``python -m optimal_tp.cli.leftovers``: what would go wrong before a stack is made, what is left after it.

preflight --stack dev [--json]  exit 0 nothing wrong, 1 something is, 3 unknown, 2 bad input
leftovers --stack dev [--json]  exit 0 nothing left, 1 something that bills, 3 unknown, 2 bad input
leftovers --stack dev --remove  asks before each kind whether it is removed, then looks again
preflight|leftovers --policy    the least IAM policy that it needs; with --remove, for that too
"""

import argparse
import datetime as dt
import json
import pathlib
import shutil
import sys
import typing

import rich.console

from optimal_tp.account.change import Change
from optimal_tp.account.inquiry import Clients, Inquiry, clients, require_account
from optimal_tp.account.leftovers.scope import Results, Scope
from optimal_tp.account.leftovers.search import LEFTOVERS, REMOVALS
from optimal_tp.account.preflight import rows
from optimal_tp.account.preflight.checks import checks
from optimal_tp.account.preflight.context import Scene
from optimal_tp.account.questions import PREFLIGHT, least_policy
from optimal_tp.account.registry import Registries
from optimal_tp.cli import command as leftovers
from optimal_tp.cli import table
from optimal_tp.errors import OptimalTpError
from optimal_tp.plan.stack import PROJECT, read_stack, stack_config
from optimal_tp.settings.infra import parse_infra


def main(arguments: typing.Sequence[str], make: Clients | None = None) -> int:
    """Run the command in ``arguments`` and return the exit status. ``make`` makes AWS clients; absent: real ones."""
    parser = argparse.ArgumentParser(
        prog="python -m optimal_tp", description="Ask AWS; only --remove changes anything."
    )
    parser.add_argument("command", choices=("preflight", "leftovers"))
    parser.add_argument("--stack", help="the stack whose file Pulumi.<stack>.yaml is read")
    parser.add_argument("--json", action="store_true", help="the rows for programs")
    parser.add_argument("--policy", action="store_true", help="print the least IAM policy and ask nothing")
    parser.add_argument("--remove", action="store_true", help="of leftovers: ask before each kind, then remove it")
    options = parser.parse_args(arguments)
    if options.remove and (options.json or options.command == "preflight"):
        parser.error("--remove goes with leftovers alone, and asks: it goes without --json")
    if options.policy:
        asked = PREFLIGHT if options.command == "preflight" else LEFTOVERS
        document = least_policy(asked, changes=REMOVALS if options.remove else ())
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0
    if options.stack is None:
        parser.error("--stack is required: it names the stack whose file is read, as --stack dev")
    try:
        if options.command == "preflight":
            return _preflight(options.stack, make, as_json=options.json)
        scope = stack_scope(options.stack)
        settings = scope.settings
        make = clients(settings.region) if make is None else make
        account = require_account(make, settings.region)
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    change = Change(make) if options.remove else None
    return leftovers.report(scope, Inquiry(make), change, account, as_json=options.json)


def stack_scope(stack: str) -> Scope:
    """Return where leftovers of the stack are looked for, whatever its experiment has become. Raises SettingsError."""
    config, file = stack_config(stack, pathlib.Path())
    return Scope(
        settings=parse_infra(config[f"{PROJECT}:infra"], file=file),
        results=Results.read(config.get(f"{PROJECT}:loadtest"), file=file),
    )


def _preflight(name: str, make: Clients | None, *, as_json: bool) -> int:
    stack = read_stack(name, pathlib.Path())
    region, now = stack.infra.region, dt.datetime.now(dt.UTC)
    make = clients(region) if make is None else make
    account = require_account(make, region)
    scene = Scene(
        settings=stack.infra,
        experiment=stack.experiment(),
        ask=Inquiry(make),
        account=account,
        manifest=Registries(),
        has_chart=lambda folder: (pathlib.Path(folder) / "Chart.yaml").is_file(),
        aws_command=shutil.which("aws"),
        now=now,
    )
    found = checks(scene)
    if as_json:
        sys.stdout.write(table.as_json(found, stack=name, account=account, region=region, asked=now) + "\n")
    else:
        table.show(found, rich.console.Console())
    return rows.exit_status(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
