"""What AWS answers to a second create of what is there: some creates are puts, some keys are taken, the rest are twins.

By the API references (botocore 1.44.5): PutRolePolicy, AttachRolePolicy, PutTargets, SetQueueAttributes,
PutMetricAlarm, PutDashboard, PutBucket*, AssociateAccessPolicy; the error codes are those of EC2's reference.
"""

import typing

from tests.engines.fakes_aws.world import Properties, Thing, World, values

PUTS: typing.Final = frozenset(
    {
        "AccessPolicyAssociation",
        "BucketLifecycleConfiguration",
        "BucketPolicy",
        "BucketPublicAccessBlock",
        "BucketServerSideEncryptionConfiguration",
        "BucketVersioning",
        "Dashboard",
        "DefaultSecurityGroup",
        "EventTarget",
        "MetricAlarm",
        "QueuePolicy",
        "RolePolicy",
        "RolePolicyAttachment",
    }
)
"""Kinds whose second create is the first once more. The default security group is adopted, not made."""
NATURAL_KEYS: typing.Final[typing.Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "FlowLog": ("FlowLogAlreadyExists", ("vpcId", "logDestination")),
    "InternetGateway": ("Resource.AlreadyAssociated", ("vpcId",)),
    "NatGateway": ("Resource.AlreadyAssociated", ("allocationId",)),
    "Route": ("RouteAlreadyExists", ("routeTableId", "destinationCidrBlock")),
    "RouteTableAssociation": ("Resource.AlreadyAssociated", ("subnetId",)),
    "SecurityGroupIngressRule": (
        "InvalidPermission.Duplicate",
        ("securityGroupId", "referencedSecurityGroupId", "ipProtocol", "fromPort", "toPort"),
    ),
    "Subnet": ("InvalidSubnet.Conflict", ("vpcId", "cidrBlock")),
    "VpcEndpoint": ("RouteAlreadyExists", ("serviceName", "routeTableIds")),
}
"""Kinds without a name of which there can be one only, by these inputs; with the code of the refusal."""


def taken(world: World, kind: str, inputs: Properties) -> tuple[str, Thing] | None:
    """Return code and holder where the natural key of ``inputs`` is taken; None where it is free or there is none."""
    if kind not in NATURAL_KEYS:
        return None
    code, names = NATURAL_KEYS[kind]
    for each in world.of(kind):
        if [values(each.inputs, name) for name in names] == [values(inputs, name) for name in names]:
            return code, each
    return None
