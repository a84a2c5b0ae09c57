"""Whole nodes for a fleet of one degree, and what they cost."""

import dataclasses
import math
import typing

from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceType, InstanceTypeName
from optimal_tp.plan.placement import cpu_millicores_per_core, memory_mib_per_core


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nodes:
    """What a fleet runs on."""

    instance_type: InstanceTypeName
    servers_per_node: int
    count: int
    usd_per_hour: float | None
    """Of all nodes; None without a price."""

    @property
    def room(self) -> int:
        """Servers that the nodes hold, planned or not."""
        return self.count * self.servers_per_node


def servers_per_node(degree: int, kind: InstanceType) -> int:
    """Return how many servers of ``degree`` one node of ``kind`` holds; 0 if none.

    The same packing as the cluster's plan: whole servers on a node, CPU and memory in proportion to their cores, and
    no more pods than the node takes. A node's own pods are counted as eight.
    """
    by_cores = kind.logical_cores // degree
    by_pods = kind.allocatable_pods - 8
    by_cpu = kind.allocatable_cpu_millicores // (degree * cpu_millicores_per_core(kind))
    by_memory = kind.allocatable_memory_mib // (degree * memory_mib_per_core(kind))
    return max(0, min(by_cores, by_pods, by_cpu, by_memory))


def nodes_for(replicas: int, degree: int, name: InstanceTypeName, usd_per_node_hour: float | None) -> Nodes | None:
    """Return the fewest nodes of one type for ``replicas`` servers; None where a node holds no such server."""
    each = servers_per_node(degree, INSTANCE_TYPES[name])
    if each == 0:
        return None
    count = math.ceil(replicas / each)
    cost = None if usd_per_node_hour is None else count * usd_per_node_hour
    return Nodes(instance_type=name, servers_per_node=each, count=count, usd_per_hour=cost)


def by_type(replicas: int, degree: int, prices: typing.Mapping[InstanceTypeName, float]) -> tuple[Nodes, ...]:
    """Return the nodes of each type that can hold the fleet."""
    options = (nodes_for(replicas, degree, name, prices.get(name)) for name in INSTANCE_TYPES)
    return tuple(nodes for nodes in options if nodes is not None)


def withstanding(count: int, zones: int) -> tuple[int, int | None]:
    """Return the nodes of which ``count`` are left after the loss of one node, and after that of one of ``zones``.

    Nodes are spread evenly, so that the largest zone has ``ceil(nodes / zones)``. None with one zone: nothing is left.
    """
    if zones < 2:  # noqa: PLR2004 - with one zone all is lost
        return count + 1, None
    total = count
    while total - math.ceil(total / zones) < count:
        total += max(1, (count - (total - math.ceil(total / zones))))
    return count + 1, total
