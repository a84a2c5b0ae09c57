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
            "Pulumi.test.yaml infra.neuron.instance_typ: must be one of ami_release, capacity_types, "
            "consolidate_after_minutes, fleet_nodes, instance_type, maximum_nodes, pair, price, reservation_ids, "
            "root_volume_gib, termination_grace_minutes, zones (got 'instance_typ'); did you mean instance_type?"
        ),
    ),
    "a word that YAML reads otherwise": (
        changed(tags={"critical": True}),
        ("Pulumi.test.yaml infra.tags.critical: must be text, but YAML reads true; put it in quotes (got true)"),
    ),
    "an AMI that panics": (
        changed(neuron__ami_release="v20260625"),
        (
            "Pulumi.test.yaml infra.neuron.ami_release: must be an AMI without a known fault: its kernel panics "
            "when a network interface is taken away, as the network plugin does (amzn/amzn-drivers issues 379 "
            "and 380, awslabs/amazon-eks-ami pull request 2757) (got 'v20260625'); remove ami_release "
            "to use v20260714"
        ),
    ),
    "an add-on that does harm": (
        changed(addons__efs_csi_driver="v2.1.7-eksbuild.1"),
        (
            "Pulumi.test.yaml infra.addons.efs_csi_driver: must be v2.3.0 or newer: older ones may leave their "
            "startup taint on a node, which then never takes a pod and bills on "
            "(kubernetes-sigs/aws-efs-csi-driver issues 1320, 1491 and 1613) (got 'v2.1.7-eksbuild.1')"
        ),
    ),
    "a kube-proxy of another minor": (
        changed(addons__kube_proxy="v1.36.0-eksbuild.13"),
        (
            "Pulumi.test.yaml infra.addons.kube_proxy: must have the cluster's own minor version (1.35) (got "
            "'v1.36.0-eksbuild.13')"
        ),
    ),
    "one zone": (
        changed(zones=["ap-southeast-4c"]),
        (
            "Pulumi.test.yaml infra.zones: must name two to six zones, each once (EKS needs two) (got "
            "['ap-southeast-4c'])"
        ),
    ),
    "zones of two regions": (
        changed(zones=["ap-southeast-4c", "us-east-2a"]),
        (
            "Pulumi.test.yaml infra.zones[1]: must be in the region of the first zone (ap-southeast-4) (got "
            "'us-east-2a')"
        ),
    ),
    "a region for a zone": (
        changed(zones=["ap-southeast-4", "ap-southeast-4a"]),
        (
            "Pulumi.test.yaml infra.zones[0]: must be an availability zone, for example us-east-2a (got "
            "'ap-southeast-4')"
        ),
    ),
    "nodes outside the network": (
        changed(neuron__zones=["ap-southeast-4b"]),
        (
            "Pulumi.test.yaml infra.neuron.zones[0]: must be one of infra.zones (ap-southeast-4c, "
            "ap-southeast-4a) (got 'ap-southeast-4b')"
        ),
    ),
    "a type that the region has not": (
        changed(neuron__instance_type="trn2.48xlarge"),
        (
            "Pulumi.test.yaml infra.neuron.instance_type: must be offered in ap-southeast-4; on 2026-10-03 only "
            "us-east-2, ap-south-2 offered it (got 'trn2.48xlarge'); choose one of these regions; "
            "docs/get-started/aws.md says how to add another"
        ),
    ),
    "no price": (
        changed(neuron={"zones": ["ap-southeast-4c"], "reservation_ids": ["cr-0a"]}),
        "Pulumi.test.yaml infra.neuron.price: must be set",
    ),
    "a price without its source": (
        changed(neuron__price={"usd_per_hour": 2.25, "date": "2026-10-03"}),
        "Pulumi.test.yaml infra.neuron.price.source: must be set",
    ),
    "other system nodes at the price of these": (
        changed(system_nodes={"instance_type": "m7i.2xlarge"}),
        (
            "Pulumi.test.yaml infra.prices.system_node.usd_per_hour: must be the price of m7i.2xlarge: the "
            "default is the price of m7i.large (got 0.1008); set what an hour of m7i.2xlarge costs"
        ),
    ),
    "reserved without a reservation": (
        changed(neuron__reservation_ids=[]),
        (
            "Pulumi.test.yaml infra.neuron.reservation_ids: must name your reservations if capacity_types has "
            "reserved, and must be empty otherwise (got [])"
        ),
    ),
    "a reservation that nobody asks for": (
        changed(neuron__capacity_types=["spot"]),
        (
            "Pulumi.test.yaml infra.neuron.reservation_ids: must name your reservations if capacity_types has "
            "reserved, and must be empty otherwise (got ['cr-0a'])"
        ),
    ),
    "no capacity": (
        changed(neuron__capacity_types=[], neuron__reservation_ids=[]),
        "Pulumi.test.yaml infra.neuron.capacity_types: must name at least one (got [])",
    ),
    "the same zone twice": (
        changed(neuron__zones=["ap-southeast-4c", "ap-southeast-4c"]),
        "Pulumi.test.yaml infra.neuron.zones: must name each once (got ['ap-southeast-4c', 'ap-southeast-4c'])",
    ),
    "image and AMI apart": (
        changed(neuron__pair="neuronx-0.9.1", neuron__ami_release="v20260903"),
        (
            "Pulumi.test.yaml infra.neuron.ami_release: must have a driver that the image accepts, but its "
            "driver 2.30.2.0 wants a runtime of 2.33 or newer, and the image is "
            "0.9.1-neuronx-py311-sdk2.26.1-ubuntu22.04 (runtime 2.28.23.0) (got 'v20260903'); remove ami_release "
            "or choose another pair"
        ),
    ),
    "a pair that the Kubernetes has not": (
        changed(kubernetes="1.36", neuron__pair="neuronx-0.9.1"),
        (
            "Pulumi.test.yaml infra.neuron.pair: must be a pair that runs on Kubernetes 1.36; this one runs on "
            "1.35 (got 'neuronx-0.9.1'); choose another pair or another infra.kubernetes"
        ),
    ),
    "the whole internet": (
        changed(control_plane__public_access_cidrs=["203.0.113.0/24", "0.0.0.0/0"]),
        (
            "Pulumi.test.yaml infra.control_plane.public_access_cidrs[1]: must not open the API server to the "
            "whole internet (got '0.0.0.0/0'); name the networks you work from"
        ),
    ),
    "no network": (
        changed(control_plane__public_access_cidrs=["203.0.113.7/24"]),
        (
            "Pulumi.test.yaml infra.control_plane.public_access_cidrs[0]: must be an IPv4 network, for example "
            "203.0.113.7/32 (got '203.0.113.7/24')"
        ),
    ),
    "a VPC too small": (
        changed(network__cidr="10.0.0.0/24"),
        (
            "Pulumi.test.yaml infra.network.cidr: must be an IPv4 network between /16 and /20, for example "
            "10.42.0.0/16 (got '10.0.0.0/24')"
        ),
    ),
    "no VPC": (
        changed(network__cidr="ten"),
        (
            "Pulumi.test.yaml infra.network.cidr: must be an IPv4 network between /16 and /20, for example "
            "10.42.0.0/16 (got 'ten')"
        ),
    ),
    "flow logs of a VPC that is not ours": (
        changed(
            network={
                "flow_log_days": 7,
                "existing": {"vpc_id": "vpc-0a", "private_subnet_ids": {"ap-southeast-4c": "subnet-0a"}},
            }
        ),
        (
            "Pulumi.test.yaml infra.network.existing.vpc_id: must not go with network.flow_log_days: the "
            "program does not change an existing VPC (got 'vpc-0a'); remove network.flow_log_days or "
            "network.existing"
        ),
    ),
    "a zone without a subnet": (
        changed(
            network__existing={"vpc_id": "vpc-0a", "private_subnet_ids": {"ap-southeast-4c": "subnet-0a"}},
        ),
        (
            "Pulumi.test.yaml infra.network.existing.private_subnet_ids: must name one subnet for each of "
            "infra.zones (ap-southeast-4c, ap-southeast-4a) (got ['ap-southeast-4c'])"
        ),
    ),
    "a controller's tag": (
        changed(tags={"karpenter.sh/nodepool": "mine"}),
        (
            "Pulumi.test.yaml infra.tags.karpenter.sh/nodepool: must not begin with karpenter.sh/, which AWS, "
            "EKS or Karpenter set themselves (got 'mine')"
        ),
    ),
    "a new cluster beside an existing one": (
        changed(existing=EXISTING, system_nodes={"disk_gib": 99}),
        (
            "Pulumi.test.yaml infra.existing.cluster_name: must not go with infra.system_nodes: the program does not "
            "change an existing cluster (got 'theirs'); remove infra.system_nodes or "
            "infra.existing"
        ),
    ),
    "a name for a cluster that has one": (
        changed(existing=EXISTING, cluster_name="ours"),
        (
            "Pulumi.test.yaml infra.existing.cluster_name: must not go with infra.cluster_name: the program does not "
            "change an existing cluster (got 'theirs'); remove infra.cluster_name or "
            "infra.existing"
        ),
    ),
    "no way to an existing cluster": (
        changed(existing={key: value for key, value in EXISTING.items() if key != "context"}),
        (
            "Pulumi.test.yaml infra.existing.context: must be set unless infra.existing.kubeconfig is: the program "
            "needs one of them to reach the cluster (not set)"
        ),
    ),
    "a name too long for what is made from it": (
        changed(cluster_name="x" * 41),
        f"Pulumi.test.yaml infra.cluster_name: must have at most 40 characters (got '{'x' * 41}')",
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
        "Pulumi.test.yaml infra.control_plane.key_deletion_days: must be at least 7 (got 3)",
        "Pulumi.test.yaml infra.neuron.maximum_nodes: must be at least 1 (got 0)",
    ]


def test_missing_sections() -> None:
    """An empty section says what has no default."""
    message = refusal({})

    assert message.splitlines() == [
        "Pulumi.test.yaml infra.zones: must be set",
        "Pulumi.test.yaml infra.neuron: must be set",
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

    with pytest.raises(SettingsError, match=r"^Pulumi\.test\.yaml aws:region: must be .* \(got 'sa-east-1'\)$"):
        require_region(settings, "sa-east-1", file="Pulumi.test.yaml")
