"""What an hour of the experiment costs, before it starts: the nodes from the settings, the rest from price lists."""

import dataclasses

# USD an hour in us-east-1. Control plane and NAT gateway as public guides of 2026-03 and 2026-04 cite AWS's price pages
# (cloudburn.io/blog/amazon-eks-pricing, backendstack.dev); the price of m7i.large was not confirmed. Other regions ask
# up to about half more, and data costs extra: the sum is an estimate and says so.
CONTROL_PLANE_USD_PER_HOUR = 0.10
NAT_GATEWAY_USD_PER_HOUR = 0.045
SYSTEM_NODES_USD_PER_HOUR = 2 * 0.1008
"""Two m7i.large."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HourlyCost:
    """An hour's cost in USD. None where no price is known."""

    node_usd: float | None
    nodes: int
    """Neuron nodes that run at the same time."""
    idle_usd: float
    """Without any Neuron node."""

    @property
    def neuron_usd(self) -> float | None:
        """Of all Neuron nodes."""
        return None if self.node_usd is None else self.node_usd * self.nodes

    @property
    def now_usd(self) -> float | None:
        """While the servers run."""
        return None if self.neuron_usd is None else self.neuron_usd + self.idle_usd

    def sentence(self) -> str:
        """Return the estimate for people."""
        idle = f"{self.idle_usd:.2f} USD an hour idle (control plane, system nodes, NAT: an estimate)"
        if self.now_usd is None:
            return f"cost while serving unknown: set workloads.price to the price of one node's hour; {idle}"
        return (
            f"about {self.now_usd:.2f} USD an hour while serving ({self.nodes} x {self.node_usd:g} for Neuron), {idle}"
        )


def hourly_cost(*, node_usd: float | None, nodes: int, makes_cluster: bool, nat_gateways: int) -> HourlyCost:
    """Return the estimate; a cluster that is there already costs nothing more by being used."""
    idle = CONTROL_PLANE_USD_PER_HOUR + SYSTEM_NODES_USD_PER_HOUR + nat_gateways * NAT_GATEWAY_USD_PER_HOUR
    return HourlyCost(node_usd=node_usd, nodes=nodes, idle_usd=idle if makes_cluster else 0.0)
