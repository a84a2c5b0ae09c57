"""Inputs of Karpenter and the Neuron chart: NodeOverlay, EC2NodeClass and NodePool specs, chart values."""

import collections.abc
import typing

from optimal_tp.facts.versions import KUBERNETES, KubernetesMinor
from optimal_tp.settings.infra import Registries
from optimal_tp.settings.node_capacity import Neuron

if typing.TYPE_CHECKING:
    import pulumi
from optimal_tp.facts.names import SCHEDULER
from optimal_tp.pods.kubernetes import POOL_LABEL
from optimal_tp.servers.node_pool import KARPENTER_GROUP, NODE_CLASS_GROUP, Spec

NODE_OVERLAY_VERSION = f"{KARPENTER_GROUP}/v1alpha1"
NODE_CLASS_VERSION = f"{NODE_CLASS_GROUP}/v1"


def node_overlay_spec(neuron: Neuron, *, pools: collections.abc.Sequence[str] = ()) -> Spec:
    """Return the overlay with the type's hourly price, without which Karpenter never launches it on demand.

    With ``pools`` it is for these alone, and comes before another stack's for all pools: of two overlays of the same
    weight Karpenter refuses one, whatever their prices (1.14.1, pkg/controllers/nodeoverlay/store.go).
    """
    kind = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [neuron.instance_type]}
    spec: Spec = {"requirements": [kind], "price": f"{neuron.price.usd_per_hour:.4f}"}
    if pools:
        spec["requirements"].append({"key": POOL_LABEL, "operator": "In", "values": list(pools)})
        spec["weight"] = 1
    return spec


def node_class_spec(
    neuron: Neuron,
    *,
    instance_profile: "pulumi.Input[str]",
    subnet_ids: "collections.abc.Sequence[pulumi.Input[str]]",
    security_group_ids: "collections.abc.Sequence[pulumi.Input[str]]",
    tags: collections.abc.Mapping[str, str],
) -> Spec:
    """Return the node class. Everything is named by id, so that no other cluster's tags can match."""
    disk = {
        "volumeSize": f"{neuron.root_volume_gib}Gi",
        "volumeType": "gp3",
        "encrypted": True,
        "deleteOnTermination": True,
    }
    spec: Spec = {
        "amiSelectorTerms": [{"alias": f"al2023@{neuron.ami}"}],
        "instanceProfile": instance_profile,
        "subnetSelectorTerms": [{"id": subnet} for subnet in subnet_ids],
        "securityGroupSelectorTerms": [{"id": group} for group in security_group_ids],
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": disk}],
        # With one hop, pods that are not on the host network cannot use the node's role.
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        # The AWS provider's default tags do not reach Karpenter's instances.
        "tags": dict(tags),
    }
    if neuron.reservation_ids:
        spec["capacityReservationSelectorTerms"] = [{"id": reservation} for reservation in neuron.reservation_ids]
    return spec


def karpenter_values(
    *,
    cluster_name: str,
    region: str,
    queue_name: "pulumi.Input[str]",
    overlays: bool,
    dry_run: bool,
    registries: Registries,
) -> Spec:
    """Return the values of Karpenter's chart.

    ``overlays`` enables the alpha feature gate NodeOverlay; ``dry_run`` makes Karpenter try launches before it accepts
    a node class (karpenter-provider-aws pull request 8350).
    """
    return {
        "serviceAccount": {"name": "karpenter"},
        "settings": {
            "clusterName": cluster_name,
            "interruptionQueue": queue_name,
            "eksControlPlane": True,
            "disableDryRun": not dry_run,
            "featureGates": {"reservedCapacity": True, "nodeOverlay": overlays},
        },
        "controller": {
            "image": {"repository": f"{registries.images}/karpenter/controller"},
            # Set, because the controller would ask the instance metadata, which is one hop too far for a pod.
            "env": [{"name": "AWS_REGION", "value": region}],
            "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        },
    }


def neuron_values(minor: KubernetesMinor, registries: Registries, *, fleet: bool) -> Spec:
    """Return the values of the Neuron chart: device plugin, scheduler extension, and a scheduler that asks it.

    ``fleet`` switches the node problem detector on, which marks a node whose chips fail.
    """
    kubernetes = KUBERNETES[minor]
    return {
        "devicePlugin": {"image": {"repository": f"{registries.images}/neuron/neuron-device-plugin"}},
        "scheduler": {
            "enabled": True,
            "image": {"repository": f"{registries.images}/neuron/neuron-scheduler"},
            "customScheduler": {
                "enabled": True,
                "fullnameOverride": SCHEDULER,
                "image": {
                    "repository": f"{registries.images}/{kubernetes.scheduler_image()}",
                    "tag": kubernetes.scheduler_tag,
                },
            },
        },
        # An experiment's own audit watches its nodes. The chart's recovery, which replaces nodes, stays off: it
        # terminates instances with a role of its own, unknown to Karpenter. Values as in chart 1.10.0.
        "npd": {"enabled": fleet, "nodeRecovery": {"enabled": False}},
    }
