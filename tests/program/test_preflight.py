"""Preflight against answers of AWS at the seam of botocore: every check green, red and, where denied, unknown."""

import collections.abc
import dataclasses
import datetime as dt
import functools
import typing

import pytest

from infra.account.questions import Unknown
from infra.preflight import rows
from infra.preflight.rows import Row
from infra.stack import Stack
from tests.fakes_botocore import Account, Parsed, Plan
from tests.fakes_ready import (
    STACKS,
    VPC,
    cluster,
    files,
    mount,
    preflight,
    product,
    profile,
    ready,
    reservation,
    stack,
    subnet,
)

made = functools.cache(stack)
"""A stack is frozen, so all tests share it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is not as it must be, and the row that says so."""

    plan: Plan = dataclasses.field(default_factory=dict)
    around: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    """How this machine and the registries differ."""
    state: str = "wrong"


def by_code(code: str, value: float) -> collections.abc.Callable[[Parsed], Parsed]:
    """Answer that one quota is ``value`` and every other one large."""
    return lambda asked: {"Quota": {"Value": value if asked["QuotaCode"] == code else 1000.0}}


def only(name: str) -> collections.abc.Callable[[Parsed], Parsed]:
    """Answer that every add-on is offered but ``name``."""
    offered = {"addons": [{"addonVersions": [{"addonVersion": "v1"}]}]}
    return lambda asked: {"addons": []} if asked["addonName"] == name else offered


def priced(usd: float) -> collections.abc.Callable[[Parsed], Parsed]:
    """Answer with one price for everything."""
    usages = {"AmazonEKS": "USE2-AmazonEKS-Hours:perCluster"}
    return lambda asked: {"PriceList": [product(usd, usages.get(asked["ServiceCode"], "USE2-NatGateway-Hours"))]}


def nowhere(instance_type: str, of: Stack) -> collections.abc.Callable[[Parsed], Parsed]:
    """Answer that every type but one is offered in all zones of the settings."""
    zones = [{"Location": zone} for zone in (*of.infra.zones, *of.infra.neuron.zones)]
    return lambda asked: {"InstanceTypeOfferings": [] if instance_type in asked["Filters"][0]["Values"] else zones}


def without(fragment: str) -> dict[str, typing.Any]:
    """Let a registry have everything but what has ``fragment`` in its address."""
    return {"manifest": lambda url: () if fragment in url else ("sha256:1",)}


def faults(name: str) -> dict[str, Fault]:
    """Return a fault for each check of the stack ``name``, by check."""
    of = made(name)
    infra, neuron = of.infra, of.infra.neuron
    found = {
        f"{neuron.instance_type} offered": Fault(
            plan={"ec2.describe_instance_type_offerings": nowhere(neuron.instance_type, of)}
        ),
        "reservation cr-1": Fault(plan={"ec2.describe_capacity_reservations": "InvalidCapacityReservationId.NotFound"}),
        "reserved instances": Fault(
            plan={"ec2.describe_capacity_reservations": reservation(of, AvailableInstanceCount=0)}
        ),
        f"price of {neuron.instance_type}": Fault(plan={"pricing.get_products": priced(99.0)}, state="warning"),
        f"AMI al2023@{neuron.ami}": Fault(plan={"ssm.get_parameter": "ParameterNotFound"}),
        "name of the dashboard": Fault(
            plan={"cloudwatch.list_dashboards": {"DashboardEntries": [{"DashboardName": infra.physical_name}]}},
            state="warning",
        ),
        "names of alarms": Fault(
            plan={
                "cloudwatch.describe_alarms": {
                    "MetricAlarms": [{"AlarmName": f"{infra.physical_name}-void-tp2"}],
                    "CompositeAlarms": [],
                }
            },
            state="warning",
        ),
        "name of the bucket": Fault(plan={"s3.head_bucket": {"BucketRegion": infra.region}}, state="warning"),
        "image: vLLM": Fault(around=without("vllm-neuronx")),
        "image: Python": Fault(around=without("library/python")),
        "aws command": Fault(around={"aws_command": None}),
    }
    return found | (_of_a_new_cluster(name) if infra.existing is None else _of_an_existing_one())


def _of_a_new_cluster(name: str) -> dict[str, Fault]:
    of = made(name)
    infra = of.infra
    late = {"endOfStandardSupportDate": dt.datetime(2026, 11, 1, tzinfo=dt.UTC)}
    group = f"/aws/eks/{infra.cluster_name}/cluster"
    found = {
        "m7i.large offered": Fault(plan={"ec2.describe_instance_type_offerings": nowhere("m7i.large", of)}),
        "room for vCPUs of on-demand standard instances": _quota("L-1216C47A", 3),
        "room for EKS clusters": _quota("L-1194D53C", 0),
        "price of m7i.large": Fault(plan={"pricing.get_products": priced(99.0)}, state="warning"),
        "price of the control plane": Fault(plan={"pricing.get_products": priced(99.0)}, state="warning"),
        "Kubernetes 1.35": Fault(plan={"eks.describe_cluster_versions": {"clusterVersions": [late]}}),
        "name of the cluster": Fault(
            plan={"eks.describe_cluster": {"cluster": {"name": infra.cluster_name}}}, state="warning"
        ),
        "name of the log group": Fault(
            plan={"logs.describe_log_groups": {"logGroups": [{"logGroupName": group}]}}, state="warning"
        ),
        "image: Karpenter": Fault(around=without("karpenter/controller")),
        "image: device plugin": Fault(around=without("device-plugin")),
        "image: scheduler extension": Fault(around=without("neuron-scheduler")),
        "image: scheduler": Fault(around=without("kube-scheduler")),
        "chart: Karpenter": Fault(around=without("karpenter/karpenter/")),
        "chart: Karpenter's definitions": Fault(around=without("karpenter-crd")),
        "chart: Neuron": Fault(around=without("neuron-helm-chart")),
    }
    for addon in ("vpc-cni", "kube-proxy", "coredns", "aws-efs-csi-driver", "eks-pod-identity-agent"):
        found[f"add-on {addon}"] = Fault(plan={"eks.describe_addon_versions": only(addon)})
    if name == "prod":
        found["reserved instances"] = Fault(plan={"ec2.describe_instances": "InternalError"}, state="unknown")
        found["room for vCPUs of on-demand Trn"] = Fault(
            plan={
                "service-quotas.get_service_quota": by_code("L-2C3B7624", 191),
                "ec2.describe_capacity_reservations": reservation(of, AvailableInstanceCount=0),
            }
        )
        found["administrator platform-admin"] = Fault(plan={"iam.get_role": "NoSuchEntity"})
    if name == "network":
        elsewhere = {"SubnetId": "subnet-0c", "VpcId": VPC, "AvailabilityZone": "ap-southeast-4b"}
        found |= {
            "VPC": Fault(plan={"ec2.describe_vpcs": {"Vpcs": []}}),
            "subnets of infra.network.existing": Fault(plan={"ec2.describe_subnets": {"Subnets": []}}),
            "zones of infra.network.existing": Fault(plan={"ec2.describe_subnets": {"Subnets": [elsewhere]}}),
        }
    else:
        found |= {
            "price of a NAT gateway": Fault(plan={"pricing.get_products": priced(99.0)}, state="warning"),
            "room for VPCs": _quota("L-F678F1CE", 0),
            "room for internet gateways": _quota("L-A4707A72", 0),
            "room for Elastic IPs": _quota("L-0263D0A3", 0),
            "room for NAT gateways in a zone": _quota("L-FE5A380F", 0),
        }
    return found


def _of_an_existing_one() -> dict[str, Fault]:
    of = made("existing")
    return {
        "cluster theirs": Fault(plan={"eks.describe_cluster": cluster(of, version="1.34")}),
        "OIDC issuer": Fault(plan={"eks.describe_cluster": cluster(of, identity={"oidc": {"issuer": "https://x"}})}),
        "OIDC provider": Fault(plan={"iam.get_open_id_connect_provider": {"ClientIDList": ["another"]}}),
        "subnets of infra.existing": Fault(plan={"ec2.describe_subnets": subnet(of, VpcId="vpc-another")}),
        "security groups": Fault(plan={"ec2.describe_security_groups": {"SecurityGroups": []}}),
        "file system": Fault(plan={"efs.describe_file_systems": files("deleting")}),
        "mount targets": Fault(plan={"efs.describe_mount_targets": mount("ap-southeast-4a")}),
        "instance profile": Fault(plan={"iam.get_instance_profile": profile()}),
        "access entry of the nodes": Fault(plan={"eks.describe_access_entry": "ResourceNotFoundException"}),
    }


def _quota(code: str, value: float) -> Fault:
    return Fault(plan={"service-quotas.get_service_quota": by_code(code, value)})


def asked(name: str, plan: Plan | None = None, **around: typing.Any) -> dict[str, Row]:
    """Return the rows of a preflight in which all is well but for ``plan`` and ``around``."""
    of = made(name)
    return preflight(of, Account({**ready(of), **(plan or {})}, region=of.infra.region), **around)


ALWAYS_FINE = {"credentials and region", "price gate", "image and AMI", "access to the API server"}
"""Rows that no answer of AWS turns: without credentials there is no table; the others have tests of their own."""


@pytest.mark.parametrize("name", STACKS)
def test_an_account_in_which_all_is_well_is_green(name: str) -> None:
    """Every check can be fine, and then nothing is to be done."""
    found = asked(name)

    assert {row.check: row.found for row in found.values() if row.state != "fine"} == {}
    assert {row.remedy for row in found.values()} == {""}
    assert rows.exit_status(found.values()) == 0


@pytest.mark.parametrize("name", STACKS)
def test_no_check_is_without_a_fault(name: str) -> None:
    """The faults below turn every check that there is, so that a new one cannot be forgotten."""
    assert asked(name).keys() - ALWAYS_FINE == faults(name).keys()


@pytest.mark.parametrize(
    ("name", "check"), [(name, check) for name in STACKS for check in faults(name)], ids=lambda each: each
)
def test_a_fault_turns_its_row_and_says_what_to_do(name: str, check: str) -> None:
    """One answer that is not as it must be turns its own check, with a remedy."""
    fault = faults(name)[check]
    row = asked(name, fault.plan, **fault.around)[check]

    assert row.state == fault.state
    assert row.remedy


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalFailure"])
@pytest.mark.parametrize("name", STACKS)
def test_what_nobody_tells_is_never_fine(name: str, code: str) -> None:
    """Denied, throttled or broken at every call: what asks AWS or a registry is unknown, and nothing is wrong."""
    of = made(name)
    plan: Plan = dict.fromkeys(ready(of), code)
    found = preflight(of, Account(plan, region=of.infra.region), manifest=lambda _: Unknown(reason="no network"))
    states = {row.check: row.state for row in found.values()}

    assert {check for check, state in states.items() if state == "fine"} <= {*ALWAYS_FINE, "aws command"}
    assert set(states.values()) == {"fine", "unknown"}
    assert rows.exit_status(found.values()) == 3


@pytest.mark.parametrize("name", STACKS)
def test_one_missing_right_is_never_taken_for_good_news(name: str) -> None:
    """Whichever operation is denied alone, some row becomes unknown and the command does not end with 0."""
    of = made(name)
    account = Account(ready(of), region=of.infra.region)
    preflight(of, account)
    found = {each: rows.exit_status(asked(name, {each: "AccessDenied"}).values()) for each in account.asked}

    assert set(found.values()) == {3}, found
