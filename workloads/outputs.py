"""What the experiment puts out, typed: each field is a stack output, its docstring a row of docs/settings.md."""

import typing

import pulumi

from optimal_tp.servers.neuron_pod import await_seconds
from optimal_tp.settings.sections import Serving


class ExperimentOutputs(typing.TypedDict):
    """Outputs of rows 9 to 11."""

    plan: pulumi.Input[list[str]]
    """Which server stands on which node, as the preview prints it."""
    cost: pulumi.Input[list[str]]
    """What that costs by the hour and in all, as the preview prints it."""
    usd_per_hour: pulumi.Input[float]
    """USD an hour while it serves."""
    usd_per_hour_idle: pulumi.Input[float]
    """USD an hour without a Neuron node: control plane, system nodes, NAT gateways."""
    usd_expected: pulumi.Input[float]
    """USD that the whole experiment is expected to cost."""
    budget_usd: pulumi.Input[float]
    """USD that it may cost at most: ``spend.budget_usd``."""
    servers_stop_at: pulumi.Input[str]
    """Moment at which the guard stops the servers, ISO 8601 in UTC; or that nobody does."""
    dashboard_url: pulumi.Input[str]
    """Dashboard of all metrics in CloudWatch."""
    results_uri: pulumi.Input[str]
    """Where samples, verdicts and reports are, ``s3://bucket/prefix``."""
    results_on_destroy: pulumi.Input[str]
    """What ``pulumi destroy`` does with them."""
    watch_command: pulumi.Input[str]
    """Command that follows the run in the terminal."""
    fetch_results_command: pulumi.Input[str]
    """Command that copies all runs into ``out/cluster``."""
    receipt_command: pulumi.Input[str]
    """Command that prints the newest receipt."""
    measure_again_command: pulumi.Input[str]
    """Command that starts another run of the same settings."""
    why_pending_command: pulumi.Input[str]
    """Command that tells why pods have no node."""
    stop_servers_command: pulumi.Input[str]
    """Command that stops all servers, so that their nodes go."""
    end_all_spend_command: pulumi.Input[str]
    """Command that destroys the stack."""


def waiting_lines(serving: Serving) -> tuple[str, ...]:
    """Return, for the preview, how long `up` waits for a node and what its end without one says."""
    minutes = await_seconds(serving) // 60
    line = (
        f"compile Jobs and servers are awaited for {minutes} minutes each; an await that ends with Unschedulable or "
        "Pending in its message got no Neuron node (no capacity, no price, or a limit); the stack output "
        f"why_pending_command says which: {why_pending_command(serving)}"
    )
    return (line,)


def why_pending_command(serving: Serving) -> str:
    """Return the command that shows pods without a node, what Karpenter asked EC2 for, and what came back."""
    return (
        f"kubectl get pods --namespace {serving.namespace} --field-selector status.phase=Pending; "
        f"kubectl get events --namespace {serving.namespace} --field-selector type=Warning; "
        "kubectl describe nodeclaims,nodepools; "
        "kubectl logs --all-namespaces --selector app.kubernetes.io/name=karpenter --tail 50"
    )
