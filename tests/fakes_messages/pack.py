"""What the policy pack tells of a stack that breaks its rules, with the remedy as ``pulumi preview`` shows it."""

import json
import typing

from rulebook import Options, Resource
from rules import RESOURCE_RULES, STACK_RULES

from tests.fakes_messages.told import Case

POOL: typing.Final = "kubernetes:karpenter.sh/v1:NodePool"
CLASS: typing.Final = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
_PODS: typing.Final[dict[str, object]] = {
    "spec": {
        "template": {
            "spec": {"containers": [{"image": "vllm", "resources": {"limits": {"aws.amazon.com/neuroncore": "1"}}}]}
        }
    }
}
_STATEMENTS: typing.Final = (
    {"Sid": "Everything", "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"},
    {"Sid": "TheRest", "Effect": "Allow", "NotAction": "iam:*"},
)
BROKEN: typing.Final[tuple[tuple[str, dict[str, object]], ...]] = (
    ("aws:s3/bucket:Bucket", {}),
    ("eks:index:Cluster", {"publicAccessCidrs": ["0.0.0.0/0"], "tags": {"project": "a", "stack": "b"}}),
    ("eks:index:Cluster", {}),
    ("aws:efs/fileSystem:FileSystem", {"tags": {"project": "a", "stack": "b"}}),
    (CLASS, {"spec": {"tags": {"project": "a", "stack": "b"}, "blockDeviceMappings": [{"ebs": {}}]}}),
    ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", {}),
    ("aws:s3/bucketPolicy:BucketPolicy", {"policy": json.dumps({"Statement": _STATEMENTS})}),
    ("kubernetes:apps/v1:Deployment", _PODS),
    ("kubernetes:helm.sh/v3:Release", {}),
    (POOL, {"spec": {"template": {"spec": {}}}}),
    ("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}),
)


def told(kind: str, properties: dict[str, object]) -> str:
    """Return what the pack reports of a stack of this one resource."""
    resource = Resource(type=kind, name="mine", properties=properties, depends_on=frozenset(), urn="urn:mine")
    each = [(rule.remedy, rule.check(resource, Options())) for rule in RESOURCE_RULES]
    whole = [(rule.remedy, rule.check([resource], Options())) for rule in STACK_RULES]
    return "\n".join(f"{sentence}. {remedy}" for remedy, found in (*each, *whole) for sentence in found)


def _case(kind: str, properties: dict[str, object]) -> Case:
    return lambda _: told(kind, properties)


CASES: typing.Final[tuple[Case, ...]] = tuple(_case(kind, properties) for kind, properties in BROKEN)
