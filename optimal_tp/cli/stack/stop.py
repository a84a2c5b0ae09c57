"""Stop the servers of a stack now, so that Karpenter removes their nodes. The cluster and the results stay.

Exit status: 0 all servers are stopped, 2 a bad stack, 5 kubectl is missing or the cluster refuses.
Example: optimal-tp stop
  optimal-tp stop --stack dev --json
"""

import argparse
import json
import pathlib
import sys

from optimal_tp.cli.stack.kubectl import kubectl_of
from optimal_tp.cli.stack.results import STACK_HELP
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.selection import selected_stack
from optimal_tp.facts.names import PART


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--stack", help=STACK_HELP)


def main(options: argparse.Namespace) -> int:
    """Scale every server of the experiment to 0 and print the ones that ran. Raises OptimalTpError."""
    stack = selected_stack(options.stack, pathlib.Path())
    with kubectl_of(stack) as kubectl:
        servers = kubectl.items("deployments", "--selector", f"{PART}=server")
        running = sorted(each["metadata"]["name"] for each in servers if each["spec"].get("replicas", 1))
        if running:
            kubectl("scale", "--replicas", "0", *(f"deployment/{name}" for name in running))
    rest = len(servers) - len(running)
    if output.is_json(options):
        told = {"stack": stack, "cluster": kubectl.name, "namespace": kubectl.namespace}
        sys.stdout.write(json.dumps({**told, "stopped": running, "already_stopped": rest}, indent=1) + "\n")
        return 0
    where = f"in namespace {kubectl.namespace} of cluster {kubectl.name}"
    if not running:
        sys.stdout.write(f"no server runs {where} ({rest} are stopped already)\n")
        return 0
    sys.stdout.write(f"stopped {where}: {', '.join(running)}\n")
    sys.stdout.write("Karpenter removes their nodes after infra.neuron.consolidate_after_minutes; the rest of the\n")
    sys.stdout.write(f"stack bills until: pulumi destroy --stack {stack}\n")
    return 0
