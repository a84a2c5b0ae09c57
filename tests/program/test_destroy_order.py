"""What destroy takes first: computed from the recorded dependencies, as the engine does, for every pair that matters.

The engine deletes in levels: a level begins when the one before is complete, and a resource is in a later level than
everything that depends on it, is its child or uses it as a provider. A pair that is not linked may go in any order, so
each test asks for the link itself, not for a lucky level.
"""

import pytest

from tests.fakes_pulumi import recorded

NODES_ATTACHMENTS = (
    "RolePolicyAttachment karpenter-node-AmazonEKSWorkerNodePolicy",
    "RolePolicyAttachment karpenter-node-AmazonEKS_CNI_Policy",
    "RolePolicyAttachment karpenter-node-AmazonEC2ContainerRegistryPullOnly",
)
CONTROLLER_ATTACHMENTS = tuple(
    f"RolePolicyAttachment karpenter-{part}"
    for part in ("node-lifecycle", "iam-integration", "eks-integration", "interruption", "resource-discovery")
)

DEV = "Pulumi.dev.yaml"
ORPHAN = "instances run on and bill, because nobody is left who may end them"
HANG = "the delete waits for ever, because its finalizer cannot be served"
DRAIN = "nodes do not drain, because their kubelets are cut off"
BLIND = "the controller runs without what it works with, on the way down and, in reverse, on the way up"
BLOCKED = "AWS refuses the delete while something still uses it"

POOL, NODE_CLASS = "NodePool pool-nodes", "EC2NodeClass pool-class"
CONTROLLER, CRDS = "Release karpenter-controller", "Release karpenter-crds"
CLUSTER, SYSTEM = "Cluster cluster-control-plane", "NodeGroup cluster-nodes"

PAIRS: tuple[tuple[str, str, str], ...] = (
    # first, then, what happens the other way round
    (POOL, NODE_CLASS, HANG),
    (POOL, CONTROLLER, ORPHAN),
    (NODE_CLASS, CONTROLLER, HANG),
    (CONTROLLER, CRDS, ORPHAN),
    (POOL, CRDS, ORPHAN),
    *((POOL, attachment, ORPHAN) for attachment in CONTROLLER_ATTACHMENTS),
    *((NODE_CLASS, attachment, HANG) for attachment in CONTROLLER_ATTACHMENTS),
    *((POOL, attachment, DRAIN) for attachment in NODES_ATTACHMENTS),
    (POOL, "PodIdentityAssociation karpenter-controller", ORPHAN),
    (POOL, "Addon cluster-eks-pod-identity-agent", ORPHAN),
    (POOL, "Queue karpenter-interruptions", ORPHAN),
    (POOL, "QueuePolicy karpenter-interruptions", ORPHAN),
    (POOL, "EventTarget karpenter-state", ORPHAN),
    (POOL, "AccessEntry karpenter-node", DRAIN),
    (POOL, "InstanceProfile karpenter-node", ORPHAN),
    (POOL, "Release neuron-chart", DRAIN),
    (POOL, "Addon cluster-vpc-cni", BLOCKED),
    (POOL, "Addon cluster-kube-proxy", DRAIN),
    (POOL, "Addon cluster-coredns", ORPHAN),
    (POOL, "Addon cluster-aws-efs-csi-driver", DRAIN),
    (POOL, "NatGateway network-nat-ap-southeast-4c", DRAIN),
    (POOL, "Route network-private-ap-southeast-4c-out", DRAIN),
    (POOL, "Route network-private-ap-southeast-4a-out", DRAIN),
    (POOL, "RouteTableAssociation network-private-ap-southeast-4c", DRAIN),
    (POOL, "RouteTableAssociation network-public-ap-southeast-4c", DRAIN),
    (POOL, "Route network-public-out", DRAIN),
    (POOL, "VpcEndpoint network-s3", DRAIN),
    (POOL, SYSTEM, ORPHAN),
    (POOL, CLUSTER, ORPHAN),
    (CONTROLLER, SYSTEM, ORPHAN),
    (CONTROLLER, "Addon cluster-coredns", ORPHAN),
    (CONTROLLER, "Addon cluster-eks-pod-identity-agent", ORPHAN),
    ("Release neuron-chart", SYSTEM, HANG),
    ("Release neuron-chart", "Addon cluster-coredns", HANG),
    *((CONTROLLER, attachment, BLIND) for attachment in CONTROLLER_ATTACHMENTS),
    *((CONTROLLER, attachment, BLIND) for attachment in NODES_ATTACHMENTS),
    (CONTROLLER, "PodIdentityAssociation karpenter-controller", BLIND),
    (CONTROLLER, "AccessEntry karpenter-node", BLIND),
    (CONTROLLER, "QueuePolicy karpenter-interruptions", BLIND),
    (CONTROLLER, "EventTarget karpenter-spot", BLIND),
    (SYSTEM, "Addon cluster-vpc-cni", BLOCKED),
    (SYSTEM, "RolePolicyAttachment cluster-nodes-AmazonEKS_CNI_Policy", BLOCKED),
    (SYSTEM, "RolePolicyAttachment cluster-nodes-AmazonEKSWorkerNodePolicy", DRAIN),
    (SYSTEM, "Addon cluster-kube-proxy", DRAIN),
    (SYSTEM, "NatGateway network-nat-ap-southeast-4c", DRAIN),
    (SYSTEM, "Route network-private-ap-southeast-4c-out", DRAIN),
    (SYSTEM, "Route network-private-ap-southeast-4a-out", DRAIN),
    (SYSTEM, "RouteTableAssociation network-private-ap-southeast-4a", DRAIN),
    (SYSTEM, "RouteTableAssociation network-public-ap-southeast-4c", DRAIN),
    (SYSTEM, CLUSTER, BLOCKED),
    ("Addon cluster-coredns", SYSTEM, HANG),
    ("Addon cluster-aws-efs-csi-driver", "RolePolicyAttachment cluster-efs-driver", HANG),
    (CLUSTER, "LogGroup cluster-logs", "EKS makes the log group again and it stays"),
    (CLUSTER, "Key cluster-secrets", "the API server cannot read its secrets"),
    (CLUSTER, "Subnet network-private-ap-southeast-4c", BLOCKED),
    ("MountTarget storage-mount-ap-southeast-4c", "Subnet network-private-ap-southeast-4c", BLOCKED),
    ("MountTarget storage-mount-ap-southeast-4c", "FileSystem storage-files", BLOCKED),
    ("MountTarget storage-mount-ap-southeast-4c", "SecurityGroup storage-nfs", BLOCKED),
    ("SecurityGroupIngressRule storage-nfs", CLUSTER, "the rule names a group that EKS cannot delete"),
    ("NatGateway network-nat-ap-southeast-4c", "InternetGateway network-internet", BLOCKED),
    ("NatGateway network-nat-ap-southeast-4c", "Eip network-nat-ap-southeast-4c", BLOCKED),
    ("Eip network-nat-ap-southeast-4c", "InternetGateway network-internet", BLOCKED),
    ("Subnet network-private-ap-southeast-4c", "Vpc network-vpc", BLOCKED),
)


@pytest.mark.parametrize(("first", "then", "else_"), PAIRS, ids=[f"{first}-{then}" for first, then, _ in PAIRS])
def test_destroy_order(first: str, then: str, else_: str) -> None:
    """``first`` is gone before ``then`` is touched."""
    recording = recorded(DEV)
    outlived_by = recording.must_outlive()[recording.one(first).urn]

    assert recording.one(then).urn in outlived_by, f"{then} may be deleted while {first} is still there: {else_}"


def test_price_goes_after_the_pool() -> None:
    """An overlay deleted first would make Karpenter take its nodes for unpriced; it is deleted after the pool."""
    recording = recorded("Pulumi.prod.yaml")

    assert recording.one("NodeOverlay pool-price").urn in recording.must_outlive()[recording.one(POOL).urn]


def test_nothing_waits_for_itself() -> None:
    """The dependencies have no circle."""
    outlive = recorded(DEV).must_outlive()

    assert [urn for urn, others in outlive.items() if urn in others] == []


@pytest.mark.parametrize("key", [POOL, NODE_CLASS])
def test_draining_is_given_time(key: str) -> None:
    """The provider waits an hour for instances to end, not its 10 minutes."""
    resource = recorded(DEV).one(key)

    assert resource.delete_timeout == "60m"


def test_pods_are_ended_before_the_provider_gives_up() -> None:
    """Whatever protects a pod, its node is drained well within the hour."""
    template = recorded(DEV).one(POOL).inputs["spec"]["template"]["spec"]

    assert template["terminationGracePeriod"] == "10m"


def test_nothing_is_left_behind_on_purpose() -> None:
    """No custom resource asks to be dropped from state without being deleted, and none is deleted in the background."""
    recording = recorded(DEV)
    annotations = [recording.one(key).inputs["metadata"]["annotations"] for key in (POOL, NODE_CLASS)]

    assert annotations == [{"pulumi.com/waitFor": "condition=Ready"}] * 2
    assert "deleteUnreachable" not in recording.one("kubernetes cluster-kubernetes").inputs
