"""Trainium2 nodes for your own cluster, as one component with plain arguments."""

# No `from __future__ import annotations`: Pulumi's analyser needs real types.
import typing

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
import pydantic

from infra.karpenter import Karpenter, KarpenterArgs
from infra.neuron import NeuronPool, NeuronPoolArgs, NeuronScheduling, NeuronSchedulingArgs
from infra.policies import Place
from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.versions import PAIRS, KubernetesMinor
from optimal_tp.settings.aws.ids import PolicyArn, TagKey, TagValue
from optimal_tp.settings.infra import Registries
from optimal_tp.settings.node_capacity import Neuron
from optimal_tp.settings.parser import broken, parse


class PriceArgs(typing.TypedDict):
    """The price of one node."""

    usd_per_hour: float
    """USD per hour, without tax."""
    source: str
    """Source of the price."""
    date: str
    """When it was read, "2026-10-03"."""


class RegistriesArgs(typing.TypedDict):
    """Private mirrors."""

    charts: typing.NotRequired[str]
    """Helm charts: ``oci://host[/prefix]``, or a local directory of unpacked charts."""
    images: typing.NotRequired[str]
    """Images: a registry's host, optionally with a prefix."""


class NeuronNodesArgs(typing.TypedDict):
    """Arguments of the nodes. Optional keys have the defaults of the stack file (docs/reference/settings.md)."""

    cluster_name: str
    """Name of the EKS cluster, known before the preview."""
    kubeconfig: pulumi.Input[str]
    """Text of a kubeconfig with administrator rights in the cluster."""
    kubernetes: str
    """Minor version of the cluster, "1.35"."""
    subnet_ids: list[pulumi.Input[str]]
    """Private subnets of the nodes, in the zones below."""
    security_group_ids: list[pulumi.Input[str]]
    """Security groups of the nodes; usually the cluster's own."""
    zones: list[str]
    """Zones where nodes may be launched; with a capacity reservation, its zone."""
    price: PriceArgs
    """Your hourly price of one node, without which Karpenter launches nothing on demand."""

    instance_type: typing.NotRequired[str]
    """``trn2.3xlarge`` or ``trn2.48xlarge``."""
    pair: typing.NotRequired[str]
    """vLLM image and AMI whose driver fits it."""
    capacity_types: typing.NotRequired[list[str]]
    """Any of ``reserved``, ``on-demand``, ``spot``."""
    reservation_ids: typing.NotRequired[list[str]]
    """Ids of capacity reservations or Capacity Blocks."""
    maximum_nodes: typing.NotRequired[int]
    """The most nodes at a time."""
    permissions_boundary_arn: typing.NotRequired[str]
    """Permissions boundary of every IAM role that the component creates."""
    tags: typing.NotRequired[dict[str, str]]
    """Tags on every AWS resource, and on what Karpenter launches."""
    registries: typing.NotRequired[RegistriesArgs]
    """Sources of charts and images."""
    karpenter_dry_run: typing.NotRequired[bool]
    """Whether Karpenter tries launches before it accepts a node class (default true). Set false if policies refuse."""


class _Checked(Neuron):
    """All plain arguments, checked together under their own names."""

    cluster_name: str = pydantic.Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    kubernetes: KubernetesMinor
    permissions_boundary_arn: PolicyArn | None = None
    tags: dict[TagKey, TagValue] = pydantic.Field(default_factory=dict)
    registries: Registries = Registries()
    karpenter_dry_run: bool = True

    @pydantic.field_validator("kubernetes")
    @classmethod
    def _has_an_ami(cls, minor: KubernetesMinor, info: pydantic.ValidationInfo) -> KubernetesMinor:
        pair = info.data.get("pair")
        if pair is not None and minor not in PAIRS[pair].kubernetes:
            raise broken(
                f"must be one that {pair} runs on ({', '.join(PAIRS[pair].kubernetes)})", "choose another pair"
            )
        return minor


_LISTS = ("subnet_ids", "security_group_ids")
_LIST_RULE = "must be a list whose length is known at preview; each id in it may be an output"


def checked(args: typing.Mapping[str, typing.Any]) -> _Checked:
    """Return the plain arguments in ``args``, checked. Raises SettingsError with every bad one."""
    problems = [
        Problem(path=f"NeuronNodes.{key}", value="an output", rule=_LIST_RULE, remedy="name each id by itself")
        for key in _LISTS
        if isinstance(args[key], pulumi.Output)
    ]
    if problems:
        raise SettingsError(problems)
    plain = {key: value for key, value in args.items() if value is not None and key not in (*_LISTS, "kubeconfig")}
    return parse(_Checked, plain, where="NeuronNodes", file="the arguments")


class NeuronNodes(pulumi.ComponentResource):
    """Karpenter, the Neuron chart, a node class and a node pool on an existing EKS cluster.

    Reads account and partition through the default AWS provider, whose region must be that of the zones.
    """

    node_pool_name: pulumi.Output[str]
    """Name of the NodePool, for ``nodeSelector``: ``karpenter.sh/nodepool``."""
    scheduler_name: pulumi.Output[str]
    """Name of the scheduler that knows which cores of a chip are free, for ``schedulerName``."""
    instance_profile_name: pulumi.Output[str]
    """Instance profile of the nodes."""

    def __init__(self, name: str, args: NeuronNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("optimal-tp:index:NeuronNodes", name, None, opts)
        plain = checked(args)
        provider = kubernetes.Provider(
            f"{name}-kubernetes",
            kubeconfig=args["kubeconfig"],
            # With an unknown kubeconfig a preview must not plan to replace everything in the cluster.
            cluster_identifier=plain.cluster_name,
            opts=pulumi.ResourceOptions(parent=self),
        )
        child = pulumi.ResourceOptions(parent=self, providers=[provider])
        karpenter = Karpenter(f"{name}-karpenter", _karpenter(plain), child)
        scheduling = NeuronScheduling(
            f"{name}-neuron",
            NeuronSchedulingArgs(kubernetes=plain.kubernetes, registries=plain.registries, fleet=True, after=[]),
            child,
        )
        pool = NeuronPool(
            f"{name}-pool",
            NeuronPoolArgs(
                neuron=plain,
                instance_profile=karpenter.instance_profile_name,
                subnet_ids=args["subnet_ids"],
                security_group_ids=args["security_group_ids"],
                tags=plain.tags,
                life_seconds=None,
                # Karpenter terminates the instances; the chart starts the pods that make a node usable.
                after=[karpenter, scheduling],
            ),
            child,
        )
        self.node_pool_name, self.scheduler_name = pool.node_pool_name, scheduling.scheduler_name
        self.instance_profile_name = karpenter.instance_profile_name
        self.register_outputs(
            {
                "node_pool_name": self.node_pool_name,
                "scheduler_name": self.scheduler_name,
                "instance_profile_name": self.instance_profile_name,
            }
        )


def _karpenter(plain: _Checked) -> KarpenterArgs:
    account = aws.get_caller_identity().account_id
    region = plain.zones[0][:-1]
    return KarpenterArgs(
        cluster_name=plain.cluster_name,
        control_plane=[],
        running=[],
        overlays=plain.karpenter_needs_a_price,
        dry_run=plain.karpenter_dry_run,
        registries=plain.registries,
        place=Place(partition=aws.get_partition().partition, region=region, account_id=account),
        boundary=plain.permissions_boundary_arn,
        tags=plain.tags,
    )
