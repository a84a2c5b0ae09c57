"""One vLLM server in the cluster."""

import collections.abc
import dataclasses

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import Service
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from optimal_tp.plan.placement import PlannedServer
from optimal_tp.servers import deployment, neuron_pod
from optimal_tp.servers.vllm import PORT

PART = "optimal-tp/part"
"""Label by which a person finds all servers at once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VllmServerArgs:
    """What one server needs."""

    namespace: pulumi.Input[str]
    site: neuron_pod.Site
    server: PlannedServer
    starts: bool
    """True if it runs before any turn is taken."""
    after: collections.abc.Sequence[pulumi.Resource]
    """Its compiled artifacts and the Neuron nodes."""


class VllmServer(pulumi.ComponentResource):
    """vLLM of one candidate. Children: ``<name>-pods``, ``<name>-address``, ``<name>-callers``.

    Takes its Kubernetes provider from ``opts``. ``url`` resolves only inside the cluster.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: VllmServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:VllmServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical = args.server.name
        patience = f"{neuron_pod.await_seconds(args.site.serving)}s"
        callers = NetworkPolicy(
            f"{name}-callers",
            metadata={"name": physical, "namespace": args.namespace},
            spec=deployment.policy_spec(args.server),
            opts=child,
        )
        Deployment(
            f"{name}-pods",
            metadata={"name": physical, "namespace": args.namespace, "labels": {"app": physical, PART: "server"}},
            # How many pods there are is said by the load generator and the guard, through the scale subresource. What
            # Pulumi does not say it neither claims nor changes back: Kubernetes makes one pod of an absent number.
            spec=deployment.deployment_spec(args.site, args.server, replicas=None if args.starts else 0),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Without artifacts it would compile into a volume that it cannot write. Deleted after the nodes'
                # pool, its pod keeps a node from draining until it is forced, while the node is billed. Before its
                # policy is there, anyone may call it.
                depends_on=[*args.after, callers],
                custom_timeouts=pulumi.CustomTimeouts(create=patience, update=patience),
                # One that waits for its turn has to be made without a pod.
                ignore_changes=None if args.starts else ["spec.replicas"],
            ),
        )
        address = Service(
            f"{name}-address",
            metadata={
                "name": physical,
                "namespace": args.namespace,
                # Pulumi would wait for a pod behind the address, and a server that waits for its turn has none.
                "annotations": {"pulumi.com/skipAwait": "true"},
            },
            spec=deployment.service_spec(args.server),
            opts=child,
        )
        host = pulumi.Output.concat(address.metadata.name, ".", args.namespace)
        self.url = pulumi.Output.concat("http://", host, f":{PORT}")
        self.register_outputs({"url": self.url})
