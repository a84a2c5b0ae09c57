"""Image and AMI fit each other, and a pair that does not says why."""

import typing

import pytest

from optimal_tp.facts.eks_addons import AddonName, addon_conflict
from optimal_tp.facts.versions import (
    KARPENTER,
    KUBERNETES,
    NEURON,
    PAIRS,
    KubernetesMinor,
    PairName,
    bad_release,
    host_driver,
    pair_conflict,
)


@pytest.mark.parametrize("name", typing.get_args(PairName))
def test_each_pair_fits_its_own_ami(name: PairName) -> None:
    """The pairs that are pinned are consistent."""
    pair = PAIRS[name]

    assert pair_conflict(pair, pair.ami_release) is None


def test_the_seeds_image_refuses_a_driver_of_july() -> None:
    """The 0.9.1 image cannot initialise its runtime on AMIs with driver 2.29."""
    conflict = pair_conflict(PAIRS["neuronx-0.9.1"], "v20260714")

    assert conflict == (
        "its driver 2.29.0.0 wants a runtime of 2.33 or newer, and the image is "
        "0.9.1-neuronx-py311-sdk2.26.1-ubuntu22.04 (runtime 2.28.23.0)"
    )


def test_the_newer_image_refuses_an_old_driver() -> None:
    """The 0.16.0 image cannot run on the AMI that the AWS sample names."""
    conflict = pair_conflict(PAIRS["neuronx-0.16.0"], "v20251103")

    assert conflict == (
        "its driver 2.24.7.0 is older than 2.27, and the image "
        "0.16.0-neuronx-py312-sdk2.31.1-ubuntu24.04 (runtime 2.33.10.0) wants a newer one"
    )


def test_an_ami_of_unknown_driver_is_a_conflict() -> None:
    """A release older than the table is doubt, not consent."""
    conflict = pair_conflict(PAIRS["neuronx-0.9.1"], "v20250101")

    assert conflict == "the Neuron driver of AMI releases before v20250920 is not known here"


@pytest.mark.parametrize(
    ("release", "driver"),
    [
        ("v20250919", None),
        ("v20250920", "2.24.7.0"),
        ("v20260106", "2.24.7.0"),
        ("v20260423", "2.27.4.0"),
        ("v20260713", "2.28.0.0"),
        ("v20260903", "2.30.2.0"),
        ("v20261112", "2.31.7.0"),
    ],
)
def test_driver_of_a_release(release: str, driver: str | None) -> None:
    """A release has the driver of the last step at or before it."""
    found = host_driver(release)

    assert found == driver


def test_only_what_was_not_read_is_doubted() -> None:
    """The pair of today says which of its facts is a guess; the others' were read."""
    doubted = [name for name, pair in PAIRS.items() if pair.doubt is not None]

    assert doubted == ["vllm-neuron-0.29"]
    assert str(PAIRS["vllm-neuron-0.29"].doubt).startswith(
        "the driver of AMI v20261112 is taken to be 2.31, by its date"
    )


def test_the_seeds_pair_is_refused_a_newer_kubernetes() -> None:
    """No 1.36 AMI was ever published with a driver that suits the 0.9.1 image."""
    pair = PAIRS["neuronx-0.9.1"]

    assert pair.kubernetes == ("1.35",)


@pytest.mark.parametrize("minor", typing.get_args(KubernetesMinor))
def test_scheduler_is_of_the_clusters_minor(minor: KubernetesMinor) -> None:
    """A kube-scheduler of another minor than the control plane is not supported by Kubernetes."""
    assert KUBERNETES[minor].scheduler_tag.startswith(f"v{minor}.")


def test_a_mirror_keeps_the_path() -> None:
    """A chart at a private registry keeps its path, one in a directory its last name."""
    references = [KARPENTER.reference("oci://mirror.example/aws/"), NEURON.reference("./charts")]

    assert references == ["oci://mirror.example/aws/karpenter/karpenter", "./charts/neuron-helm-chart"]


def test_an_image_at_a_mirror() -> None:
    """The registry is the caller's, path and tag are the pair's."""
    image = PAIRS["neuronx-0.9.1"].image("mirror.example/ecr")

    assert image == (
        "mirror.example/ecr/neuron/pytorch-inference-vllm-neuronx:0.9.1-neuronx-py311-sdk2.26.1-ubuntu22.04"
    )


@pytest.mark.parametrize(
    ("release", "minors"),
    [
        ("v20260618", set()),
        ("v20260625", {"1.35", "1.36"}),
        ("v20260714", set()),
        ("v20260930", {"1.35"}),
        ("v20261003", {"1.35"}),
        ("v20261012", set()),
    ],
)
def test_releases_that_panic_are_known(release: str, minors: set[str]) -> None:
    """Each with the minors on which others saw its kernel panic; the pinned ones are none of them."""
    bad = {minor for minor in typing.get_args(KubernetesMinor) if bad_release(release, minor) is not None}

    assert bad == minors


@pytest.mark.parametrize(
    ("addon", "version", "holds"),
    [
        ("vpc-cni", "v1.20.5-eksbuild.1", False),
        ("vpc-cni", "v1.21.1-eksbuild.7", False),
        ("vpc-cni", "v1.21.2-eksbuild.2", True),
        ("vpc-cni", "v1.22.1-eksbuild.1", False),
        ("vpc-cni", "v1.22.3-eksbuild.1", True),
        ("vpc-cni", "v1.23.0-eksbuild.1", True),
        ("aws-efs-csi-driver", "v2.2.9-eksbuild.1", False),
        ("aws-efs-csi-driver", "v2.3.0-eksbuild.1", True),
        ("aws-efs-csi-driver", "v3.4.1-eksbuild.1", True),
        ("kube-proxy", "v1.34.6-eksbuild.2", False),
        ("kube-proxy", "v1.35.3-minimal-eksbuild.2", True),
        ("coredns", "v1.2.3-eksbuild.1", True),
    ],
)
def test_versions_of_addons_that_do_harm_are_known(addon: AddonName, version: str, *, holds: bool) -> None:
    """Each line of releases has its first good one; the last line's is that of all later lines."""
    assert (addon_conflict(addon, version, "1.35") is None) == holds


def test_the_reason_names_what_others_saw() -> None:
    """The rule says which releases are good and what the older ones do."""
    assert addon_conflict("aws-efs-csi-driver", "v2.1.7-eksbuild.1", "1.35") == (
        "must be v2.3.0 or newer: older ones may leave their startup taint on a node, which then never takes a pod and "
        "bills on (kubernetes-sigs/aws-efs-csi-driver issues 1320, 1491 and 1613)"
    )
