"""No dead knobs: every key of the infra section changes what is made, and where it is meant to.

All knobs are turned in one run and each is looked for at its own place; the slow test turns them one by one.
"""

import collections.abc
import copy
import functools
import json
import typing

import pydantic
import pytest

from optimal_tp.settings.infra import InfraSettings
from tests.fakes_pulumi import CLUSTER, Recording, recorded, run_main
from tests.fakes_schemas import whole
from tests.fakes_stack_files import stack_config

DEV, INFRA = "Pulumi.dev.yaml", "optimal-tp:infra"


class Knob(typing.NamedTuple):
    """A key below ``infra``, another value for it, and the resource and text in which the value shows."""

    path: str
    value: object
    where: str
    shows: str


KNOBS = (
    Knob("cluster_name", "other", "Cluster cluster-control-plane", '"name": "other"'),
    Knob("zones", ["ap-southeast-4b", "ap-southeast-4c"], "Subnet network-private-ap-southeast-4b", "ap-southeast-4b"),
    Knob("kubernetes", "1.36", "Cluster cluster-control-plane", '"version": "1.36"'),
    Knob("tags", {"team": "blue"}, "Queue karpenter-interruptions", '"team": "blue"'),
    Knob(
        "registries.charts",
        "oci://mirror.example/aws",
        "Release neuron-chart",
        "oci://mirror.example/aws/neuron/neuron-helm-chart",
    ),
    Knob(
        "registries.images",
        "mirror.example/ecr",
        "Release karpenter-controller",
        "mirror.example/ecr/karpenter/controller",
    ),
    Knob("network.cidr", "10.99.0.0/16", "Vpc network-vpc", "10.99.0.0/16"),
    Knob("network.nat_gateways", "per-zone", "NatGateway network-nat-ap-southeast-4c", "network-nat-ap-southeast-4c"),
    Knob("network.flow_log_days", 14, "LogGroup network-flow-logs", '"retentionInDays": 14'),
    Knob("control_plane.public_access_cidrs", ["198.51.100.0/24"], "Cluster cluster-control-plane", "198.51.100.0/24"),
    Knob(
        "control_plane.log_types",
        ["scheduler"],
        "Cluster cluster-control-plane",
        '"enabledClusterLogTypes": ["scheduler"]',
    ),
    Knob("control_plane.log_retention_days", 30, "LogGroup cluster-logs", '"retentionInDays": 30'),
    Knob(
        "control_plane.deletion_protection",
        value=True,
        where="Cluster cluster-control-plane",
        shows='"deletionProtection": true',
    ),
    Knob("control_plane.key_deletion_days", 21, "Key cluster-secrets", '"deletionWindowInDays": 21'),
    Knob(
        "control_plane.admin_role_arns",
        ["arn:aws:iam::111122223333:role/people/admin"],
        "AccessEntry cluster-admin-admin",
        "arn:aws:iam::111122223333:role/people/admin",
    ),
    Knob("system_nodes.instance_type", "m7a.large", "NodeGroup cluster-nodes", '["m7a.large"]'),
    Knob("system_nodes.disk_gib", 77, "LaunchTemplate cluster-nodes", '"volumeSize": 77'),
    Knob(
        "permissions_boundary_arn",
        "arn:aws:iam::111122223333:policy/bound",
        "Role karpenter-controller",
        '"permissionsBoundary": "arn:aws:iam::111122223333:policy/bound"',
    ),
    Knob("karpenter_dry_run", value=False, where="Release karpenter-controller", shows='"disableDryRun": true'),
    Knob("addons.vpc_cni", "v1.23.2-eksbuild.1", "Addon cluster-vpc-cni", '"addonVersion": "v1.23.2-eksbuild.1"'),
    Knob(
        "addons.kube_proxy", "v1.36.0-eksbuild.13", "Addon cluster-kube-proxy", '"addonVersion": "v1.36.0-eksbuild.13"'
    ),
    Knob("addons.coredns", "v1.14.3-eksbuild.3", "Addon cluster-coredns", '"addonVersion": "v1.14.3-eksbuild.3"'),
    Knob(
        "addons.efs_csi_driver",
        "v3.4.0-eksbuild.1",
        "Addon cluster-aws-efs-csi-driver",
        '"addonVersion": "v3.4.0-eksbuild.1"',
    ),
    Knob(
        "addons.pod_identity_agent",
        "v1.4.0-eksbuild.1",
        "Addon cluster-eks-pod-identity-agent",
        '"addonVersion": "v1.4.0-eksbuild.1"',
    ),
    Knob("neuron.zones", ["ap-southeast-4b"], "NodePool pool-nodes", '"values": ["ap-southeast-4b"]'),
    Knob("neuron.pair", "vllm-neuron-0.29", "Deployment tp4-pods", "0.29.0.1.2.0-neuronx"),
    Knob("neuron.ami_release", "v20260728", "EC2NodeClass pool-class", "al2023@v20260728"),
    Knob("neuron.capacity_types", ["reserved", "spot"], "NodePool pool-nodes", '"values": ["reserved", "spot"]'),
    Knob(
        "neuron.reservation_ids",
        ["cr-0fedcba9876543210"],
        "EC2NodeClass pool-class",
        '[{"id": "cr-0fedcba9876543210"}]',
    ),
    Knob("neuron.price.usd_per_hour", 2.75, "NodeOverlay pool-price", '"price": "2.7500"'),
    Knob("neuron.price.source", "our bill", "output prices", "2.75 USD an hour (our bill, "),
    Knob("neuron.price.date", "2026-11-02", "output prices", "(our bill, 2026-11-02)"),
    *(
        knob
        for number, what in enumerate(("control_plane", "nat_gateway", "system_node"), start=1)
        for knob in (
            Knob(
                f"prices.{what}.usd_per_hour",
                number / 4,
                "output prices",
                f": {number / 4:g} USD an hour (bill {number}, ",
            ),
            Knob(f"prices.{what}.source", f"bill {number}", "output prices", f"(bill {number}, "),
            Knob(f"prices.{what}.date", f"2026-11-1{number}", "output prices", f"(bill {number}, 2026-11-1{number})"),
        )
    ),
    Knob("neuron.fleet_nodes", 3, "Release neuron-chart", '"npd": {"enabled": true'),
    Knob("neuron.maximum_nodes", 3, "NodePool pool-nodes", '"nodes": "3"'),
    Knob("neuron.root_volume_gib", 321, "EC2NodeClass pool-class", '"volumeSize": "321Gi"'),
    Knob("neuron.consolidate_after_minutes", 7, "NodePool pool-nodes", '"consolidateAfter": "7m"'),
    Knob("neuron.termination_grace_minutes", 13, "NodePool pool-nodes", '"terminationGracePeriod": "13m"'),
    Knob("storage.throughput", "bursting", "FileSystem storage-files", '"bursting"'),
    Knob("storage.owner_uid", 4321, "AccessPoint storage-access", '"uid": 4321'),
)

OTHER_MODES = {
    "neuron.instance_type": "its two values are offered in one region together; see test_instance_type",
    "network.existing": "another VPC, in test_program.py",
    "existing": "another cluster, in test_existing_knobs",
}
"""Keys that cannot be turned together with the rest, and where they are."""
TOGETHER = {
    # One by one these are refused by a rule that ties them to a neighbour.
    "zones": ("neuron.zones",),
    "neuron.zones": ("zones",),
    "kubernetes": ("neuron.pair", "addons.kube_proxy"),
    "addons.kube_proxy": ("neuron.pair", "kubernetes"),
    "neuron.ami_release": ("neuron.pair",),
    "system_nodes.instance_type": ("prices.system_node.usd_per_hour",),
}


def leaves(model: type[pydantic.BaseModel], prefix: str = "") -> collections.abc.Iterator[str]:
    """Yield every key that holds a value, dotted; optional sections count as one key."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
            yield from leaves(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def turned(*knobs: Knob) -> dict[str, typing.Any]:
    """Return the dev stack's config with ``knobs`` turned, and money for all that they cost."""
    config = copy.deepcopy(stack_config(DEV))
    config["optimal-tp:spend"]["budget_usd"] = 60
    for knob in knobs:
        *sections, key = knob.path.split(".")
        section = config[INFRA]
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = knob.value
    return config


def shown(recording: Recording, key: str) -> str:
    """Return the inputs of a resource, or a stack output, as text; nothing where it is not made."""
    if key.startswith("output "):
        return json.dumps(recording.outputs[key.removeprefix("output ")])
    return "".join(
        json.dumps(whole(each.inputs), sort_keys=True) + each.name for each in recording.resources if each.key == key
    )


@functools.cache
def all_turned() -> Recording:
    """Return one run with every knob turned."""
    return run_main(turned(*KNOBS))


def test_every_key_is_a_knob() -> None:
    """No key of the settings is missing from the tests of this module."""
    assert {knob.path for knob in KNOBS} | set(OTHER_MODES) == set(leaves(InfraSettings))


@pytest.mark.parametrize("knob", KNOBS, ids=[knob.path for knob in KNOBS])
def test_knob(knob: Knob) -> None:
    """A key's other value shows where it should, and did not show before."""
    before, after = shown(recorded(DEV), knob.where), shown(all_turned(), knob.where)

    assert knob.shows in after
    assert knob.shows not in before or knob.path == "network.nat_gateways"


def test_nat_gateways() -> None:
    """One gateway in the first zone, or one in each."""
    gateways = [len(run.of_type(":NatGateway")) for run in (recorded(DEV), all_turned())]

    assert gateways == [1, 2]


def test_instance_type() -> None:
    """The type is pinned in the pool, and the limit of chips follows it."""
    specs = [recorded(file).one("NodePool pool-nodes").inputs["spec"] for file in (DEV, "Pulumi.prod.yaml")]
    pinned = [spec["template"]["spec"]["requirements"][0] for spec in specs]

    assert [each["values"] for each in pinned] == [["trn2.3xlarge"], ["trn2.48xlarge"]]
    assert [spec["limits"] for spec in specs] == [
        {"nodes": "1", "aws.amazon.com/neuron": "1"},
        {"nodes": "1", "aws.amazon.com/neuron": "16"},
    ]


EXISTING = {
    "cluster_name": ("theirs", "kubernetes existing-kubernetes"),
    "oidc_provider_arn": ("arn:aws:iam::111122223333:oidc-provider/oidc.example/id/AB", ""),
    "kubeconfig": ("./kube", "kubernetes existing-kubernetes"),
    "context": ("there", "kubernetes existing-kubernetes"),
    "file_system_id": ("fs-0123456789abcdef0", "AccessPoint existing-access"),
    "subnet_ids": (["subnet-0123456789abcdef0"], "EC2NodeClass pool-class"),
    "security_group_ids": (["sg-0123456789abcdef0"], "EC2NodeClass pool-class"),
    "instance_profile": ("theirs-node", "EC2NodeClass pool-class"),
}


def test_existing_knobs() -> None:
    """Every key of an existing cluster shows in what is made on it, or in what the workloads are given."""
    config = stack_config(DEV)
    kept = {key: config[INFRA][key] for key in ("zones", "neuron", "storage")}
    config[INFRA] = {**kept, "existing": {key: value for key, (value, _) in EXISTING.items()}}
    recording = run_main(config)
    found = {
        key: shown(recording, where) if where else json.dumps(recording.outputs) for key, (_, where) in EXISTING.items()
    }
    wanted = {key: value[0] if isinstance(value, list) else value for key, (value, _) in EXISTING.items()}

    assert {key for key, text in found.items() if str(wanted[key]) not in text} == set()
    assert set(EXISTING) == set(leaves(_existing_model()))
    assert recording.of_type(CLUSTER) == recording.of_type(":Release") == recording.of_type(":Vpc") == []


def _existing_model() -> type[pydantic.BaseModel]:
    for part in typing.get_args(InfraSettings.model_fields["existing"].annotation):
        if isinstance(part, type) and issubclass(part, pydantic.BaseModel):
            return part
    raise LookupError("infra.existing is no section")


@pytest.mark.slow
@pytest.mark.parametrize("knob", KNOBS, ids=[knob.path for knob in KNOBS])
def test_knob_alone(knob: Knob) -> None:
    """Turned alone, or against the neighbours that a rule ties it to, a knob changes something."""
    neighbours = [each for each in KNOBS if each.path in TOGETHER.get(knob.path, ())]
    # Zones of nodes and of the network cannot be turned apart, nor can a cluster's minor and its kube-proxy's, so each
    # pair is held against the file as it is.
    apart = "zones" not in knob.path and "kube" not in knob.path
    without = run_main(turned(*neighbours)) if apart else recorded(DEV)
    with_it = run_main(turned(knob, *neighbours))

    assert (without.outputs, [each.inputs for each in without.resources]) != (
        with_it.outputs,
        [each.inputs for each in with_it.resources],
    )
