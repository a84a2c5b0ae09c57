"""Whole nodes for a fleet: as the cluster's plan packs them."""

import math

import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceTypeName
from optimal_tp.fleet.buying import Buying, CostPoint, by_type, cost_at, nearest_flip, nodes_for, ranges, withstanding
from optimal_tp.fleet.smallest_fleet import Carrying
from optimal_tp.plan.placement import Wish, plan


@pytest.mark.parametrize("name", list(INSTANCE_TYPES))
@pytest.mark.parametrize("degree", [1, 2, 4])
@pytest.mark.parametrize("replicas", [1, 3, 4, 5, 33])
def test_nodes_are_those_of_the_clusters_plan(name: InstanceTypeName, degree: int, replicas: int) -> None:
    """The same servers put down one by one take as many nodes."""
    wish = Wish(
        candidates=(Candidate(degree),), layout="equal-cores", placement="packed", equal_cores=degree * replicas
    )
    placed = plan(wish, INSTANCE_TYPES[name], nodes_available=10**6, limited_by="nothing")
    nodes = nodes_for(replicas, degree, name, 2.0)

    assert nodes is not None
    assert (nodes.count, nodes.usd_per_hour) == (placed.nodes, 2.0 * placed.nodes)


def test_a_server_larger_than_a_node_has_none() -> None:
    """TP8 needs two chips, and a trn2.3xlarge has one."""
    large = [name for name, kind in INSTANCE_TYPES.items() if kind.logical_cores >= 8]

    assert nodes_for(1, 8, "trn2.3xlarge", None) is None
    assert [nodes.instance_type for nodes in by_type(1, 8, {})] == large
    assert "trn2.48xlarge" in large


@pytest.mark.parametrize("zones", [2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_enough_nodes_are_left_after_a_loss(count: int, zones: int) -> None:
    """After one zone of the larger fleet is gone the smallest is still there, and one node fewer would not do."""
    for_node, for_zone = withstanding(count, zones)

    assert for_node == count + 1
    assert for_zone is not None
    assert for_zone - math.ceil(for_zone / zones) >= count
    assert (for_zone - 1) - math.ceil((for_zone - 1) / zones) < count


def test_one_zone_is_all_there_is() -> None:
    """Nothing withstands the loss of the only zone."""
    assert withstanding(5, 1) == (6, None)


def test_a_fleet_is_the_smallest_that_carries_the_rate() -> None:
    """By the rate of one server, which grows with the fleet where queues are shared."""
    carrying = Carrying(per_server=((1, 1.0), (2, 2.0), (4, 3.0)))
    found = [carrying.replicas(rate) for rate in (0.5, 1.0, 1.1, 4.0, 4.1, 12.0, 12.1, 300.0)]

    assert found == [1, 1, 2, 2, 3, 4, 5, 100]


def _points(*costs: dict[int, float]) -> list[CostPoint]:
    return [
        CostPoint(rate_per_second=2.0**index, cost={Candidate(degree): each for degree, each in cost.items()})
        for index, cost in enumerate(costs)
    ]


def test_a_flip_is_where_another_degree_becomes_cheapest() -> None:
    """TP4 below 4/s, TP1 above."""
    found = ranges(_points({1: 9, 4: 5}, {1: 9, 4: 5}, {1: 9, 4: 9.5}, {1: 9, 4: 20}))

    assert [(one.candidate.degree, one.from_per_second, one.to_per_second) for one in found] == [(4, 1, 2), (1, 2, 8)]
    assert nearest_flip(found, 100.0) == (2.0, Candidate(4), Candidate(1))
    assert nearest_flip(found[:1], 100.0) is None


def test_of_equal_costs_the_first_named_is_cheapest() -> None:
    """The plan names the verdict's choice first."""
    assert ranges(_points({1: 5, 4: 5}))[0].candidate == Candidate(1)
    assert ranges(_points({4: 5, 1: 5}))[0].candidate == Candidate(4)


def test_ranges_too_narrow_to_matter_are_joined() -> None:
    """Whole nodes make the cheapest jump to and fro."""
    points = [
        CostPoint(rate_per_second=rate, cost={Candidate(1): 1.0, Candidate(2): other})
        for rate, other in ((1.0, 2.0), (2.0, 2.0), (2.1, 0.5), (2.2, 2.0), (4.0, 2.0))
    ]

    assert [(one.candidate.degree, one.to_per_second) for one in ranges(points)] == [(1, 4.0)]


def test_without_a_price_nodes_are_counted() -> None:
    """And a degree that fits no node costs more than anything."""
    carrying = Carrying(per_server=((1, 1.0),))
    point = cost_at(
        5.0,
        {Candidate(2): carrying, Candidate(8): carrying},
        Buying(instance_type="trn2.3xlarge", usd_per_node_hour=None),
    )

    assert point.cost == {Candidate(2): 3.0, Candidate(8): math.inf}
