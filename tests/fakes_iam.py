"""The program's IAM documents as tests see them, and as the template that linters and scanners read."""

import functools
import json
import typing

from iam_rules import DOCUMENTS, Document

from tests.fakes_pulumi import recorded

TEMPLATES: dict[str, tuple[str, str, Document]] = {
    "Policy": ("AWS::IAM::ManagedPolicy", "PolicyDocument", {}),
    "Role": ("AWS::IAM::Role", "AssumeRolePolicyDocument", {}),
    "QueuePolicy": ("AWS::SQS::QueuePolicy", "PolicyDocument", {"Queues": ["https://sqs.us-east-2.amazonaws.com/1/a"]}),
    "BucketPolicy": ("AWS::S3::BucketPolicy", "PolicyDocument", {"Bucket": "one"}),
}
"""By kind of resource: type in CloudFormation, where the document stands, and what else it wants."""


@functools.cache
def documents(file: str) -> dict[str, Document]:
    """Return every document of a stack by the resource that has it."""
    return {
        resource.key: json.loads(resource.inputs[DOCUMENTS[resource.type]])
        for resource in recorded(file).resources
        if resource.type in DOCUMENTS
    }


def as_template(found: typing.Mapping[str, Document]) -> Document:
    """Return a CloudFormation template with each of ``found``, by the key of the resource that has it."""
    resources = {}
    for number, (key, document) in enumerate(found.items()):
        type_, member, others = TEMPLATES.get(key.split(" ")[0], TEMPLATES["Policy"])
        properties = {member: document, **others}
        resources[f"R{number}"] = {"Type": type_, "Metadata": {"resource": key}, "Properties": properties}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
