"""Every question that leftovers asks AWS, beside those it shares with preflight."""

import dataclasses
import typing

from infra.account.questions import (
    ADDRESSES,
    CLUSTER,
    DASHBOARDS,
    FILE_SYSTEMS,
    INSTANCES,
    INTERFACES,
    LOG_GROUPS,
    NAT_GATEWAYS,
    RESERVATIONS,
    TEMPLATES,
    VOLUMES,
    Question,
)

_PREFIXES: typing.Final = {
    "cloudwatch": "cloudwatch",
    "efs": "elasticfilesystem",
    "eks": "eks",
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
}
"""Services whose IAM actions do not begin as boto3 names the service, and those that do."""


def _read(service: str, operation: str, key: str, *absent: str, action: str | None = None) -> Question:
    if action is None:
        camel = "".join(part.capitalize() for part in operation.split("_"))
        action = f"{_PREFIXES.get(service, service)}:{camel}"
    return Question(service=service, operation=operation, action=action, key=key, absent=absent)


_NO_ENTITY, _NO_RESOURCE = "NoSuchEntity", "ResourceNotFoundException"

NODE_GROUPS = _read("eks", "list_nodegroups", "nodegroups", _NO_RESOURCE)
NODE_GROUP = _read("eks", "describe_nodegroup", "nodegroup", _NO_RESOURCE)
SNAPSHOTS = _read("ec2", "describe_snapshots", "Snapshots")
VPCS = _read("ec2", "describe_vpcs", "Vpcs")
SUBNETS = _read("ec2", "describe_subnets", "Subnets")
ROUTE_TABLES = _read("ec2", "describe_route_tables", "RouteTables")
GATEWAYS = _read("ec2", "describe_internet_gateways", "InternetGateways")
ENDPOINTS = _read("ec2", "describe_vpc_endpoints", "VpcEndpoints")
FLOW_LOGS = _read("ec2", "describe_flow_logs", "FlowLogs")
GROUPS = _read("ec2", "describe_security_groups", "SecurityGroups")
GROUP_RULES = _read("ec2", "describe_security_group_rules", "SecurityGroupRules")
BALANCERS = _read("elbv2", "describe_load_balancers", "LoadBalancers")
TARGET_GROUPS = _read("elbv2", "describe_target_groups", "TargetGroups")
BALANCER_TAGS = _read("elbv2", "describe_tags", "TagDescriptions", "LoadBalancerNotFound", "TargetGroupNotFound")
CLASSIC_BALANCERS = _read("elb", "describe_load_balancers", "LoadBalancerDescriptions")
CLASSIC_BALANCER_TAGS = _read("elb", "describe_tags", "TagDescriptions", "LoadBalancerNotFound")
MOUNT_TARGETS = _read("efs", "describe_mount_targets", "MountTargets", "FileSystemNotFound")
ACCESS_POINTS = _read("efs", "describe_access_points", "AccessPoints", "FileSystemNotFound")
BUCKETS = _read("s3", "list_buckets", "Buckets", action="s3:ListAllMyBuckets")
BUCKET_TAGS = _read("s3", "get_bucket_tagging", "TagSet", "NoSuchTagSet", "NoSuchBucket")
VERSIONS = _read("s3", "list_object_versions", "Versions", "NoSuchBucket", action="s3:ListBucketVersions")
MARKERS = _read("s3", "list_object_versions", "DeleteMarkers", "NoSuchBucket", action="s3:ListBucketVersions")
LOG_GROUP_TAGS = _read("logs", "list_tags_for_resource", "tags", _NO_RESOURCE)
ALARMS = _read("cloudwatch", "describe_alarms", "MetricAlarms")
COMPOSITE_ALARMS = _read("cloudwatch", "describe_alarms", "CompositeAlarms")
DASHBOARD = _read("cloudwatch", "get_dashboard", "DashboardBody", "ResourceNotFound", "DashboardNotFoundError")
QUEUES = _read("sqs", "list_queues", "QueueUrls")
QUEUE_TAGS = dataclasses.replace(
    _read("sqs", "list_queue_tags", "Tags", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"),
    leaves_out=True,
)
RULES = _read("events", "list_rules", "Rules")
RULE_TAGS = _read("events", "list_tags_for_resource", "Tags", _NO_RESOURCE)
TARGETS = _read("events", "list_targets_by_rule", "Targets", _NO_RESOURCE)
TAGGED = _read("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", action="tag:GetResources")
KEY = _read("kms", "describe_key", "KeyMetadata", "NotFoundException")
ALIASES = _read("kms", "list_aliases", "Aliases", "NotFoundException")
ROLES = _read("iam", "list_roles", "Roles")
ROLE_TAGS = _read("iam", "list_role_tags", "Tags", _NO_ENTITY)
ATTACHED = _read("iam", "list_attached_role_policies", "AttachedPolicies", _NO_ENTITY)
INLINE = _read("iam", "list_role_policies", "PolicyNames", _NO_ENTITY)
POLICIES = _read("iam", "list_policies", "Policies")
POLICY_TAGS = _read("iam", "list_policy_tags", "Tags", _NO_ENTITY)
POLICY_VERSIONS = _read("iam", "list_policy_versions", "Versions", _NO_ENTITY)
PROFILES = _read("iam", "list_instance_profiles", "InstanceProfiles")
PROFILE = _read("iam", "get_instance_profile", "InstanceProfile", _NO_ENTITY)
ISSUERS = _read(
    "iam",
    "list_open_id_connect_providers",
    "OpenIDConnectProviderList",
    action="iam:ListOpenIDConnectProviders",
)
ISSUER_TAGS = _read(
    "iam", "list_open_id_connect_provider_tags", "Tags", _NO_ENTITY, action="iam:ListOpenIDConnectProviderTags"
)

__all__ = [  # those of preflight are asked under one name with ours
    "ADDRESSES",
    "CLUSTER",
    "DASHBOARDS",
    "FILE_SYSTEMS",
    "INSTANCES",
    "INTERFACES",
    "LOG_GROUPS",
    "NAT_GATEWAYS",
    "RESERVATIONS",
    "TEMPLATES",
    "VOLUMES",
]
