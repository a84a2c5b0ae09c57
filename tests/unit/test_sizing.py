"""What the infrastructure is counted to cost, and the processors of the system nodes, read from their type's name."""

import typing

import pytest

from optimal_tp.settings.infra import parse_infra
from optimal_tp.settings.sizing import IMAGES_GIB, model_traffic_usd, node_traffic_usd, system_node_vcpus
from tests.fakes_stack_files import EXISTING, stack_config


@pytest.mark.parametrize(
    ("kind", "vcpus"),
    [("m7i.large", (2, 2)), ("m7i.xlarge", (4, 4)), ("c7i-flex.8xlarge", (32, 32)), ("t3.medium", None)],
)
def test_a_size_says_how_many(kind: str, vcpus: tuple[int, ...] | None) -> None:
    """Large is two, each xlarge four; of another size nothing is claimed."""
    infra = dict(stack_config("Pulumi.dev.yaml")["optimal-tp:infra"])
    prices = {"system_node": {"usd_per_hour": 0.2, "source": "test", "date": "2026-04-01"}}
    settings = parse_infra({**infra, "system_nodes": {"instance_type": kind}, "prices": prices}, file="test.yaml")

    assert system_node_vcpus(settings) == vcpus


def test_nodes_of_an_existing_cluster_are_unknown() -> None:
    """Somebody else made them."""
    infra = dict(stack_config("Pulumi.dev.yaml")["optimal-tp:infra"])
    kept = {key: infra[key] for key in ("zones", "neuron")}

    assert system_node_vcpus(parse_infra({**kept, "existing": EXISTING}, file="test.yaml")) is None


SUBNETS = {"ap-southeast-4a": "subnet-0123456789abcdef0", "ap-southeast-4c": "subnet-0123456789abcdef1"}
OWN_REGISTRY = "111122223333.dkr.ecr.ap-southeast-4.amazonaws.com"


def traffic_usd(gateway_usd: float, **changes: typing.Any) -> float:
    """Return the cost of a Neuron node's images where an hour, and so a GB, of a NAT gateway costs so much."""
    infra = dict(stack_config("Pulumi.dev.yaml")["optimal-tp:infra"])
    price = {"usd_per_hour": gateway_usd, "source": "test", "date": "2026-04-01"}
    infra |= {"prices": {"nat_gateway": price}, "zones": list(SUBNETS), **changes}
    return node_traffic_usd(parse_infra(infra, file="test.yaml"))


def test_the_images_of_a_node_are_paid_for_by_the_gigabyte() -> None:
    """A GB, of 10^9 bytes, at the gateway's price; a second gateway carries its share of the same bytes."""
    expected = pytest.approx(IMAGES_GIB * 1.073741824 * 0.06)

    assert traffic_usd(0.06) == expected
    assert traffic_usd(0.06, network={"nat_gateways": "per-zone"}) == expected
    assert traffic_usd(0.12) == pytest.approx(2 * traffic_usd(0.06))


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"existing": {"vpc_id": "vpc-0123456789abcdef0", "private_subnet_ids": SUBNETS}}},
        {"registries": {"images": OWN_REGISTRY}},
    ],
    ids=["a VPC of somebody else", "a registry of one's own"],
)
def test_images_past_our_gateway_cost_nothing(changes: dict[str, typing.Any]) -> None:
    """Without a gateway of ours there is nobody to pay, and a private ECR takes the endpoint of S3."""
    assert traffic_usd(0.06, **changes) == 0


def test_a_cluster_of_somebody_else_has_its_own_gateway() -> None:
    """Its images are on its own bill."""
    infra = dict(stack_config("Pulumi.dev.yaml")["optimal-tp:infra"])
    kept = {key: infra[key] for key in ("zones", "neuron")}

    assert node_traffic_usd(parse_infra({**kept, "existing": EXISTING}, file="test.yaml")) == 0


@pytest.mark.parametrize(
    ("source", "existing", "usd"),
    [("https://huggingface.co", None, 0.72), ("s3://models/qwen", None, 0), ("https://huggingface.co", EXISTING, 0)],
    ids=["a hub", "a bucket", "a cluster of somebody else"],
)
def test_weights_of_a_hub_pass_the_gateway_once(source: str, existing: dict[str, object] | None, usd: float) -> None:
    """12 GB at 0.06 USD; a bucket takes the endpoint of S3."""
    infra = dict(stack_config("Pulumi.dev.yaml")["optimal-tp:infra"])
    price = {"usd_per_hour": 0.06, "source": "test", "date": "2026-04-01"}
    asked = {**infra, "prices": {"nat_gateway": price}}
    if existing is not None:
        asked = {"zones": infra["zones"], "neuron": infra["neuron"], "existing": existing}

    assert model_traffic_usd(parse_infra(asked, file="test.yaml"), source, 12 * 10**9) == pytest.approx(usd)
