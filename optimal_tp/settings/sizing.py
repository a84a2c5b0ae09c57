"""Cost of everything around the Neuron nodes: by the hour, and for data through NAT gateways."""

import re

from optimal_tp.settings.infra import SYSTEM_NODES, InfraSettings


def nat_gateways(settings: InfraSettings) -> int:
    """Return how many NAT gateways the program makes."""
    if settings.existing is not None or settings.network.existing is not None:
        return 0
    return 1 if settings.network.nat_gateways == "one" else len(settings.zones)


def idle_usd_per_hour(settings: InfraSettings) -> float:
    """Return the hourly cost without any Neuron node, in USD; using an existing cluster adds nothing."""
    if settings.existing is not None:
        return 0.0
    prices = settings.prices
    gateways = nat_gateways(settings) * prices.nat_gateway.usd_per_hour
    return prices.control_plane.usd_per_hour + SYSTEM_NODES * prices.system_node.usd_per_hour + gateways


IMAGES_GIB = 9
"""Images that one Neuron node pulls: the server's, 8 GiB compressed, and those of DaemonSets."""
_PUBLIC_REGISTRY = "public.ecr.aws"


def node_traffic_usd(settings: InfraSettings) -> float:
    """Return what the NAT gateway charges for the images of one Neuron node, in USD.

    ECR Public's layers come from CloudFront, so they do not take the S3 gateway endpoint; those of a private ECR do.
    AWS charges as much for a GB through a NAT gateway as for an hour of it (VPC pricing, 0.045 each in us-east-1).
    """
    if not nat_gateways(settings) or not settings.registries.images.startswith(_PUBLIC_REGISTRY):
        return 0.0
    return IMAGES_GIB * 2**30 / 10**9 * settings.prices.nat_gateway.usd_per_hour


def model_traffic_usd(settings: InfraSettings, source: str, checkpoint_bytes: int) -> float:
    """Return what the NAT gateway charges, in USD, for one model's files, which one Job fetches from ``source``.

    A hub is on the internet; a bucket takes the S3 gateway endpoint. A GB costs as in ``node_traffic_usd``.
    """
    if not nat_gateways(settings) or source.startswith("s3://"):
        return 0.0
    return checkpoint_bytes / 10**9 * settings.prices.nat_gateway.usd_per_hour


def price_sentences(settings: InfraSettings) -> list[str]:
    """Return every price in use, with its source and date, the Neuron node's first."""
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


_SIZE = re.compile(r"\.(?:(?P<large>large)|(?P<times>\d*)xlarge)$")
_VCPUS_OF_XLARGE = 4


def system_node_vcpus(settings: InfraSettings) -> tuple[int, ...] | None:
    """Return the vCPUs of each system node; None for an existing cluster, or if the type's name does not tell.

    "large" has 2 vCPUs and "Nxlarge" 4 N in every x86-64 family.
    """
    size = _SIZE.search(settings.system_nodes.instance_type)
    if settings.existing is not None or size is None:
        return None
    vcpus = 2 if size["large"] else _VCPUS_OF_XLARGE * int(size["times"] or 1)
    return (vcpus,) * SYSTEM_NODES
