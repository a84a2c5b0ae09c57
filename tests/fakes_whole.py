"""A whole stack left behind on moto: one of each kind, hanging together as AWS makes them hang together."""

import typing

from tests.fakes_leftovers import DOCUMENT, ENDING, MAKERS, Account, Found, listed, resources, specified
from tests.fakes_strays import STRAYS

_ALONE: typing.Final = (
    "aws:cloudwatch/dashboard:Dashboard",
    "aws:cloudwatch/eventRule:EventRule",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    "aws:s3/bucket:Bucket",
    "aws:sqs/queue:Queue",
    "aws:ec2/flowLog:FlowLog",
)
"""Types on which nothing else hangs."""
_STRAYS: typing.Final = (
    "a load balancer of a Service",
    "a target group of a Service",
    "a classic load balancer of a Service",
    "a Neuron node of Karpenter",
    "a node's volume",
    "a snapshot of the EBS driver",
    "a launch template of Karpenter",
    "the log group that EKS made again",
    "the alarms of an endless sweep",
    "a key with an alias",
)


def everything(at: Account) -> Found:
    """Leave one of each kind; what another holds, AWS does not let go before that."""
    found: Found = set()
    for type_ in _ALONE:
        found |= MAKERS[type_](at, resources("prod")[type_][0])
    for stray in _STRAYS:
        found |= STRAYS[stray](at)
    groups = {each.name: each for each in resources("prod")["aws:cloudwatch/logGroup:LogGroup"]}
    found |= MAKERS["aws:cloudwatch/logGroup:LogGroup"](at, groups["network-flow-logs"])
    return found | _identity(at) | _network(at)


def _identity(at: Account) -> Found:
    """Make a role of ours, in a profile of ours, with a policy of ours in two versions and one in line."""
    iam, tags = at.aws("iam"), listed(at.scope.settings.tags)
    role, profile, policy = (
        f"{name}{ENDING}" for name in ("karpenter-node", "karpenter-node", "karpenter-node-lifecycle")
    )
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=DOCUMENT, Tags=tags)
    iam.put_role_policy(RoleName=role, PolicyName="in-line", PolicyDocument=DOCUMENT)
    iam.create_instance_profile(InstanceProfileName=profile, Tags=tags)
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    arn = iam.create_policy(PolicyName=policy, PolicyDocument=DOCUMENT, Tags=tags)["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=DOCUMENT, SetAsDefault=True)
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    return {("IAM role", role), ("instance profile", profile), ("IAM policy", arn)}


def _network(at: Account) -> Found:
    ec2, tags = at.aws("ec2"), at.scope.settings.tags
    vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16", TagSpecifications=specified("vpc", tags))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.42.0.0/24", TagSpecifications=specified("subnet", tags))
    subnet = subnet["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway(TagSpecifications=specified("internet-gateway", tags))
    gateway = gateway["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc, TagSpecifications=specified("route-table", tags))
    table = table["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=specified("elastic-ip", tags))["AllocationId"]
    nat = ec2.create_nat_gateway(
        SubnetId=subnet, AllocationId=address, TagSpecifications=specified("natgateway", tags)
    )["NatGateway"]["NatGatewayId"]
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{at.scope.region}.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[table],
        TagSpecifications=specified("vpc-endpoint", tags),
    )["VpcEndpoint"]["VpcEndpointId"]
    ec2.create_network_interface(SubnetId=subnet)
    found = {
        *(("VPC", vpc), ("subnet", subnet), ("internet gateway", gateway), ("route table", table)),
        *(("Elastic IP", address), ("NAT gateway", nat), ("VPC endpoint", endpoint)),
        *_groups(at, vpc),
        *_files(at, subnet),
        *_cluster(at, subnet),
    }
    # To moto those of gateway and mount target are no service's own, and free.
    inside = ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkInterfaces"]
    return found | {("network interface", each["NetworkInterfaceId"]) for each in inside}


def _groups(at: Account, vpc: str) -> Found:
    """Make two groups that let each other in and out, so that neither can go first."""
    ec2 = at.aws("ec2")
    ids = [
        ec2.create_security_group(GroupName=name, Description="x", VpcId=vpc)["GroupId"] for name in ("nodes", "files")
    ]
    of = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049}
    inward = ec2.authorize_security_group_ingress(
        GroupId=ids[1], IpPermissions=[{**of, "UserIdGroupPairs": [{"GroupId": ids[0]}]}]
    )
    outward = ec2.authorize_security_group_egress(
        GroupId=ids[0], IpPermissions=[{**of, "UserIdGroupPairs": [{"GroupId": ids[1]}]}]
    )
    rules = [made["SecurityGroupRules"][0]["SecurityGroupRuleId"] for made in (inward, outward)]
    return {*(("security group", id_) for id_ in ids), *(("security group rule", rule) for rule in rules)}


def _files(at: Account, subnet: str) -> Found:
    efs, tags = at.aws("efs"), listed(at.scope.settings.tags)
    files = efs.create_file_system(CreationToken="whole", Tags=tags)["FileSystemId"]
    target = efs.create_mount_target(FileSystemId=files, SubnetId=subnet)["MountTargetId"]
    point = efs.create_access_point(ClientToken="x", FileSystemId=files)["AccessPointId"]
    return {("file system", files), ("mount target", target), ("access point", point)}


def _cluster(at: Account, subnet: str) -> Found:
    eks, name = at.aws("eks"), at.scope.cluster_name
    arn = at.aws("iam").create_role(RoleName="somebody's", AssumeRolePolicyDocument=DOCUMENT)["Role"]["Arn"]
    eks.create_cluster(name=name, roleArn=arn, resourcesVpcConfig={"subnetIds": [subnet]})
    eks.create_nodegroup(clusterName=name, nodegroupName="nodes", nodeRole=arn, subnets=[subnet])
    return {("cluster", name), ("node group", "nodes")}
