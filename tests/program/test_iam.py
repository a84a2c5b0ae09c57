"""Every IAM document of the program: who may assume what, no wildcard without a reason, and a linter's opinion."""

import json

import pytest
from iam_rules import (
    WILDCARD_ACTIONS,
    WILDCARD_PRINCIPALS,
    WILDCARD_RESOURCES,
    Document,
    unexplained_wildcards,
)
from rulebook import listed

from tests.fakes_iam import as_template, documents
from tests.fakes_stack_files import STACK_FILES, stack_config


def statements(file: str) -> list[tuple[str, Document]]:
    """Return every statement of a stack, with the resource that has it."""
    return [(key, statement) for key, document in documents(file).items() for statement in document["Statement"]]


@pytest.mark.parametrize("file", STACK_FILES)
def test_wildcards_have_reasons(file: str) -> None:
    """No statement names every resource, action or principal unless the policy pack's lists say why."""
    found = [problem for key, statement in statements(file) for problem in unexplained_wildcards(key, statement)]

    assert found == []


@pytest.mark.parametrize(
    "spoiled",
    [
        {"Resource": "*"},
        {"Resource": ["arn:aws:s3:::one", "*"]},
        {"Action": "ec2:*"},
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"NotAction": "s3:GetObject"},
    ],
    ids=["resource", "one of the resources", "action", "principal", "any account", "all but"],
)
def test_a_new_wildcard_is_found(spoiled: Document) -> None:
    """The test above fails on a wildcard that nobody explained."""
    statement = {"Sid": "New", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:x", **spoiled}

    assert len(unexplained_wildcards("Policy new", statement)) == 1


def test_reasons_are_used() -> None:
    """No reason outlives its statement."""
    used = {statement.get("Sid") for file in STACK_FILES for _, statement in statements(file)}

    assert {*WILDCARD_RESOURCES, *WILDCARD_ACTIONS, *WILDCARD_PRINCIPALS} <= used


@pytest.mark.parametrize("file", STACK_FILES)
def test_wildcard_parts_are_narrowed(file: str) -> None:
    """An allowed ``…/*`` of EC2 that launches, tags or ends something has a condition on our tags."""
    launching = (
        "LaunchWithOurTags",
        "TagWhatIsLaunched",
        "TagOurInstances",
        "DeleteWhatIsOurs",
        "UseOurLaunchTemplates",
    )
    found = {statement["Sid"]: statement for _, statement in statements(file) if statement.get("Sid") in launching}

    assert found.keys() == {*launching}
    assert all("kubernetes.io/cluster/" in json.dumps(statement["Condition"]) for statement in found.values())


@pytest.mark.parametrize("file", STACK_FILES)
def test_trust_is_narrow(file: str) -> None:
    """Roles are assumed by one service each; a pod's by exactly one service account of one cluster."""
    name = stack_config(file)["optimal-tp:infra"]["cluster_name"]
    region = stack_config(file)["aws:region"]
    trusts = {key: document["Statement"] for key, document in documents(file).items() if key.startswith("Role ")}
    of_pods = {key: trust[0] for key, trust in trusts.items() if "pods.eks" in json.dumps(trust)}

    of_accounts = {key for key, trust in trusts.items() if "Federated" in trust[0]["Principal"]}

    assert all(len(trust) == 1 for trust in trusts.values())
    assert all(isinstance(trusts[key][0]["Principal"]["Service"], str) for key in trusts.keys() - of_accounts)
    # Its trust is held to one account and audience in test_workloads_identity.py.
    assert of_accounts == {"Role loadgen-role"}
    assert {
        key: trust["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-service-account"]
        for key, trust in of_pods.items()
    } == {"Role cluster-efs-driver": "efs-csi-controller-sa", "Role karpenter-controller": "karpenter"}
    assert {trust["Condition"]["StringEquals"]["aws:RequestTag/eks-cluster-arn"] for trust in of_pods.values()} == {
        f"arn:aws:eks:{region}:111122223333:cluster/{name}"
    }


def test_karpenter_can_let_its_node_class_go() -> None:
    """Without these two an EC2NodeClass never finishes deleting, and destroy hangs with it."""
    allowed = {
        action
        for key, statement in statements("Pulumi.dev.yaml")
        if key == "Policy karpenter-resource-discovery"
        for action in statement["Action"]
    }

    assert {"iam:ListInstanceProfiles", "iam:GetInstanceProfile", "ec2:DescribeInstanceStatus"} <= allowed


def test_only_the_nodes_role_is_passed() -> None:
    """Karpenter hands instances the role of its nodes and no other."""
    passed = [
        statement["Resource"]
        for _, statement in statements("Pulumi.dev.yaml")
        if "iam:PassRole" in listed(statement["Action"])
    ]

    assert passed == [["arn:aws:iam::111122223333:role/karpenter-node-1a2b3c4"]]


@pytest.mark.parametrize("file", STACK_FILES)
def test_documents_fit(file: str) -> None:
    """A managed policy has at most 6,144 characters without white space, a trust policy 2,048 (IAM quotas)."""
    sizes = {key: len(json.dumps(document, separators=(",", ":"))) for key, document in documents(file).items()}
    limits = {key: 2048 if key.startswith("Role ") else 6144 for key in sizes}

    assert {key: size for key, size in sizes.items() if size > limits[key]} == {}


@pytest.mark.slow
@pytest.mark.parametrize("file", STACK_FILES)
def test_a_linter_agrees(file: str) -> None:
    """cfn-lint knows every action, and finds that resources and actions go together.

    Slow: importing cfn-lint takes as long as the rest of the fast tests together. It reads documents inside a
    CloudFormation template, so each is put into one.
    """
    assert _linted(documents(file)) == []


@pytest.mark.slow
def test_the_linter_can_disagree() -> None:
    """A misspelt action and a resource of another service are found."""
    wrong = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sqs:ReceiveMesage", "Resource": "arn:aws:sqs:us-east-2:111122223333:one"},
            {"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": "arn:aws:s3:::one"},
        ],
    }

    assert len(_linted({"Policy wrong": wrong})) == 2


def _linted(found: dict[str, Document]) -> list[str]:
    from cfnlint.api import lint  # noqa: PLC0415 - three seconds, paid by the slow tests only
    from cfnlint.config import ManualArgs  # noqa: PLC0415 - likewise

    template = json.dumps(as_template(found))
    # The informational checks are those that hold resources against actions.
    return [str(match) for match in lint(template, config=ManualArgs(regions=["us-east-2"], include_checks=["I"]))]
