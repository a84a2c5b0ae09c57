"""IAM documents as data: what each function says for a given place."""

import pytest

from infra import policies

HERE = policies.Place(partition="aws", region="sa-east-1", account_id="111122223333")


def test_arns_of_a_place() -> None:
    """ARNs carry the partition, so that China and GovCloud work."""
    china = policies.Place(partition="aws-cn", region="cn-north-1", account_id="111122223333")

    assert china.cluster("one") == "arn:aws-cn:eks:cn-north-1:111122223333:cluster/one"
    assert china.managed_policy("X") == "arn:aws-cn:iam::aws:policy/X"


def test_pod_identity_trust_names_one_account() -> None:
    """The trust is bound to cluster, namespace and service account; a session without these tags is refused."""
    (statement,) = policies.pod_identity_trust(
        HERE, cluster_name="one", namespace="kube-system", service_account="karpenter"
    )["Statement"]

    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:RequestTag/eks-cluster-arn": "arn:aws:eks:sa-east-1:111122223333:cluster/one",
            "aws:RequestTag/kubernetes-namespace": "kube-system",
            "aws:RequestTag/kubernetes-service-account": "karpenter",
        }
    }


def test_queue_takes_events_of_our_rules_only() -> None:
    """EventBridge may send, for the rules of this stack; nobody may speak plain HTTP."""
    send, deny = policies.interruption_queue("arn:queue", ["arn:one", "arn:two"])["Statement"]

    assert send["Principal"] == {"Service": "events.amazonaws.com"}
    assert send["Condition"] == {"ArnEquals": {"aws:SourceArn": ["arn:one", "arn:two"]}}
    assert (deny["Effect"], deny["Principal"]) == ("Deny", "*")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_flow_logs_write_to_one_group() -> None:
    """Flow logs of this account write, into their group and nowhere else."""
    (trust,) = policies.flow_log_trust(HERE)["Statement"]
    (write,) = policies.flow_log_delivery("arn:group")["Statement"]

    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    assert write["Resource"] == ["arn:group", "arn:group:log-stream:*"]


def test_deletion_wants_our_tags() -> None:
    """Karpenter ends instances and deletes launch templates that carry this cluster's tag and a pool's."""
    document = policies.karpenter_node_lifecycle(HERE, "one")
    (delete,) = [each for each in document["Statement"] if each["Sid"] == "DeleteWhatIsOurs"]

    assert delete["Action"] == ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"]
    assert delete["Condition"] == {
        "StringEquals": {"aws:ResourceTag/kubernetes.io/cluster/one": "owned"},
        "StringLike": {"aws:ResourceTag/karpenter.sh/nodepool": "*"},
    }


def test_launching_is_kept_to_the_region() -> None:
    """Every ARN that may be launched or used lies in the stack's region."""
    document = policies.karpenter_node_lifecycle(HERE, "one")
    arns = [arn for statement in document["Statement"] for arn in statement["Resource"]]

    assert [arn for arn in arns if not arn.startswith("arn:aws:ec2:sa-east-1:")] == []


def test_karpenter_makes_no_instance_profile() -> None:
    """The nodes' profile is the program's, so the controller passes its role and does nothing else in IAM."""
    documents = [
        policies.karpenter_iam_integration("arn:role"),
        policies.karpenter_resource_discovery(HERE),
    ]
    actions = {
        action for document in documents for statement in document["Statement"] for action in statement["Action"]
    }

    assert {action for action in actions if action.startswith("iam:")} == {
        "iam:PassRole",
        "iam:ListInstanceProfiles",
        "iam:GetInstanceProfile",
    }


@pytest.mark.parametrize(
    ("document", "actions"),
    [
        (policies.karpenter_eks_integration(HERE, "one"), ["eks:DescribeCluster"]),
        (policies.karpenter_zonal_shift(HERE, "one"), ["arc-zonal-shift:GetManagedResource"]),
        (
            policies.karpenter_interruption("arn:queue"),
            ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
        ),
    ],
    ids=["eks", "zonal shift", "queue"],
)
def test_small_documents(document: policies.Document, actions: list[str]) -> None:
    """One statement each, with exactly these actions, bound to our own resource."""
    (statement,) = document["Statement"]

    assert statement["Action"] == actions
    assert "cluster/one" in str(statement) or statement["Resource"] == ["arn:queue"]


def test_every_statement_has_a_version_and_effect() -> None:
    """Documents are of IAM's current language version."""
    document = policies.service_trust("ec2.amazonaws.com")

    assert document == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
        ],
    }
