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
import typing

from optimal_tp.cli.stack.kubectl import kubectl_of
from optimal_tp.cli.stack.results import STACK_HELP
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.selection import selected_stack
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
        jobs = [_name(each) for each in kubectl.items("jobs", "--selector", PART) if _runs(each)]
        going = [each for each in parts if each["spec"].get("replicas", 1)]
        generators, servers = (
            sorted(_name(each) for each in going if (_part(each) == "server") == is_server)
            for is_server in (False, True)
        )
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
        sys.stdout.write(f"nothing runs {where} ({rest} are stopped already)\n")
        return 0
    sys.stdout.write(f"stopped {where}: {', '.join(running)}\n")
    if generators:
        again = f"kubectl --namespace {kubectl.namespace} scale --replicas 1 deployment/{generators[0]}"
        sys.stdout.write(f"The run goes on where it was, until its deadline, after: {again}\n")
    sys.stdout.write("Karpenter removes their nodes after infra.neuron.consolidate_after_minutes; the rest of the\n")
    sys.stdout.write(f"stack bills until: pulumi destroy --stack {stack}\n")
    return 0


def _name(found: dict[str, typing.Any]) -> str:
    return str(found["metadata"]["name"])


def _part(found: dict[str, typing.Any]) -> str:
    return str(found["metadata"].get("labels", {}).get(PART))


def _runs(job: dict[str, typing.Any]) -> bool:
    """Return whether ``job`` has neither ended nor is suspended."""
    conditions = job.get("status", {}).get("conditions", [])
    ended = any(each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in conditions)
    return not ended and not job["spec"].get("suspend", False)
