"""IAM documents, one function each: trust policies and permissions.

Karpenter's six follow the CloudFormation template of its guide (karpenter.sh, getting started, 1.14.1), with one
difference: the program owns the nodes' instance profile, so the controller may pass the role and look up profiles, but
not create, tag or delete them (decision 0012).
"""

import dataclasses
import typing

Statement = dict[str, typing.Any]
Document = dict[str, typing.Any]

NODE_POLICIES = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
)
"""Policies of every node's role: join the cluster, give pods addresses, pull images, allow logins without SSH keys."""

_LAUNCHES = ("RunInstances", "CreateFleet", "CreateLaunchTemplate")
_LAUNCHED = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """The scope of the documents: AWS partition ("aws"), region, account of 12 digits."""

    partition: str
    region: str
    account_id: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    def managed_policy(self, name: str) -> str:
        """Return the ARN of an IAM policy that AWS manages."""
        return f"arn:{self.partition}:iam::aws:policy/{name}"

    def cluster(self, name: str) -> str:
        """Return the ARN of the EKS cluster ``name``."""
        return self.arn("eks", f"cluster/{name}")


def service_trust(service: str) -> Document:
    """Let the AWS service principal ``service`` ("ec2.amazonaws.com") assume a role."""
    return _document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def flow_log_trust(place: Place) -> Document:
    """Let VPC flow logs of this account assume a role; the condition excludes other accounts' flow logs."""
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": place.account_id}},
        }
    )


def pod_identity_trust(place: Place, *, cluster_name: str, namespace: str, service_account: str) -> Document:
    """Let pods of exactly one service account in one cluster assume a role through EKS Pod Identity.

    The agent sends cluster, namespace and service account as session tags; sessions with other tags are refused.
    """
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/eks-cluster-arn": place.cluster(cluster_name),
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": service_account,
                }
            },
        }
    )


def flow_log_delivery(log_group_arn: str) -> Document:
    """Let flow logs write streams and events into one log group."""
    return _document(
        {
            "Sid": "WriteFlowLogs",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            "Resource": [log_group_arn, f"{log_group_arn}:log-stream:*"],
        }
    )


def interruption_queue(queue_arn: str, rule_arns: typing.Sequence[str]) -> Document:
    """Let this stack's event rules send to the queue, and refuse all requests without TLS."""
    return _document(
        {
            "Sid": "SendEvents",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": list(rule_arns)}},
        },
        {
            "Sid": "DenyPlainHttp",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": queue_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )


def karpenter_node_lifecycle(place: Place, cluster_name: str) -> Document:
    """Let Karpenter launch, tag and terminate instances that carry this cluster's tags."""
    ec2 = f"arn:{place.partition}:ec2:{place.region}"
    owned = f"kubernetes.io/cluster/{cluster_name}"
    launched = [f"{ec2}:*:{kind}/*" for kind in _LAUNCHED]
    requested = {f"aws:RequestTag/{owned}": "owned", "aws:RequestTag/eks:eks-cluster-name": cluster_name}
    any_pool = {"StringLike": {"aws:RequestTag/karpenter.sh/nodepool": "*"}}
    ours = {
        "StringEquals": {f"aws:ResourceTag/{owned}": "owned"},
        "StringLike": {"aws:ResourceTag/karpenter.sh/nodepool": "*"},
    }
    used = ("security-group", "subnet", "capacity-reservation", "placement-group")
    launch = [f"ec2:{action}" for action in _LAUNCHES]
    return _document(
        _allow(
            "UseWhatInstancesNeed",
            launch[:2],
            [f"{ec2}::image/*", f"{ec2}::snapshot/*", *(f"{ec2}:*:{kind}/*" for kind in used)],
        ),
        _allow("UseOurLaunchTemplates", launch[:2], [f"{ec2}:*:launch-template/*"], ours),
        _allow("LaunchWithOurTags", launch, launched, {"StringEquals": requested, **any_pool}),
        _allow(
            "TagWhatIsLaunched",
            ["ec2:CreateTags"],
            launched,
            {"StringEquals": {**requested, "ec2:CreateAction": list(_LAUNCHES)}, **any_pool},
        ),
        _allow(
            "TagOurInstances",
            ["ec2:CreateTags"],
            [f"{ec2}:*:instance/*"],
            {
                **ours,
                "StringEqualsIfExists": {"aws:RequestTag/eks:eks-cluster-name": cluster_name},
                "ForAllValues:StringEquals": {
                    "aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]
                },
            },
        ),
        _allow(
            "DeleteWhatIsOurs",
            ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            [f"{ec2}:*:instance/*", f"{ec2}:*:launch-template/*"],
            ours,
        ),
    )


def karpenter_iam_integration(node_role_arn: str) -> Document:
    """Let Karpenter pass the nodes' role to instances."""
    passed = {"StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]}}
    return _document(_allow("PassTheNodeRole", ["iam:PassRole"], [node_role_arn], passed))


def karpenter_eks_integration(place: Place, cluster_name: str) -> Document:
    """Let Karpenter find the API server of its own cluster."""
    return _document(_allow("FindTheApiServer", ["eks:DescribeCluster"], [place.cluster(cluster_name)]))


def karpenter_interruption(queue_arn: str) -> Document:
    """Let Karpenter read its interruption queue."""
    return _document(
        _allow(
            "ReadTheQueue",
            ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
            [queue_arn],
        )
    )


def karpenter_zonal_shift(place: Place, cluster_name: str) -> Document:
    """Let Karpenter see a zonal shift of its own cluster, named by a condition: the action takes no resource."""
    cluster = {"StringEquals": {"arc-zonal-shift:ResourceIdentifier": place.cluster(cluster_name)}}
    return _document(_allow("SeeZonalShifts", ["arc-zonal-shift:GetManagedResource"], ["*"], cluster))


def karpenter_resource_discovery(place: Place) -> Document:
    """Let Karpenter look up offers, prices, AMIs and profiles.

    Without ListInstanceProfiles and GetInstanceProfile an EC2NodeClass never finishes deleting.
    """
    described = (
        *("CapacityReservations", "Images", "Instances", "InstanceStatus", "InstanceTypeOfferings", "InstanceTypes"),
        *("LaunchTemplates", "PlacementGroups", "SecurityGroups", "SpotPriceHistory", "Subnets"),
    )
    here = {"StringEquals": {"aws:RequestedRegion": place.region}}
    parameters = f"arn:{place.partition}:ssm:{place.region}::parameter/aws/service/*"
    profiles = f"arn:{place.partition}:iam::{place.account_id}:instance-profile/*"
    return _document(
        _allow("DescribeTheRegion", [f"ec2:Describe{kind}" for kind in described], ["*"], here),
        _allow("ReadPublicParameters", ["ssm:GetParameter"], [parameters]),
        _allow("ReadPrices", ["pricing:GetProducts"], ["*"]),
        _allow("ListInstanceProfiles", ["iam:ListInstanceProfiles"], ["*"]),
        _allow("ReadInstanceProfiles", ["iam:GetInstanceProfile"], [profiles]),
    )


def _document(*statements: Statement) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(sid: str, actions: list[str], resources: list[str], condition: Statement | None = None) -> Statement:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement if condition is None else {**statement, "Condition": condition}
