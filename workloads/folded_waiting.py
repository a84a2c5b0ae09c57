"""What an await that ends without capacity means, said before it begins, and the command that finds out why."""

from optimal_tp.servers.neuron_pod import await_seconds
from optimal_tp.settings.sections import Serving


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
