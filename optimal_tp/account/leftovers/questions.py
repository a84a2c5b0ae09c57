"""Every question that leftovers asks AWS, in addition to those it shares with preflight."""

import dataclasses

from optimal_tp.account.questions import (
    ADDRESSES,
    ALARMS,
    CLUSTER,
    COMPOSITE_ALARMS,
    DASHBOARDS,
    FILE_SYSTEMS,
    GROUPS,
    INSTANCES,
    INTERFACES,
    INTERNET_GATEWAYS,
    LOG_GROUPS,
    MOUNT_TARGETS,
    NAT_GATEWAYS,
    PROFILE,
    RESERVATIONS,
    SUBNETS,
    TEMPLATES,
    VOLUMES,
    VPCS,
    reads,
)

_NO_ENTITY, _NO_RESOURCE = "NoSuchEntity", "ResourceNotFoundException"

NODE_GROUPS = reads("eks", "list_nodegroups", "nodegroups", _NO_RESOURCE)
NODE_GROUP = reads("eks", "describe_nodegroup", "nodegroup", _NO_RESOURCE)
SNAPSHOTS = reads("ec2", "describe_snapshots", "Snapshots")
ROUTE_TABLES = reads("ec2", "describe_route_tables", "RouteTables")
ENDPOINTS = reads("ec2", "describe_vpc_endpoints", "VpcEndpoints")
FLOW_LOGS = reads("ec2", "describe_flow_logs", "FlowLogs")
GROUP_RULES = reads("ec2", "describe_security_group_rules", "SecurityGroupRules")
BALANCERS = reads("elbv2", "describe_load_balancers", "LoadBalancers")
TARGET_GROUPS = reads("elbv2", "describe_target_groups", "TargetGroups")
BALANCER_TAGS = reads("elbv2", "describe_tags", "TagDescriptions", "LoadBalancerNotFound", "TargetGroupNotFound")
CLASSIC_BALANCERS = reads("elb", "describe_load_balancers", "LoadBalancerDescriptions")
CLASSIC_BALANCER_TAGS = reads("elb", "describe_tags", "TagDescriptions", "LoadBalancerNotFound")
ACCESS_POINTS = reads("efs", "describe_access_points", "AccessPoints", "FileSystemNotFound")
BUCKETS = reads("s3", "list_buckets", "Buckets", action="s3:ListAllMyBuckets")
BUCKET_TAGS = reads("s3", "get_bucket_tagging", "TagSet", "NoSuchTagSet", "NoSuchBucket")
VERSIONS = reads("s3", "list_object_versions", "Versions", "NoSuchBucket", action="s3:ListBucketVersions")
MARKERS = reads("s3", "list_object_versions", "DeleteMarkers", "NoSuchBucket", action="s3:ListBucketVersions")
LOG_GROUP_TAGS = reads("logs", "list_tags_for_resource", "tags", _NO_RESOURCE)
DASHBOARD = reads("cloudwatch", "get_dashboard", "DashboardBody", "ResourceNotFound", "DashboardNotFoundError")
QUEUES = reads("sqs", "list_queues", "QueueUrls")
QUEUE_TAGS = dataclasses.replace(
    reads("sqs", "list_queue_tags", "Tags", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"),
    leaves_out=True,
)
RULES = reads("events", "list_rules", "Rules")
RULE_TAGS = reads("events", "list_tags_for_resource", "Tags", _NO_RESOURCE)
TARGETS = reads("events", "list_targets_by_rule", "Targets", _NO_RESOURCE)
TAGGED = reads("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", action="tag:GetResources")
KEY = reads("kms", "describe_key", "KeyMetadata", "NotFoundException")
ALIASES = reads("kms", "list_aliases", "Aliases", "NotFoundException")
ROLES = reads("iam", "list_roles", "Roles")
ROLE_TAGS = reads("iam", "list_role_tags", "Tags", _NO_ENTITY)
ATTACHED = reads("iam", "list_attached_role_policies", "AttachedPolicies", _NO_ENTITY)
INLINE = reads("iam", "list_role_policies", "PolicyNames", _NO_ENTITY)
POLICIES = reads("iam", "list_policies", "Policies")
POLICY_TAGS = reads("iam", "list_policy_tags", "Tags", _NO_ENTITY)
POLICY_VERSIONS = reads("iam", "list_policy_versions", "Versions", _NO_ENTITY)
PROFILES = reads("iam", "list_instance_profiles", "InstanceProfiles")
ISSUERS = reads(
    "iam",
    "list_open_id_connect_providers",
    "OpenIDConnectProviderList",
    action="iam:ListOpenIDConnectProviders",
)
ISSUER_TAGS = reads(
    "iam", "list_open_id_connect_provider_tags", "Tags", _NO_ENTITY, action="iam:ListOpenIDConnectProviderTags"
)

__all__ = [  # includes the questions shared with preflight
    "ADDRESSES",
    "ALARMS",
    "CLUSTER",
    "COMPOSITE_ALARMS",
    "DASHBOARDS",
    "FILE_SYSTEMS",
    "GROUPS",
    "INSTANCES",
    "INTERFACES",
    "INTERNET_GATEWAYS",
    "LOG_GROUPS",
    "MOUNT_TARGETS",
    "NAT_GATEWAYS",
    "PROFILE",
    "RESERVATIONS",
    "SUBNETS",
    "TEMPLATES",
    "VOLUMES",
    "VPCS",
]
