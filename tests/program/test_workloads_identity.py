"""Who the experiment's pods are on AWS, and what they may do."""

import json
import typing

import pytest

from optimal_tp.measurement.metrics import NAMESPACE
from tests.fakes_stack_files import ACCOUNT
from tests.fakes_workloads import PROGRAMS

ROLES = [
    ("one-each", "loadgen-role", "qwen-vllm-loadgen", "oidc.eks.ap-southeast-4.amazonaws.com/id/"),
    ("own-model-and-image", "artifacts-fetch-role", "qwen-vllm-fetch", "oidc.eks.ap-southeast-4.amazonaws.com/id/ABC"),
    ("own-model-and-image", "loadgen-role", "qwen-vllm-loadgen", "oidc.eks.ap-southeast-4.amazonaws.com/id/ABC"),
]


def statements(name: str, policy: str) -> dict[str, dict[str, typing.Any]]:
    """Return a policy's statements by Sid."""
    document = json.loads(PROGRAMS[name]().one(f"RolePolicy {policy}").inputs["policy"])
    return {statement["Sid"]: statement for statement in document["Statement"]}


@pytest.mark.parametrize(("name", "role", "account", "issuer"), ROLES)
def test_exactly_one_service_account_may_take_a_role(name: str, role: str, account: str, issuer: str) -> None:
    """Subject and audience are compared as they are: no pattern, no second subject, no other audience."""
    document = json.loads(PROGRAMS[name]().one(f"Role {role}").inputs["assumeRolePolicy"])
    (statement,) = document["Statement"]
    condition = statement["Condition"]
    (subject_key,) = [key for key in condition["StringEquals"] if key.endswith(":sub")]

    assert set(condition) == {"StringEquals"}
    assert subject_key.startswith(issuer)
    assert condition["StringEquals"] == {
        subject_key: f"system:serviceaccount:optimal-tp:{account}",
        subject_key.replace(":sub", ":aud"): "sts.amazonaws.com",
    }
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {
        "Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{subject_key.removesuffix(':sub')}"
    }


def test_the_role_and_the_account_name_each_other() -> None:
    """The pod's service account carries the role that trusts it, and the pod runs as that account."""
    recording = PROGRAMS["one-each"]()
    account = recording.one("ServiceAccount loadgen-account").inputs["metadata"]
    pod = recording.one("Deployment loadgen-pods").inputs["spec"]["template"]["spec"]
    trust = recording.one("Role loadgen-role").inputs["assumeRolePolicy"]

    assert account["annotations"]["eks.amazonaws.com/role-arn"].endswith("role/loadgen-role-1a2b3c4")
    assert pod["serviceAccountName"] == account["name"]
    assert f"system:serviceaccount:{account['namespace']}:{account['name']}" in trust


def test_the_load_generator_publishes_to_its_namespace_alone() -> None:
    """PutMetricData knows no resource, so the namespace narrows it."""
    publish = statements("one-each", "loadgen-rights")["Publish"]

    assert publish["Action"] == "cloudwatch:PutMetricData"
    assert publish["Condition"] == {"StringEquals": {"cloudwatch:namespace": NAMESPACE}}


def test_the_load_generator_touches_its_own_prefix_alone() -> None:
    """Objects below the prefix, listings of the prefix, and no right to delete."""
    found = statements("one-each", "loadgen-rights")
    bucket = "arn:aws:s3:::results-bucket-1a2b3c4"
    actions = {action for each in found.values() for action in [each["Action"]] for action in _listed(action)}

    assert found["KeepResults"]["Resource"] == f"{bucket}/runs/*"
    assert found["ListResults"]["Resource"] == bucket
    assert found["ListResults"]["Condition"] == {"StringLike": {"s3:prefix": "runs/*"}}
    assert not {action for action in actions if "Delete" in action or "*" in action}


def test_the_fetch_job_reads_the_models_prefix_alone() -> None:
    """A model from a bucket: read below its prefix, list it, write nothing."""
    found = statements("own-model-and-image", "artifacts-fetch-role")

    assert found["ReadModel"]["Action"] == "s3:GetObject"
    assert found["ReadModel"]["Resource"] == "arn:aws:s3:::models/mine/*"
    assert found["ListModel"]["Condition"] == {"StringLike": {"s3:prefix": "mine/*"}}


def test_a_model_from_a_hub_needs_no_role() -> None:
    """The fetch Job then has no identity on AWS at all."""
    recording = PROGRAMS["one-each"]()

    assert recording.one("ServiceAccount artifacts-fetch-account").inputs["metadata"]["annotations"] == {}
    assert not [each for each in recording.resources if each.name == "artifacts-fetch-role"]


def _listed(value: object) -> list[str]:
    return value if isinstance(value, list) else [str(value)]
