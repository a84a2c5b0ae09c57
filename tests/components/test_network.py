"""The VPC: its address blocks, and components that live beside each other."""

import ipaddress

import pulumi
import pytest

from infra.network import Network, NetworkArgs, subnet_blocks
from infra.policies import Place
from tests.fakes_pulumi import record

ZONES = tuple(f"us-east-2{letter}" for letter in "abcdef")


def args(cidr: str, *, zones: tuple[str, ...] = ZONES[:2], per_zone: bool = False) -> NetworkArgs:
    """Return the arguments of a VPC without flow logs."""
    return NetworkArgs(
        boundary=None,
        cidr=cidr,
        zones=zones,
        nat_gateway_per_zone=per_zone,
        flow_log_days=None,
        place=Place(partition="aws", region="us-east-2", account_id="111122223333"),
        tags={},
    )


@pytest.mark.parametrize("cidr", ["10.42.0.0/16", "10.42.0.0/20"])
@pytest.mark.parametrize("count", [2, 6])
def test_blocks_do_not_overlap(cidr: str, count: int) -> None:
    """Every zone has its two blocks inside the VPC, none shares an address with another, none is too small."""
    blocks = subnet_blocks(cidr, ZONES[:count])
    networks = [ipaddress.IPv4Network(part) for each in blocks.values() for part in (each.public, each.private)]
    whole = ipaddress.IPv4Network(cidr)

    assert list(blocks) == list(ZONES[:count])
    assert all(network.subnet_of(whole) for network in networks)
    assert sum(network.num_addresses for network in ipaddress.collapse_addresses(networks)) == sum(
        network.num_addresses for network in networks
    )
    assert max(network.prefixlen for network in networks) <= 28


def test_blocks_stay_when_a_zone_is_added() -> None:
    """A third zone moves no subnet of the first two: a subnet that moves is a cluster that is made anew."""
    two, three = (subnet_blocks("10.42.0.0/16", ZONES[:count]) for count in (2, 3))

    assert {zone: three[zone] for zone in two} == two


def test_blocks_of_the_default_network() -> None:
    """The blocks that a reader of the docs will find in the console."""
    block = subnet_blocks("10.42.0.0/16", ZONES[:1])["us-east-2a"]

    assert (block.public, block.private) == ("10.42.0.0/22", "10.42.32.0/19")


def test_two_networks_share_nothing() -> None:
    """Two instances in one program have their own children, names and ranges."""

    def program() -> None:
        Network("one", args("10.1.0.0/16"))
        Network("two", args("10.2.0.0/16", per_zone=True))

    recording = record(program)
    owners = {each.urn: each.name for each in recording.resources if each.type == "optimal-tp:infra:Network"}
    children = [each for each in recording.resources if each.urn not in owners]

    assert all(each.name.startswith(f"{owners[each.parent]}-") for each in children)
    assert {vpc.inputs["cidrBlock"] for vpc in recording.of_type(":Vpc")} == {"10.1.0.0/16", "10.2.0.0/16"}
    assert [
        len([each for each in recording.of_type(":NatGateway") if name in each.name]) for name in ("one", "two")
    ] == [
        1,
        2,
    ]


def test_options_reach_the_component_and_not_its_children() -> None:
    """Protection asked of the component is inherited by Pulumi; children keep the component as their parent."""

    def program() -> None:
        Network("one", args("10.1.0.0/16"), pulumi.ResourceOptions(protect=True))

    recording = record(program)
    (owner,) = [each for each in recording.resources if each.type == "optimal-tp:infra:Network"]

    assert owner.protect
    assert {each.parent for each in recording.resources if each is not owner} == {owner.urn}


def test_each_private_zone_has_a_way_out() -> None:
    """With one gateway every private route goes to it, with one per zone each goes to its own."""

    def program() -> None:
        Network("one", args("10.1.0.0/16"))
        Network("two", args("10.2.0.0/16", per_zone=True))

    recording = record(program)
    ways = {each.name: each.inputs.get("natGatewayId") for each in recording.of_type(":Route")}

    assert ways == {
        "one-public-out": None,
        "one-private-us-east-2a-out": "one-nat-us-east-2a-id",
        "one-private-us-east-2b-out": "one-nat-us-east-2a-id",
        "two-public-out": None,
        "two-private-us-east-2a-out": "two-nat-us-east-2a-id",
        "two-private-us-east-2b-out": "two-nat-us-east-2b-id",
    }
