"""Every question that preflight and leftovers ask AWS: the call, what the answer holds, the right that it needs."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """One read-only call. ``key`` names the part of the response that is the answer."""

    service: str
    """As boto3 names it."""
    operation: str
    """As boto3 names the method."""
    action: str | None
    """The IAM action; None where AWS asks for no right."""
    key: str
    absent: tuple[str, ...] = ()
    """Error codes that mean that there is none."""
    leaves_out: bool = False
    """True where AWS leaves ``key`` out of an answer that has nothing to say."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unknown:
    """AWS did not answer. ``reason`` is a part of a sentence; it never counts as good news."""

    reason: str


Answer = tuple[typing.Any, ...] | Unknown
"""What was found, empty when there is none, or why nobody knows."""


class Ask(typing.Protocol):
    """Puts a question to an account."""

    def __call__(self, question: Question, **parameters: object) -> Answer:
        """Return the answer to ``question`` with these parameters of the call."""


def _ec2(operation: str, key: str, *absent: str) -> Question:
    action = "ec2:" + "".join(part.capitalize() for part in operation.split("_"))
    return Question(service="ec2", operation=operation, action=action, key=key, absent=absent)


IDENTITY = Question(service="sts", operation="get_caller_identity", action=None, key="Account")
OFFERINGS = _ec2("describe_instance_type_offerings", "InstanceTypeOfferings")
RESERVATIONS = _ec2("describe_capacity_reservations", "CapacityReservations", "InvalidCapacityReservationId.NotFound")
QUOTA = Question(
    service="service-quotas",
    operation="get_service_quota",
    action="servicequotas:GetServiceQuota",
    key="Quota",
    absent=("NoSuchResourceException",),
)
DEFAULT_QUOTA = Question(
    service="service-quotas",
    operation="get_aws_default_service_quota",
    action="servicequotas:GetAWSDefaultServiceQuota",
    key="Quota",
    absent=("NoSuchResourceException",),
)
CLUSTERS = Question(service="eks", operation="list_clusters", action="eks:ListClusters", key="clusters")
VPCS = _ec2("describe_vpcs", "Vpcs")
SUBNETS = _ec2("describe_subnets", "Subnets")
GROUPS = _ec2("describe_security_groups", "SecurityGroups")
INTERNET_GATEWAYS = _ec2("describe_internet_gateways", "InternetGateways")
ACCESS_ENTRY = Question(
    service="eks",
    operation="describe_access_entry",
    action="eks:DescribeAccessEntry",
    key="accessEntry",
    absent=("ResourceNotFoundException",),
)
MOUNT_TARGETS = Question(
    service="efs",
    operation="describe_mount_targets",
    action="elasticfilesystem:DescribeMountTargets",
    key="MountTargets",
    absent=("FileSystemNotFound",),
)
PROFILE = Question(
    service="iam",
    operation="get_instance_profile",
    action="iam:GetInstanceProfile",
    key="InstanceProfile",
    absent=("NoSuchEntity",),
)
ROLE = Question(service="iam", operation="get_role", action="iam:GetRole", key="Role", absent=("NoSuchEntity",))
OIDC_PROVIDER = Question(
    service="iam",
    operation="get_open_id_connect_provider",
    action="iam:GetOpenIDConnectProvider",
    key="ClientIDList",
    absent=("NoSuchEntity",),
)
ALARMS = Question(
    service="cloudwatch", operation="describe_alarms", action="cloudwatch:DescribeAlarms", key="MetricAlarms"
)
COMPOSITE_ALARMS = dataclasses.replace(ALARMS, key="CompositeAlarms")
BUCKET = Question(service="s3", operation="head_bucket", action="s3:ListBucket", key="BucketRegion", absent=("404",))
IMAGES = Question(
    service="ecr",
    operation="describe_images",
    action="ecr:DescribeImages",
    key="imageDetails",
    absent=("ImageNotFoundException", "RepositoryNotFoundException"),
)
PRICES = Question(service="pricing", operation="get_products", action="pricing:GetProducts", key="PriceList")
PARAMETER = Question(
    service="ssm",
    operation="get_parameter",
    action="ssm:GetParameter",
    key="Parameter",
    absent=("ParameterNotFound",),
)
VERSIONS = Question(
    service="eks",
    operation="describe_cluster_versions",
    action="eks:DescribeClusterVersions",
    key="clusterVersions",
)
ADDON_VERSIONS = Question(
    service="eks", operation="describe_addon_versions", action="eks:DescribeAddonVersions", key="addons"
)
CLUSTER = Question(
    service="eks",
    operation="describe_cluster",
    action="eks:DescribeCluster",
    key="cluster",
    absent=("ResourceNotFoundException",),
)
LOG_GROUPS = Question(service="logs", operation="describe_log_groups", action="logs:DescribeLogGroups", key="logGroups")
DASHBOARDS = Question(
    service="cloudwatch", operation="list_dashboards", action="cloudwatch:ListDashboards", key="DashboardEntries"
)
FILE_SYSTEMS = Question(
    service="efs",
    operation="describe_file_systems",
    action="elasticfilesystem:DescribeFileSystems",
    key="FileSystems",
    absent=("FileSystemNotFound",),
)
INSTANCES = _ec2("describe_instances", "Reservations")
VOLUMES = _ec2("describe_volumes", "Volumes")
INTERFACES = _ec2("describe_network_interfaces", "NetworkInterfaces")
TEMPLATES = _ec2("describe_launch_templates", "LaunchTemplates")
NAT_GATEWAYS = _ec2("describe_nat_gateways", "NatGateways")
ADDRESSES = _ec2("describe_addresses", "Addresses")

PREFLIGHT: typing.Final = (
    *(IDENTITY, OFFERINGS, RESERVATIONS, INSTANCES, PRICES, PARAMETER, VERSIONS, ADDON_VERSIONS),
    *(QUOTA, DEFAULT_QUOTA, CLUSTERS, VPCS, INTERNET_GATEWAYS, ADDRESSES, NAT_GATEWAYS, SUBNETS),
    *(CLUSTER, LOG_GROUPS, DASHBOARDS, ALARMS, COMPOSITE_ALARMS, BUCKET, IMAGES, ROLE),
    *(GROUPS, ACCESS_ENTRY, FILE_SYSTEMS, MOUNT_TARGETS, PROFILE, OIDC_PROVIDER),
)
"""What ``preflight`` asks."""


def exactly(answer: Answer, key: str, name: str) -> Answer:
    """Keep what has exactly this name: AWS answers with every name that begins so, ``dev-2`` for ``dev`` too."""
    return answer if isinstance(answer, Unknown) else tuple(entry for entry in answer if entry[key] == name)


def least_policy(questions: typing.Iterable[Question], *, changes: typing.Iterable[str] = ()) -> dict[str, typing.Any]:
    """Return the IAM document that allows exactly ``questions`` and the actions ``changes``, on any resource.

    Most of the reads know no narrower one, and what is left to remove has names that nobody knows before.
    """
    actions = sorted({question.action for question in questions if question.action is not None} | {*changes})
    statement = {"Sid": "AskBeforeAndAfter", "Effect": "Allow", "Action": actions, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
