"""The pool of Neuron nodes as Karpenter is told: for the experiment and for a planned fleet."""

import collections.abc
import typing

from optimal_tp.facts.hardware import NEURON_RESOURCE
from optimal_tp.facts.names import NODE_CLASS
from optimal_tp.settings.node_capacity import Neuron

Spec = dict[str, typing.Any]

KARPENTER_GROUP = "karpenter.sh"
NODE_CLASS_GROUP = "karpenter.k8s.aws"
NODE_POOL_VERSION = f"{KARPENTER_GROUP}/v1"

NEURON_TAINT: typing.Final = {"key": NEURON_RESOURCE, "value": "true", "effect": "NoSchedule"}
"""Keeps pods without a toleration off the expensive nodes; the device plugin tolerates it (chart 1.10.0)."""
EFS_STARTUP_TAINT: typing.Final = {"key": "efs.csi.aws.com/agent-not-ready", "effect": "NoExecute"}
"""Holds pods back until the EFS driver runs there; the driver removes it (aws-efs-csi-driver, docs/install.md)."""


def node_pool_spec(neuron: Neuron, *, life_seconds: int | None, node_class: str = NODE_CLASS) -> Spec:
    """Say which nodes may exist, how many, for how long (None: for ever), and what may remove them.

    Karpenter gives back an empty node only once it was initialised. One whose startup taint stays, or whose cores are
    never offered, it leaves alone for ever but for ``expireAfter`` (1.14.1; kubernetes-sigs/karpenter#3242). A node
    keeps the life that it was launched with, whatever the pool says later.

    The instance type is pinned: left to "any trn2", Karpenter packs the most pods on one node and was seen to launch
    one trn2.48xlarge for three small pods, at eight times the cost of two trn2.3xlarge.
    """
    template: Spec = {
        "nodeClassRef": {"group": NODE_CLASS_GROUP, "kind": "EC2NodeClass", "name": node_class},
        "requirements": [
            _one_of("node.kubernetes.io/instance-type", [neuron.instance_type]),
            _one_of("karpenter.sh/capacity-type", neuron.capacity_types),
            _one_of("topology.kubernetes.io/zone", neuron.zones),
            _one_of("kubernetes.io/arch", ["amd64"]),
            _one_of("kubernetes.io/os", ["linux"]),
        ],
        "taints": [dict(NEURON_TAINT)],
        "startupTaints": [dict(EFS_STARTUP_TAINT)],
        "expireAfter": "Never" if life_seconds is None else f"{life_seconds}s",
        "terminationGracePeriod": f"{neuron.termination_grace_minutes}m",
    }
    return {
        "template": {"spec": template},
        # Karpenter 1.14.1 counts nodes only between its decisions; within one, chips hold
        # (docs/evidence/engines-karpenter.md).
        "limits": {
            "nodes": str(neuron.maximum_nodes),
            NEURON_RESOURCE: str(neuron.maximum_nodes * neuron.hardware.chips),
        },
        "disruption": {
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": f"{neuron.consolidate_after_minutes}m",
            # A drifted node is replaced by launching another first, which a quota of one node never allows; and a
            # replacement in the middle of a measurement spoils it.
            "budgets": [{"nodes": "0", "reasons": ["Drifted"]}, {"nodes": "100%", "reasons": ["Empty"]}],
        },
    }


def _one_of(key: str, values: collections.abc.Iterable[str]) -> Spec:
    return {"key": key, "operator": "In", "values": list(values)}
