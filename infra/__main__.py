"""``python -m infra``: what would go wrong on AWS before a stack is made, and what is left after it is gone.

python -m infra preflight --stack dev [--json]    exit 0 nothing wrong, 1 something is, 3 unknown, 2 bad input
python -m infra leftovers --stack dev             exit 0 nothing left, 1 something that bills, 3 unknown, 2 bad input
python -m infra preflight|leftovers --policy      the least IAM policy that it needs
"""

import argparse
import datetime as dt
import json
import pathlib
import shutil
import sys
import typing

import rich.console

from infra.account.inquiry import Clients, Inquiry, clients, require_account
from infra.account.questions import LEFTOVERS, PREFLIGHT, least_policy
from infra.errors import OptimalTpError, Problem, SettingsError
from infra.leftovers import findings
from infra.leftovers.search import search
from infra.parser import read_yaml
from infra.preflight import making, rows, table
from infra.preflight.checks import checks
from infra.settings import InfraSettings, parse_infra


def main(arguments: typing.Sequence[str], make: Clients | None = None) -> int:
    """Run the command in ``arguments`` and return the exit status. ``make`` makes AWS clients; absent: real ones."""
    parser = argparse.ArgumentParser(prog="python -m infra", description="Ask AWS; nothing is changed.")
    parser.add_argument("command", choices=("preflight", "leftovers"))
    parser.add_argument("--stack", help="the stack whose file Pulumi.<stack>.yaml is read")
    parser.add_argument("--json", action="store_true", help="the rows for programs")
    parser.add_argument("--policy", action="store_true", help="print the least IAM policy and ask nothing")
    options = parser.parse_args(arguments)
    if options.policy:
        asked = PREFLIGHT if options.command == "preflight" else LEFTOVERS
        sys.stdout.write(json.dumps(least_policy(asked), indent=2) + "\n")
        return 0
    if options.stack is None:
        parser.error("--stack is required: it names the stack whose file is read, as --stack dev")
    try:
        settings = stack_settings(options.stack)
        make = clients(settings.region) if make is None else make
        account = require_account(make, settings.region)
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    if options.command == "preflight":
        return _preflight(settings, make, account, as_json=options.json)
    return _leftovers(settings, make, account, as_json=options.json)


def stack_settings(stack: str) -> InfraSettings:
    """Return the infra section of the stack's file, read as the program reads it. Raises SettingsError."""
    path = pathlib.Path(f"Pulumi.{stack}.yaml")
    known = sorted(each.name.split(".")[1] for each in pathlib.Path().glob("Pulumi.*.yaml"))
    remedy = f"name one of: {', '.join(known)}" if known else "run it where the stack files Pulumi.<stack>.yaml are"
    data = read_yaml(path, key="--stack", value=stack, remedy=remedy)
    config = data.get("config") if isinstance(data, dict) else None
    section = config.get("optimal-tp:infra") if isinstance(config, dict) else None
    if section is None:
        rule = "its file has config.optimal-tp:infra"
        raise SettingsError([Problem(path="--stack", value=stack, rule=rule, remedy=f"add it to {path}")])
    return parse_infra(section, file=path.name)


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


def _leftovers(settings: InfraSettings, make: Clients, account: str, *, as_json: bool) -> int:
    found, unknown = search(settings, Inquiry(make))
    if as_json:
        sys.stdout.write(json.dumps({"left": [vars(each) for each in found], "unknown": unknown}, indent=1) + "\n")
        return findings.exit_status(found, unknown)
    lines = [f"account {account}, region {settings.region}"]
    for each in found:
        cost = "bills, price not known here" if each.bills else "costs nothing"
        cost = cost if each.usd_per_month is None else f"{each.usd_per_month:.2f} USD a month"
        lines.append(f"left: {each.kind} {each.name}: {cost}; remove it with: {each.remove}")
    lines += [f"unknown: {sentence}" for sentence in unknown]
    lines += [] if found or unknown else ["nothing is left of what this command looks for (docs/preflight.md)"]
    sys.stdout.write("\n".join(lines) + "\n")
    return findings.exit_status(found, unknown)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
