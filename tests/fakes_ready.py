"""An account in which every check of a stack is fine, as AWS would answer."""

import collections.abc
import copy
import dataclasses
import datetime as dt
import json
import typing

from optimal_tp.account.inquiry import Inquiry
from optimal_tp.account.preflight.checks import checks
from optimal_tp.account.preflight.context import Credentials, Scene
from optimal_tp.account.preflight.rows import Row
from optimal_tp.cli.preflight import experiment
from optimal_tp.plan.stack import Stack, compose
from optimal_tp.settings.stack_keys import PROJECT, SECTIONS
from tests.fakes_botocore import Account, Parsed, Plan
from tests.fakes_stack_files import EXISTING
from tests.fakes_workloads import changed, side_by_side

NOW: typing.Final = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
OWNER = "123456789012"
CALLER: typing.Final = f"arn:aws:sts::{OWNER}:assumed-role/builder/me"
VPC, BUCKET, RESERVATION = "vpc-0aaaaaaaaaaaaaaaa", "results-of-ours", "cr-1"
DIGEST = "sha256:" + "a" * 64
_NETWORK: typing.Final = {
    "existing": {
        "vpc_id": VPC,
        "private_subnet_ids": {"ap-southeast-4c": "subnet-0c", "ap-southeast-4a": "subnet-0a"},
    }
}


def stack(name: str, **changes: object) -> Stack:
    """Return the stack ``name`` with its examples replaced: "dev", "prod", "existing" or "network".

    The dev stack has its servers side by side; the last two are the same on a cluster, or in a VPC, that is there.
    """
    file = "Pulumi.prod.yaml" if name == "prod" else "Pulumi.dev.yaml"
    replaced = {"infra__neuron__reservation_ids": [RESERVATION], "loadtest__results__bucket": BUCKET}
    asked = {**replaced, **changes}
    config = changed(file, **(asked if name == "prod" else side_by_side(**asked)))
    infra = config["optimal-tp:infra"]
    if name == "existing":
        infra["existing"] = copy.deepcopy(EXISTING)
        for key in ("cluster_name", "network", "control_plane", "system_nodes", "addons", "prices"):
            infra.pop(key, None)
    elif name == "network":
        infra["network"] = _NETWORK
    if name in ("dev", "network", "prod"):
        infra["control_plane"]["public_access_cidrs"] = ["198.18.0.0/24"]
    if name == "prod":
        infra["control_plane"]["admin_role_arns"] = [f"arn:aws:iam::{OWNER}:role/platform-admin"]
    sections = {section: config.get(f"{PROJECT}:{section}") for section in SECTIONS}
    return compose(sections, config["aws:region"], file=file)


STACKS: typing.Final = ("dev", "prod", "existing", "network")


def preflight(
    of: Stack,
    account: Account,
    **around: typing.Any,
) -> dict[str, Row]:
    """Return the rows of a preflight, by check; ``around`` is what else the scene has than a machine that is ready."""
    scene = Scene(
        settings=of.infra,
        experiment=experiment(of),
        ask=Inquiry(account),
        account=OWNER,
        caller_arn=CALLER,
        credentials=Credentials(source="shared-credentials-file", end="none"),
        address=lambda: ("198.18.0.7",),
        logins=lambda _: (),
        manifest=lambda _: (DIGEST,),
        has_chart=lambda _: True,
        aws_command="/usr/bin/aws",
        now=NOW,
    )
    found = checks(dataclasses.replace(scene, **around))
    by_check = {row.check: row for row in found}
    assert len(by_check) == len(found)
    return by_check


def reservation(of: Stack, **changes: object) -> Parsed:
    """Return the reservation of the settings, as DescribeCapacityReservations answers."""
    neuron = of.infra.neuron
    entry = {
        "CapacityReservationId": RESERVATION,
        "State": "active",
        "InstanceType": neuron.instance_type,
        "InstancePlatform": "Linux/UNIX",
        "Tenancy": "default",
        "ReservationType": "default",
        "AvailabilityZone": neuron.zones[0],
        "TotalInstanceCount": 4,
        "AvailableInstanceCount": 4,
        **changes,
    }
    return {"CapacityReservations": [entry]}


def product(usd: float, usage: str) -> str:
    """Return one record of the Pricing API."""
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": f"{usd:.10f}"}}
    terms = {"OnDemand": {"offer": {"priceDimensions": {"rate": dimension}}}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": terms})


def _products(of: Stack) -> collections.abc.Callable[[Parsed], Parsed]:
    """Answer with the prices of the settings; AWS lists none for trn2."""
    prices = of.infra.prices

    def answer(asked: Parsed) -> Parsed:
        values = {each["Field"]: each["Value"] for each in asked["Filters"]}
        if asked["ServiceCode"] == "AmazonEKS":
            cluster = product(prices.control_plane.usd_per_hour, "USE2-AmazonEKS-Hours:perCluster")
            return {"PriceList": [cluster, product(6.0, "USE2-AmazonEKS-Hours:extendedSupport")]}
        if values.get("group") == "NGW:NatGateway":
            return {"PriceList": [product(prices.nat_gateway.usd_per_hour, "USE2-NatGateway-Hours")]}
        if values["instanceType"] == of.infra.system_nodes.instance_type:
            return {"PriceList": [product(prices.system_node.usd_per_hour, "USE2-BoxUsage:m7i.large")]}
        return {"PriceList": []}

    return answer


def _offerings(of: Stack) -> collections.abc.Callable[[Parsed], Parsed]:
    zones = {*of.infra.zones, *of.infra.neuron.zones}
    return lambda asked: {
        "InstanceTypeOfferings": [
            {"Location": zone, "InstanceType": asked["Filters"][0]["Values"][0]} for zone in sorted(zones)
        ]
    }


def ready(of: Stack) -> Plan:
    """Return the answers of an account in which all is well for ``of``."""
    infra = of.infra
    plan: Plan = {
        "sts.get_caller_identity": {"Account": OWNER, "Arn": CALLER},
        "ec2.describe_instance_type_offerings": _offerings(of),
        "ec2.describe_instances": {"Reservations": []},
        "ec2.describe_capacity_block_offerings": {"CapacityBlockOfferings": [block(of)]},
        "ec2.describe_capacity_reservations": reservation(of),
        "pricing.get_products": _products(of),
        "service-quotas.get_service_quota": {"Quota": {"Value": 1000.0}},
        "ssm.get_parameter": {"Parameter": {"Value": "ami-1"}},
        "ec2.describe_images": {"Images": [{"ImageId": "ami-1", "State": "available"}]},
        "cloudwatch.list_dashboards": {"DashboardEntries": []},
        "cloudwatch.describe_alarms": {"MetricAlarms": [], "CompositeAlarms": []},
        "s3.head_bucket": "404",
    }
    if infra.existing is not None:
        return {**plan, **_there(of)}
    support = {"clusterVersion": infra.kubernetes, "endOfStandardSupportDate": dt.datetime(2027, 3, 27, tzinfo=dt.UTC)}
    network = infra.network.existing
    if network is not None:
        placed = network.private_subnet_ids.items()
        subnets = [{"SubnetId": name, "VpcId": VPC, "AvailabilityZone": zone} for zone, name in placed]
        plan |= {
            "ec2.describe_vpcs": {"Vpcs": [{"VpcId": VPC, "State": "available"}]},
            "ec2.describe_subnets": {"Subnets": subnets},
        }
    else:
        plan |= {
            "ec2.describe_vpcs": {"Vpcs": []},
            "ec2.describe_subnets": {"Subnets": []},
            "ec2.describe_internet_gateways": {"InternetGateways": []},
            "ec2.describe_nat_gateways": {"NatGateways": []},
            "ec2.describe_addresses": {"Addresses": []},
        }
    return {
        **plan,
        "eks.describe_cluster_versions": {"clusterVersions": [support]},
        "eks.describe_addon_versions": lambda asked: addons(of, asked["addonName"]),
        "eks.list_clusters": {"clusters": []},
        "organizations.describe_organization": "AWSOrganizationsNotInUseException",
        "eks.describe_cluster": "ResourceNotFoundException",
        "logs.describe_log_groups": {"logGroups": []},
        "iam.get_role": {"Role": role("platform-admin")},
    }


def block(of: Stack, **changes: object) -> Parsed:
    """Return a Capacity Block on offer for one node of the settings, for a day, as EC2 answers."""
    neuron = of.infra.neuron
    entry = {
        "CapacityBlockOfferingId": "cbo-1",
        "InstanceType": neuron.instance_type,
        "AvailabilityZone": neuron.zones[0],
        "InstanceCount": 1,
        "StartDate": NOW + dt.timedelta(days=1),
        "EndDate": NOW + dt.timedelta(days=2),
        "CapacityBlockDurationHours": 24,
        "UpfrontFee": "54.0",
        "CurrencyCode": "USD",
    }
    return {**entry, **changes}


def addons(of: Stack, name: str, version: str | None = None) -> Parsed:
    """Return what EKS offers of an add-on: the version of the settings, and ``version``, which is its default."""
    wanted = {str(each): text for each, text in of.infra.addons.by_addon().items()}[name] or "v9.9.9-eksbuild.9"
    fits = [{"clusterVersion": of.infra.kubernetes, "defaultVersion": True}]
    default = {"addonVersion": version or wanted, "compatibilities": fits}
    return {"addons": [{"addonVersions": [{"addonVersion": "v99.0.0-eksbuild.1"}, default, {"addonVersion": wanted}]}]}


def role(name: str) -> Parsed:
    """Return a role as IAM answers."""
    arn = f"arn:aws:iam::{OWNER}:role/{name}"
    return {"Path": "/", "RoleName": name, "RoleId": "A" * 20, "Arn": arn, "CreateDate": NOW}


def profile(*roles: Parsed) -> Parsed:
    """Return the instance profile of the existing cluster's nodes as IAM answers."""
    name = EXISTING["instance_profile"]
    arn = f"arn:aws:iam::{OWNER}:instance-profile/{name}"
    found = {"Path": "/", "InstanceProfileName": name, "InstanceProfileId": "A" * 20, "Arn": arn, "CreateDate": NOW}
    return {"InstanceProfile": {**found, "Roles": list(roles)}}


def cluster(of: Stack, **changes: object) -> Parsed:
    """Return the existing cluster as EKS answers."""
    theirs = of.infra.existing
    assert theirs is not None
    found = {
        "name": theirs.cluster_name,
        "status": "ACTIVE",
        "version": of.infra.kubernetes,
        "accessConfig": {"authenticationMode": "API"},
        "identity": {"oidc": {"issuer": f"https://{theirs.oidc_issuer}"}},
        "resourcesVpcConfig": {"vpcId": VPC},
    }
    return {"cluster": {**found, **changes}}


def subnet(of: Stack, **changes: object) -> Parsed:
    """Return the subnet of the existing cluster's Neuron nodes as EC2 answers."""
    theirs = of.infra.existing
    assert theirs is not None
    entry = {"SubnetId": theirs.subnet_ids[0], "VpcId": VPC, "AvailabilityZone": of.infra.neuron.zones[0]}
    return {"Subnets": [{**entry, **changes}]}


def files(state: str) -> Parsed:
    """Return the file system of the existing cluster as EFS answers."""
    entry = {
        "OwnerId": OWNER,
        "CreationToken": "t",
        "FileSystemId": EXISTING["file_system_id"],
        "CreationTime": NOW,
        "LifeCycleState": state,
        "NumberOfMountTargets": 1,
        "SizeInBytes": {"Value": 0},
        "PerformanceMode": "generalPurpose",
        "Tags": [],
    }
    return {"FileSystems": [entry]}


def mount(zone: str) -> Parsed:
    """Return one mount target as EFS answers."""
    entry = {
        "MountTargetId": "fsmt-01234567",
        "FileSystemId": EXISTING["file_system_id"],
        "SubnetId": "subnet-01234567",
        "LifeCycleState": "available",
        "AvailabilityZoneName": zone,
    }
    return {"MountTargets": [entry]}


def _there(of: Stack) -> Plan:
    """Return the answers about a cluster that is there already."""
    theirs = of.infra.existing
    assert theirs is not None
    return {
        "eks.describe_cluster": cluster(of),
        "eks.describe_access_entry": {"accessEntry": {"type": "EC2_LINUX"}},
        "iam.get_open_id_connect_provider": {"ClientIDList": ["sts.amazonaws.com"]},
        "iam.get_instance_profile": profile(role("nodes")),
        "ec2.describe_subnets": subnet(of),
        "ec2.describe_security_groups": {"SecurityGroups": [{"GroupId": theirs.security_group_ids[0], "VpcId": VPC}]},
        "efs.describe_file_systems": files("available"),
        "efs.describe_mount_targets": mount(of.infra.neuron.zones[0]),
    }
