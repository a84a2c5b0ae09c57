"""``python -m infra``: what would go wrong on AWS before a stack is made, and what is left after it is gone.

python -m infra preflight --stack dev [--json]    exit 0 nothing wrong, 1 something is, 3 unknown, 2 bad input
python -m infra leftovers --stack dev [--json]    exit 0 nothing left, 1 something that bills, 3 unknown, 2 bad input
python -m infra leftovers --stack dev --remove    asks before each kind whether it is removed, then looks again
python -m infra preflight|leftovers --policy      the least IAM policy that it needs; with --remove, for that too
"""

import argparse
import datetime as dt
import json
import pathlib
import shutil
import sys
import typing

import rich.console

from infra.account.change import Change
from infra.account.inquiry import Clients, Inquiry, clients, require_account
from infra.account.questions import PREFLIGHT, least_policy
from infra.errors import OptimalTpError, Problem, SettingsError
from infra.leftovers import command as leftovers
from infra.leftovers.scope import Results, Scope
from infra.leftovers.search import LEFTOVERS, REMOVALS
from infra.parser import read_yaml
from infra.preflight import making, rows, table
from infra.preflight.checks import checks
from infra.settings import InfraSettings, parse_infra


def main(arguments: typing.Sequence[str], make: Clients | None = None) -> int:
    """Run the command in ``arguments`` and return the exit status. ``make`` makes AWS clients; absent: real ones."""
    parser = argparse.ArgumentParser(prog="python -m infra", description="Ask AWS; only --remove changes anything.")
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
        settings, scope = stack_settings(options.stack), stack_scope(options.stack)
        make = clients(settings.region) if make is None else make
        account = require_account(make, settings.region)
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    if options.command == "preflight":
        return _preflight(settings, make, account, as_json=options.json)
    change = Change(make) if options.remove else None
    return leftovers.report(scope, Inquiry(make), change, account, as_json=options.json)


def stack_settings(stack: str) -> InfraSettings:
    """Return the infra section of the stack's file, read as the program reads it. Raises SettingsError."""
    section = _config(stack).get("optimal-tp:infra")
    path = f"Pulumi.{stack}.yaml"
    if section is None:
        rule = "its file has config.optimal-tp:infra"
        raise SettingsError([Problem(path="--stack", value=stack, rule=rule, remedy=f"add it to {path}")])
    return parse_infra(section, file=path)


def stack_scope(stack: str) -> Scope:
    """Return where leftovers of the stack are looked for. Raises SettingsError."""
    results = Results.read(_config(stack).get("optimal-tp:loadtest"), file=f"Pulumi.{stack}.yaml")
    return Scope(settings=stack_settings(stack), results=results)


def _config(stack: str) -> dict[str, object]:
    path = pathlib.Path(f"Pulumi.{stack}.yaml")
    known = sorted(each.name.split(".")[1] for each in pathlib.Path().glob("Pulumi.*.yaml"))
    remedy = f"name one of: {', '.join(known)}" if known else "run it where the stack files Pulumi.<stack>.yaml are"
    data = read_yaml(path, key="--stack", value=stack, remedy=remedy)
    config = data.get("config") if isinstance(data, dict) else None
    return config if isinstance(config, dict) else {}


def _preflight(settings: InfraSettings, make: Clients, account: str, *, as_json: bool) -> int:
    now = dt.datetime.now(dt.UTC)
    found = checks(settings, Inquiry(make), now=now, aws_command=shutil.which("aws"))
    if as_json:
        sys.stdout.write(making.as_json(found) + "\n")
    else:
        console = rich.console.Console()
        console.print(f"account {account}, region {settings.region}")
        table.show(found, console)
    return rows.exit_status(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
