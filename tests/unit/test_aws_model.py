"""The model of AWS that the engines tier runs against: what it refuses, what it lets go at a price, what it keeps."""

import json
import pathlib
import typing

import pytest

from tests.engines.fakes_aws import account
from tests.engines.fakes_aws.changes import changed, replacing
from tests.engines.fakes_aws.kinds import REFERENCES
from tests.engines.fakes_aws.world import Instance, Properties, RefusedError, Thing, World, changing, key, seen

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
MANAGED = "arn:aws:iam::aws:policy/"


class Account:
    """A world, filled by logical names."""

    def __init__(self) -> None:
        self.world = World()
        self.made: dict[str, Thing] = {}

    def make(self, kind: str, name: str, /, **inputs: typing.Any) -> Thing:
        """Make one resource."""
        self.made[name] = account.create(self.world, kind, f"urn::{name}", inputs)
        return self.made[name]

    def id(self, name: str) -> str:
        """Return the id of what was made under ``name``."""
        return self.made[name].id

    def delete(self, name: str) -> None:
        """Delete one resource."""
        account.delete(self.world, self.made[name].kind, self.made[name].id)


def network(here: Account) -> None:
    """Make a VPC with two private subnets, one public one, and a way out of all of them."""
    here.make("Vpc", "vpc", cidrBlock="10.0.0.0/16")
    vpc = here.id("vpc")
    here.make("InternetGateway", "internet", vpcId=vpc)
    for number, zone in enumerate(("a", "c", "public")):
        block = f"10.0.{number}.0/24"
        here.make("Subnet", zone, vpcId=vpc, availabilityZone=f"ap-southeast-4{zone[0]}", cidrBlock=block)
    here.make("Eip", "address", domain="vpc")
    here.make("NatGateway", "nat", subnetId=here.id("public"), allocationId=here.id("address"))
    here.make("RouteTable", "table", vpcId=vpc)
    here.make("Route", "out", routeTableId=here.id("table"), natGatewayId=here.id("nat"))
    for zone in ("a", "c"):
        here.make("RouteTableAssociation", f"{zone}-out", subnetId=here.id(zone), routeTableId=here.id("table"))


def role(here: Account, name: str, *policies: str) -> str:
    """Make a role with AWS's ``policies``; return its ARN."""
    made = here.make("Role", name, name=name, assumeRolePolicy=TRUST)
    for policy in policies:
        here.make("RolePolicyAttachment", f"{name}-{policy}", role=name, policyArn=MANAGED + policy)
    return str(made.outputs["arn"])


def cluster(here: Account) -> None:
    """Make a cluster in the network, with its network plugin and a node group of two nodes."""
    network(here)
    here.make("Key", "key")
    subnets = [here.id("a"), here.id("c")]
    here.make("LogGroup", "logs", name="/aws/eks/dev/cluster")
    here.make(
        "Cluster",
        "cluster",
        name="dev",
        roleArn=role(here, "plane", "AmazonEKSClusterPolicy"),
        vpcConfig={"subnetIds": subnets},
        encryptionConfig={"provider": {"keyArn": here.made["key"].outputs["arn"]}},
        enabledClusterLogTypes=["api"],
    )
    here.make("Addon", "cni", clusterName="dev", addonName="vpc-cni")
    nodes = role(
        here, "nodes", "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"
    )
    here.make(
        "NodeGroup",
        "group",
        nodeGroupName="system",
        clusterName="dev",
        nodeRoleArn=nodes,
        subnetIds=subnets,
        instanceTypes=["m7i.large"],
        scalingConfig={"desiredSize": 2},
    )


def launched(here: Account) -> Instance:
    """Launch one of Karpenter's instances, with the role of the nodes."""
    here.make("InstanceProfile", "profile", name="profile", role="nodes")
    instance = Instance(
        id="i-1",
        owner="claim",
        of_karpenter=True,
        role="nodes",
        profile="profile",
        subnet=here.id("c"),
        groups=[here.made["cluster"].outputs["vpcConfig"]["clusterSecurityGroupId"]],
        instance_type="trn2.3xlarge",
    )
    account.launch(here.world, instance)
    return instance


@pytest.fixture
def here() -> Account:
    """Make an account with a cluster in it."""
    made = Account()
    cluster(made)
    return made


REFUSED: tuple[tuple[str, str], ...] = (
    ("vpc", "DependencyViolation: Vpc vpc is in use by InternetGateway internet"),
    ("internet", "DependencyViolation: InternetGateway internet serves mapped public addresses"),
    ("public", "DependencyViolation: Subnet public is in use by NatGateway nat"),
    ("address", "InvalidIPAddress.InUse: Eip address is in use by NatGateway nat"),
    ("a", "DependencyViolation: Subnet a is in use by Cluster cluster"),
    ("table", "DependencyViolation: RouteTable table is in use by RouteTableAssociation a-out"),
    ("plane", "DeleteConflict: Role plane is in use by RolePolicyAttachment plane-AmazonEKSClusterPolicy"),
    ("cluster", "ResourceInUseException: Cluster cluster is in use by NodeGroup group"),
)


@pytest.mark.parametrize(("name", "sentence"), REFUSED, ids=[name for name, _ in REFUSED])
def test_what_is_in_use_is_not_deleted(here: Account, name: str, sentence: str) -> None:
    """A delete while something still uses the resource is refused by name, and changes nothing."""
    with pytest.raises(RefusedError) as refused:
        here.delete(name)

    assert str(refused.value) == sentence
    assert key(here.made[name].kind, here.id(name)) in here.world.things


PAID_FOR: tuple[tuple[str, str], ...] = (
    ("nodes-AmazonEKS_CNI_Policy", "3 running nodes lost AmazonEKS_CNI_Policy and leave the cluster"),
    ("out", "3 running nodes were cut off from the cluster's endpoint"),
    ("c-out", "2 running nodes were cut off from the cluster's endpoint"),
    ("cni", "the network interfaces of 3 running nodes are left behind"),
    ("key", "Cluster cluster cannot read its secrets any more"),
)


@pytest.mark.parametrize(("name", "sentence"), PAID_FOR, ids=[name for name, _ in PAID_FOR])
def test_what_is_deleted_too_early_hurts(here: Account, name: str, sentence: str) -> None:
    """AWS lets some things go that running nodes need; the model says what broke."""
    launched(here)

    here.delete(name)

    assert here.world.harms == [f"{here.made[name]} was deleted: {sentence}"]


def test_an_instance_outlives_its_cluster_and_bills(here: Account) -> None:
    """With the cluster gone nobody ends Karpenter's instance: it bills, and holds subnet, group, profile and VPC."""
    instance = launched(here)
    for name in ("group", "cluster"):
        here.delete(name)

    assert here.world.billing() == [instance]
    assert here.world.harms == [
        "Cluster cluster was deleted: 1 instances run on and bill: the cluster that could end them is gone"
    ]
    with pytest.raises(RefusedError, match=r"^DependencyViolation: Subnet c has network interfaces of i-1$"):
        here.delete("c")
    with pytest.raises(RefusedError, match=r"^DeleteConflict: InstanceProfile profile is in use by running instances$"):
        here.delete("profile")
    assert [each.id for each in here.world.of("SecurityGroup")] == [
        here.made["cluster"].outputs["vpcConfig"]["clusterSecurityGroupId"]
    ]


def test_interfaces_without_network_plugin_hold_the_subnet(here: Account) -> None:
    """Interfaces that the plugin left behind keep a subnet after the nodes are gone."""
    for name in ("cni", "group", "cluster"):
        here.delete(name)

    with pytest.raises(RefusedError, match=r"^DependencyViolation: Subnet a has network interfaces of nodes that are"):
        here.delete("a")


def test_a_log_group_deleted_first_comes_back(here: Account) -> None:
    """EKS makes its log group again while the cluster writes; nobody deletes that one."""
    here.delete("logs")

    assert [(each.id, each.urn) for each in here.world.of("LogGroup")] == [("/aws/eks/dev/cluster", "")]


def test_the_right_order_leaves_nothing(here: Account) -> None:
    """Instance, group, network plugin, cluster, roles, network: nothing is refused, nothing hurts, nothing is left."""
    account.terminate(here.world, launched(here).id)
    attachments = [name for name in here.made if "-Amazon" in name]
    order = ["group", "cni", "cluster", "key", "logs", *attachments, "profile", "nodes", "plane"]
    order += ["a-out", "c-out", "out", "table", "nat", "address", "internet", "a", "c", "public", "vpc"]

    for name in order:
        here.delete(name)

    assert here.world.things == {}
    assert here.world.harms == []
    assert here.world.billing() == []


def test_an_addon_without_nodes_is_degraded(here: Account) -> None:
    """CoreDNS has no node to run on: the add-on exists, does not work, and can be deleted."""
    here.delete("group")

    with pytest.raises(
        account.DegradedError, match=r"^unexpected state 'DEGRADED', wanted target 'ACTIVE': coredns has"
    ):
        here.make("Addon", "dns", clusterName="dev", addonName="coredns")

    assert [each.outputs["status"] for each in here.world.of("Addon")] == ["ACTIVE", "DEGRADED"]


UNFIT: tuple[tuple[str, Properties, str], ...] = (
    ("Subnet", {"vpcId": "vpc-none"}, "VpcNotFound: 'vpc-none' in vpcId of urn::new does not exist"),
    ("Role", {"name": "r" * 65}, f"ValidationError: name {'r' * 65!r} has more than 64 characters"),
    ("Role", {"name": "nodes"}, "EntityAlreadyExists: Role nodes already exists"),
    (
        "Role",
        {"name": "new", "description": "nodes \N{EM DASH} all"},
        "ValidationError: description 'nodes \N{EM DASH} all' has characters that IAM refuses",
    ),
    (
        "Policy",
        {"name": "new", "policy": json.dumps(["a" * 6144])},
        "LimitExceeded: policy of new has 6148 characters; 6144 are allowed",
    ),
    ("InstanceProfile", {"name": "new", "role": "none"}, "RoleNotFound: 'none' in role of urn::new does not exist"),
)


@pytest.mark.parametrize(("kind", "inputs", "sentence"), UNFIT, ids=[sentence[:30] for _, _, sentence in UNFIT])
def test_what_cannot_be_is_not_made(here: Account, kind: str, inputs: Properties, sentence: str) -> None:
    """IAM's and EC2's rules hold when a resource is made."""
    before = set(here.world.things)
    given = {"assumeRolePolicy": TRUST, **inputs} if kind == "Role" else inputs

    with pytest.raises(RefusedError) as refused:
        here.make(kind, "new", **given)

    assert str(refused.value) == sentence
    assert set(here.world.things) == before


@pytest.mark.parametrize("name", ["nodes-AmazonEKSWorkerNodePolicy", "cni", "out", "c-out"])
def test_nodes_join_only_a_cluster_that_is_whole(here: Account, name: str) -> None:
    """A node group without policy, network plugin or way out is made in vain, and says why."""
    here.delete("group")
    here.delete(name)
    made = here.made["group"].inputs

    with pytest.raises(RefusedError, match=r"^NodeCreationFailure: instances do not join the cluster: "):
        here.make("NodeGroup", "again", **made)


def refused(path: pathlib.Path) -> None:
    """Begin an operation that AWS refuses."""
    with changing(path) as world:
        world.begun += 1
        account.create(world, "Subnet", "urn::subnet", {"vpcId": "vpc-none"})


def test_the_world_outlives_its_process(tmp_path: pathlib.Path) -> None:
    """What one process did another one sees, also what happened before a refusal."""
    path = tmp_path / "world.json"
    with changing(path) as world:
        account.create(world, "Vpc", "urn::vpc", {"cidrBlock": "10.0.0.0/16"})
    with pytest.raises(RefusedError):
        refused(path)

    assert [str(each) for each in seen(path).of("Vpc")] == ["Vpc vpc"]
    assert seen(path).begun == 1


def test_changes_in_place_and_by_replacement() -> None:
    """A tag or a policy is changed where it is; a zone or a name needs a new resource; a launch template never does."""
    olds = {"name": "a", "availabilityZone": "x", "tags": {"a": "b"}, "policy": "{}"}
    news = {"name": "b", "availabilityZone": "y", "tags": {}, "policy": "[]"}

    assert changed(olds, news) == ["availabilityZone", "name", "policy", "tags"]
    assert replacing("Policy", changed(olds, news)) == ["availabilityZone", "name"]
    assert replacing("LaunchTemplate", ["imageId", "tags"]) == []
    assert replacing("LaunchTemplate", ["name"]) == ["name"]


def test_every_reference_leads_to_a_kind_that_is_known() -> None:
    """The table of references has no dead end."""
    assert {each.kind for found in REFERENCES.values() for each in found} <= REFERENCES.keys()
