"""Rules for IAM documents: every wildcard must be explained."""

import json
import typing

from rulebook import Found, Options, Resource, listed

Document = dict[str, typing.Any]

DOCUMENTS = {
    "aws:iam/policy:Policy": "policy",
    "aws:iam/role:Role": "assumeRolePolicy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
}
"""The property that holds the document, by resource type."""

WILDCARD_RESOURCES = {
    "DescribeTheRegion": "EC2's Describe actions know no resource; the condition keeps them to the region",
    "ReadPrices": "pricing:GetProducts knows no resource; the price list is public",
    "ListInstanceProfiles": "Karpenter lists profiles under a path to delete its own; without it node classes never go",
    "Publish": "cloudwatch:PutMetricData knows no resource; the condition names the namespace",
    "SeeZonalShifts": "the action knows no resource; the condition names the cluster",
}
"""Statements that may have ``Resource: *``, by Sid, with the reason."""
WILDCARD_ACTIONS = {"DenyPlainHttp": "a denial is to be wide", "OnlyTls": "likewise"}
WILDCARD_PRINCIPALS = {"DenyPlainHttp": "a denial is to be wide", "OnlyTls": "likewise"}


def unexplained_wildcards(key: str, statement: Document) -> list[str]:
    """Return the wildcards in ``statement`` that the lists above do not explain."""
    sid = statement.get("Sid", "")
    found = []
    if "*" in listed(statement.get("Resource")) and sid not in WILDCARD_RESOURCES:
        found.append(f"{key}: statement {sid} must name its resources (got *)")
    if any("*" in action for action in listed(statement.get("Action"))) and sid not in WILDCARD_ACTIONS:
        found.append(f"{key}: statement {sid} must name its actions (got a wildcard)")
    if statement.get("Principal") in ("*", {"AWS": "*"}) and sid not in WILDCARD_PRINCIPALS:
        found.append(f"{key}: statement {sid} must name its principals (got *)")
    # Allowing everything except a list is a wildcard in other words.
    found += [
        f"{key}: statement {sid} must not have {word}, which allows all the rest"
        for word in ("NotAction", "NotResource")
        if word in statement
    ]
    return found


def wildcards_are_explained(resource: Resource, _: Options) -> Found:
    """No IAM document may cover all resources, actions or principals unless the lists in this module say why."""
    text = resource.properties.get(DOCUMENTS.get(resource.type, ""))
    if not isinstance(text, str):
        return
    for statement in listed(json.loads(text)["Statement"]):
        yield from unexplained_wildcards(resource.name, statement)
