"""The rules of the pack, in the order of their reports. Imports no Pulumi, so that tests can run them."""

import typing

import cloud_rules
import cluster_rules
import iam_rules
from rulebook import ResourceRule, StackRule

RESOURCE_RULES: typing.Final = (
    ResourceRule(
        name="required-tags",
        description="AWS resources say to which project and stack they belong.",
        remedy="Set infra.tags in the stack file.",
        check=cloud_rules.carries_tags,
    ),
    ResourceRule(
        name="closed-endpoint",
        description="The API server is reached from named networks only.",
        remedy="Name your networks in infra.control_plane.public_access_cidrs, or leave it empty.",
        check=cloud_rules.endpoint_is_closed,
    ),
    ResourceRule(
        name="encryption",
        description="Files, messages, disks and Kubernetes secrets are encrypted at rest.",
        remedy="Leave the encryption on that the program asks for.",
        check=cloud_rules.data_are_encrypted,
    ),
    ResourceRule(
        name="whole-access-block",
        description="A bucket's public access block blocks all four ways.",
        remedy="Set all four to true.",
        check=cloud_rules.bucket_block_is_whole,
    ),
    ResourceRule(
        name="explained-wildcards",
        description="No IAM document has a wildcard that the pack's list does not explain.",
        remedy="Name the actions and resources, or add the statement's Sid with its reason to policy/iam_rules.py.",
        check=iam_rules.wildcards_are_explained,
    ),
    ResourceRule(
        name="pinned-images",
        description="Images are named by digest or by the tag of one release.",
        remedy="Write the digest or the full version.",
        check=cluster_rules.images_are_pinned,
    ),
    ResourceRule(
        name="pinned-charts",
        description="Helm charts have an exact version.",
        remedy="Write the version.",
        check=cluster_rules.charts_are_pinned,
    ),
    ResourceRule(
        name="bounded-pools",
        description="A node pool has a limit, one instance type and a termination grace period.",
        remedy="Set infra.neuron.maximum_nodes, instance_type and termination_grace_minutes.",
        check=cluster_rules.pools_are_bounded,
    ),
    ResourceRule(
        name="inside-services",
        description="Services are reached from the cluster only.",
        remedy="Use a ClusterIP and `kubectl port-forward`.",
        check=cluster_rules.services_stay_inside,
    ),
)
STACK_RULES: typing.Final = (
    StackRule(
        name="private-buckets",
        description="Every bucket has a public access block, encryption and a policy beside it.",
        remedy="Make them with the bucket.",
        check=cloud_rules.buckets_are_private,
    ),
    StackRule(
        name="bounded-spending",
        description="Where pods ask for Neuron cores there is a budget and a guard.",
        remedy="Set spend.budget_usd in the stack file.",
        check=cluster_rules.spending_is_bounded,
    ),
)
