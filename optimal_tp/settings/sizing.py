"""What the infrastructure costs by the hour: the part that is there with and without Neuron nodes."""

from optimal_tp.settings.infra import SYSTEM_NODES, InfraSettings


def nat_gateways(settings: InfraSettings) -> int:
    """Return how many NAT gateways the program makes."""
    if settings.existing is not None or settings.network.existing is not None:
        return 0
    return 1 if settings.network.nat_gateways == "one" else len(settings.zones)


def idle_usd_per_hour(settings: InfraSettings) -> float:
    """Return an hour's cost without any Neuron node; a cluster that is there costs nothing more by being used."""
    if settings.existing is not None:
        return 0.0
    prices = settings.prices
    gateways = nat_gateways(settings) * prices.nat_gateway.usd_per_hour
    return prices.control_plane.usd_per_hour + SYSTEM_NODES * prices.system_node.usd_per_hour + gateways


def price_sentences(settings: InfraSettings) -> list[str]:
    """Return every price that counts, with its source and date, the Neuron node's first."""
    prices, neuron = settings.prices, settings.neuron
    found = [neuron.price.sentence(f"one {neuron.instance_type}")]
    if settings.existing is None:
        found += [
            prices.control_plane.sentence("control plane"),
            prices.system_node.sentence(f"one system node, {settings.system_nodes.instance_type}"),
        ]
    if nat_gateways(settings):
        found.append(prices.nat_gateway.sentence("one NAT gateway"))
    return found
