"""The processors of the system nodes, read from their type's name."""

import pytest

from optimal_tp.settings.infra import parse_infra
from optimal_tp.settings.sizing import system_node_vcpus
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
