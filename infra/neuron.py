"""The Neuron nodes: the software on each of them, and the pool from which Karpenter launches them."""

import collections.abc
import dataclasses

import pulumi
import pulumi_kubernetes as kubernetes

from infra import nodes
from optimal_tp.facts import names
from optimal_tp.facts.versions import NEURON, KubernetesMinor
from optimal_tp.servers import node_pool
from optimal_tp.settings.infra import Registries
from optimal_tp.settings.node_capacity import Neuron

_RELEASE_TIMEOUT_SECONDS = 600
_READY = {"pulumi.com/waitFor": "condition=Ready"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronSchedulingArgs:
    """Arguments of the Neuron chart. ``kubernetes`` is the cluster's minor version."""

    kubernetes: KubernetesMinor
    registries: Registries
    fleet: bool
    """Whether nodes outlive the experiment; then the node problem detector watches them."""
    after: collections.abc.Sequence[pulumi.Resource]
    """Nodes to run on, and the DNS by which the schedulers find each other."""


class NeuronScheduling(pulumi.ComponentResource):
    """Device plugin, scheduler extension and ``my-scheduler``. Child: ``<name>-chart``.

    Takes its Kubernetes provider from ``opts``. Without it no Neuron pod is ever marked unschedulable, and Karpenter,
    which waits for that mark, never launches a node.
    """

    scheduler_name: pulumi.Output[str]

    def __init__(self, name: str, args: NeuronSchedulingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:infra:NeuronScheduling", name, None, opts)
        release = kubernetes.helm.v3.Release(
            f"{name}-chart",
            name="neuron",
            # The scheduler calls its extension by a name that the chart ties to this namespace.
            namespace=names.SYSTEM_NAMESPACE,
            chart=NEURON.reference(args.registries.charts),
            version=NEURON.version,
            values=nodes.neuron_values(args.kubernetes, args.registries, fleet=args.fleet),
            atomic=True,
            cleanup_on_fail=True,
            timeout=_RELEASE_TIMEOUT_SECONDS,
            # The schedulers run on the system nodes and find each other by DNS; without either, Helm waits for them in
            # vain.
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.after),
        )
        self.scheduler_name = release.status.apply(lambda _: names.SCHEDULER)
        self.register_outputs({"scheduler_name": self.scheduler_name})


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronPoolArgs:
    """Arguments of the pool. Sequences have at least one entry."""

    neuron: Neuron
    instance_profile: pulumi.Input[str]
    subnet_ids: collections.abc.Sequence[pulumi.Input[str]]
    security_group_ids: collections.abc.Sequence[pulumi.Input[str]]
    tags: collections.abc.Mapping[str, str]
    life_seconds: int | None
    """A node's longest life; None for one without end."""
    ending: str = ""
    """What ends the names of pool, class and price, for a cluster that several stacks use."""
    after: collections.abc.Sequence[pulumi.Resource]
    """Everything needed to launch and terminate a node: Karpenter, the Neuron chart, the cluster, the routes."""


class NeuronPool(pulumi.ComponentResource):
    """The nodes that may be launched. Children: ``<name>-class``, ``-nodes`` and, unless all is reserved, ``-price``.

    Takes its Kubernetes provider from ``opts``. Pods must depend on this component, so that they are deleted before its
    nodes; other pods block a node's drain until ``terminationGracePeriod`` forces it.
    """

    node_pool_name: pulumi.Output[str]

    def __init__(self, name: str, args: NeuronPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:infra:NeuronPool", name, None, opts)
        self._after, self._ending = list(args.after), args.ending
        if args.neuron.karpenter_needs_a_price:
            own = (names.NODE_POOL + args.ending, names.FLEET_NODE_POOL + args.ending) if args.ending else ()
            price = nodes.node_overlay_spec(args.neuron, pools=own)
            # An offer that Karpenter finds without a price stays unavailable for five minutes.
            self._after.append(self._object(f"{name}-price", names.NODE_OVERLAY, "NodeOverlay", price))
        node_class = nodes.node_class_spec(
            args.neuron,
            instance_profile=args.instance_profile,
            subnet_ids=args.subnet_ids,
            security_group_ids=args.security_group_ids,
            tags=args.tags,
        )
        # Its finalizer waits until no node refers to it, for which it needs the controller's rights.
        self._after.append(self._object(f"{name}-class", names.NODE_CLASS, "EC2NodeClass", node_class))
        # With foreground deletion, Pulumi's default, the pool goes once EC2 says that its instances are terminated.
        spec = node_pool.node_pool_spec(
            args.neuron, life_seconds=args.life_seconds, node_class=names.NODE_CLASS + args.ending
        )
        pool = self._object(f"{name}-nodes", names.NODE_POOL, "NodePool", spec)
        self.node_pool_name = pool.id.apply(lambda _: names.NODE_POOL + args.ending)
        self.register_outputs({"node_pool_name": self.node_pool_name})

    def _object(
        self, name: str, object_name: str, kind: str, spec: node_pool.Spec
    ) -> kubernetes.apiextensions.CustomResource:
        versions = {
            "NodeOverlay": nodes.NODE_OVERLAY_VERSION,
            "EC2NodeClass": nodes.NODE_CLASS_VERSION,
            "NodePool": node_pool.NODE_POOL_VERSION,
        }
        return kubernetes.apiextensions.CustomResource(
            name,
            api_version=versions[kind],
            kind=kind,
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=object_name + self._ending, annotations=_READY),
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=self._after,
                # The provider gives up after 10 minutes; draining and terminating a trn2 node can take longer, and a
                # destroy that fails here leaves it running.
                custom_timeouts=pulumi.CustomTimeouts(create="15m", delete="60m"),
            ),
        )
