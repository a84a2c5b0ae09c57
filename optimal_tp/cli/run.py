"""Run the experiment against servers of your own.

Exit status: 0 settled, 2 bad settings or targets, 3 inconclusive, 4 void, 5 server or storage failed, 130 interrupted.
Example: optimal-tp run --settings settings.yaml --target 1=http://a:8000 --target 2=http://b:8000 --results out
"""

import argparse
import sys

import uvloop

from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.verdicts import newest, print_verdict
from optimal_tp.cluster.assembly import Assembly, assembled
from optimal_tp.cluster.order import Order, configure_shared, order_of_one, read_order
from optimal_tp.loadgen.command import access
from optimal_tp.plan.expectation import foresight


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="CANDIDATE=URL",
        help="a server at a degree (2=URL), or a degree and its batch (tp2-b16=URL); repeat for others and replicas",
    )
    configure_shared(parser)


def main(arguments: argparse.Namespace) -> int:
    """Print the expected time of the experiment in ``arguments``, run it, and return the exit status."""
    order = asked(arguments)
    with output.beside_json(arguments):
        for model in order.models:
            lines = foresight(model.settings, None, tuple(model.targets), rounds=len(model.rounds or ()) or 1)
            sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        status = uvloop.run(assembled(order, Assembly.run, access.checked(arguments)))
    if output.is_json(arguments):
        print_verdict(newest(order.folder))
    return status


def asked(arguments: argparse.Namespace) -> Order:
    """Return the checked order. Raises SettingsError with every fault of file and command line."""
    return read_order(arguments) or order_of_one(arguments, [])
