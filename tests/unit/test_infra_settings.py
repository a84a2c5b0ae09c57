"""The infra section: what it refuses, in which words, and what it fills in."""

import copy
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.settings.infra import InfraSettings, parse_infra, require_region

Data = dict[str, typing.Any]

SMALLEST: Data = {
    "zones": ["ap-southeast-4c", "ap-southeast-4a"],
    "neuron": {
        "zones": ["ap-southeast-4c"],
        "capacity_types": ["reserved"],
        "reservation_ids": ["cr-0a"],
        "price": {"usd_per_hour": 2.25, "source": "a test", "date": "2026-10-03"},
    },
}
EXISTING: Data = {
    "cluster_name": "theirs",
    "oidc_provider_arn": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.ap-southeast-4.amazonaws.com/id/AB",
    "context": "theirs",
    "file_system_id": "fs-0a",
    "subnet_ids": ["subnet-0a"],
    "security_group_ids": ["sg-0a"],
    "instance_profile": "theirs-node",
}


def changed(**changes: object) -> Data:
    """Return the smallest section with ``changes``; a dotted key is spelt with two underscores."""
    data = copy.deepcopy(SMALLEST)
    for path, value in changes.items():
        *sections, key = path.split("__")
        section = data
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = value
    return data


def refusal(data: Data) -> str:
    """Return the whole message with which ``data`` is refused."""
    with pytest.raises(SettingsError) as refused:
        parse_infra(data, file="Pulumi.test.yaml")
    return str(refused.value)


def parsed(**changes: object) -> InfraSettings:
    """Return the smallest section with ``changes``, parsed."""
    return parse_infra(changed(**changes), file="Pulumi.test.yaml")


def test_smallest_section() -> None:
    """Zones, a reservation and a price are all that has to be said."""
    settings = parsed()

    assert settings.region == "ap-southeast-4"
    assert settings.neuron.ami == "v20260714"
    assert settings.neuron.hardware.logical_cores == 4
    assert settings.control_plane.public_access_cidrs == ()


def test_numbers_are_taken_where_text_is_meant() -> None:
    """YAML and `pulumi config set` write numbers for them; a day without quotes is midnight by the time it is here."""
    price = {"usd_per_hour": 2.25, "source": 4711, "date": "2026-10-03T00:00:00Z"}
    settings = parsed(kubernetes=1.35, tags={"CostCenter": 4711}, neuron__price=price)

    assert (settings.kubernetes, settings.tags) == ("1.35", {"CostCenter": "4711"})
    assert (settings.neuron.price.source, settings.neuron.price.date) == ("4711", "2026-10-03")


def test_settings_do_not_change() -> None:
    """What was parsed stays as it was."""
    settings = parsed()

    with pytest.raises(ValueError, match="frozen"):
        settings.cluster_name = "other"  # type: ignore[misc]


REFUSED: dict[str, tuple[Data, str]] = {
    "unknown key": (
        changed(neuron__instance_typ="trn2.3xlarge"),
        (
            "infra.neuron.instance_typ is 'trn2.3xlarge'; no such key; known keys here: ami_release, capacity_types, "
            "consolidate_after_minutes, instance_type, maximum_nodes, pair, price, "
            "reservation_ids, root_volume_gib, termination_grace_minutes, zones; "
            "remove or rename it in Pulumi.test.yaml"
        ),
    ),
    "a word that YAML reads otherwise": (
        changed(tags={"critical": True}),
        (
            "infra.tags.critical is True; it is text, and YAML takes it for true or false; put it in quotes in "
            "Pulumi.test.yaml"
        ),
    ),
    "an AMI that panics": (
        changed(neuron__ami_release="v20260625"),
        (
            "infra.neuron.ami_release is 'v20260625'; no node runs an AMI that is known to fail: its kernel panics "
            "when a network interface is taken away, as the network plugin does (amzn/amzn-drivers issues 379 and 380, "
            "awslabs/amazon-eks-ami pull request 2757); remove ami_release, which takes v20260714"
        ),
    ),
    "an add-on that does harm": (
        changed(addons__efs_csi_driver="v2.1.7-eksbuild.1"),
        (
            "infra.addons.efs_csi_driver is 'v2.1.7-eksbuild.1'; it is v2.3.0 or newer: older ones may leave their "
            "startup taint on a node, which then never takes a pod and bills on (kubernetes-sigs/aws-efs-csi-driver "
            "issues 1320, 1491 and 1613); edit Pulumi.test.yaml"
        ),
    ),
    "a kube-proxy of another minor": (
        changed(addons__kube_proxy="v1.36.0-eksbuild.13"),
        (
            "infra.addons.kube_proxy is 'v1.36.0-eksbuild.13'; kube-proxy is of the cluster's own minor (1.35); "
            "edit Pulumi.test.yaml"
        ),
    ),
    "one zone": (
        changed(zones=["ap-southeast-4c"]),
        (
            "infra.zones is ['ap-southeast-4c']; there are two to six zones (EKS wants two), each named once; "
            "edit Pulumi.test.yaml"
        ),
    ),
    "zones of two regions": (
        changed(zones=["ap-southeast-4c", "us-east-2a"]),
        "infra.zones[1] is 'us-east-2a'; all zones lie in one region (ap-southeast-4); edit Pulumi.test.yaml",
    ),
    "a region for a zone": (
        changed(zones=["ap-southeast-4", "ap-southeast-4a"]),
        (
            "infra.zones[0] is 'ap-southeast-4'; string should match pattern '^[a-z]{2}(-[a-z]+)+-\\d[a-z]$'; "
            "edit Pulumi.test.yaml"
        ),
    ),
    "nodes outside the network": (
        changed(neuron__zones=["ap-southeast-4b"]),
        (
            "infra.neuron.zones[0] is 'ap-southeast-4b'; it is one of infra.zones (ap-southeast-4c, ap-southeast-4a); "
            "edit Pulumi.test.yaml"
        ),
    ),
    "a type that the region has not": (
        changed(neuron__instance_type="trn2.48xlarge"),
        (
            "infra.neuron.instance_type is 'trn2.48xlarge'; ap-southeast-4 did not offer it on 2026-10-03; us-east-2, "
            "ap-south-2 did; move the stack, or add the region to optimal_tp/facts/hardware.py if AWS offers it by now"
        ),
    ),
    "no price": (
        changed(neuron={"zones": ["ap-southeast-4c"], "reservation_ids": ["cr-0a"]}),
        "infra.neuron.price is not set; this key is required; add it to Pulumi.test.yaml",
    ),
    "a price without its source": (
        changed(neuron__price={"usd_per_hour": 2.25, "date": "2026-10-03"}),
        "infra.neuron.price.source is not set; this key is required; add it to Pulumi.test.yaml",
    ),
    "other system nodes at the price of these": (
        changed(system_nodes={"instance_type": "m7i.2xlarge"}),
        (
            "infra.prices.system_node.usd_per_hour is 0.1008; the price that is known without being told is "
            "m7i.large's, and system_nodes are m7i.2xlarge; set what an hour of m7i.2xlarge costs"
        ),
    ),
    "reserved without a reservation": (
        changed(neuron__reservation_ids=[]),
        (
            "infra.neuron.reservation_ids is []; reservations are named exactly when capacity_types has 'reserved'; "
            "edit Pulumi.test.yaml"
        ),
    ),
    "a reservation that nobody asks for": (
        changed(neuron__capacity_types=["spot"]),
        (
            "infra.neuron.reservation_ids is ['cr-0a']; reservations are named exactly when capacity_types has "
            "'reserved'; edit Pulumi.test.yaml"
        ),
    ),
    "no capacity": (
        changed(neuron__capacity_types=[], neuron__reservation_ids=[]),
        "infra.neuron.capacity_types is []; at least one is named; edit Pulumi.test.yaml",
    ),
    "the same zone twice": (
        changed(neuron__zones=["ap-southeast-4c", "ap-southeast-4c"]),
        "infra.neuron.zones is ['ap-southeast-4c', 'ap-southeast-4c']; each is named once; edit Pulumi.test.yaml",
    ),
    "image and AMI apart": (
        changed(neuron__pair="neuronx-0.9.1", neuron__ami_release="v20260903"),
        (
            "infra.neuron.ami_release is 'v20260903'; image and AMI fit each other, but its driver 2.30.2.0 wants a "
            "runtime of 2.33 or newer, and the image is 0.9.1-neuronx-py311-sdk2.26.1-ubuntu22.04 (runtime 2.28.23.0); "
            "remove ami_release or choose another pair"
        ),
    ),
    "a pair that the Kubernetes has not": (
        changed(kubernetes="1.36", neuron__pair="neuronx-0.9.1"),
        (
            "infra.neuron.pair is 'neuronx-0.9.1'; no AMI of Kubernetes 1.36 has a driver that its image accepts; it "
            "runs on 1.35; choose another pair or another infra.kubernetes"
        ),
    ),
    "the whole internet": (
        changed(control_plane__public_access_cidrs=["203.0.113.0/24", "0.0.0.0/0"]),
        (
            "infra.control_plane.public_access_cidrs[1] is '0.0.0.0/0'; the API server is not opened to the whole "
            "internet; name the networks you work from"
        ),
    ),
    "no network": (
        changed(control_plane__public_access_cidrs=["203.0.113.7/24"]),
        (
            "infra.control_plane.public_access_cidrs[0] is '203.0.113.7/24'; it is an IPv4 network such as "
            "203.0.113.7/32; edit Pulumi.test.yaml"
        ),
    ),
    "a VPC too small": (
        changed(network__cidr="10.0.0.0/24"),
        (
            "infra.network.cidr is '10.0.0.0/24'; it is an IPv4 network of /16 to /20, such as 10.42.0.0/16; "
            "edit Pulumi.test.yaml"
        ),
    ),
    "no VPC": (
        changed(network__cidr="ten"),
        "infra.network.cidr is 'ten'; it is an IPv4 network of /16 to /20, such as 10.42.0.0/16; edit Pulumi.test.yaml",
    ),
    "flow logs of a VPC that is not ours": (
        changed(
            network={
                "flow_log_days": 7,
                "existing": {"vpc_id": "vpc-0a", "private_subnet_ids": {"ap-southeast-4c": "subnet-0a"}},
            }
        ),
        (
            "infra.network.existing.vpc_id is 'vpc-0a'; a "
            "VPC that exists is not changed, so flow_log_days has no effect beside it; "
            "remove network.flow_log_days or network.existing"
        ),
    ),
    "a zone without a subnet": (
        changed(
            network__existing={"vpc_id": "vpc-0a", "private_subnet_ids": {"ap-southeast-4c": "subnet-0a"}},
        ),
        (
            "infra.network.existing.private_subnet_ids is ['ap-southeast-4c']; there is one subnet for each of "
            "infra.zones (ap-southeast-4c, ap-southeast-4a); edit Pulumi.test.yaml"
        ),
    ),
    "a controller's tag": (
        changed(tags={"karpenter.sh/nodepool": "mine"}),
        (
            "infra.tags.karpenter.sh/nodepool is 'mine'; AWS, EKS and Karpenter keep keys that "
            "begin with 'karpenter.sh/' to themselves; edit Pulumi.test.yaml"
        ),
    ),
    "a new cluster beside an existing one": (
        changed(existing=EXISTING, system_nodes={"disk_gib": 99}),
        (
            "infra.existing.cluster_name is 'theirs'; a cluster that exists is not changed, so "
            "infra.system_nodes has no effect "
            "beside it; remove infra.system_nodes or infra.existing"
        ),
    ),
    "a name for a cluster that has one": (
        changed(existing=EXISTING, cluster_name="ours"),
        (
            "infra.existing.cluster_name is 'theirs'; a cluster that exists is not changed, so infra.cluster_name "
            "has no effect beside it; remove infra.cluster_name or infra.existing"
        ),
    ),
    "no way to an existing cluster": (
        changed(existing={key: value for key, value in EXISTING.items() if key != "context"}),
        (
            "infra.existing.context is not set; a kubeconfig, a context or both say how to reach the cluster; "
            "set infra.existing.kubeconfig, or context, or both"
        ),
    ),
    "a name too long for what is made from it": (
        changed(cluster_name="x" * 41),
        f"infra.cluster_name is '{'x' * 41}'; string should have at most 40 characters; edit Pulumi.test.yaml",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """A section that cannot work is refused before anything is made, in one clear sentence."""
    data, sentence = REFUSED[case]

    assert refusal(data) == sentence


def test_all_bad_keys_at_once() -> None:
    """Two mistakes in two places are told together."""
    message = refusal(changed(neuron__maximum_nodes=0, control_plane__key_deletion_days=3))

    assert message.splitlines() == [
        "infra.control_plane.key_deletion_days is 3; input should be greater than or equal to 7; edit Pulumi.test.yaml",
        "infra.neuron.maximum_nodes is 0; input should be greater than or equal to 1; edit Pulumi.test.yaml",
    ]


def test_missing_sections() -> None:
    """An empty section says what has no default."""
    message = refusal({})

    assert message.splitlines() == [
        "infra.zones is not set; this key is required; add it to Pulumi.test.yaml",
        "infra.neuron is not set; this key is required; add it to Pulumi.test.yaml",
    ]


def test_an_ami_of_the_pairs_kind_is_accepted() -> None:
    """Another release is fine as long as its driver fits the image."""
    settings = parsed(neuron__ami_release="v20260415")

    assert settings.neuron.ami == "v20260415"


def test_issuer_of_an_existing_cluster() -> None:
    """Conditions of trust policies name the issuer as it stands in the provider's ARN."""
    settings = parsed(existing=EXISTING)

    assert settings.existing is not None
    assert settings.existing.oidc_issuer == "oidc.eks.ap-southeast-4.amazonaws.com/id/AB"


def test_region_of_the_stack() -> None:
    """The region that AWS calls go to is that of the zones."""
    settings = parsed()
    require_region(settings, "ap-southeast-4", file="Pulumi.test.yaml")

    with pytest.raises(SettingsError, match=r"^aws:region is 'sa-east-1'; .* edit Pulumi\.test\.yaml$"):
        require_region(settings, "sa-east-1", file="Pulumi.test.yaml")
