"""Check your AWS account before you create a stack: quotas, offers, reservations, images, names.

Exit status: 0 nothing is wrong, 1 something is, 2 bad input, 3 something is unknown.
Example: optimal-tp preflight --stack dev
"""

import argparse
import collections.abc
import dataclasses
import datetime as dt
import json
import os
import pathlib
import shutil
import sys

import rich.console

from optimal_tp.account.caller import address, credentials, logins
from optimal_tp.account.inquiry import Clients, Inquiry, clients, require_caller, session_of
from optimal_tp.account.model_files import ModelFiles
from optimal_tp.account.preflight import rows
from optimal_tp.account.preflight.checks import checks
from optimal_tp.account.preflight.context import ExperimentNeeds, Scene
from optimal_tp.account.questions import PREFLIGHT, least_policy
from optimal_tp.account.registry import RegistryClient
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.check_list import print_blocks
from optimal_tp.cli.terminal.selection import STACK_HELP, selected_stack
from optimal_tp.facts import names
from optimal_tp.plan.stack import Stack, read_stack
from optimal_tp.settings.stack_config import StackConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stack", help=STACK_HELP)
    what.add_argument("--policy", action="store_true", help="print the least IAM policy that the checks need")


def main(options: argparse.Namespace, make: Clients | None = None) -> int:
    """Check the stack; ``make`` makes AWS clients, by default real ones. Raises OptimalTpError."""
    if options.policy:
        sys.stdout.write(json.dumps(least_policy(PREFLIGHT), indent=2) + "\n")
        return 0
    name = selected_stack(options.stack, pathlib.Path())
    stack, config = read_stack(name, pathlib.Path(), _model_files)
    said_source(config)
    region, now, session = stack.infra.region, dt.datetime.now(dt.UTC), session_of(config.profile)
    make = clients(region, session) if make is None else make
    caller = require_caller(make, region)
    scene = Scene(
        settings=stack.infra,
        experiment=experiment(stack),
        ask=Inquiry(make),
        account=caller.account,
        caller_arn=caller.arn,
        credentials=credentials(session, os.environ),
        address=address,
        logins=lambda host: logins(host, os.environ),
        manifest=RegistryClient(),
        has_chart=lambda folder: (pathlib.Path(folder) / "Chart.yaml").is_file(),
        aws_command=shutil.which("aws"),
        now=now,
    )
    found = [_without_secrets(row, config) for row in checks(scene)]
    if output.is_json(options):
        sys.stdout.write(_as_json(found, stack=name, account=caller.account, region=region, asked=now) + "\n")
    else:
        print_blocks(found, rich.console.Console(highlight=False))
    return rows.exit_status(found)


def said_source(config: StackConfig) -> None:
    """Say where the settings come from, if not from Pulumi although it is installed."""
    if config.why_the_file:
        sys.stderr.write(
            f"settings are those of {config.file}, without ESC environments and secrets: {config.why_the_file}\n"
        )


def _without_secrets(row: rows.Row, config: StackConfig) -> rows.Row:
    hide = config.hide
    return rows.Row(
        check=hide(row.check),
        state=row.state,
        found=hide(row.found),
        required=hide(row.required),
        remedy=hide(row.remedy),
    )


def _model_files(token: str | None, profile: str | None) -> ModelFiles:
    """Return the reader of model files. Without Pulumi the stack's token cannot be read; the environment's is used."""
    return ModelFiles(token=os.environ.get("HF_TOKEN") if token is None else token, profile=profile)


def experiment(stack: Stack) -> ExperimentNeeds:
    """Return the facts of the stack's experiment that preflight needs."""
    money, loadtest = stack.money, stack.workloads.loadtest
    around_hours = money.cluster_hours + money.leaving_hours
    candidates = {model.slug: model.settings.candidates for model in stack.plan.models}
    return ExperimentNeeds(
        nodes=stack.plan.nodes,
        up_hours=money.cluster_hours,
        expected_hours=money.hours,
        longest_hours=None if money.spend.keep_running else around_hours + money.stop_after_seconds / 3600,
        own_image=loadtest.image,
        bucket=loadtest.results.bucket,
        dashboard=stack.dashboard,
        alarms=tuple(names.alarms(stack.dashboard, candidates, for_ever=money.spend.keep_running)),
    )


def _as_json(
    found: collections.abc.Sequence[rows.Row], *, stack: str, account: str, region: str, asked: dt.datetime
) -> str:
    """Return the rows for programs, with account, region and time of the answers."""
    about = {"stack": stack, "account": account, "region": region, "asked": asked.isoformat(timespec="seconds")}
    told = [dataclasses.asdict(row) for row in found]
    return json.dumps({**about, "exit_status": rows.exit_status(found), "rows": told}, indent=1)
