"""An account on moto in which things of a stack are left: what the program registers, what Karpenter and drivers make.

Each maker makes one thing, with what it cannot be without, and returns what leftovers has to find: kind and name.
"""

import collections.abc
import contextlib
import dataclasses
import functools
import itertools
import json
import typing
from unittest import mock

import boto3
import moto
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from optimal_tp.account.inquiry import Clients
from optimal_tp.account.leftovers.scope import Scope
from optimal_tp.account.leftovers.search import LEFTOVERS
from optimal_tp.settings.stack_config import stack_config
from tests.fakes_pulumi import Recorded, recorded
from tests.fakes_stack_files import ROOT

Found = set[tuple[str, str]]
"""Kinds and names."""
ENDING = "-1a2b3c4"
"""What Pulumi appends to a name that the program leaves to it."""
DOCUMENT = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}]}
)
"""A document for whoever wants one."""
_SESSION: typing.Final = boto3.session.Session()


@dataclasses.dataclass(kw_only=True)
class Account:
    """Clients of an account on moto, and the stack whose things are left in it."""

    scope: Scope
    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Signing name and operation of every call through ``clients``."""
    reservations: list[dict[str, typing.Any]] = dataclasses.field(default_factory=list)
    """Capacity reservations, which moto has none of."""
    _ranges: collections.abc.Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    @property
    def clients(self) -> Clients:
        """Return clients of whoever looks for leftovers; ``account`` writes their calls down."""
        return lambda service: _client(service, self.scope.region, "looking")

    def write_down(self, model: typing.Any, params: typing.Any, **_: object) -> object:
        """Keep what was called, and answer for the one call that moto does not know."""
        self.asked.append((model.service_model.signing_name, model.name))
        if model.name != "DescribeCapacityReservations":
            return None
        wanted = params["body"].get("CapacityReservationId.1")
        found = [each for each in self.reservations if each["CapacityReservationId"] == wanted]
        return AWSResponse("", 200, HTTPHeaders(), None), {"CapacityReservations": found}

    def aws(self, service: str) -> typing.Any:
        """Return a client of whoever leaves things here."""
        return _client(service, self.scope.region, "leaving")

    def vpc(self) -> str:
        """Return a VPC that nobody tagged."""
        return str(self.aws("ec2").create_vpc(CidrBlock=f"10.{next(self._ranges)}.0.0/16")["Vpc"]["VpcId"])

    def subnet(self, vpc: str | None = None) -> str:
        """Return a subnet that nobody tagged."""
        vpc = self.vpc() if vpc is None else vpc
        block = self.aws("ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"].replace("/16", "/24")
        return str(self.aws("ec2").create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"])


@contextlib.contextmanager
def account(stack: str) -> collections.abc.Iterator[Account]:
    """Yield an empty account for ``stack`` (dev or prod)."""
    found = Account(scope=scope(stack))
    # moto's own images bring a thousand snapshots, which each search goes through.
    with mock.patch.dict("os.environ", MOTO_EC2_LOAD_DEFAULT_AMIS="false"), moto.mock_aws():
        events = [found.clients(each).meta.events for each in sorted({question.service for question in LEFTOVERS})]
        for each in events:
            each.register("before-call", found.write_down)
        try:
            yield found
        finally:
            for each in events:
                each.unregister("before-call", found.write_down)


@functools.cache
def _client(service: str, region: str, _who: str) -> typing.Any:
    """Return a client, made once: reading a service's model takes longer than all its calls."""
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "testing")
    return _SESSION.client(service, region_name=region, **keys)  # type: ignore[call-overload]


def scope(stack: str) -> Scope:
    """Return where leftovers of the stack file are looked for, with every bucket to be deleted."""
    from optimal_tp.cli.leftovers import stack_scope  # noqa: PLC0415 - boto3 takes a second

    return dataclasses.replace(stack_scope(stack_config(stack, ROOT)), keeps_bucket=False)


def resources(stack: str) -> dict[str, list[Recorded]]:
    """Return what the program registers in AWS, by type."""
    found: dict[str, list[Recorded]] = {}
    for each in recorded(f"Pulumi.{stack}.yaml").resources:
        if each.type.startswith(("aws:", "eks:")):
            found.setdefault(each.type, []).append(each)
    return found


Maker = collections.abc.Callable[[Account, Recorded], Found]


def listed(tags: collections.abc.Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as most of AWS takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specified(kind: str, tags: collections.abc.Mapping[str, str]) -> list[dict[str, typing.Any]]:
    """Return tags as EC2 takes them."""
    return [{"ResourceType": kind, "Tags": listed(tags)}]


def _vpc(at: Account, each: Recorded) -> Found:
    wanted = specified("vpc", each.inputs["tags"])
    vpc = at.aws("ec2").create_vpc(CidrBlock=each.inputs["cidrBlock"], TagSpecifications=wanted)
    return {("VPC", vpc["Vpc"]["VpcId"])}


def _subnet(at: Account, each: Recorded) -> Found:
    vpc = at.vpc()
    block = at.aws("ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"].replace("/16", "/24")
    made = at.aws("ec2").create_subnet(
        VpcId=vpc, CidrBlock=block, TagSpecifications=specified("subnet", each.inputs["tags"])
    )
    return {("subnet", made["Subnet"]["SubnetId"])}


def _route_table(at: Account, each: Recorded) -> Found:
    vpc = at.vpc()
    made = at.aws("ec2").create_route_table(VpcId=vpc, TagSpecifications=specified("route-table", each.inputs["tags"]))[
        "RouteTable"
    ]["RouteTableId"]
    at.aws("ec2").associate_route_table(RouteTableId=made, SubnetId=at.subnet(vpc))
    return {("route table", made)}


def _internet_gateway(at: Account, each: Recorded) -> Found:
    made = at.aws("ec2").create_internet_gateway(TagSpecifications=specified("internet-gateway", each.inputs["tags"]))[
        "InternetGateway"
    ]["InternetGatewayId"]
    at.aws("ec2").attach_internet_gateway(InternetGatewayId=made, VpcId=at.vpc())
    return {("internet gateway", made)}


def _address(at: Account, each: Recorded) -> Found:
    made = at.aws("ec2").allocate_address(Domain="vpc", TagSpecifications=specified("elastic-ip", each.inputs["tags"]))
    return {("Elastic IP", made["AllocationId"])}


def _nat_gateway(at: Account, each: Recorded) -> Found:
    address = at.aws("ec2").allocate_address(Domain="vpc")["AllocationId"]
    made = at.aws("ec2").create_nat_gateway(
        SubnetId=at.subnet(), AllocationId=address, TagSpecifications=specified("natgateway", each.inputs["tags"])
    )
    return {("NAT gateway", made["NatGateway"]["NatGatewayId"])}


def _endpoint(at: Account, each: Recorded) -> Found:
    made = at.aws("ec2").create_vpc_endpoint(
        VpcId=at.vpc(),
        ServiceName=each.inputs["serviceName"],
        VpcEndpointType=each.inputs["vpcEndpointType"],
        TagSpecifications=specified("vpc-endpoint", each.inputs["tags"]),
    )
    return {("VPC endpoint", made["VpcEndpoint"]["VpcEndpointId"])}


def _flow_log(at: Account, each: Recorded) -> Found:
    at.aws("logs").create_log_group(logGroupName="somewhere")
    role = at.aws("iam").create_role(RoleName="somebody", AssumeRolePolicyDocument=DOCUMENT)["Role"]["Arn"]
    made = at.aws("ec2").create_flow_logs(
        ResourceType="VPC",
        ResourceIds=[at.vpc()],
        TrafficType=each.inputs["trafficType"],
        LogGroupName="somewhere",
        DeliverLogsPermissionArn=role,
        TagSpecifications=specified("vpc-flow-log", each.inputs["tags"]),
    )
    return {("flow log", made["FlowLogIds"][0])}


def _security_group(at: Account, each: Recorded) -> Found:
    made = at.aws("ec2").create_security_group(
        GroupName=f"{each.name}{ENDING}",
        Description="x",
        VpcId=at.vpc(),
        TagSpecifications=specified("security-group", each.inputs["tags"]),
    )
    return {("security group", made["GroupId"])}


def _group_rule(at: Account, each: Recorded) -> Found:
    """Make two groups of ours, one of which lets the other in."""
    vpc = at.vpc()
    ids = [
        at.aws("ec2").create_security_group(
            GroupName=name,
            Description="x",
            VpcId=vpc,
            TagSpecifications=specified("security-group", each.inputs["tags"]),
        )["GroupId"]
        for name in ("named", "naming")
    ]
    allowed = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, "UserIdGroupPairs": [{"GroupId": ids[0]}]}
    made = at.aws("ec2").authorize_security_group_ingress(GroupId=ids[1], IpPermissions=[allowed])
    rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    return {("security group rule", rule), *(("security group", id_) for id_ in ids)}


def _launch_template(at: Account, each: Recorded) -> Found:
    return template(at, each.name, each.inputs["tags"])


def template(at: Account, name: str, tags: collections.abc.Mapping[str, str]) -> Found:
    """Make a launch template."""
    made = at.aws("ec2").create_launch_template(
        LaunchTemplateName=f"{name}{ENDING}",
        LaunchTemplateData={"InstanceType": "m7i.large"},
        TagSpecifications=specified("launch-template", tags),
    )
    return {("launch template", made["LaunchTemplate"]["LaunchTemplateId"])}


def files(at: Account, tags: collections.abc.Mapping[str, str]) -> str:
    """Make a file system."""
    return str(at.aws("efs").create_file_system(CreationToken=str(tags), Tags=listed(tags))["FileSystemId"])


def _file_system(at: Account, each: Recorded) -> Found:
    return {("file system", files(at, each.inputs["tags"]))}


def _mount_target(at: Account, _: Recorded) -> Found:
    id_ = files(at, at.scope.settings.tags)
    made = at.aws("efs").create_mount_target(FileSystemId=id_, SubnetId=at.subnet())["MountTargetId"]
    return {("file system", id_), ("mount target", made)}


def _access_point(at: Account, each: Recorded) -> Found:
    id_ = files(at, at.scope.settings.tags)
    made = at.aws("efs").create_access_point(ClientToken="x", FileSystemId=id_, Tags=listed(each.inputs["tags"]))
    return {("file system", id_), ("access point", made["AccessPointId"])}


def _role(at: Account, each: Recorded) -> Found:
    return role(at, f"{each.name}{ENDING}", each.inputs["tags"])


def role(at: Account, name: str, tags: collections.abc.Mapping[str, str]) -> Found:
    """Make a role with one policy of AWS's and one in line."""
    iam = at.aws("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=DOCUMENT, Tags=listed(tags))
    iam.put_role_policy(RoleName=name, PolicyName="in-line", PolicyDocument=DOCUMENT)
    arn = iam.create_policy(PolicyName=f"attached-to-{name}", PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    return {("IAM role", name)}


def _policy(at: Account, each: Recorded) -> Found:
    made = at.aws("iam").create_policy(
        PolicyName=f"{each.name}{ENDING}", PolicyDocument=DOCUMENT, Tags=listed(each.inputs["tags"])
    )["Policy"]["Arn"]
    at.aws("iam").create_policy_version(PolicyArn=made, PolicyDocument=DOCUMENT, SetAsDefault=True)
    return {("IAM policy", made)}


def _profile(at: Account, each: Recorded) -> Found:
    return profile(at, f"{each.name}{ENDING}", "/", each.inputs["tags"])


def profile(at: Account, name: str, path: str, tags: collections.abc.Mapping[str, str]) -> Found:
    """Make an instance profile with a role in it that nobody tagged."""
    iam = at.aws("iam")
    iam.create_instance_profile(InstanceProfileName=name, Path=path, Tags=listed(tags))
    iam.create_role(RoleName=f"in-{name}", AssumeRolePolicyDocument=DOCUMENT)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=f"in-{name}")
    return {("instance profile", name)}


def _issuer(at: Account, each: Recorded) -> Found:
    made = at.aws("iam").create_open_id_connect_provider(
        Url=f"https://oidc.eks.{at.scope.region}.amazonaws.com/id/0123",
        ClientIDList=["sts.amazonaws.com"],
        Tags=listed(each.inputs["tags"]),
    )
    return {("OIDC provider", made["OpenIDConnectProviderArn"])}


def _key(at: Account, each: Recorded) -> Found:
    tags = [{"TagKey": key, "TagValue": value} for key, value in each.inputs["tags"].items()]
    made = at.aws("kms").create_key(Description=each.inputs["description"], Tags=tags)
    return {("key", made["KeyMetadata"]["KeyId"])}


def _log_group(at: Account, each: Recorded) -> Found:
    name = each.inputs.get("name", f"{each.name}{ENDING}")
    at.aws("logs").create_log_group(logGroupName=name, tags=each.inputs["tags"])
    return {("log group", name)}


def _queue(at: Account, each: Recorded) -> Found:
    made = at.aws("sqs").create_queue(QueueName=f"{each.name}{ENDING}", tags=each.inputs["tags"])
    return {("queue", made["QueueUrl"])}


def _rule(at: Account, each: Recorded) -> Found:
    name = f"{each.name}{ENDING}"
    events = at.aws("events")
    events.put_rule(Name=name, EventPattern=each.inputs["eventPattern"], Tags=listed(each.inputs["tags"]))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-2:111122223333:one"}])
    return {("event rule", name)}


def _bucket(at: Account, each: Recorded) -> Found:
    """Make a bucket with versions: one object written twice, one deleted."""
    name = f"{each.name}{ENDING}"
    s3 = at.aws("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": at.scope.region})
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": listed(each.inputs["tags"])})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for key in ("runs/one", "runs/one", "runs/two"):
        s3.put_object(Bucket=name, Key=key, Body=b"x" * 1000)
    s3.delete_object(Bucket=name, Key="runs/two")
    return {("bucket", name)}


def _dashboard(at: Account, each: Recorded) -> Found:
    name = each.inputs["dashboardName"]
    at.aws("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=each.inputs["dashboardBody"])
    return {("dashboard", name)}


def _alarm(at: Account, each: Recorded) -> Found:
    return alarm(at, each.inputs["name"])


def alarm(at: Account, name: str) -> Found:
    """Make an alarm on one metric."""
    at.aws("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="x",
        MetricName="y",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="LessThanThreshold",
    )
    return {("alarm", name)}


def _cluster(at: Account, each: Recorded) -> Found:
    made = at.aws("iam").create_role(RoleName=f"{each.name}-eksRole-role{ENDING}", AssumeRolePolicyDocument=DOCUMENT)
    vpc = at.vpc()
    at.aws("eks").create_cluster(
        name=each.inputs["name"],
        roleArn=made["Role"]["Arn"],
        resourcesVpcConfig={"subnetIds": [at.subnet(vpc)]},
        tags=each.inputs["tags"],
    )
    return {("cluster", each.inputs["name"]), ("IAM role", made["Role"]["RoleName"])}


def _node_group(at: Account, each: Recorded) -> Found:
    cluster = at.scope.cluster_name
    eks, iam = at.aws("eks"), at.aws("iam")
    if not eks.list_clusters()["clusters"]:
        role_arn = iam.create_role(RoleName="of-the-plane", AssumeRolePolicyDocument=DOCUMENT)["Role"]["Arn"]
        eks.create_cluster(name=cluster, roleArn=role_arn, resourcesVpcConfig={"subnetIds": [at.subnet()]})
    node_arn = iam.create_role(RoleName="of-the-nodes", AssumeRolePolicyDocument=DOCUMENT)["Role"]["Arn"]
    name = f"{each.name}{ENDING}"
    eks.create_nodegroup(clusterName=cluster, nodegroupName=name, nodeRole=node_arn, subnets=[at.subnet()])
    return {("cluster", cluster), ("node group", name)}


MAKERS: typing.Final[dict[str, Maker]] = {
    "aws:cloudwatch/dashboard:Dashboard": _dashboard,
    "aws:cloudwatch/eventRule:EventRule": _rule,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:ec2/eip:Eip": _address,
    "aws:ec2/flowLog:FlowLog": _flow_log,
    "aws:ec2/internetGateway:InternetGateway": _internet_gateway,
    "aws:ec2/launchTemplate:LaunchTemplate": _launch_template,
    "aws:ec2/natGateway:NatGateway": _nat_gateway,
    "aws:ec2/routeTable:RouteTable": _route_table,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ec2/vpc:Vpc": _vpc,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:efs/accessPoint:AccessPoint": _access_point,
    "aws:efs/fileSystem:FileSystem": _file_system,
    "aws:efs/mountTarget:MountTarget": _mount_target,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:iam/instanceProfile:InstanceProfile": _profile,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _issuer,
    "aws:iam/policy:Policy": _policy,
    "aws:iam/role:Role": _role,
    "aws:kms/key:Key": _key,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:sqs/queue:Queue": _queue,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _group_rule,
    "eks:index:Cluster": _cluster,
}
"""How each type that the program registers is left behind."""
GOES_WITH: typing.Final[dict[str, str]] = {
    "aws:cloudwatch/eventTarget:EventTarget": "event rule",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "VPC",
    "aws:ec2/route:Route": "route table",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "route table",
    "aws:eks/accessEntry:AccessEntry": "cluster",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "cluster",
    "aws:eks/addon:Addon": "cluster",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": "cluster",
    "aws:iam/rolePolicy:RolePolicy": "IAM role",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "IAM role",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "bucket",
    "aws:s3/bucketPolicy:BucketPolicy": "bucket",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "bucket",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "bucket",
    "aws:s3/bucketVersioning:BucketVersioning": "bucket",
    "aws:sqs/queuePolicy:QueuePolicy": "queue",
}
"""What is a part of another thing, and gone with it: the kind of that."""
