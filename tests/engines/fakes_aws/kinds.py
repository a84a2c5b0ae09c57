"""What the model knows of each kind of AWS resource: what it refers to, what that keeps from being deleted, its names.

A kind is the last part of Pulumi's type token. Rules are EC2's, IAM's and EKS's as their API references state them
(DeleteVpc, DeleteSubnet, DeleteSecurityGroup, DeleteRole, DeletePolicy, DeleteCluster, DeleteRule, DeleteFileSystem,
ReleaseAddress; read from botocore 1.44.5, 2026-11-23).
"""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """One input that names another resource. ``path`` has dots; lists are entered."""

    path: str
    kind: str
    attribute: str = "id"
    holds: str | None = None
    """Error code with which AWS refuses to delete what is named; None where AWS lets it go."""


VIOLATION: typing.Final = "DependencyViolation"
CONFLICT: typing.Final = "DeleteConflict"
_VPC = Reference(path="vpcId", kind="Vpc", holds=VIOLATION)
_OWN_VPC = Reference(path="vpcId", kind="Vpc")
_IN_CLUSTER = Reference(path="clusterName", kind="Cluster", attribute="name")
_BUCKET = Reference(path="bucket", kind="Bucket")
_OF_ROLE = Reference(path="role", kind="Role", attribute="name", holds=CONFLICT)

REFERENCES: typing.Final[typing.Mapping[str, tuple[Reference, ...]]] = {
    "Vpc": (),
    "DefaultSecurityGroup": (_OWN_VPC,),
    "Subnet": (_VPC,),
    "InternetGateway": (_VPC,),
    "RouteTable": (_VPC,),
    "Route": (
        Reference(path="routeTableId", kind="RouteTable"),
        Reference(path="gatewayId", kind="InternetGateway"),
        Reference(path="natGatewayId", kind="NatGateway"),
    ),
    "RouteTableAssociation": (
        Reference(path="subnetId", kind="Subnet"),
        Reference(path="routeTableId", kind="RouteTable", holds=VIOLATION),
    ),
    "Eip": (),
    "NatGateway": (
        Reference(path="subnetId", kind="Subnet", holds=VIOLATION),
        Reference(path="allocationId", kind="Eip", holds="InvalidIPAddress.InUse"),
    ),
    "VpcEndpoint": (_VPC, Reference(path="routeTableIds", kind="RouteTable")),
    "SecurityGroup": (_VPC,),
    "SecurityGroupIngressRule": (
        Reference(path="securityGroupId", kind="SecurityGroup"),
        Reference(path="referencedSecurityGroupId", kind="SecurityGroup", holds=VIOLATION),
    ),
    "FlowLog": (
        _OWN_VPC,
        Reference(path="logDestination", kind="LogGroup", attribute="arn"),
        Reference(path="iamRoleArn", kind="Role", attribute="arn"),
    ),
    "LaunchTemplate": (),
    "FileSystem": (),
    "MountTarget": (
        Reference(path="fileSystemId", kind="FileSystem", holds="FileSystemInUse"),
        Reference(path="subnetId", kind="Subnet", holds=VIOLATION),
        Reference(path="securityGroups", kind="SecurityGroup", holds=VIOLATION),
    ),
    "AccessPoint": (Reference(path="fileSystemId", kind="FileSystem"),),
    "Role": (),
    "Policy": (),
    "RolePolicy": (_OF_ROLE,),
    "RolePolicyAttachment": (_OF_ROLE, Reference(path="policyArn", kind="Policy", attribute="arn", holds=CONFLICT)),
    "InstanceProfile": (_OF_ROLE,),
    "OpenIdConnectProvider": (),
    "Key": (),
    "LogGroup": (),
    "Queue": (),
    "QueuePolicy": (Reference(path="queueUrl", kind="Queue", attribute="url"),),
    "EventRule": (),
    "EventTarget": (
        Reference(path="rule", kind="EventRule", attribute="name", holds="ValidationException"),
        Reference(path="arn", kind="Queue", attribute="arn"),
    ),
    "Cluster": (
        Reference(path="roleArn", kind="Role", attribute="arn"),
        Reference(path="vpcConfig.subnetIds", kind="Subnet", holds=VIOLATION),
        Reference(path="encryptionConfig.provider.keyArn", kind="Key", attribute="arn"),
    ),
    "NodeGroup": (
        Reference(path="clusterName", kind="Cluster", attribute="name", holds="ResourceInUseException"),
        Reference(path="nodeRoleArn", kind="Role", attribute="arn"),
        Reference(path="subnetIds", kind="Subnet"),
        Reference(path="launchTemplate.id", kind="LaunchTemplate"),
    ),
    "Addon": (_IN_CLUSTER, Reference(path="podIdentityAssociations.roleArn", kind="Role", attribute="arn")),
    "AccessEntry": (_IN_CLUSTER,),
    "AccessPolicyAssociation": (_IN_CLUSTER,),
    "PodIdentityAssociation": (_IN_CLUSTER, Reference(path="roleArn", kind="Role", attribute="arn")),
    "Bucket": (),
    "BucketVersioning": (_BUCKET,),
    "BucketServerSideEncryptionConfiguration": (_BUCKET,),
    "BucketPublicAccessBlock": (_BUCKET,),
    "BucketPolicy": (_BUCKET,),
    "BucketLifecycleConfiguration": (_BUCKET,),
    "Dashboard": (),
    "MetricAlarm": (),
}
"""Every kind that the model answers for."""

WITH_CLUSTER: typing.Final = ("Addon", "AccessEntry", "AccessPolicyAssociation", "PodIdentityAssociation")
"""What DeleteCluster takes along."""
WITH_VPC: typing.Final = ("DefaultSecurityGroup", "FlowLog")
WITH_TABLE: typing.Final = ("Route",)
WITH_BUCKET: typing.Final = tuple(kind for kind, found in REFERENCES.items() if found == (_BUCKET,))
WITH_GROUP: typing.Final = ("SecurityGroupIngressRule",)

NAMED_BY: typing.Final[typing.Mapping[str, tuple[str, int]]] = {
    # property and longest name, in characters
    "Role": ("name", 64),
    "Policy": ("name", 128),
    "RolePolicy": ("name", 128),
    "InstanceProfile": ("name", 128),
    "LogGroup": ("name", 512),
    "Queue": ("name", 80),
    "EventRule": ("name", 64),
    "LaunchTemplate": ("name", 128),
    "NodeGroup": ("nodeGroupName", 63),
    "Bucket": ("bucket", 63),
    "Cluster": ("name", 100),
    "MetricAlarm": ("name", 255),
    "Dashboard": ("dashboardName", 255),
}
"""Kinds with a name of their own. Where the program gives none, Pulumi's AWS provider appends seven digits to its own.
A name that is taken is refused."""

ID_PREFIXES: typing.Final[typing.Mapping[str, str]] = {
    "Vpc": "vpc",
    "Subnet": "subnet",
    "InternetGateway": "igw",
    "RouteTable": "rtb",
    "Route": "r-rtb",
    "RouteTableAssociation": "rtbassoc",
    "Eip": "eipalloc",
    "NatGateway": "nat",
    "VpcEndpoint": "vpce",
    "SecurityGroup": "sg",
    "SecurityGroupIngressRule": "sgr",
    "FlowLog": "fl",
    "LaunchTemplate": "lt",
    "FileSystem": "fs",
    "MountTarget": "fsmt",
    "AccessPoint": "fsap",
}

SECONDS: typing.Final[typing.Mapping[str, tuple[float, float]]] = {
    # until made, until gone: what AWS is known to take, in round figures of public guides (2026); not measured here
    "Cluster": (540, 180),
    "NodeGroup": (180, 180),
    "Addon": (60, 10),
    "NatGateway": (120, 60),
    "FileSystem": (60, 5),
    "MountTarget": (90, 30),
    "VpcEndpoint": (20, 20),
    "InstanceProfile": (10, 1),
    "Role": (2, 1),
    "Vpc": (12, 1),
    "Subnet": (11, 1),
}
OTHER_SECONDS: typing.Final = (1.0, 1.0)
