"""What AWS does when it is asked to make, change or delete a resource."""

import json
import re
import typing

from tests.engines.fakes_aws.again import PUTS, taken
from tests.engines.fakes_aws.harms import harm, missing_for_nodes
from tests.engines.fakes_aws.kinds import (
    ID_PREFIXES,
    NAMED_BY,
    REFERENCES,
    VIOLATION,
    WITH_BUCKET,
    WITH_CLUSTER,
    WITH_GROUP,
    WITH_TABLE,
    WITH_VPC,
)
from tests.engines.fakes_aws.outputs import computed
from tests.engines.fakes_aws.world import Instance, Properties, RefusedError, Thing, World, key, values

_DESCRIPTION = re.compile(r"[\t\n\r\x20-\x7e\xa1-\xff]{0,1000}")
"""IAM's pattern of descriptions (CreateRole)."""
_LONGEST_POLICY, _LONGEST_TRUST = 6144, 2048
"""IAM's quotas in characters, white space not counted (managed policy, trust policy)."""
NEEDS_NODES: typing.Final = ("coredns", "aws-efs-csi-driver")
"""Add-ons with Deployments: without nodes their pods are pending, and the add-on is DEGRADED."""


class DegradedError(RuntimeError):
    """The resource was made and does not work; it stays. ``thing`` is it."""

    def __init__(self, thing: Thing, sentence: str) -> None:
        super().__init__(sentence)
        self.thing = thing


def create(world: World, kind: str, urn: str, inputs: Properties) -> Thing:
    """Make a resource. Raises RefusedError where AWS makes none, DegradedError where it makes one that fails."""
    for reference in REFERENCES[kind]:
        for value in values(inputs, reference.path):
            of_aws = reference.kind == "Policy" and ":iam::aws:policy/" in str(value)
            of_eks = reference.kind == "SecurityGroup" and str(value).startswith("sg-of-")
            if not of_aws and not of_eks and world.find(reference.kind, reference.attribute, value) is None:
                raise RefusedError(
                    f"{reference.kind}NotFound", f"{value!r} in {reference.path} of {urn} does not exist"
                )
    _check_name(world, kind, inputs)
    _check_rules(world, kind, inputs)
    holder = taken(world, kind, inputs)
    if holder is not None:
        code, other = holder
        raise RefusedError(code, f"{kind} {other.id} already exists")
    id_ = _id(world, kind, inputs)
    if kind not in PUTS and key(kind, id_) in world.things:
        raise RefusedError("ResourceInUseException", f"{kind} {id_} already exists")
    thing = Thing(kind=kind, id=id_, urn=urn, inputs=inputs, outputs=computed(world, kind, id_, inputs))
    world.things[key(kind, id_)] = thing
    _begin(world, thing)
    return thing


def update(world: World, kind: str, id_: str, inputs: Properties) -> Thing:
    """Change a resource in place. Raises RefusedError where it is gone."""
    thing = world.things.get(key(kind, id_))
    if thing is None:
        raise RefusedError(f"{kind}NotFound", f"{id_} does not exist")
    kept = {name: value for name, value in thing.outputs.items() if name not in thing.inputs}
    thing.inputs, thing.outputs = inputs, {**kept, **inputs}
    if kind == "LaunchTemplate":
        thing.outputs["latestVersion"] = kept["latestVersion"] + 1
    return thing


def delete(world: World, kind: str, id_: str) -> Thing | None:
    """Delete a resource; None if it is gone already. Raises RefusedError while something that holds it exists."""
    thing = world.things.get(key(kind, id_))
    if thing is None:
        return None
    for user, reference in world.users(thing):
        if reference.holds is not None:
            raise RefusedError(reference.holds, f"{thing} is in use by {user}")
    _check_delete(world, thing)
    broken = harm(world, thing)
    if broken is not None:
        world.harms.append(f"{thing} was deleted: {broken}")
    del world.things[key(kind, id_)]
    _end(world, thing)
    return thing


def launch(world: World, instance: Instance) -> None:
    """Start an instance. Raises RefusedError where it would not become a node of the cluster."""
    missing = missing_for_nodes(world, instance.role, [instance.subnet])
    if missing is not None:
        raise RefusedError("NodeCreationFailure", f"instances do not join the cluster: {missing}")
    world.instances[instance.id] = instance


def terminate(world: World, instance_id: str) -> None:
    """End an instance, and with it its bill."""
    world.instances[instance_id].state = "terminated"


def _id(world: World, kind: str, inputs: Properties) -> str:
    if kind == "EventTarget":
        # Without an id of the program's the provider makes one up, each time another.
        return f"{inputs['rule']}:{inputs.get('targetId') or world.new_id('terraform')}"
    if kind in ID_PREFIXES:
        return world.new_id(ID_PREFIXES[kind])
    if kind == "NodeGroup":
        return f"{inputs['clusterName']}:{inputs['nodeGroupName']}"
    if kind in NAMED_BY and kind != "RolePolicy":
        return str(inputs[NAMED_BY[kind][0]])
    parts = {
        "RolePolicy": ("role", "name"),
        "Addon": ("clusterName", "addonName"),
        "AccessEntry": ("clusterName", "principalArn"),
        "AccessPolicyAssociation": ("clusterName", "principalArn", "policyArn"),
        "PodIdentityAssociation": ("clusterName", "namespace", "serviceAccount"),
        "RolePolicyAttachment": ("role", "policyArn"),
        "DefaultSecurityGroup": ("vpcId",),
        "QueuePolicy": ("queueUrl",),
        "OpenIdConnectProvider": ("url",),
        **dict.fromkeys(WITH_BUCKET, ("bucket",)),
    }
    if kind in parts:
        return ":".join(str(inputs[part]) for part in parts[kind])
    return world.new_id(kind.lower())


def _check_name(world: World, kind: str, inputs: Properties) -> None:
    if kind not in NAMED_BY:
        return
    name_key, longest = NAMED_BY[kind]
    name = str(inputs[name_key])
    if len(name) > longest:
        raise RefusedError("ValidationError", f"{name_key} {name!r} has more than {longest} characters")
    if kind not in PUTS | {"NodeGroup"} and world.find(kind, name_key, name) is not None:
        raise RefusedError("EntityAlreadyExists", f"{kind} {name} already exists")


def _check_rules(world: World, kind: str, inputs: Properties) -> None:
    if kind in ("Role", "Policy") and not _DESCRIPTION.fullmatch(str(inputs.get("description", ""))):
        raise RefusedError("ValidationError", f"description {inputs['description']!r} has characters that IAM refuses")
    longest = {"Policy": ("policy", _LONGEST_POLICY), "Role": ("assumeRolePolicy", _LONGEST_TRUST)}
    if kind in longest:
        document, most = longest[kind]
        size = len(re.sub(r"\s", "", json.dumps(json.loads(inputs[document]), separators=(",", ":"))))
        if size > most:
            raise RefusedError(
                "LimitExceeded", f"{document} of {inputs['name']} has {size} characters; {most} are allowed"
            )
    _check_place(world, kind, inputs)
    if kind == "Cluster":
        _check_cluster(world, inputs)
    if kind == "NodeGroup":
        role = str(inputs["nodeRoleArn"]).rsplit("/", maxsplit=1)[-1]
        missing = missing_for_nodes(world, role, inputs["subnetIds"])
        if missing is not None:
            raise RefusedError("NodeCreationFailure", f"instances do not join the cluster: {missing}")


def _check_place(world: World, kind: str, inputs: Properties) -> None:
    if kind == "NatGateway":
        vpc = _one(world, "Subnet", inputs["subnetId"]).inputs["vpcId"]
        if not any(each.inputs["vpcId"] == vpc for each in world.of("InternetGateway")):
            raise RefusedError("Gateway.NotAttached", f"{vpc} has no internet gateway")
    if kind == "MountTarget":
        zone = _zone(world, inputs["subnetId"])
        for each in world.of("MountTarget"):
            if each.inputs["fileSystemId"] == inputs["fileSystemId"] and _zone(world, each.inputs["subnetId"]) == zone:
                raise RefusedError("MountTargetConflict", f"MountTarget {each.id} already exists in {zone}")


def _check_cluster(world: World, inputs: Properties) -> None:
    zones = {_zone(world, subnet) for subnet in values(inputs, "vpcConfig.subnetIds")}
    if len(zones) < 2:
        raise RefusedError("InvalidParameterException", "subnets of at least two zones are needed")
    role = str(inputs["roleArn"]).rsplit("/", maxsplit=1)[-1]
    attached = {
        str(each.inputs["policyArn"]) for each in world.of("RolePolicyAttachment") if each.inputs["role"] == role
    }
    if not any(arn.endswith("/AmazonEKSClusterPolicy") for arn in attached):
        raise RefusedError("InvalidParameterException", f"role {role} has no AmazonEKSClusterPolicy")


def _check_delete(world: World, thing: Thing) -> None:
    if thing.kind == "Subnet":
        here = [each.id for each in world.billing() if each.subnet == thing.id]
        left = thing.id in world.abandoned_interfaces
        if here or left:
            raise RefusedError(
                VIOLATION, f"{thing} has network interfaces of {here[0] if here else 'nodes that are gone'}"
            )
    if thing.kind == "InternetGateway":
        subnets = {each.id for each in world.of("Subnet") if each.inputs["vpcId"] == thing.inputs["vpcId"]}
        if any(each.inputs["subnetId"] in subnets for each in world.of("NatGateway")):
            raise RefusedError(VIOLATION, f"{thing} serves mapped public addresses")
    # IAM lets it go and breaks the nodes; the model is stricter.
    if thing.kind == "InstanceProfile" and any(each.profile == thing.outputs["name"] for each in world.billing()):
        raise RefusedError("DeleteConflict", f"{thing} is in use by running instances")
    if thing.kind == "Cluster" and thing.inputs.get("deletionProtection"):
        raise RefusedError("InvalidRequestException", f"{thing} is protected against deletion")
    if thing.kind == "Key" and thing.outputs.get("deletionDate"):
        raise RefusedError("KMSInvalidStateException", f"{thing} is pending deletion")


def _begin(world: World, thing: Thing) -> None:
    """Do what a new resource brings with it."""
    if thing.kind == "Cluster":
        group = f"/aws/eks/{thing.inputs['name']}/cluster"
        if thing.inputs.get("enabledClusterLogTypes") and world.find("LogGroup", "name", group) is None:
            _make_log_group(world, group)
    if thing.kind == "NodeGroup":
        for number in range(int(thing.inputs["scalingConfig"]["desiredSize"])):
            subnets = thing.inputs["subnetIds"]
            instance = Instance(
                id=world.new_id("i"),
                owner=thing.id,
                of_karpenter=False,
                role=str(thing.inputs["nodeRoleArn"]).rsplit("/", maxsplit=1)[-1],
                profile="",
                subnet=subnets[number % len(subnets)],
                groups=[],
                instance_type=thing.inputs["instanceTypes"][0],
            )
            world.instances[instance.id] = instance
    if thing.kind == "Addon" and thing.inputs["addonName"] in NEEDS_NODES and not world.billing():
        thing.outputs["status"] = "DEGRADED"
        sentence = (
            f"unexpected state 'DEGRADED', wanted target 'ACTIVE': {thing.inputs['addonName']} has no node to run on"
        )
        raise DegradedError(thing, sentence)


def _end(world: World, thing: Thing) -> None:
    """Do what a delete takes along."""
    along = {"Cluster": WITH_CLUSTER, "Vpc": WITH_VPC, "RouteTable": WITH_TABLE, "Bucket": WITH_BUCKET}
    along["SecurityGroup"] = WITH_GROUP
    for user, reference in [*world.users(thing)]:
        if user.kind in along.get(thing.kind, ()) and reference.holds is None:
            world.things.pop(key(user.kind, user.id), None)
    if thing.kind == "NodeGroup":
        for instance in world.instances.values():
            if instance.owner == thing.id:
                instance.state = "terminated"
    if thing.kind == "Cluster":
        _leave_group(world, thing)
    if thing.kind == "LogGroup":
        writers = [each for each in world.of("Cluster") if f"/aws/eks/{each.inputs['name']}/cluster" == thing.id]
        if any(each.inputs.get("enabledClusterLogTypes") for each in writers):
            _make_log_group(world, thing.id)


def _leave_group(world: World, cluster: Thing) -> None:
    """Keep the cluster's security group where something still uses it: EKS tries once to delete it, and gives up."""
    vpc = cluster.outputs["vpcConfig"]
    group = vpc["clusterSecurityGroupId"]
    named = any(each.inputs.get("referencedSecurityGroupId") == group for each in world.of("SecurityGroupIngressRule"))
    if named or any(group in each.groups for each in world.billing()):
        subnet = world.find("Subnet", "id", vpc["subnetIds"][0])
        inputs = {"vpcId": None if subnet is None else subnet.inputs["vpcId"]}
        left = Thing(kind="SecurityGroup", id=group, urn="", inputs=inputs, outputs=dict(inputs))
        world.things[key("SecurityGroup", group)] = left


def _make_log_group(world: World, name: str) -> None:
    """Make the group as EKS does: without a retention, and nobody's to delete."""
    outputs = computed(world, "LogGroup", name, {"name": name})
    world.things[key("LogGroup", name)] = Thing(
        kind="LogGroup", id=name, urn="", inputs={"name": name}, outputs=outputs
    )


def _one(world: World, kind: str, id_: object) -> Thing:
    found = world.find(kind, "id", id_)
    if found is None:
        raise RefusedError(f"{kind}NotFound", f"{id_} does not exist")
    return found


def _zone(world: World, subnet: object) -> str:
    return str(_one(world, "Subnet", subnet).inputs["availabilityZone"])
