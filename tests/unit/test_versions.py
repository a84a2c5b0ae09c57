"""Image and AMI fit each other, and a pair that does not says why."""

import typing

import pytest

from optimal_tp.facts.versions import (
    ADDONS,
    KARPENTER,
    KUBERNETES,
    NEURON,
    PAIRS,
    AddonName,
    KubernetesMinor,
    PairName,
    host_driver,
    pair_conflict,
)


@pytest.mark.parametrize("name", typing.get_args(PairName))
def test_each_pair_fits_its_own_ami(name: PairName) -> None:
    """The two pairs that are pinned are consistent."""
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
    """The 0.16.0 image cannot run on the AMI that the seed names."""
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
    ],
)
def test_driver_of_a_release(release: str, driver: str | None) -> None:
    """A release has the driver of the last step at or before it."""
    found = host_driver(release)

    assert found == driver


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


def test_addons_are_the_names_of_the_type() -> None:
    """The tuple and the type say the same."""
    assert set(ADDONS) == set(typing.get_args(AddonName))
