"""The cheapest candidate at each rate, and the rates at which the choice flips."""

import dataclasses
import itertools
import math
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceType, InstanceTypeName, cores_held
from optimal_tp.fleet.smallest_fleet import Carrying
from optimal_tp.plan.placement import cpu_millicores_per_core, memory_mib_per_core


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nodes:
    """The nodes of a fleet."""

    instance_type: InstanceTypeName
    servers_per_node: int
    count: int
    usd_per_hour: float | None
    """For all nodes; None without a price."""

    @property
    def room(self) -> int:
        """Servers that fit on the nodes, at least as many as planned."""
        return self.count * self.servers_per_node


def servers_per_node(cores: int, kind: InstanceType) -> int:
    """Return how many servers that reserve ``cores`` logical cores each fit on one node of ``kind``; 0 if none.

    The same packing as the cluster's plan: whole servers on a node, CPU and memory in proportion to their cores, and
    no more pods than the node takes. Eight pods are reserved for the node itself.
    """
    by_cores = kind.logical_cores // cores
    by_pods = kind.allocatable_pods - 8
    by_cpu = kind.allocatable_cpu_millicores // (cores * cpu_millicores_per_core(kind))
    by_memory = kind.allocatable_memory_mib // (cores * memory_mib_per_core(kind))
    return max(0, min(by_cores, by_pods, by_cpu, by_memory))


def nodes_for(replicas: int, cores: int, name: InstanceTypeName, usd_per_node_hour: float | None) -> Nodes | None:
    """Return the fewest nodes of one type for ``replicas`` servers of ``cores``; None where a node holds none."""
    each = servers_per_node(cores, INSTANCE_TYPES[name])
    if each == 0:
        return None
    count = math.ceil(replicas / each)
    cost = None if usd_per_node_hour is None else count * usd_per_node_hour
    return Nodes(instance_type=name, servers_per_node=each, count=count, usd_per_hour=cost)


def by_type(replicas: int, cores: int, prices: typing.Mapping[InstanceTypeName, float]) -> tuple[Nodes, ...]:
    """Return the nodes of each type that can hold the fleet."""
    options = (nodes_for(replicas, cores, name, prices.get(name)) for name in INSTANCE_TYPES)
    return tuple(nodes for nodes in options if nodes is not None)


def withstanding(count: int, zones: int) -> tuple[int, int | None]:
    """Return how many nodes leave ``count`` after the loss of one node, and after the loss of one of ``zones``.

    Nodes are spread evenly, so the largest zone has ``ceil(nodes / zones)``. The second is None with one zone, whose
    loss leaves nothing.
    """
    if zones < 2:  # noqa: PLR2004 - with one zone all is lost
        return count + 1, None
    total = count
    while total - math.ceil(total / zones) < count:
        total += max(1, (count - (total - math.ceil(total / zones))))
    return count + 1, total


SPAN = 100.0
"""The curve extends from the planned rate divided by this factor to the planned rate times it."""
POINTS = 161
"""Points of the curve, evenly on a log scale: 6 % apart."""
MARGIN = 0.02
"""Smallest saving, as a share, for which one degree replaces another."""
LASTING = 1.5
"""Ranges of rates narrower than this factor are joined to their neighbour. Where two degrees cost about the same, whole
nodes make the cheapest one change often. A lead below MARGIN changes nothing here either."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostPoint:
    """One rate, and the cost of the smallest fleets that carry it."""

    rate_per_second: float
    cost: typing.Mapping[Candidate, float]
    """By candidate: USD an hour, or nodes if no price is known."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheapestRange:
    """Rates at which one candidate is the cheapest."""

    candidate: Candidate
    from_per_second: float
    to_per_second: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Buying:
    """How a fleet is bought: instance type, price, and cores that a server reserves."""

    instance_type: InstanceTypeName
    usd_per_node_hour: float | None
    whole_chips: bool = False
    """True if every server reserves whole chips, whatever its degree."""

    def cores(self, degree: int) -> int:
        """Return the logical cores that a server of ``degree`` reserves."""
        return cores_held(degree, whole_chips=self.whole_chips)

    def cost(self, replicas: int, degree: int) -> float:
        """Return USD an hour, or nodes without a price; infinity where no node holds such a server."""
        nodes = nodes_for(replicas, self.cores(degree), self.instance_type, self.usd_per_node_hour)
        if nodes is None:
            return math.inf
        return float(nodes.count) if nodes.usd_per_hour is None else nodes.usd_per_hour


def cost_at(rate_per_second: float, carryings: typing.Mapping[Candidate, Carrying], buying: Buying) -> CostPoint:
    """Return the cost of each candidate's smallest fleet at one rate."""
    cost = {one: buying.cost(each.replicas(rate_per_second), one.degree) for one, each in carryings.items()}
    return CostPoint(rate_per_second=rate_per_second, cost=cost)


def curve(
    rate_per_second: float, carryings: typing.Mapping[Candidate, Carrying], buying: Buying
) -> tuple[CostPoint, ...]:
    """Return the cost of every candidate along rates around ``rate_per_second``, ascending."""
    steps = [SPAN ** (2 * index / (POINTS - 1) - 1) for index in range(POINTS)]
    return tuple(cost_at(rate_per_second * step, carryings, buying) for step in steps)


def cheapest(point: CostPoint) -> Candidate:
    """Return the candidate that costs least; among equals the first in ``point``."""
    return min(point.cost, key=lambda one: point.cost[one])


def ranges(points: typing.Sequence[CostPoint]) -> tuple[CheapestRange, ...]:
    """Return the stretches of the curve on which one candidate is the cheapest, ascending and without gaps."""
    winners: list[Candidate] = []
    for point in points:
        best = cheapest(point)
        holder = winners[-1] if winners else best
        winners.append(best if point.cost[best] < (1 - MARGIN) * point.cost[holder] else holder)
    runs: list[CheapestRange] = []
    for candidate, own in itertools.groupby(zip(winners, points, strict=True), key=lambda pair: pair[0]):
        rates = [point.rate_per_second for _, point in own]
        runs.append(CheapestRange(candidate=candidate, from_per_second=rates[0], to_per_second=rates[-1]))
    joined: list[CheapestRange] = []
    for run in runs:
        end = run.to_per_second
        if joined and (joined[-1].candidate == run.candidate or end < LASTING * joined[-1].to_per_second):
            joined[-1] = dataclasses.replace(joined[-1], to_per_second=end)
        elif joined:
            start = joined[-1].to_per_second
            joined.append(dataclasses.replace(run, from_per_second=start))
        else:
            joined.append(run)
    return tuple(joined)


def nearest_flip(
    found: typing.Sequence[CheapestRange], rate_per_second: float
) -> tuple[float, Candidate, Candidate] | None:
    """Return the flip nearest to a rate, on a log scale: the rate, the candidate below it and the one above it."""
    flips = [(low.to_per_second, low.candidate, high.candidate) for low, high in itertools.pairwise(found)]
    return min(flips, key=lambda flip: abs(math.log(flip[0] / rate_per_second)), default=None)
