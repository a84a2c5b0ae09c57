"""Names, descriptions, enums and sizes within what AWS accepts, by botocore's own service models."""

import collections.abc
import functools
import re
import typing

import botocore.loaders
import botocore.model
import pytest

from tests.fakes_pulumi import Recorded, recorded
from tests.fakes_stack_files import STACK_FILES

OPERATIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    # Pulumi's type: service, operation, and inputs whose name in the API is not the same but for its case.
    "aws:cloudwatch/eventRule:EventRule": ("events", "PutRule", {}),
    "aws:cloudwatch/eventTarget:EventTarget": ("events", "PutTargets", {}),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "CreateLogGroup", {"name": "logGroupName"}),
    "aws:cloudwatch/dashboard:Dashboard": ("cloudwatch", "PutDashboard", {}),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        *("cloudwatch", "PutMetricAlarm"),
        {"name": "AlarmName", "metricQueries": "Metrics"},
    ),
    "aws:s3/bucket:Bucket": ("s3", "CreateBucket", {}),
    "aws:s3/bucketVersioning:BucketVersioning": ("s3", "PutBucketVersioning", {}),
    "aws:ec2/flowLog:FlowLog": ("ec2", "CreateFlowLogs", {"iamRoleArn": "DeliverLogsPermissionArn"}),
    "aws:ec2/launchTemplate:LaunchTemplate": ("ec2", "CreateLaunchTemplate", {}),
    "aws:ec2/natGateway:NatGateway": ("ec2", "CreateNatGateway", {}),
    "aws:ec2/securityGroup:SecurityGroup": ("ec2", "CreateSecurityGroup", {}),
    "aws:ec2/subnet:Subnet": ("ec2", "CreateSubnet", {}),
    "aws:ec2/vpc:Vpc": ("ec2", "CreateVpc", {}),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("ec2", "CreateVpcEndpoint", {"routeTableIds": "RouteTableIds"}),
    "aws:efs/accessPoint:AccessPoint": ("efs", "CreateAccessPoint", {}),
    "aws:efs/fileSystem:FileSystem": ("efs", "CreateFileSystem", {}),
    "aws:efs/mountTarget:MountTarget": ("efs", "CreateMountTarget", {}),
    "aws:eks/accessEntry:AccessEntry": ("eks", "CreateAccessEntry", {}),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": ("eks", "AssociateAccessPolicy", {}),
    "aws:eks/addon:Addon": ("eks", "CreateAddon", {"resolveConflictsOnCreate": "resolveConflicts"}),
    "aws:eks/nodeGroup:NodeGroup": ("eks", "CreateNodegroup", {"nodeRoleArn": "nodeRole", "subnetIds": "subnets"}),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": ("eks", "CreatePodIdentityAssociation", {}),
    "aws:iam/instanceProfile:InstanceProfile": ("iam", "CreateInstanceProfile", {}),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": (
        *("iam", "CreateOpenIDConnectProvider"),
        {"clientIdLists": "ClientIDList"},
    ),
    "aws:iam/policy:Policy": ("iam", "CreatePolicy", {"policy": "PolicyDocument"}),
    "aws:iam/role:Role": ("iam", "CreateRole", {"assumeRolePolicy": "AssumeRolePolicyDocument"}),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("iam", "AttachRolePolicy", {}),
    "aws:kms/key:Key": ("kms", "CreateKey", {}),
    "eks:index:Cluster": ("eks", "CreateCluster", {}),
}
NOT_CHECKED = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "made by AWS, adopted",
    "aws:ec2/eip:Eip": "one enum, which the provider checks",
    "aws:ec2/internetGateway:InternetGateway": "tags only",
    "aws:ec2/route:Route": "ids only",
    "aws:ec2/routeTable:RouteTable": "tags only",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "ids only",
    "aws:iam/rolePolicy:RolePolicy": "its document is checked in test_iam.py",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "its rules are checked in test_workloads.py",
    "aws:s3/bucketPolicy:BucketPolicy": "its document is checked in test_iam.py",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "switches only",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "one enum, likewise",
    "aws:sqs/queue:Queue": "attributes are a map without limits in the model",
    "aws:sqs/queuePolicy:QueuePolicy": "likewise",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "a map of permissions of another form",
}
NAMED_BY_PULUMI = {
    # Types that get their physical name from Pulumi: the logical one, a hyphen and seven characters.
    "aws:cloudwatch/eventRule:EventRule": ("events", "PutRule", "Name"),
    "aws:ec2/launchTemplate:LaunchTemplate": ("ec2", "CreateLaunchTemplate", "LaunchTemplateName"),
    "aws:eks/nodeGroup:NodeGroup": ("eks", "CreateNodegroup", "nodegroupName"),
    "aws:iam/instanceProfile:InstanceProfile": ("iam", "CreateInstanceProfile", "InstanceProfileName"),
    "aws:iam/policy:Policy": ("iam", "CreatePolicy", "PolicyName"),
    "aws:iam/role:Role": ("iam", "CreateRole", "RoleName"),
}


@functools.cache
def model_of(service: str) -> botocore.model.ServiceModel:
    """Return botocore's model of ``service``."""
    return botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model(service, "service-2"), service)


def input_of(service: str, operation: str) -> botocore.model.StructureShape:
    """Return the shape of what ``operation`` takes."""
    shape = model_of(service).operation_model(operation).input_shape
    if shape is None:
        raise LookupError(f"{service} {operation} takes nothing")
    return shape


def broken_limits(
    shape: botocore.model.Shape, value: object, path: str, renames: collections.abc.Mapping[str, str]
) -> collections.abc.Iterator[str]:
    """Yield each limit of ``shape`` that ``value`` breaks; members that the API does not know are not looked at."""
    if isinstance(shape, botocore.model.StructureShape) and isinstance(value, dict):
        known = {name.lower(): name for name in shape.members}
        for key, part in value.items():
            name = known.get(renames.get(key, key).lower())
            if name is not None:
                yield from broken_limits(shape.members[name], part, f"{path}.{key}", {})
    elif isinstance(shape, botocore.model.ListShape) and isinstance(value, list):
        yield from _out_of_range(shape, len(value), f"{path} has length")
        for index, part in enumerate(value):
            yield from broken_limits(shape.member, part, f"{path}[{index}]", {})
    elif isinstance(shape, botocore.model.MapShape) and isinstance(value, dict):
        yield from _out_of_range(shape, len(value), f"{path} has length")
        for key, part in value.items():
            yield from broken_limits(shape.key, key, f"{path} key {key}", {})
            yield from broken_limits(shape.value, part, f"{path}.{key}", {})
    elif isinstance(shape, botocore.model.StringShape) and isinstance(value, str):
        yield from _broken_text(shape, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _out_of_range(shape, value, path)


def _broken_text(shape: botocore.model.StringShape, value: str, path: str) -> collections.abc.Iterator[str]:
    yield from _out_of_range(shape, len(value), f"{path} has length")
    if shape.enum and value not in shape.enum:
        yield f"{path} is {value!r}, not one of {shape.enum}"
    pattern = shape.metadata.get("pattern")
    if pattern is not None and re.fullmatch(_in_python(pattern), value) is None:
        yield f"{path} is {value!r}, which does not match {pattern}"


def _in_python(pattern: str) -> str:
    r"""Return a Java pattern as Python's, which has no classes of Unicode properties."""
    return pattern.replace(r"\p{L}\p{Z}\p{N}", r"\w\s")


def _out_of_range(shape: botocore.model.Shape, value: float, what: str) -> collections.abc.Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        yield f"{what} {value}, less than {least}"
    if most is not None and value > most:
        yield f"{what} {value}, more than {most}"


def _of_aws(file: str) -> list[Recorded]:
    return [each for each in recorded(file).resources if each.type.startswith(("aws:", "eks:"))]


@pytest.mark.parametrize("file", STACK_FILES)
def test_inputs_are_within_limits(file: str) -> None:
    """AWS accepts the form of everything that the program sends."""
    found = [
        problem
        for each in _of_aws(file)
        if each.type in OPERATIONS
        for service, operation, renames in [OPERATIONS[each.type]]
        for problem in broken_limits(input_of(service, operation), each.inputs, each.key, renames)
    ]

    assert found == []


@pytest.mark.parametrize("file", STACK_FILES)
def test_every_type_is_checked_or_says_why_not(file: str) -> None:
    """A new resource type joins one of the two lists."""
    types = {each.type for each in _of_aws(file)}

    assert types <= OPERATIONS.keys() | NOT_CHECKED.keys()


@pytest.mark.parametrize("file", STACK_FILES)
def test_names_leave_room_for_pulumis_suffix(file: str) -> None:
    """A logical name, a hyphen and seven characters fit where Pulumi makes the physical name."""
    found = [
        problem
        for each in _of_aws(file)
        if each.type in NAMED_BY_PULUMI
        for service, operation, member in [NAMED_BY_PULUMI[each.type]]
        for problem in broken_limits(input_of(service, operation).members[member], f"{each.name}-1a2b3c4", each.key, {})
    ]

    assert found == []


BROKEN: tuple[tuple[str, dict[str, typing.Any], str], ...] = (
    ("aws:iam/role:Role", {"description": "\N{LONG RIGHTWARDS ARROW}"}, "which does not match"),
    ("aws:iam/role:Role", {"description": "x" * 1001}, "length 1001, more than 1000"),
    ("aws:eks/nodeGroup:NodeGroup", {"amiType": "AL2023"}, "'AL2023', not one of"),
    ("aws:efs/accessPoint:AccessPoint", {"posixUser": {"uid": 2**32}}, "uid 4294967296, more than 4294967295"),
    ("aws:eks/addon:Addon", {"resolveConflictsOnCreate": "FORCE"}, "'FORCE', not one of"),
)


@pytest.mark.parametrize(("type_", "inputs", "expected"), BROKEN)
def test_limits_can_be_broken(type_: str, inputs: dict[str, typing.Any], expected: str) -> None:
    """The check finds a value that is too long, too large, not in an enum or of other characters."""
    service, operation, renames = OPERATIONS[type_]
    found = list(broken_limits(input_of(service, operation), inputs, "Spoilt", renames))

    assert len(found) == 1
    assert expected in found[0]
