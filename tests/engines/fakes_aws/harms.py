"""What AWS allows and what breaks by it: the deletes that nobody refuses and that somebody pays for."""

import collections.abc
import typing

from tests.engines.fakes_aws.world import Instance, Thing, World, values

JOINS: typing.Final = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")
"""Policies without which a node does not join, or leaves."""
Harm = collections.abc.Callable[[World, Thing], "str | None"]


def _karpenters(world: World) -> list[Instance]:
    return [each for each in world.billing() if each.of_karpenter]


def _attachment(world: World, thing: Thing) -> str | None:
    role = thing.inputs["role"]
    policy = str(thing.inputs["policyArn"]).rsplit("/", maxsplit=1)[-1]
    of_nodes = [each for each in world.billing() if each.role == role]
    if of_nodes and policy in JOINS:
        return f"{len(of_nodes)} running nodes lost {policy} and leave the cluster"
    if _karpenters(world) and role in _controllers(world):
        return f"Karpenter lost {policy} while {len(_karpenters(world))} of its instances run"
    return None


def _controllers(world: World) -> set[str]:
    """Return the names of the roles that pods take: Karpenter's is one of them."""
    arns = {each.outputs.get("roleArn") for each in world.of("PodIdentityAssociation")}
    return {each.outputs["name"] for each in world.of("Role") if each.outputs["arn"] in arns}


def _way_out(world: World, _: Thing) -> str | None:
    nodes = world.billing()
    return f"{len(nodes)} running nodes were cut off from the cluster's endpoint" if nodes else None


def _association(world: World, thing: Thing) -> str | None:
    subnet = thing.inputs["subnetId"]
    with_gateway = {each.inputs["subnetId"] for each in world.of("NatGateway")}
    nodes = [each for each in world.billing() if each.subnet == subnet or subnet in with_gateway]
    return f"{len(nodes)} running nodes were cut off from the cluster's endpoint" if nodes else None


def _entry(world: World, thing: Thing) -> str | None:
    role = str(thing.inputs["principalArn"]).rsplit("/", maxsplit=1)[-1]
    nodes = [each for each in world.billing() if each.role == role]
    return f"the kubelets of {len(nodes)} running nodes were locked out" if nodes else None


def _of_karpenter(world: World, thing: Thing) -> str | None:
    count = len(_karpenters(world))
    return f"Karpenter lost {thing} while {count} of its instances run" if count else None


def _addon(world: World, thing: Thing) -> str | None:
    nodes, addon = world.billing(), thing.inputs["addonName"]
    if nodes and addon == "vpc-cni":
        # Nobody is left who deletes the secondary interfaces of these nodes.
        world.abandoned_interfaces.extend(each.subnet for each in nodes)
        return f"the network interfaces of {len(nodes)} running nodes are left behind"
    return _of_karpenter(world, thing)


def _key(world: World, thing: Thing) -> str | None:
    users = [each for each, _ in world.users(thing)]
    return f"{users[0]} cannot read its secrets any more" if users else None


def _template(world: World, thing: Thing) -> str | None:
    users = [each for each, _ in world.users(thing)]
    return f"{users[0]} is degraded: its launch template is gone" if users else None


def _role(world: World, thing: Thing) -> str | None:
    users = [each for each, reference in world.users(thing) if reference.attribute == "arn"]
    return f"{users[0]} has lost its role" if users else None


def _cluster(world: World, _: Thing) -> str | None:
    count = len(_karpenters(world))
    return f"{count} instances run on and bill: the cluster that could end them is gone" if count else None


HARMS: typing.Final[typing.Mapping[str, Harm]] = {
    "RolePolicyAttachment": _attachment,
    "Route": _way_out,
    "NatGateway": _way_out,
    "RouteTableAssociation": _association,
    "AccessEntry": _entry,
    "PodIdentityAssociation": _of_karpenter,
    "Queue": _of_karpenter,
    "QueuePolicy": _of_karpenter,
    "EventTarget": _of_karpenter,
    "EventRule": _of_karpenter,
    "VpcEndpoint": _of_karpenter,
    "Addon": _addon,
    "Key": _key,
    "LaunchTemplate": _template,
    "Role": _role,
    "Cluster": _cluster,
}


def harm(world: World, thing: Thing) -> str | None:
    """Say what breaks when ``thing`` is deleted now; None if nothing does."""
    found = HARMS.get(thing.kind)
    return None if found is None else found(world, thing)


def missing_for_nodes(world: World, role: str, subnets: collections.abc.Iterable[str]) -> str | None:
    """Say why a node with ``role`` in ``subnets`` would not join the cluster; None if it would."""
    attached = {
        str(each.inputs["policyArn"]).rsplit("/", maxsplit=1)[-1]
        for each in world.of("RolePolicyAttachment")
        if each.inputs["role"] == role
    }
    for policy in JOINS:
        if policy not in attached:
            return f"role {role} has no {policy}"
    if not any(each.inputs["addonName"] == "vpc-cni" for each in world.of("Addon")):
        return "the cluster has no network plugin"
    tables = {each.inputs["subnetId"]: each.inputs["routeTableId"] for each in world.of("RouteTableAssociation")}
    leading_out = {each.inputs["routeTableId"] for each in world.of("Route") if values(each.inputs, "natGatewayId")}
    for subnet in subnets:
        if tables.get(subnet) not in leading_out:
            return f"no route leads out of {subnet}"
    return None
