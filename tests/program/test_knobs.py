"""No dead knobs: every key of the infra section changes what is made, and where it is meant to.

All knobs are turned in one run and each is looked for at its own place; the slow test turns them one by one.
"""

import collections.abc
import copy
import dataclasses
import functools
import json
import typing

import pydantic
import pytest

from optimal_tp.settings.infra import InfraSettings
from tests.fakes_pulumi import CLUSTER, Recording, recorded, run_main
from tests.fakes_stack_files import stack_config

DEV, INFRA = "Pulumi.dev.yaml", "optimal-tp:infra"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knob:
    """A key below ``infra``, another value for it, and the resource and text in which the value shows."""

    path: str
    value: object
    where: str
    shows: str


KNOBS = (
    Knob(
        path="cluster_name",
        value="other",
        where="Cluster cluster-control-plane",
        shows='"name": "other"',
    ),
    Knob(
        path="zones",
        value=["ap-southeast-4b", "ap-southeast-4c"],
        where="Subnet network-private-ap-southeast-4b",
        shows="ap-southeast-4b",
    ),
    Knob(path="kubernetes", value="1.36", where="Cluster cluster-control-plane", shows='"version": "1.36"'),
    Knob(path="tags", value={"team": "blue"}, where="Queue karpenter-interruptions", shows='"team": "blue"'),
    Knob(
        path="registries.charts",
        value="oci://mirror.example/aws",
        where="Release neuron-chart",
        shows="oci://mirror.example/aws/neuron/neuron-helm-chart",
    ),
    Knob(
        path="registries.images",
        value="mirror.example/ecr",
        where="Release karpenter-controller",
        shows="mirror.example/ecr/karpenter/controller",
    ),
    Knob(path="network.cidr", value="10.99.0.0/16", where="Vpc network-vpc", shows="10.99.0.0/16"),
    Knob(
        path="network.nat_gateways",
        value="per-zone",
        where="NatGateway network-nat-ap-southeast-4c",
        shows="network-nat-ap-southeast-4c",
    ),
    Knob(path="network.flow_log_days", value=14, where="LogGroup network-flow-logs", shows='"retentionInDays": 14'),
    Knob(
        path="control_plane.public_access_cidrs",
        value=["198.51.100.0/24"],
        where="Cluster cluster-control-plane",
        shows="198.51.100.0/24",
    ),
    Knob(
        path="control_plane.log_types",
        value=["scheduler"],
        where="Cluster cluster-control-plane",
        shows='"enabledClusterLogTypes": ["scheduler"]',
    ),
    Knob(
        path="control_plane.log_retention_days",
        value=30,
        where="LogGroup cluster-logs",
        shows='"retentionInDays": 30',
    ),
    Knob(
        path="control_plane.deletion_protection",
        value=True,
        where="Cluster cluster-control-plane",
        shows='"deletionProtection": true',
    ),
    Knob(
        path="control_plane.key_deletion_days",
        value=21,
        where="Key cluster-secrets",
        shows='"deletionWindowInDays": 21',
    ),
    Knob(
        path="control_plane.admin_role_arns",
        value=["arn:aws:iam::111122223333:role/people/admin"],
        where="AccessEntry cluster-admin-admin",
        shows="arn:aws:iam::111122223333:role/people/admin",
    ),
    Knob(path="system_nodes.instance_type", value="m7a.large", where="NodeGroup cluster-nodes", shows='["m7a.large"]'),
    Knob(
        path="system_nodes.disk_gib",
        value=77,
        where="LaunchTemplate cluster-nodes",
        shows='"volumeSize": 77',
    ),
    Knob(path="addons.vpc_cni", value="v1", where="Addon cluster-vpc-cni", shows='"addonVersion": "v1"'),
    Knob(path="addons.kube_proxy", value="v2", where="Addon cluster-kube-proxy", shows='"addonVersion": "v2"'),
    Knob(path="addons.coredns", value="v3", where="Addon cluster-coredns", shows='"addonVersion": "v3"'),
    Knob(
        path="addons.efs_csi_driver",
        value="v4",
        where="Addon cluster-aws-efs-csi-driver",
        shows='"addonVersion": "v4"',
    ),
    Knob(
        path="addons.pod_identity_agent",
        value="v5",
        where="Addon cluster-eks-pod-identity-agent",
        shows='"addonVersion": "v5"',
    ),
    Knob(
        path="neuron.zones",
        value=["ap-southeast-4b"],
        where="NodePool pool-nodes",
        shows='"values": ["ap-southeast-4b"]',
    ),
    Knob(path="neuron.pair", value="neuronx-0.16.0", where="Deployment tp1-pods", shows="0.16.0-neuronx-py312"),
    Knob(path="neuron.ami_release", value="v20260728", where="EC2NodeClass pool-class", shows="al2023@v20260728"),
    Knob(
        path="neuron.capacity_types",
        value=["reserved", "spot"],
        where="NodePool pool-nodes",
        shows='"values": ["reserved", "spot"]',
    ),
    Knob(
        path="neuron.reservation_ids",
        value=["cr-0fedcba9876543210"],
        where="EC2NodeClass pool-class",
        shows='[{"id": "cr-0fedcba9876543210"}]',
    ),
    Knob(path="neuron.price.usd_per_hour", value=2.75, where="NodeOverlay pool-price", shows='"price": "2.7500"'),
    Knob(path="neuron.price.source", value="our bill", where="output prices", shows="2.75 USD an hour (our bill, "),
    Knob(path="neuron.price.date", value="2026-11-02", where="output prices", shows="(our bill, 2026-11-02)"),
    *(
        knob
        for number, what in enumerate(("control_plane", "nat_gateway", "system_node"), start=1)
        for knob in (
            Knob(
                path=f"prices.{what}.usd_per_hour",
                value=number / 4,
                where="output prices",
                shows=f": {number / 4:g} USD an hour (bill {number}, ",
            ),
            Knob(
                path=f"prices.{what}.source", value=f"bill {number}", where="output prices", shows=f"(bill {number}, "
            ),
            Knob(
                path=f"prices.{what}.date",
                value=f"2026-11-1{number}",
                where="output prices",
                shows=f"(bill {number}, 2026-11-1{number})",
            ),
        )
    ),
    Knob(path="neuron.maximum_nodes", value=3, where="NodePool pool-nodes", shows='"nodes": "3"'),
    Knob(path="neuron.root_volume_gib", value=321, where="EC2NodeClass pool-class", shows='"volumeSize": "321Gi"'),
    Knob(
        path="neuron.consolidate_after_minutes",
        value=7,
        where="NodePool pool-nodes",
        shows='"consolidateAfter": "7m"',
    ),
    Knob(path="neuron.expire_after_hours", value=48, where="NodePool pool-nodes", shows='"expireAfter": "48h"'),
    Knob(
        path="neuron.termination_grace_minutes",
        value=13,
        where="NodePool pool-nodes",
        shows='"terminationGracePeriod": "13m"',
    ),
    Knob(path="storage.throughput", value="bursting", where="FileSystem storage-files", shows='"bursting"'),
    Knob(path="storage.owner_uid", value=4321, where="AccessPoint storage-access", shows='"uid": 4321'),
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
    "kubernetes": ("neuron.pair",),
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
    """Return the dev stack's config with ``knobs`` turned."""
    config = copy.deepcopy(stack_config(DEV))
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
    return "".join(json.dumps(each.inputs) + each.name for each in recording.resources if each.key == key)


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
        {"nodes": "2", "aws.amazon.com/neuron": "2"},
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
    # Zones of nodes and of the network cannot be turned apart, so their pair is held against the file as it is.
    without = recorded(DEV) if "zones" in knob.path else run_main(turned(*neighbours))
    with_it = run_main(turned(knob, *neighbours))

    assert (without.outputs, [each.inputs for each in without.resources]) != (
        with_it.outputs,
        [each.inputs for each in with_it.resources],
    )
