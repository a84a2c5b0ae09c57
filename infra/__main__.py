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
from infra.account.registry import Registries
from infra.errors import OptimalTpError
from infra.leftovers import findings
from infra.leftovers.search import search
from infra.preflight import rows, table
from infra.preflight.checks import checks
from infra.preflight.scene import Scene
from infra.settings import InfraSettings
from infra.stack import read_infra, read_stack


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
        parser.error("--stack is required")
    try:
        if options.command == "preflight":
            return _preflight(options.stack, make, as_json=options.json)
        settings = stack_settings(options.stack)
        make = clients(settings.region) if make is None else make
        account = require_account(make, settings.region)
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return _leftovers(settings, make, account, as_json=options.json)


def stack_settings(stack: str) -> InfraSettings:
    """Return the infra section of the stack's file, read as the program reads it. Raises SettingsError."""
    return read_infra(stack, pathlib.Path())


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
