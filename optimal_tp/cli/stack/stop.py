"""Stop the run of a stack now: load generator, Jobs and servers, so that Karpenter removes the nodes.

The cluster and the results stay.

Exit status: 0 everything is stopped, 2 a bad stack, 5 kubectl is missing or the cluster refuses.
Example: optimal-tp stop
  optimal-tp stop --stack dev --json
"""

import argparse
import json
import pathlib
import sys

from optimal_tp.cli.stack.kubectl import kubectl_of
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.selection import STACK_HELP, selected_stack
from optimal_tp.cluster.sightings import job
from optimal_tp.errors import quantity
from optimal_tp.facts.names import PART


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--stack", help=STACK_HELP)


def main(options: argparse.Namespace) -> int:
    """Stop what holds or would take nodes, the load generator first, and print what ran. Raises OptimalTpError.

    A load generator that is left running starts the servers again at its next round or restart.
    """
    stack = selected_stack(options.stack, pathlib.Path())
    with kubectl_of(stack) as kubectl:
        parts = kubectl.items("deployments", "--selector", PART)
        seen = [job(each) for each in kubectl.items("jobs", "--selector", PART)]
        jobs = [each.name for each in seen if each.ending is None and not each.is_suspended]
        going = [each["metadata"] for each in parts if each["spec"].get("replicas", 1)]
        servers = sorted(each["name"] for each in going if each["labels"][PART] == "server")
        generators = sorted({each["name"] for each in going} - {*servers})
        if generators:
            kubectl("scale", "--replicas", "0", *(f"deployment/{name}" for name in generators))
        for name in jobs:
            kubectl("patch", f"job/{name}", "--type", "merge", "--patch", '{"spec": {"suspend": true}}')
        if servers:
            kubectl("scale", "--replicas", "0", *(f"deployment/{name}" for name in servers))
    running = [*generators, *jobs, *servers]
    rest = len(parts) - len(going)
    if output.is_json(options):
        told = {"stack": stack, "cluster": kubectl.name, "namespace": kubectl.namespace}
        sys.stdout.write(json.dumps({**told, "stopped": running, "already_stopped": rest}, indent=1) + "\n")
        return 0
    where = f"in namespace {kubectl.namespace} of cluster {kubectl.name}"
    if not running:
        sys.stdout.write(f"nothing runs {where} ({quantity(rest, 'is', 'are')} stopped already)\n")
        return 0
    sys.stdout.write(f"stopped {where}: {', '.join(running)}\n")
    if generators:
        again = f"kubectl --namespace {kubectl.namespace} scale --replicas 1 deployment/{generators[0]}"
        sys.stdout.write(f"The run goes on where it was, until its deadline, after: {again}\n")
    sys.stdout.write("Karpenter removes their nodes after infra.neuron.consolidate_after_minutes; the rest of the\n")
    sys.stdout.write(f"stack bills until: pulumi destroy --stack {stack}\n")
    return 0
