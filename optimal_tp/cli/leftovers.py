"""List what a stack left behind after `pulumi destroy`, with its cost and the commands that remove it.

Exit status: 0 nothing left, 1 something that bills, 2 bad input, 3 something is unknown.
Example: optimal-tp leftovers --stack dev
  optimal-tp leftovers --stack dev --remove
"""

import argparse
import collections.abc
import dataclasses
import json
import pathlib
import sys
import time

from optimal_tp.account.inquiry import ChangingClient, Clients, Inquiry, clients, require_caller, session_of
from optimal_tp.account.leftovers import removal
from optimal_tp.account.leftovers.kinds import Leftover, exit_status
from optimal_tp.account.leftovers.scope import Scope
from optimal_tp.account.leftovers.search import LEFTOVERS, REMOVALS, search
from optimal_tp.account.questions import Ask, least_policy
from optimal_tp.account.stack_outputs import by_command, with_outputs
from optimal_tp.cli.preflight import said_source
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.selection import STACK_HELP, selected_stack
from optimal_tp.errors import OptimalTpError, Problem, SettingsError
from optimal_tp.facts import names
from optimal_tp.plan.stack import namespace_of, results_of
from optimal_tp.settings.infra import parse_infra
from optimal_tp.settings.stack_config import StackConfig, stack_config


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stack", help=STACK_HELP)
    what.add_argument(
        "--policy", action="store_true", help="print the least IAM policy, with --remove also for removing"
    )
    parser.add_argument("--remove", action="store_true", help="ask before each kind, remove it, then look again")


def main(options: argparse.Namespace, make: Clients | None = None) -> int:
    """Show what is left; ``make`` makes AWS clients, by default real ones. Raises OptimalTpError."""
    if options.policy:
        document = least_policy(LEFTOVERS, changes=REMOVALS if options.remove else ())
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0
    if options.remove and (output.is_json(options) or output.is_quiet(options)):
        rule = "must go without --json and --quiet: it asks at the terminal"
        raise SettingsError([Problem(path="--remove", value=..., rule=rule, remedy="")])
    config = stack_config(selected_stack(options.stack, pathlib.Path()), pathlib.Path())
    said_source(config)
    scope = stack_scope(config)
    region = scope.settings.region
    make = clients(region, session_of(config.profile)) if make is None else make
    account = require_caller(make, region).account
    change = ChangingClient(make) if options.remove else None
    return _report(scope, Inquiry(make), change, account, as_json=output.is_json(options), hide=config.hide)


def stack_scope(config: StackConfig) -> Scope:
    """Return where to look for leftovers of the stack, whatever its experiment settings. Raises SettingsError."""
    try:
        results = results_of(config)
        settings = parse_infra(with_outputs(config.sections["infra"], by_command, file=config.file), file=config.file)
        ending = "" if settings.existing is None else names.ending(namespace_of(config), shares=True)
    except OptimalTpError as error:
        raise config.hidden(error) from None
    kept = results.on_destroy == "keep"
    return Scope(settings=settings, bucket=results.bucket, keeps_bucket=kept, ending=ending)


def _report(
    scope: Scope,
    ask: Ask,
    change: removal.Change | None,
    account: str,
    *,
    as_json: bool,
    hide: collections.abc.Callable[[str], str],
) -> int:
    """Print what is left and return the status; with ``change``, first remove what the person agrees to."""
    if change is not None:
        hands = removal.Hands(
            ask=ask,
            change=change,
            agree=lambda question: _agree(hide(question)),
            say=lambda text: sys.stdout.write(f"{hide(text)}\n"),
            pause=time.sleep,
        )
        removal.remove(scope, hands)
    found, unknown = search(scope, ask)
    lines = _json(found, unknown, scope) if as_json else _lines(found, unknown, scope, account)
    sys.stdout.write(hide("\n".join(lines)) + "\n")
    return exit_status(found, unknown)


def _agree(question: str) -> bool:
    """Ask at the terminal; without a terminal the answer is no."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        sys.stdout.write("\n")
        return False


def _lines(
    found: collections.abc.Sequence[Leftover],
    unknown: collections.abc.Sequence[str],
    scope: Scope,
    account: str,
) -> list[str]:
    lines = [f"account {account}, region {scope.region}"]
    lines += [_line(each, scope.region) for each in found]
    lines += [f"unknown: {sentence}" for sentence in unknown]
    if not found and not unknown:
        lines.append("nothing is left of the kinds that this command checks (docs/reference/leftovers.md)")
    return lines + _sum(found)


def _line(each: Leftover, region: str) -> str:
    word = "kept" if each.is_kept else "left"
    why = f" ({each.spared})" if each.spared else ""
    how = f"remove it with: {each.commands(region)}" if each.steps else "it ends by itself"
    return f"{word}: {each.kind} {each.name}{why}: {each.cost()}; {how}"


def _sum(found: collections.abc.Sequence[Leftover]) -> list[str]:
    """Return the total cost and the sources of the prices."""
    billing = [each for each in found if each.bills is not False]
    known = [each.price for each in billing if each.price is not None]
    if not billing:
        return []
    total = sum(price.usd_per_month for price in known)
    unpriced = len(billing) - len(known)
    more = f", without {unpriced} of {len(billing)}, for want of a known price" if unpriced else ""
    sources = dict.fromkeys(f"prices from {price.source}, {price.date}" for price in known)
    return [f"in total {total:.2f} USD a month{more}", *sources]


def _json(found: collections.abc.Sequence[Leftover], unknown: collections.abc.Sequence[str], scope: Scope) -> list[str]:
    rows = [
        {
            "kind": each.kind,
            "name": each.name,
            "bills": each.bills,
            "usd_per_month": each.usd_per_month,
            "price": None if each.price is None else dataclasses.asdict(each.price),
            "is_kept": each.is_kept,
            "spared": each.spared,
            "remove": [step.command(scope.region) for step in each.steps],
        }
        for each in found
    ]
    return [json.dumps({"left": rows, "unknown": list(unknown)}, indent=1)]
