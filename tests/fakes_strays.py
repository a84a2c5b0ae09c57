"""What others make for a stack and may leave behind: Karpenter, EKS, its drivers, the controller of Services."""

import collections.abc
import copy
import typing

import moto.backends

from tests.fakes_leftovers import ENDING, Account, Found, alarm, files, listed, profile, specified, template

Tags = collections.abc.Mapping[str, str]
ACCOUNT_ID = "123456789012"
"""moto's account."""
OTHERS: typing.Final = "optimal-tp-dev-2"
"""Another cluster of the account, whose name begins as that of the dev stack."""


def _karpenter(at: Account) -> dict[str, str]:
    """Return what Karpenter 1.14 puts on all that it makes."""
    name = at.scope.cluster_name
    return {
        "karpenter.sh/nodepool": "neuron-trn-2",
        "karpenter.k8s.aws/ec2nodeclass": "neuron-al2023",
        f"kubernetes.io/cluster/{name}": "owned",
        "eks:eks-cluster-name": name,
    }


def _instance(at: Account, tags: Tags, instance_type: str = "m7i.large") -> Found:
    image = at.aws("ec2").register_image(Name=str(tags), RootDeviceName="/dev/xvda")["ImageId"]
    made = at.aws("ec2").run_instances(
        ImageId=image,
        InstanceType=instance_type,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=specified("instance", tags),
    )
    return {("instance", made["Instances"][0]["InstanceId"])}


def _volume(at: Account, tags: Tags) -> Found:
    made = at.aws("ec2").create_volume(
        AvailabilityZone=at.scope.settings.zones[0], Size=20, TagSpecifications=specified("volume", tags)
    )
    return {("volume", made["VolumeId"])}


def _driver(at: Account) -> dict[str, str]:
    """Return what the EBS driver puts on its volumes and snapshots."""
    return {"ebs.csi.aws.com/cluster": "true", f"kubernetes.io/cluster/{at.scope.cluster_name}": "owned"}


def _snapshot(at: Account) -> Found:
    volume = at.aws("ec2").create_volume(AvailabilityZone=at.scope.settings.zones[0], Size=20)["VolumeId"]
    made = at.aws("ec2").create_snapshot(VolumeId=volume, TagSpecifications=specified("snapshot", _driver(at)))
    return {("snapshot", made["SnapshotId"])}


def _interface(at: Account) -> Found:
    tags = {
        "cluster.k8s.amazonaws.com/name": at.scope.cluster_name,
        "node.k8s.amazonaws.com/instance_id": "i-0123456789abcdef0",
    }
    made = at.aws("ec2").create_network_interface(
        SubnetId=at.subnet(), TagSpecifications=specified("network-interface", tags)
    )
    return {("network interface", made["NetworkInterface"]["NetworkInterfaceId"])}


def _interface_in_our_vpc(at: Account) -> Found:
    """Make an interface without any tag in a VPC of ours."""
    vpc = at.vpc()
    at.aws("ec2").create_tags(Resources=[vpc], Tags=listed(at.scope.settings.tags))
    made = at.aws("ec2").create_network_interface(SubnetId=at.subnet(vpc))
    return {("network interface", made["NetworkInterface"]["NetworkInterfaceId"]), ("VPC", vpc)}


def _group(at: Account, name: str, tags: Tags) -> Found:
    made = at.aws("ec2").create_security_group(
        GroupName=name, Description="x", VpcId=at.vpc(), TagSpecifications=specified("security-group", tags)
    )
    return {("security group", made["GroupId"])}


def _balancer(at: Account) -> Found:
    made = at.aws("elbv2").create_load_balancer(
        Name="k8s-one",
        Type="network",
        Subnets=[at.subnet()],
        Tags=listed({"elbv2.k8s.aws/cluster": at.scope.cluster_name}),
    )
    return {("load balancer", made["LoadBalancers"][0]["LoadBalancerArn"])}


def _target_group(at: Account) -> Found:
    made = at.aws("elbv2").create_target_group(
        Name="k8s-one",
        Protocol="TCP",
        Port=80,
        VpcId=at.vpc(),
        Tags=listed({"elbv2.k8s.aws/cluster": at.scope.cluster_name}),
    )
    return {("target group", made["TargetGroups"][0]["TargetGroupArn"])}


def _classic_balancer(at: Account) -> Found:
    at.aws("elb").create_load_balancer(
        LoadBalancerName="a0123",
        Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 80}],
        AvailabilityZones=[at.scope.settings.zones[0]],
        Tags=listed({f"kubernetes.io/cluster/{at.scope.cluster_name}": "owned"}),
    )
    return {("classic load balancer", "a0123")}


def _access_point(at: Account) -> Found:
    id_ = files(at, at.scope.settings.tags)
    tags = listed({"efs.csi.aws.com/cluster": "true"})
    made = at.aws("efs").create_access_point(ClientToken="driver", FileSystemId=id_, Tags=tags)
    return {("file system", id_), ("access point", made["AccessPointId"])}


def _log_group(at: Account) -> Found:
    name = f"/aws/eks/{at.scope.cluster_name}/cluster"
    at.aws("logs").create_log_group(logGroupName=name)
    return {("log group", name)}


def _composite_alarm(at: Account) -> Found:
    """Make the alarms of a sweep's endless probe."""
    name = at.scope.cluster_name
    found = alarm(at, f"{name}-silent-qwen3-8b")
    # moto knows composite alarms, and not the call that makes one.
    alarms = moto.backends.get_backend("cloudwatch")[ACCOUNT_ID][at.scope.region].alarms
    alarms[f"{name}-silent"] = copy.copy(alarms[f"{name}-silent-qwen3-8b"])
    alarms[f"{name}-silent"].name = f"{name}-silent"
    alarms[f"{name}-silent"].rule = f"ALARM({name}-silent-qwen3-8b)"
    return {("composite alarm", f"{name}-silent"), *found}


def _alias(at: Account) -> Found:
    tags = [{"TagKey": key, "TagValue": value} for key, value in at.scope.settings.tags.items()]
    key = at.aws("kms").create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    at.aws("kms").create_alias(AliasName="alias/ours", TargetKeyId=key)
    return {("key", key), ("key alias", "alias/ours")}


STRAYS: typing.Final[dict[str, collections.abc.Callable[[Account], Found]]] = {
    "a Neuron node of Karpenter": lambda at: _instance(at, _karpenter(at), at.scope.settings.neuron.instance_type),
    "a node of the managed group": lambda at: _instance(at, {"eks:cluster-name": at.scope.cluster_name}),
    "a system node": lambda at: _instance(at, {"Name": f"{at.scope.cluster_name}-system"}),
    "a node's volume": lambda at: _volume(at, _karpenter(at)),
    "a volume of the EBS driver": lambda at: _volume(at, _driver(at)),
    "a snapshot of the EBS driver": _snapshot,
    "a launch template of Karpenter": lambda at: template(at, "karpenter.k8s.aws-1", _karpenter(at)),
    "a launch template of EKS": lambda at: template(at, "eks-1", {"eks:cluster-name": at.scope.cluster_name}),
    "an instance profile of Karpenter": lambda at: profile(
        at, "made-by-karpenter", f"/karpenter/{at.scope.region}/{at.scope.cluster_name}/0123/", {}
    ),
    "an interface of the network plugin": _interface,
    "an interface without tags in our VPC": _interface_in_our_vpc,
    "the security group of EKS": lambda at: _group(
        at, "eks-cluster-sg", {f"kubernetes.io/cluster/{at.scope.cluster_name}": "owned"}
    ),
    "a load balancer of a Service": _balancer,
    "a target group of a Service": _target_group,
    "a classic load balancer of a Service": _classic_balancer,
    "an access point of the EFS driver": _access_point,
    "the log group that EKS made again": _log_group,
    "the alarms of an endless sweep": _composite_alarm,
    "a key with an alias": _alias,
}
"""Who left it, and how."""


def neighbours(at: Account) -> None:
    """Make what is not ours: another cluster's of a name that begins alike, and things without tags."""
    other = {"eks:eks-cluster-name": OTHERS, f"kubernetes.io/cluster/{OTHERS}": "owned", "project": "optimal-tp"}
    other["stack"] = "dev-2"
    _instance(at, other)
    _volume(at, other)
    _group(at, "neighbours", other)
    template(at, "neighbours", other)
    files(at, other)
    alarm(at, f"{OTHERS}-void-tp1")
    profile(at, f"karpenter-node{ENDING}", "/", other)
    at.aws("logs").create_log_group(logGroupName=f"/aws/eks/{OTHERS}/cluster")
    at.aws("cloudwatch").put_dashboard(DashboardName=OTHERS, DashboardBody='{"widgets": []}')
    at.aws("s3").create_bucket(
        Bucket="results-bucket-0000000", CreateBucketConfiguration={"LocationConstraint": at.scope.region}
    )
    at.aws("sqs").create_queue(QueueName=f"karpenter-interruptions{ENDING}", tags=other)
    at.aws("sqs").create_queue(QueueName="karpenter-interruptions-0000000")
    at.aws("events").put_rule(Name=f"karpenter-spot{ENDING}", EventPattern="{}", Tags=listed(other))
    at.aws("kms").create_key()
    at.aws("elbv2").create_load_balancer(Name="theirs", Type="network", Subnets=[at.subnet()])
