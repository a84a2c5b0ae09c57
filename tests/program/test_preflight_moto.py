"""Preflight against moto, which keeps an account's things: fine in an empty account, red when they are there."""

import collections.abc
import contextlib
import json
import typing

import boto3
import moto
import pytest
from moto.ssm.models import Parameter, ssm_backends

from optimal_tp.account.preflight.images import images, reference
from optimal_tp.account.preflight.making import ami_parameter
from optimal_tp.account.preflight.rows import Row
from optimal_tp.account.questions import Answer
from optimal_tp.cli.preflight import experiment
from optimal_tp.plan.stack import Stack
from tests.fakes_botocore import Account, Parsed, Plan
from tests.fakes_ready import BUCKET, NOW, OWNER, preflight, ready, stack

BEYOND_MOTO: typing.Final = frozenset(
    {
        "ec2.describe_capacity_reservations",
        "eks.describe_addon_versions",
        "eks.describe_cluster_versions",
        "pricing.get_products",
        "service-quotas.get_service_quota",
    }
)
"""What moto 5.2.5 does not answer; quotas of the VPC it does, and of nothing else."""
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@contextlib.contextmanager
def account(of: Stack) -> collections.abc.Iterator[collections.abc.Callable[[str], typing.Any]]:
    """Stand in for the region of ``of`` with moto; give its clients. The AMI and the administrator are there."""
    region = of.infra.region
    with moto.mock_aws():
        # moto refuses to be given a parameter under /aws by its API.
        name = ami_parameter(of.infra.neuron, of.infra.kubernetes)
        settings = dict.fromkeys(("description", "allowed_pattern", "keyid"))
        parameter = Parameter(  # type: ignore[abstract] # as moto itself makes it
            account_id=OWNER,
            name=name,
            value=boto3.client("ec2", region_name=region).describe_images()["Images"][0]["ImageId"],
            parameter_type="String",
            last_modified_date=NOW,
            version=1,
            data_type="text",
            **settings,
        )
        ssm_backends[OWNER][region]._parameters[name].append(parameter)
        boto3.client("iam").create_role(RoleName="platform-admin", AssumeRolePolicyDocument="{}")
        yield lambda service: boto3.client(service, region_name=region)  # type: ignore[call-overload]


def asked(of: Stack, **around: typing.Any) -> dict[str, Row]:
    """Return the rows; what moto does not answer is planned."""
    beyond: Plan = {name: answer for name, answer in ready(of).items() if name in BEYOND_MOTO}
    quota = beyond.pop("service-quotas.get_service_quota")
    assert isinstance(quota, dict)

    def other_quota(call: Parsed) -> Parsed | None:
        return None if call["ServiceCode"] == "vpc" else quota

    return preflight(
        of,
        Account({**beyond, "service-quotas.get_service_quota": other_quota}, region=of.infra.region, beyond=True),
        **around,
    )


def unwell(rows: dict[str, Row]) -> dict[str, str]:
    """Return the state of each row that is not fine, but for the one that always warns."""
    return {check: row.state for check, row in rows.items() if row.state != "fine" and check != "support of the image"}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_an_empty_account_is_green(name: str) -> None:
    """Offerings of trn2, quotas of the VPC and all names are moto's own answers."""
    of = stack(name)
    with account(of):
        assert unwell(asked(of)) == {}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_full_account_is_red(name: str) -> None:
    """Five VPCs are the quota's, and each name of ours is taken."""
    of = stack(name)
    cluster = of.infra.cluster_name
    with account(of) as client:
        ec2, watch = client("ec2"), client("cloudwatch")
        # moto's region has a default VPC, as an account's has, with its internet gateway.
        for number in range(4):
            vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
            gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
            ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        ec2.create_internet_gateway()
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.3.0.0/24", AvailabilityZone=of.infra.zones[0])["Subnet"]
        for _ in range(5):
            ec2.create_nat_gateway(
                SubnetId=subnet["SubnetId"], AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"]
            )
        client("logs").create_log_group(logGroupName=f"/aws/eks/{cluster}/cluster")
        watch.put_dashboard(DashboardName=cluster, DashboardBody="{}")
        watch.put_metric_alarm(
            AlarmName=f"{cluster}-void-tp1",
            ComparisonOperator="LessThanThreshold",
            EvaluationPeriods=1,
            MetricName="m",
            Namespace="n",
            Period=60,
            Statistic="Sum",
            Threshold=1,
        )
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": of.infra.region})
        role = f"arn:aws:iam::{OWNER}:role/platform-admin"
        client("eks").create_cluster(name=cluster, roleArn=role, resourcesVpcConfig={"subnetIds": [subnet["SubnetId"]]})
        client("iam").delete_role(RoleName="platform-admin")
        client("ssm").delete_parameter(Name=ami_parameter(of.infra.neuron, of.infra.kubernetes))
        found = unwell(asked(of))

    assert found == {
        f"AMI al2023@{of.infra.neuron.ami}": "wrong",
        "room for VPCs": "wrong",
        "room for internet gateways": "wrong",
        "room for NAT gateways in a zone": "wrong",
        **({"administrator platform-admin": "wrong"} if name == "prod" else {}),
        **dict.fromkeys(("name of the cluster", "name of the log group", "name of the dashboard"), "warning"),
        **dict.fromkeys(("names of alarms", "name of the bucket"), "warning"),
    }


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_what_carries_our_tags_takes_no_room(name: str) -> None:
    """A second preflight of a stack that is up does not count its own VPC, gateways and addresses against it."""
    of = stack(name)
    tags = [{"Key": key, "Value": value} for key, value in of.infra.tags.items()]
    with account(of) as client:
        ec2 = client("ec2")
        for number in range(5):
            specification = [{"ResourceType": "vpc", "Tags": tags}]
            ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16", TagSpecifications=specification)

        assert unwell(asked(of)) == {}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_private_registry_is_asked_through_its_api(name: str) -> None:
    """Images in Amazon ECR: wrong while the repositories are empty, fine by tag once they hold them."""
    host = f"{OWNER}.dkr.ecr.{stack(name).infra.region}.amazonaws.com"
    of = stack(name, infra__registries__images=host)
    wanted = [reference(text) for text in images(of.infra, experiment(of)).values()]

    def nobody(_: str) -> Answer:
        return ("sha256:1",)

    with account(of) as client:
        ecr = client("ecr")
        empty = unwell(asked(of, manifest=nobody))
        for each in wanted:
            if each.repository not in [
                found["repositoryName"] for found in ecr.describe_repositories()["repositories"]
            ]:
                ecr.create_repository(repositoryName=each.repository)
            digest = f"sha256:{len(each.repository)}"
            document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"digest": digest}, "layers": []}
            manifest = json.dumps(document)
            ecr.put_image(repositoryName=each.repository, imageTag=each.version, imageManifest=manifest)
        full = unwell(asked(of, manifest=nobody))

    assert set(empty.values()) == {"wrong"}
    assert {check for check in empty if check.startswith("image: ")} == empty.keys()
    assert len(empty) == len(wanted)
    assert full == {}
