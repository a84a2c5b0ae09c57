"""The VPC: subnets in every zone, NAT for the private ones, an S3 endpoint, flow logs; or an existing VPC."""

import collections.abc
import dataclasses
import ipaddress
import json

import pulumi
import pulumi_aws as aws

from infra import policies, roles
from optimal_tp.settings.aws.existing import ExistingNetwork
from optimal_tp.settings.infra import RetentionDays


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Arguments of a new VPC. A single NAT gateway goes into the first of ``zones``."""

    cidr: str
    zones: collections.abc.Sequence[str]
    nat_gateway_per_zone: bool
    flow_log_days: RetentionDays | None
    place: policies.Place
    boundary: str | None
    """ARN of the permissions boundary of every role."""
    tags: collections.abc.Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubnetBlocks:
    """The address blocks of one zone."""

    public: str
    private: str


def subnet_blocks(cidr: str, zones: collections.abc.Sequence[str]) -> dict[str, SubnetBlocks]:
    """Return the blocks of each zone. ``cidr`` is divided into eighths, for at most seven zones.

    The first eighth holds the public subnets, each an eighth of it. Zone n (from 0) has eighth n + 1 as its private
    subnet.
    """
    eighths = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=3))
    publics = list(eighths[0].subnets(prefixlen_diff=3))
    return {
        zone: SubnetBlocks(public=str(public), private=str(private))
        for zone, public, private in zip(zones, publics[: len(eighths) - 1], eighths[1:], strict=False)
    }


class Network(pulumi.ComponentResource):
    """A VPC of its own. Children: ``<name>-vpc``, ``-internet``, per zone ``-public-<zone>``, ``-private-<zone>``.

    Takes its AWS provider from ``opts``. ``private_subnet_ids`` is by zone.
    """

    vpc_id: pulumi.Output[str]
    private_subnet_ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:infra:Network", name, None, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags("vpc"),
            opts=self._child,
        )
        # Nothing uses the VPC's default group. It has no rules, so an instance launched into it by mistake is isolated.
        aws.ec2.DefaultSecurityGroup(f"{name}-unused", vpc_id=vpc.id, tags=self._tags("unused"), opts=self._child)
        blocks = subnet_blocks(args.cidr, args.zones)
        public = {zone: self._subnet("public", zone, block.public, vpc) for zone, block in blocks.items()}
        private = {zone: self._subnet("private", zone, block.private, vpc) for zone, block in blocks.items()}
        gateways = self._ways_out(vpc, public)
        tables = {zone: self._private_table(zone, vpc, private[zone], gateways) for zone in args.zones}
        # Through the gateway endpoint a model from a bucket, and results, cost no NAT traffic. Images do: layers of
        # Amazon ECR Public come from CloudFront (8 to 9 GiB a Neuron node); so do a hub's weights, from the internet.
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.place.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables.values()],
            tags=self._tags("s3"),
            opts=self._child,
        )
        if args.flow_log_days is not None:
            self._flow_logs(vpc, args.flow_log_days)
        self.vpc_id = vpc.id
        self.private_subnet_ids = {zone: subnet.id for zone, subnet in private.items()}
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids})

    def _tags(self, part: str) -> dict[str, str]:
        return {**self._args.tags, "Name": f"{self._name}-{part}"}

    def _subnet(self, kind: str, zone: str, block: str, vpc: aws.ec2.Vpc) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            f"{self._name}-{kind}-{zone}",
            vpc_id=vpc.id,
            cidr_block=block,
            availability_zone=zone,
            tags=self._tags(f"{kind}-{zone}"),
            opts=self._child,
        )

    def _ways_out(
        self, vpc: aws.ec2.Vpc, public: collections.abc.Mapping[str, aws.ec2.Subnet]
    ) -> dict[str, aws.ec2.NatGateway]:
        internet = aws.ec2.InternetGateway(
            f"{self._name}-internet", vpc_id=vpc.id, tags=self._tags("internet"), opts=self._child
        )
        table = aws.ec2.RouteTable(f"{self._name}-public", vpc_id=vpc.id, tags=self._tags("public"), opts=self._child)
        route = aws.ec2.Route(
            f"{self._name}-public-out",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=internet.id,
            opts=self._child,
        )
        reached = {
            zone: aws.ec2.RouteTableAssociation(
                f"{self._name}-public-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=self._child
            )
            for zone, subnet in public.items()
        }
        with_gateway = self._args.zones if self._args.nat_gateway_per_zone else self._args.zones[:1]
        # A NAT gateway is useless without its route and association. If destroy deleted them first, a draining node
        # could no longer reach the API server.
        return {zone: self._nat_gateway(zone, public[zone], [internet, route, reached[zone]]) for zone in with_gateway}

    def _nat_gateway(
        self, zone: str, subnet: aws.ec2.Subnet, after: collections.abc.Sequence[pulumi.Resource]
    ) -> aws.ec2.NatGateway:
        name = f"{self._name}-nat-{zone}"
        # AWS releases a VPC's Elastic IP only while the internet gateway is attached.
        address = aws.ec2.Eip(
            name,
            domain="vpc",
            tags=self._tags(f"nat-{zone}"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after[:1]),
        )
        return aws.ec2.NatGateway(
            name,
            allocation_id=address.id,
            subnet_id=subnet.id,
            tags=self._tags(f"nat-{zone}"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _private_table(
        self,
        zone: str,
        vpc: aws.ec2.Vpc,
        subnet: aws.ec2.Subnet,
        gateways: collections.abc.Mapping[str, aws.ec2.NatGateway],
    ) -> aws.ec2.RouteTable:
        name = f"{self._name}-private-{zone}"
        gateway = gateways.get(zone, gateways[self._args.zones[0]])
        table = aws.ec2.RouteTable(name, vpc_id=vpc.id, tags=self._tags(f"private-{zone}"), opts=self._child)
        aws.ec2.Route(
            f"{name}-out",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=gateway.id,
            opts=self._child,
        )
        aws.ec2.RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=table.id, opts=self._child)
        return table

    def _flow_logs(self, vpc: aws.ec2.Vpc, retention_days: RetentionDays) -> None:
        name = f"{self._name}-flow-logs"
        group = aws.cloudwatch.LogGroup(
            name, retention_in_days=retention_days, tags=dict(self._args.tags), opts=self._child
        )
        trust = policies.flow_log_trust(self._args.place)
        role = roles.role(self, name, "Writes VPC flow logs into their log group", trust, self._args)
        delivery = aws.iam.RolePolicy(
            name,
            name="delivery",
            role=role.name,
            policy=group.arn.apply(lambda arn: json.dumps(policies.flow_log_delivery(arn))),
            opts=self._child,
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=vpc.id,
            traffic_type="ALL",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags=self._tags("flow-logs"),
            # Logs that arrive after the permission is gone are lost, and the delivery is reported as failed.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[delivery]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subnets:
    """Subnets of clusters, nodes and mount targets, new or existing. ``private_ids`` is by zone."""

    vpc_id: pulumi.Input[str]
    private_ids: collections.abc.Mapping[str, pulumi.Input[str]]
    network: Network | None
    """The dependency of resources in it; None for an existing VPC, which outlives the stack."""


def given(existing: ExistingNetwork) -> Subnets:
    """Return the subnets of an existing VPC."""
    return Subnets(vpc_id=existing.vpc_id, private_ids=existing.private_subnet_ids, network=None)


def made(network: Network) -> Subnets:
    """Return the subnets of a VPC that the program creates."""
    return Subnets(vpc_id=network.vpc_id, private_ids=network.private_subnet_ids, network=network)
