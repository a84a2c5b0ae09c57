"""What Karpenter and the Neuron chart are told, before any Pulumi: specs and values as data."""

import typing

import pytest

from infra.nodes import karpenter_values, neuron_values, node_class_spec, node_overlay_spec
from optimal_tp.facts.names import NODE_CLASS, SCHEDULER
from optimal_tp.facts.versions import KubernetesMinor
from optimal_tp.servers.node_pool import node_pool_spec
from optimal_tp.settings.infra import Registries
from optimal_tp.settings.node_capacity import Neuron


def neuron(**changes: object) -> Neuron:
    """Return settings of a reserved trn2.3xlarge pool, with ``changes``."""
    least: dict[str, object] = {
        "zones": ["ap-southeast-4c"],
        "capacity_types": ["reserved"],
        "reservation_ids": ["cr-0a"],
        "price": {"usd_per_hour": 2.235, "source": "a test", "date": "2026-10-03"},
    }
    return Neuron.model_validate({**least, **changes})


def class_spec(**changes: object) -> dict[str, typing.Any]:
    """Return the EC2NodeClass spec of ``neuron(**changes)``."""
    return node_class_spec(
        neuron(**changes),
        instance_profile="nodes",
        subnet_ids=["subnet-0a", "subnet-0b"],
        security_group_ids=["sg-0a"],
        tags={"stack": "dev"},
    )


def requirement(spec: dict[str, typing.Any], key: str) -> dict[str, typing.Any]:
    """Return the one requirement of a pool on ``key``."""
    (found,) = [each for each in spec["template"]["spec"]["requirements"] if each["key"] == key]
    return typing.cast("dict[str, typing.Any]", found)


def test_the_type_is_pinned() -> None:
    """One instance type, never a family: a family was seen to launch one trn2.48xlarge for three small pods."""
    spec = node_pool_spec(neuron(), life_seconds=None)

    assert requirement(spec, "node.kubernetes.io/instance-type") == {
        "key": "node.kubernetes.io/instance-type",
        "operator": "In",
        "values": ["trn2.3xlarge"],
    }
    assert "karpenter.k8s.aws/instance-family" not in str(spec)


def test_zones_and_capacity_of_the_pool() -> None:
    """The pool launches where and as what the settings say."""
    spec = node_pool_spec(neuron(zones=["ap-southeast-4a", "ap-southeast-4c"]), life_seconds=None)

    assert requirement(spec, "topology.kubernetes.io/zone")["values"] == ["ap-southeast-4a", "ap-southeast-4c"]
    assert requirement(spec, "karpenter.sh/capacity-type")["values"] == ["reserved"]


@pytest.mark.parametrize(("instance_type", "nodes", "chips"), [("trn2.3xlarge", 3, "3"), ("trn2.48xlarge", 2, "32")])
def test_limits_count_nodes_and_chips(instance_type: str, nodes: int, chips: str) -> None:
    """The pool is limited in nodes and in Neuron devices, as quantities."""
    spec = node_pool_spec(neuron(instance_type=instance_type, maximum_nodes=nodes), life_seconds=None)

    assert spec["limits"] == {"nodes": str(nodes), "aws.amazon.com/neuron": chips}


def test_nothing_replaces_a_node_in_use() -> None:
    """Only empty nodes are removed; drift never replaces one; without a life time none expires."""
    spec = node_pool_spec(neuron(), life_seconds=None)

    assert spec["disruption"] == {
        "consolidationPolicy": "WhenEmpty",
        "consolidateAfter": "10m",
        "budgets": [{"nodes": "0", "reasons": ["Drifted"]}, {"nodes": "100%", "reasons": ["Empty"]}],
    }
    assert spec["template"]["spec"]["expireAfter"] == "Never"


def test_a_life_time() -> None:
    """A life time is one that Karpenter reads."""
    spec = node_pool_spec(neuron(termination_grace_minutes=15), life_seconds=12345)

    assert spec["template"]["spec"]["expireAfter"] == "12345s"
    assert spec["template"]["spec"]["terminationGracePeriod"] == "15m"


def test_taints_keep_others_off() -> None:
    """Neuron nodes take only pods that tolerate them, and none before the file system's driver is there."""
    template = node_pool_spec(neuron(), life_seconds=None)["template"]["spec"]

    assert template["taints"] == [{"key": "aws.amazon.com/neuron", "value": "true", "effect": "NoSchedule"}]
    assert template["startupTaints"] == [{"key": "efs.csi.aws.com/agent-not-ready", "effect": "NoExecute"}]


def test_the_pool_refers_to_the_class() -> None:
    """The reference names group, kind and name of our class."""
    reference = node_pool_spec(neuron(), life_seconds=None)["template"]["spec"]["nodeClassRef"]

    assert reference == {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": NODE_CLASS}


def test_a_node_is_made_of_what_is_named() -> None:
    """AMI, subnets, group and reservation are named one by one, never selected by tags."""
    spec = class_spec()

    assert spec["amiSelectorTerms"] == [{"alias": "al2023@v20260714"}]
    assert spec["subnetSelectorTerms"] == [{"id": "subnet-0a"}, {"id": "subnet-0b"}]
    assert spec["securityGroupSelectorTerms"] == [{"id": "sg-0a"}]
    assert spec["capacityReservationSelectorTerms"] == [{"id": "cr-0a"}]
    assert spec["instanceProfile"] == "nodes"
    assert "role" not in spec


def test_no_reservation_no_term() -> None:
    """Without reservations the selector is absent; an empty one would be refused."""
    spec = class_spec(capacity_types=["on-demand"], reservation_ids=[])

    assert "capacityReservationSelectorTerms" not in spec


def test_the_disk_goes_with_the_node() -> None:
    """The root volume has the size of the settings, is encrypted, and is deleted with its instance."""
    mapping = class_spec(root_volume_gib=321)["blockDeviceMappings"]

    assert mapping == [
        {
            "deviceName": "/dev/xvda",
            "ebs": {"volumeSize": "321Gi", "volumeType": "gp3", "encrypted": True, "deleteOnTermination": True},
        }
    ]


def test_pods_cannot_take_the_nodes_role() -> None:
    """Instance metadata want a token and answer one hop, which a pod is too far away for."""
    options = class_spec()["metadataOptions"]

    assert (options["httpTokens"], options["httpPutResponseHopLimit"]) == ("required", 1)


def test_a_price_for_the_pinned_type_only() -> None:
    """The overlay has one requirement, on the instance type, and an absolute price as text."""
    spec = node_overlay_spec(neuron())

    assert spec == {
        "requirements": [
            {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["trn2.3xlarge"]},
        ],
        "price": "2.2350",
    }


@pytest.mark.parametrize(("overlays", "dry_run"), [(True, True), (False, False)])
def test_karpenter_values(*, overlays: bool, dry_run: bool) -> None:
    """The controller knows cluster, queue, region and gates, and whether it tries launches out."""
    values = karpenter_values(
        cluster_name="one",
        region="sa-east-1",
        queue_name="queue",
        overlays=overlays,
        dry_run=dry_run,
        registries=Registries(),
    )

    assert values["settings"] == {
        "clusterName": "one",
        "interruptionQueue": "queue",
        "eksControlPlane": True,
        "disableDryRun": not dry_run,
        "featureGates": {"reservedCapacity": True, "nodeOverlay": overlays},
    }
    assert values["controller"]["env"] == [{"name": "AWS_REGION", "value": "sa-east-1"}]
    assert values["controller"]["image"] == {"repository": "public.ecr.aws/karpenter/controller"}


@pytest.mark.parametrize(("minor", "tag"), [("1.35", "v1.35.8-eks-1-35-15"), ("1.36", "v1.36.4-eks-1-36-9")])
def test_the_scheduler_is_of_the_clusters_minor(minor: KubernetesMinor, tag: str) -> None:
    """The extension is on and ``my-scheduler`` is EKS Distro's scheduler of the same minor version."""
    scheduler = neuron_values(minor, Registries(), fleet=False)["scheduler"]

    assert scheduler["enabled"] is True
    assert scheduler["customScheduler"] == {
        "enabled": True,
        "fullnameOverride": SCHEDULER,
        "image": {"repository": "public.ecr.aws/eks-distro/kubernetes/kube-scheduler", "tag": tag},
    }


def test_every_image_comes_from_the_mirror() -> None:
    """A mirror that the settings name is the mirror of every image, and the problem detector stays off."""
    values = neuron_values("1.35", Registries(images="mirror.example/ecr"), fleet=False)
    repositories = [
        values["devicePlugin"]["image"]["repository"],
        values["scheduler"]["image"]["repository"],
        values["scheduler"]["customScheduler"]["image"]["repository"],
    ]

    assert all(repository.startswith("mirror.example/ecr/") for repository in repositories)


@pytest.mark.parametrize("fleet", [False, True])
def test_the_problem_detector_watches_fleets_alone(*, fleet: bool) -> None:
    """Nodes of an experiment are audited; nobody but Karpenter replaces a node in either case."""
    values = neuron_values("1.35", Registries(), fleet=fleet)

    assert values["npd"] == {"enabled": fleet, "nodeRecovery": {"enabled": False}}
