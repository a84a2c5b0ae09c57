"""The neuron section by itself: what it derives from its keys. What it refuses is in test_infra_settings.py."""

import pydantic
import pytest

from optimal_tp.facts.versions import PAIRS
from optimal_tp.settings.node_capacity import Neuron


def neuron(**changes: object) -> Neuron:
    """Return a reserved pool, with ``changes``."""
    least: dict[str, object] = {
        "zones": ["sa-east-1a"],
        "capacity_types": ["reserved"],
        "reservation_ids": ["cr-0a"],
        "price": {"usd_per_hour": 2.25, "source": "a test", "date": "2026-10-03"},
    }
    return Neuron.model_validate({**least, **changes})


def test_hardware_is_that_of_the_type() -> None:
    """The section knows the cores of the type that it pins."""
    section = neuron(instance_type="trn2.48xlarge")

    assert (section.hardware.chips, section.hardware.logical_cores) == (16, 64)


@pytest.mark.parametrize(
    ("changes", "ami"),
    [
        ({}, "v20260714"),
        ({"pair": "neuronx-0.9.1"}, "v20260618"),
        ({"pair": "vllm-neuron-0.29"}, "v20261112"),
        ({"pair": "neuronx-0.9.1", "ami_release": "v20260415"}, "v20260415"),
    ],
    ids=["default pair", "the AWS sample's", "today's", "release named"],
)
def test_ami_in_use(changes: dict[str, object], ami: str) -> None:
    """The pair's AMI, unless a release that fits is named."""
    section = neuron(**changes)

    assert section.ami == ami


def test_image_is_that_of_the_pair() -> None:
    """The section leads to image and flags of its pair."""
    section = neuron(pair="neuronx-0.16.0")

    assert section.image_and_ami is PAIRS["neuronx-0.16.0"]


def test_defaults_are_the_cheap_ones() -> None:
    """Two of the smallest type, no expiry, ten minutes of patience with empty nodes."""
    section = neuron()

    assert section.instance_type == "trn2.3xlarge"
    assert (section.maximum_nodes, section.consolidate_after_minutes) == (2, 10)


@pytest.mark.parametrize(
    ("capacity_types", "needs"),
    [(["reserved"], False), (["reserved", "on-demand"], True), (["spot"], True)],
    ids=["reserved", "reserved first", "spot"],
)
def test_only_a_reservation_is_launched_without_a_price(capacity_types: list[str], needs: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """Karpenter launches what is reserved whatever it costs, and nothing else that has no price."""
    reservations = ["cr-0a"] if "reserved" in capacity_types else []

    assert neuron(capacity_types=capacity_types, reservation_ids=reservations).karpenter_needs_a_price is needs


@pytest.mark.parametrize("minutes", [0, 46])
def test_draining_leaves_time_to_delete(minutes: int) -> None:
    """Draining ends before the provider, which waits an hour, gives up on the pool."""
    with pytest.raises(pydantic.ValidationError, match="termination_grace_minutes"):
        neuron(termination_grace_minutes=minutes)
