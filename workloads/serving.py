"""One vLLM server in the cluster."""

import collections.abc
import dataclasses

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import Service
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from optimal_tp.facts.names import PART
from optimal_tp.plan.placement import PlannedServer
from optimal_tp.servers import deployment, neuron_pod
from optimal_tp.servers.vllm import PORT
from workloads.namespace import MADE


@dataclasses.dataclass(frozen=True, kw_only=True)
class VllmServerArgs:
    """Arguments of one server."""

    namespace: pulumi.Input[str]
    site: neuron_pod.Site
    server: PlannedServer
    after: collections.abc.Sequence[pulumi.Resource]
    """The volume, the Neuron nodes' pool, and the guard."""


class VllmServer(pulumi.ComponentResource):
    """vLLM of one candidate. Children: ``<name>-pods``, ``<name>-address``, ``<name>-callers``.

    Takes its Kubernetes provider from ``opts``. ``url`` resolves only inside the cluster.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: VllmServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:workloads:VllmServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical = args.server.name
        callers = NetworkPolicy(
            f"{name}-callers",
            metadata={"name": physical, "namespace": args.namespace},
            spec=deployment.policy_spec(args.server),
            opts=child,
        )
        Deployment(
            f"{name}-pods",
            metadata={
                "name": physical,
                "namespace": args.namespace,
                "labels": {"app": physical, PART: "server"},
                "annotations": MADE,
            },
            # Created without a pod: the load generator starts it, and the guard stops it, by the scale subresource.
            spec=deployment.deployment_spec(args.site, args.server, replicas=0),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Deleted after the nodes' pool, its pod keeps a node from draining until it is forced, while the node
                # is billed. Before its policy is there, anyone may call it.
                depends_on=[*args.after, callers],
                # They decide the number of pods; neither another `up` nor a refresh reverts it.
                ignore_changes=["spec.replicas"],
            ),
        )
        address = Service(
            f"{name}-address",
            metadata={
                "name": physical,
                "namespace": args.namespace,
                # Pulumi would wait for a pod behind the address, but there is none before the server is started.
                "annotations": {"pulumi.com/skipAwait": "true"},
            },
            spec=deployment.service_spec(args.server),
            opts=child,
        )
        host = pulumi.Output.concat(address.metadata.name, ".", args.namespace)
        self.url = pulumi.Output.concat("http://", host, f":{PORT}")
        self.register_outputs({"url": self.url})
