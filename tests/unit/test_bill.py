"""What runs beside the Neuron nodes, by the hour."""

import typing

import pytest

from optimal_tp.settings.sizing import idle_usd_per_hour, nat_gateways, price_sentences
from tests.unit.test_infra_settings import EXISTING, parsed

VPC: typing.Final = {
    "vpc_id": "vpc-0a",
    "private_subnet_ids": {"ap-southeast-4c": "subnet-0a", "ap-southeast-4a": "subnet-0b"},
}


def test_a_cluster_of_ours() -> None:
    """Control plane, two system nodes and one NAT gateway."""
    assert idle_usd_per_hour(parsed()) == pytest.approx(0.10 + 2 * 0.1008 + 0.045)


@pytest.mark.parametrize(
    ("changes", "gateways"),
    [
        ({}, 1),
        ({"network__nat_gateways": "per-zone"}, 2),
        ({"network__existing": VPC}, 0),
        ({"existing": EXISTING}, 0),
    ],
    ids=["one", "per zone", "a VPC that is there", "a cluster that is there"],
)
def test_gateways_that_are_made_are_paid_for(changes: dict[str, object], gateways: int) -> None:
    """Those of a network that is there already are not."""
    assert nat_gateways(parsed(**changes)) == gateways


def test_a_cluster_that_exists_costs_nothing_more() -> None:
    """Its control plane and nodes are paid for already, and only the Neuron node's price counts."""
    settings = parsed(existing=EXISTING)

    assert idle_usd_per_hour(settings) == 0
    assert price_sentences(settings) == ["one trn2.3xlarge: 2.25 USD an hour (a test, 2026-10-03)"]


def test_prices_name_their_source_and_date() -> None:
    """One line for each thing that bills by the hour."""
    assert [sentence.split(":")[0] for sentence in price_sentences(parsed())] == [
        "one trn2.3xlarge",
        "control plane",
        "one system node, m7i.large",
        "one NAT gateway",
    ]
    assert all(sentence.endswith(("2026-10-03)", "2026-04-01)")) for sentence in price_sentences(parsed()))
