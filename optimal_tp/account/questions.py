"""Every question that preflight and leftovers ask AWS: the call, the part of its response, and the right it needs."""

import collections.abc
import dataclasses
import typing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """One read-only call. ``key`` names the part of the response that is the answer."""

    service: str
    """Boto3's name of the service."""
    operation: str
    """Boto3's name of the method."""
    action: str | None
    """The IAM action; None if the call needs no right."""
    key: str
    absent: tuple[str, ...] = ()
    """Error codes that mean "not found"."""
    leaves_out: bool = False
    """True if AWS leaves ``key`` out of an empty answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unknown:
    """There is no answer, which never counts as good news. ``reason`` is part of a sentence."""

    reason: str


Answer = tuple[typing.Any, ...] | Unknown
"""What was found, empty if there is nothing, or why it is not known."""


class Ask(typing.Protocol):
    """Asks an account a question."""

    def __call__(self, question: Question, **parameters: object) -> Answer:
        """Return the answer to ``question``; ``parameters`` are those of the call."""


_PREFIXES: typing.Final = {"efs": "elasticfilesystem", "elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}
"""Prefixes of IAM actions, for services where they differ from boto3's name of the service."""


def reads(service: str, operation: str, key: str, *absent: str, action: str | None = None) -> Question:
    """Return the question of ``operation``; pass ``action`` if IAM's name differs from the operation's."""
    if action is None:
        camel = "".join(part.capitalize() for part in operation.split("_"))
        action = f"{_PREFIXES.get(service, service)}:{camel}"
    return Question(service=service, operation=operation, action=action, key=key, absent=absent)


_NO_ENTITY, _NO_RESOURCE, _NO_FILES = "NoSuchEntity", "ResourceNotFoundException", "FileSystemNotFound"

IDENTITY = Question(service="sts", operation="get_caller_identity", action=None, key="Account")
OFFERINGS = reads("ec2", "describe_instance_type_offerings", "InstanceTypeOfferings")
RESERVATIONS = reads(
    "ec2", "describe_capacity_reservations", "CapacityReservations", "InvalidCapacityReservationId.NotFound"
)
QUOTA = reads(
    "service-quotas",
    "get_service_quota",
    "Quota",
    "NoSuchResourceException",
    action="servicequotas:GetServiceQuota",
)
DEFAULT_QUOTA = reads(
    "service-quotas",
    "get_aws_default_service_quota",
    "Quota",
    "NoSuchResourceException",
    action="servicequotas:GetAWSDefaultServiceQuota",
)
CLUSTERS = reads("eks", "list_clusters", "clusters")
VPCS = reads("ec2", "describe_vpcs", "Vpcs")
SUBNETS = reads("ec2", "describe_subnets", "Subnets")
GROUPS = reads("ec2", "describe_security_groups", "SecurityGroups")
INTERNET_GATEWAYS = reads("ec2", "describe_internet_gateways", "InternetGateways")
ACCESS_ENTRY = reads("eks", "describe_access_entry", "accessEntry", _NO_RESOURCE)
MOUNT_TARGETS = reads("efs", "describe_mount_targets", "MountTargets", _NO_FILES)
PROFILE = reads("iam", "get_instance_profile", "InstanceProfile", _NO_ENTITY)
ROLE = reads("iam", "get_role", "Role", _NO_ENTITY)
OIDC_PROVIDER = reads(
    "iam", "get_open_id_connect_provider", "ClientIDList", _NO_ENTITY, action="iam:GetOpenIDConnectProvider"
)
ALARMS = reads("cloudwatch", "describe_alarms", "MetricAlarms")
COMPOSITE_ALARMS = reads("cloudwatch", "describe_alarms", "CompositeAlarms")
BUCKET = reads("s3", "head_bucket", "BucketRegion", "404", action="s3:ListBucket")
ORGANIZATION = reads("organizations", "describe_organization", "Organization", "AWSOrganizationsNotInUseException")
BLOCKS = reads("ec2", "describe_capacity_block_offerings", "CapacityBlockOfferings")
IMAGES = reads("ecr", "describe_images", "imageDetails", "ImageNotFoundException", "RepositoryNotFoundException")
PRICES = reads("pricing", "get_products", "PriceList")
AMIS = reads("ec2", "describe_images", "Images", "InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")
PARAMETER = reads("ssm", "get_parameter", "Parameter", "ParameterNotFound")
VERSIONS = reads("eks", "describe_cluster_versions", "clusterVersions")
ADDON_VERSIONS = reads("eks", "describe_addon_versions", "addons")
CLUSTER = reads("eks", "describe_cluster", "cluster", _NO_RESOURCE)
LOG_GROUPS = reads("logs", "describe_log_groups", "logGroups")
DASHBOARDS = reads("cloudwatch", "list_dashboards", "DashboardEntries")
FILE_SYSTEMS = reads("efs", "describe_file_systems", "FileSystems", _NO_FILES)
INSTANCES = reads("ec2", "describe_instances", "Reservations")
VOLUMES = reads("ec2", "describe_volumes", "Volumes")
INTERFACES = reads("ec2", "describe_network_interfaces", "NetworkInterfaces")
TEMPLATES = reads("ec2", "describe_launch_templates", "LaunchTemplates")
NAT_GATEWAYS = reads("ec2", "describe_nat_gateways", "NatGateways")
ADDRESSES = reads("ec2", "describe_addresses", "Addresses")

PREFLIGHT: typing.Final = (
    *(IDENTITY, OFFERINGS, RESERVATIONS, INSTANCES, PRICES, PARAMETER, AMIS, VERSIONS, ADDON_VERSIONS),
    *(QUOTA, DEFAULT_QUOTA, CLUSTERS, VPCS, INTERNET_GATEWAYS, ADDRESSES, NAT_GATEWAYS, SUBNETS),
    *(CLUSTER, LOG_GROUPS, DASHBOARDS, ALARMS, COMPOSITE_ALARMS, BUCKET, IMAGES, ROLE),
    *(ORGANIZATION, BLOCKS, GROUPS, ACCESS_ENTRY, FILE_SYSTEMS, MOUNT_TARGETS, PROFILE, OIDC_PROVIDER),
)
"""The questions of ``preflight``."""


def least_policy(questions: typing.Iterable[Question], *, changes: typing.Iterable[str] = ()) -> dict[str, typing.Any]:
    """Return the IAM document that allows exactly ``questions`` and the actions ``changes``, on any resource.

    Most of the reads cannot be limited to a resource, and the names of leftovers are not known in advance.
    """
    actions = sorted({question.action for question in questions if question.action is not None} | {*changes})
    statement = {"Sid": "AskBeforeAndAfter", "Effect": "Allow", "Action": actions, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def tags_of(entry: collections.abc.Mapping[str, typing.Any]) -> dict[str, str]:
    """Return the tags of ``entry``, from its key ``Tags`` if there is one."""
    return pairs(entry.get("Tags") or ())


def pairs(listed: collections.abc.Iterable[collections.abc.Mapping[str, str]]) -> dict[str, str]:
    """Return a list of ``{"Key": …, "Value": …}`` as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in listed}
