"""The estimate of an hour's cost."""

import pytest

from workloads.cost import hourly_cost


def test_nodes_and_what_runs_beside_them() -> None:
    """Two nodes at their price, a control plane, two system nodes and one NAT gateway."""
    cost = hourly_cost(node_usd=2.25, nodes=2, makes_cluster=True, nat_gateways=1)

    assert cost.idle_usd == pytest.approx(0.3466)
    assert cost.now_usd == pytest.approx(4.8466)
    assert cost.sentence() == (
        "about 4.85 USD an hour while serving (2 x 2.25 for Neuron), 0.35 USD an hour idle "
        "(control plane, system nodes, NAT: an estimate)"
    )


def test_a_price_that_is_not_known_is_not_zero() -> None:
    """Without a price the estimate says what is missing."""
    cost = hourly_cost(node_usd=None, nodes=2, makes_cluster=True, nat_gateways=3)

    assert cost.now_usd is None
    assert cost.sentence().startswith("cost while serving unknown: set workloads.price to the price of one node's hour")


def test_a_cluster_that_exists_costs_nothing_more() -> None:
    """Its control plane and nodes are paid for already."""
    cost = hourly_cost(node_usd=2.25, nodes=1, makes_cluster=False, nat_gateways=1)

    assert (cost.idle_usd, cost.now_usd) == (0, 2.25)
