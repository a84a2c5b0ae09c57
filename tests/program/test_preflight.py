"""Preflight against answers of AWS at the seam of botocore: every check green, red and, where denied, unknown."""

import collections.abc
import dataclasses
import datetime as dt
import functools
import typing

import pytest

from optimal_tp.account.preflight import rows
from optimal_tp.account.preflight.context import Credentials
from optimal_tp.account.preflight.rows import Row
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.plan.stack import Stack
from tests.fakes_botocore import Account, Parsed, Plan
from tests.fakes_ready import (
    CALLER,
    NOW,
    OWNER,
    STACKS,
    VPC,
    addons,
    block,
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
from tests.fakes_workloads import FAMILY

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
    return lambda asked: {"addons": []} if asked["addonName"] == name else addons(made("prod"), asked["addonName"])


def member(master: str) -> Parsed:
    """Return an organization whose own account is ``master``, as Organizations answers."""
    return {"Organization": {"Id": "o-1234567890", "MasterAccountId": master}}


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
        "expiry of the credentials": Fault(
            around={"credentials": Credentials(source="env", end=NOW + dt.timedelta(minutes=20))}, state="warning"
        ),
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
        "this machine reaches the API server": Fault(around={"address": lambda: ("198.51.100.7",)}),
        "Karpenter's trial launches": Fault(
            plan={"organizations.describe_organization": member("999999999999")}, state="warning"
        ),
        "login to public.ecr.aws": Fault(
            around={"logins": lambda _: ("/home/me/.docker/config.json",)}, state="warning"
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


OF_THIS_MACHINE = {
    *("aws command", "expiry of the credentials", "this machine reaches the API server", "login to public.ecr.aws"),
}
"""Rows that ask neither AWS nor a registry of images."""
ALWAYS_WARNED = {"support of the image"}
"""Rows that can only warn: the end of NxD Inference is announced."""
ALWAYS_FINE = {
    "credentials and region",
    "price gate",
    "image and AMI",
    "access to the API server",
    "Karpenter 1.14.1",
}
"""Rows that no answer of AWS turns: without credentials there is no table; the others have tests of their own."""


@pytest.mark.parametrize("name", STACKS)
def test_an_account_in_which_all_is_well_is_green(name: str) -> None:
    """Every check can be fine, and then nothing is to be done."""
    found = {check: row for check, row in asked(name).items() if check not in ALWAYS_WARNED}

    assert {row.check: row.found for row in found.values() if row.state != "fine"} == {}
    assert {row.remedy for row in found.values()} == {""}
    assert rows.exit_status(found.values()) == 0


@pytest.mark.parametrize("name", STACKS)
def test_no_check_is_without_a_fault(name: str) -> None:
    """The faults below turn every check that there is, so that a new one cannot be forgotten."""
    assert asked(name).keys() - ALWAYS_FINE - ALWAYS_WARNED == faults(name).keys()


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
    states = {row.check: row.state for row in found.values() if row.check not in ALWAYS_WARNED}

    assert {check for check, state in states.items() if state == "fine"} <= {*ALWAYS_FINE, *OF_THIS_MACHINE}
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


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_neighbours_name_that_begins_alike_is_no_clash(name: str) -> None:
    """AWS answers with every name that begins so."""
    cluster = made(name).infra.cluster_name
    neighbours: Plan = {
        "cloudwatch.list_dashboards": {"DashboardEntries": [{"DashboardName": f"{cluster}-2"}]},
        "logs.describe_log_groups": {"logGroups": [{"logGroupName": f"/aws/eks/{cluster}/cluster-2"}]},
        "cloudwatch.describe_alarms": {
            "MetricAlarms": [{"AlarmName": f"{cluster}-void-tp16"}],
            "CompositeAlarms": [{"AlarmName": f"{cluster}-2-silent"}],
        },
    }
    found = asked(name, neighbours)

    assert {row.check for row in found.values() if row.state != "fine"} == ALWAYS_WARNED


def test_an_alarm_of_several_models_is_looked_for_among_composite_ones() -> None:
    """The alarm of an endless sweep's silence is of another kind, and is overwritten as silently."""
    of = stack("dev", workloads__models=list(FAMILY), spend__keep_running=True, spend__budget_usd=500)
    taken = {"MetricAlarms": [], "CompositeAlarms": [{"AlarmName": "optimal-tp-dev-silent"}]}
    found = preflight(of, Account({**ready(of), "cloudwatch.describe_alarms": taken}, region=of.infra.region))

    assert found["names of alarms"].found == "taken: optimal-tp-dev-silent"
    assert found["names of alarms"].remedy == (
        "if it is a leftover: aws cloudwatch delete-alarms --region ap-southeast-4 --alarm-names "
        "optimal-tp-dev-silent; `up` overwrites them; if somebody uses it: choose another infra.cluster_name"
    )


@pytest.mark.parametrize("check", ["name of the dashboard", "names of alarms"])
def test_on_a_cluster_that_is_there_another_namespace_is_the_way_out(check: str) -> None:
    """Its name is not ours to change; the namespace ends the names of nodes, dashboard and alarms."""
    row = asked("existing", faults("existing")[check].plan)[check]

    assert row.remedy.endswith(
        "if somebody uses it: choose another serving.namespace, which gives nodes, dashboard and alarms other names"
    )


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"AvailabilityZone": "ap-southeast-4a"}, "none in ap-southeast-4c"),
        ({"VpcId": "vpc-another"}, "subnet-0123456789abcdef0 in vpc-another"),
        ({"SubnetId": "subnet-0fedcba9876543210"}, "no subnet-0123456789abcdef0"),
    ],
)
def test_subnets_that_do_not_fit_say_why(changes: dict[str, str], found: str) -> None:
    """Another zone, another VPC, not there."""
    row = asked("existing", {"ec2.describe_subnets": subnet(made("existing"), **changes)})["subnets of infra.existing"]

    assert (row.state, row.found, row.remedy) == ("wrong", found, "correct infra.existing")


@pytest.mark.parametrize(
    ("changes", "check", "found"),
    [
        ({"status": "CREATING"}, "cluster theirs", "CREATING, Kubernetes 1.35, authentication API"),
        (
            {"accessConfig": {"authenticationMode": "CONFIG_MAP"}},
            "cluster theirs",
            "ACTIVE, Kubernetes 1.35, authentication CONFIG_MAP",
        ),
        ({"identity": {}}, "OIDC issuer", "none"),
    ],
)
def test_a_cluster_that_does_not_fit_says_why(changes: dict[str, typing.Any], check: str, found: str) -> None:
    """Status, authentication and issuer, each by itself."""
    of = made("existing")
    row = asked("existing", {"eks.describe_cluster": cluster(of, **changes)})[check]

    assert (row.state, row.found) == ("wrong", found)


def test_without_the_cluster_its_vpc_is_unknown() -> None:
    """What hangs on a cluster that is not there is unknown, not fine; the cluster's own row is wrong."""
    found = asked("existing", {"eks.describe_cluster": "ResourceNotFoundException"})

    assert found["cluster theirs"].remedy == (
        "correct infra.existing.cluster_name; it must be a cluster in ap-southeast-4"
    )
    assert {check: found[check].state for check in ("subnets of infra.existing", "security groups")} == {
        "subnets of infra.existing": "unknown",
        "security groups": "unknown",
    }


def test_the_examples_of_the_stack_file_are_told() -> None:
    """A network of the documentation, and an administrator of an account that AWS uses in its own."""
    of = made("dev")
    plane = of.infra.control_plane.model_copy(
        update={
            "public_access_cidrs": ("198.18.0.0/24", "203.0.113.7/32"),
            "admin_role_arns": ("arn:aws:iam::111122223333:role/boss",),
        }
    )
    example = dataclasses.replace(of, infra=of.infra.model_copy(update={"control_plane": plane}))
    found = preflight(example, Account(ready(of), region=of.infra.region))

    assert found["access to the API server"].remedy == ("replace the example 203.0.113.7/32 with your own network")
    assert found["administrator boss"].found == "the example's account"


def test_an_inconsistent_pair_of_image_and_ami_is_told() -> None:
    """The parser refuses it; preflight says it once more, should a release be taken over unseen."""
    of = made("dev")
    neuron = of.infra.neuron.model_copy(update={"ami_release": "v20251103"})
    mixed = dataclasses.replace(of, infra=of.infra.model_copy(update={"neuron": neuron}))

    assert preflight(mixed, Account(ready(of), region=of.infra.region))["image and AMI"].state == "wrong"


def test_room_that_spot_lacks_is_no_fault_where_on_demand_has_it() -> None:
    """Karpenter takes what there is; short of both, both are wrong."""
    of = stack(
        "dev",
        infra__neuron__capacity_types=["spot", "on-demand"],
        infra__neuron__reservation_ids=[],
    )

    def states(**quotas: float) -> list[str]:
        def quota(call: Parsed) -> Parsed:
            return {"Quota": {"Value": quotas.get(call["QuotaCode"].replace("-", "_"), 1000.0)}}

        plan = {**ready(of), "service-quotas.get_service_quota": quota}
        found = preflight(of, Account(plan, region=of.infra.region))
        return [found[f"room for vCPUs of {kind} Trn"].state for kind in ("spot", "on-demand")]

    assert states() == ["fine", "fine"]
    assert states(L_6B0D517C=23) == ["warning", "fine"]
    assert states(L_6B0D517C=23, L_2C3B7624=23) == ["wrong", "wrong"]


def test_charts_of_a_folder_are_looked_for_on_this_machine() -> None:
    """No registry is asked for them."""
    of = stack("dev", infra__registries__charts="charts")
    account = Account(ready(of), region=of.infra.region)
    states = [
        {row.state for check, row in found.items() if check.startswith("chart: ")}
        for found in (preflight(of, account), preflight(of, account, has_chart=lambda _: False))
    ]

    assert states == [{"fine"}, {"wrong"}]


def test_a_registry_of_another_region_is_unknown() -> None:
    """AWS is asked in the stack's region alone."""
    of = stack("dev", infra__registries__images="123456789012.dkr.ecr.us-east-2.amazonaws.com")
    row = preflight(of, Account(ready(of), region=of.infra.region))["image: vLLM"]

    assert row.found == "unknown: the registry is in us-east-2, not in the stack's ap-southeast-4"


def test_an_image_of_the_load_generators_own_is_asked_for() -> None:
    """A setting names it, by digest perhaps."""
    digest = "sha256:" + "b" * 64
    of = stack("dev", loadtest__image=f"mirror.example/loadgen@{digest}")
    urls = []

    def manifest(url: str) -> Answer:
        urls.append(url)
        return (digest,)

    found = preflight(of, Account(ready(of), region=of.infra.region), manifest=manifest)

    assert found["image: load generator"].required == f"mirror.example/loadgen@{digest}"
    assert f"https://mirror.example/v2/loadgen/manifests/{digest}" in urls


def test_the_stacks_own_cluster_takes_no_room() -> None:
    """A stack that is up is one of the clusters that EKS lists."""
    plan: Plan = {
        "eks.list_clusters": {"clusters": ["another", made("dev").infra.cluster_name]},
        "service-quotas.get_service_quota": by_code("L-1194D53C", 2),
    }

    assert asked("dev", plan)["room for EKS clusters"].found == "quota 2, in use 1"


@pytest.mark.parametrize(
    ("quota", "kind", "state", "found"),
    [
        (36, "default", "fine", "quota 36, in use 24"),
        (35, "default", "wrong", "quota 35, in use 24"),
        (12, "capacity-block", "fine", "quota 12, in use 0"),
    ],
)
def test_what_is_reserved_on_demand_holds_its_quota_used_or_not(quota: int, kind: str, state: str, found: str) -> None:
    """Two nodes of three are reserved, and idle: the third needs room beside them. A Capacity Block takes none."""
    of = stack(
        "dev",
        infra__neuron__capacity_types=["reserved", "on-demand"],
        infra__neuron__maximum_nodes=3,
        serving__placement="isolated",
        spend__budget_usd=100,
    )
    plan = {
        **ready(of),
        "ec2.describe_capacity_reservations": reservation(of, AvailableInstanceCount=2, ReservationType=kind),
        "service-quotas.get_service_quota": by_code("L-2C3B7624", quota),
    }
    row = preflight(of, Account(plan, region=of.infra.region))["room for vCPUs of on-demand Trn"]

    assert of.plan.nodes == 3
    assert (row.state, row.found, row.required) == (state, found, "12 more (L-2C3B7624)")


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        ({"ec2.describe_images": "InvalidAMIID.NotFound"}, "ami-1, no longer there"),
        ({"ec2.describe_images": {"Images": [{"ImageId": "ami-1", "State": "disabled"}]}}, "ami-1, disabled"),
    ],
)
def test_an_ami_that_aws_took_back_is_wrong(plan: Plan, found: str) -> None:
    """The public parameter stays when its AMI goes, so EC2 is asked for the image itself."""
    row = asked("dev", plan)["AMI al2023@v20260714"]

    assert (row.state, row.found) == ("wrong", found)


def test_a_deprecated_ami_is_asked_for_too() -> None:
    """Karpenter launches it as any other; EC2 leaves it out unless it is asked for."""
    calls = []

    def images(call: Parsed) -> Parsed:
        calls.append(call)
        return {"Images": [{"ImageId": "ami-1", "State": "available", "DeprecationTime": "2026-10-01T00:00:00.000Z"}]}

    row = asked("dev", {"ec2.describe_images": images})["AMI al2023@v20260714"]

    assert row.state == "fine"
    assert [(each["ImageIds"], each["IncludeDeprecated"]) for each in calls] == [(["ami-1"], True)]


def test_eks_default_is_shown_as_such_and_held_against_known_harm() -> None:
    """A pinned version is fine whatever the default is; without a pin a default that is known to fail is wrong."""
    bad: Plan = {
        "eks.describe_addon_versions": lambda call: addons(made("dev"), call["addonName"], "v1.21.1-eksbuild.7")
    }
    free = stack("dev", infra__addons={})
    pinned = asked("dev", bad)["add-on vpc-cni"]
    found = preflight(free, Account({**ready(free), **bad}, region=free.infra.region))["add-on vpc-cni"]

    assert (pinned.state, pinned.found) == ("fine", "offered; EKS's default is v1.21.1-eksbuild.7")
    assert (found.state, found.found) == ("wrong", "EKS's default is v1.21.1-eksbuild.7")
    assert found.remedy.startswith("name a version in infra.addons; it must be v1.21.2 or v1.22.3 or newer: ")


def test_an_addon_that_is_pinned_and_not_offered_says_what_is() -> None:
    """The default and the newest stand in the row, so that the pin can be mended without another question."""
    wanted = {"addons": [{"addonVersions": [{"addonVersion": "v9.9.9-eksbuild.9"}]}]}
    row = asked("dev", {"eks.describe_addon_versions": wanted})["add-on coredns"]

    assert (row.state, row.found) == (
        "wrong",
        "not offered; EKS has no default; the newest is v9.9.9-eksbuild.9",
    )


@pytest.mark.parametrize(
    ("credentials", "state", "found"),
    [
        (Credentials(source="assume-role", end="renewed"), "fine", "assume-role: renewed automatically"),
        (
            Credentials(source="the environment", end=NOW + dt.timedelta(hours=1)),
            "fine",
            "the environment: 2026-11-24 01:00 UTC, in 1.0 h",
        ),
        (
            Credentials(source="the environment", end=NOW - dt.timedelta(hours=1)),
            "warning",
            "the environment: 2026-11-23 23:00 UTC, in 0.0 h",
        ),
        (
            Credentials(source="env", end=Unknown(reason="they are temporary, but their expiry is not known")),
            "unknown",
            "unknown: env: they are temporary, but their expiry is not known",
        ),
    ],
    ids=["renewed", "an hour", "over", "no word"],
)
def test_credentials_that_end_within_an_up_are_told(credentials: Credentials, state: str, found: str) -> None:
    """An `up` of 0.4 h holds out an hour's session; one whose end nobody tells is unknown."""
    row = asked("dev", credentials=credentials)["expiry of the credentials"]

    assert (row.state, row.found) == (state, found)


def test_an_address_that_was_not_compared_is_never_fine() -> None:
    """Without an answer, and with a private API server, the row says that nobody looked."""
    dark = asked("dev", address=lambda: Unknown(reason="no network"))["this machine reaches the API server"]
    private = stack("network", infra__control_plane__public_access_cidrs=[])
    plane = private.infra.control_plane.model_copy(update={"public_access_cidrs": ()})
    private = dataclasses.replace(private, infra=private.infra.model_copy(update={"control_plane": plane}))
    inside = preflight(private, Account(ready(private), region=private.infra.region))

    assert (dark.state, dark.found) == ("unknown", "unknown: not compared, no network")
    assert inside["this machine reaches the API server"].state == "unknown"
    assert inside["access to the API server"].state == "fine"


@pytest.mark.parametrize(
    ("there", "state"), [("ResourceNotFoundException", "wrong"), ({"cluster": {"name": "x"}}, "fine")], ids=str
)
def test_a_private_api_server_is_wrong_until_its_network_is_there(there: Parsed | str, state: str) -> None:
    """The `up` that makes the VPC cannot be inside it; a later one of the same settings may be."""
    of = made("dev")
    plane = of.infra.control_plane.model_copy(update={"public_access_cidrs": ()})
    private = dataclasses.replace(of, infra=of.infra.model_copy(update={"control_plane": plane}))
    account = Account({**ready(private), "eks.describe_cluster": there}, region=of.infra.region)

    assert preflight(private, account)["access to the API server"].state == state


@pytest.mark.parametrize(
    ("there", "state"), [("ResourceNotFoundException", "wrong"), ({"cluster": {"name": "x"}}, "fine")], ids=str
)
def test_the_role_that_makes_the_cluster_needs_no_entry(there: Parsed | str, state: str) -> None:
    """EKS makes that entry itself and refuses ours; once the cluster is there another role has made it."""
    session = f"arn:aws:sts::{OWNER}:assumed-role/platform-admin/me"
    row = asked("prod", {"eks.describe_cluster": there}, caller_arn=session)["administrator platform-admin"]

    assert row.state == state
    assert session != CALLER


def test_trial_launches_that_are_switched_off_meet_no_policy() -> None:
    """The setting turns the warning of a member account off; the organization's own account never has one."""
    off = stack("dev", infra__karpenter_dry_run=False)
    organization: Plan = {"organizations.describe_organization": member("999999999999")}
    switched = preflight(off, Account({**ready(off), **organization}, region=off.infra.region))
    own = asked("dev", {"organizations.describe_organization": member(OWNER)})

    assert [each["Karpenter's trial launches"].state for each in (switched, own)] == ["fine", "fine"]


NOTHING_FREE: Plan = {"ec2.describe_capacity_reservations": "InvalidCapacityReservationId.NotFound"}


@pytest.mark.parametrize(
    ("blocks", "state", "found"),
    [
        ([{}], "fine", "ap-southeast-4c from 2026-11-25 00:00 UTC, 24 h: 54.00 USD, 2.25 per node-hour"),
        (
            [{"AvailabilityZone": "ap-southeast-4b", "UpfrontFee": "1.0"}, {}],
            "fine",
            (
                "ap-southeast-4c from 2026-11-25 00:00 UTC, 24 h: 54.00 USD, 2.25 per node-hour; "
                "ap-southeast-4b from 2026-11-25 00:00 UTC, 24 h: 1.00 USD, 0.04 per node-hour"
            ),
        ),
        (
            [{"AvailabilityZone": "ap-southeast-4b"}],
            "warning",
            "ap-southeast-4b from 2026-11-25 00:00 UTC, 24 h: 54.00 USD, 2.25 per node-hour",
        ),
        ([], "warning", "none in eight weeks"),
    ],
    ids=["here", "both", "elsewhere", "none"],
)
def test_capacity_blocks_are_looked_for_where_nothing_reserved_holds_the_plan(
    blocks: list[Parsed], state: str, found: str
) -> None:
    """With zone, start, hours and price, the usable ones first."""
    offers = {"CapacityBlockOfferings": [block(made("dev"), **each) for each in blocks]}
    row = asked("dev", {**NOTHING_FREE, "ec2.describe_capacity_block_offerings": offers})["Capacity Blocks on offer"]

    assert (row.state, row.found, bool(row.remedy)) == (state, found, state != "fine")
    assert "Capacity Blocks on offer" not in asked("dev")


def test_a_block_is_asked_for_as_long_as_the_plan_takes() -> None:
    """By whole days, with the minutes that EC2 takes at a block's end, and for all nodes of the plan at once."""
    of, calls = made("dev"), []

    def offers(call: Parsed) -> Parsed:
        calls.append(call)
        return {"CapacityBlockOfferings": []}

    asked("dev", {**NOTHING_FREE, "ec2.describe_capacity_block_offerings": offers})

    assert [(each["InstanceType"], each["InstanceCount"], each["CapacityDurationHours"]) for each in calls] == [
        ("trn2.3xlarge", of.plan.nodes, 24)
    ]
