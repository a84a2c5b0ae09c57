"""The whole infrastructure: a cluster that can launch Trainium2 nodes, new or existing."""

import collections.abc
import dataclasses
import shlex
import typing

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from infra.cluster import Cluster, ClusterArgs
from infra.expectations import expectations
from infra.karpenter import Karpenter, KarpenterArgs
from infra.network import Network, NetworkArgs, Subnets, given, made
from infra.neuron import NeuronPool, NeuronPoolArgs, NeuronScheduling, NeuronSchedulingArgs
from infra.policies import Place
from infra.storage import SharedStorage, SharedStorageArgs, access_point
from optimal_tp.errors import SettingsError
from optimal_tp.settings import first_up, sizing
from optimal_tp.settings.aws.existing import ExistingCluster
from optimal_tp.settings.described.line_numbers import placed
from optimal_tp.settings.infra import InfraSettings


class ClusterOutputs(typing.TypedDict):
    """Outputs of the infrastructure."""

    region: pulumi.Input[str]
    """Region of every AWS call."""
    cluster_name: pulumi.Input[str]
    """EKS cluster that the nodes join."""
    kubeconfig_command: pulumi.Input[str]
    """Command that sets up ``kubectl`` for the cluster."""
    oidc_provider_arn: pulumi.Input[str]
    """The cluster's OIDC provider, through which service accounts assume IAM roles."""
    file_system_id: pulumi.Input[str]
    """EFS file system with model and compiled artifacts."""
    access_point_id: pulumi.Input[str]
    """Access point of the file system, which fixes user and folder."""
    subnet_ids: pulumi.Input[list[str]]
    """Subnets of Neuron nodes, one for each zone in `infra.neuron.zones`."""
    security_group_ids: pulumi.Input[list[str]]
    """Security groups of Neuron nodes."""
    instance_profile: pulumi.Input[str]
    """Instance profile of Neuron nodes."""
    node_pool_name: pulumi.Input[str]
    """Karpenter's NodePool that launches the Neuron nodes."""
    prices: pulumi.Input[list[str]]
    """Every price in use, with its source and date, the Neuron node's first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Platform:
    """The basis of workloads. Resources that need nodes or the file system depend on ``pool`` and ``foundation``."""

    cluster_name: str
    place: Place
    kubernetes_provider: kubernetes.Provider
    oidc_provider_arn: pulumi.Output[str]
    oidc_issuer: pulumi.Output[str]
    """Without the scheme, as in the conditions of IRSA trust policies."""
    file_system_id: pulumi.Output[str]
    access_point_id: pulumi.Output[str]
    subnet_ids: collections.abc.Sequence[pulumi.Input[str]]
    """Subnets of Neuron nodes."""
    security_group_ids: collections.abc.Sequence[pulumi.Input[str]]
    """Security groups of Neuron nodes."""
    instance_profile: pulumi.Input[str]
    """Instance profile of Neuron nodes."""
    pool: NeuronPool
    foundation: tuple[pulumi.Resource, ...]
    """Dependencies of pods while they run and stop: file system and its driver, Karpenter, the Neuron chart."""
    prices: collections.abc.Sequence[str]
    """Every price in use, as a sentence."""
    profile: str | None
    """AWS profile of the stack; None: the environment's credentials."""

    def outputs(self) -> ClusterOutputs:
        """Return the stack outputs of the infrastructure."""
        region = self.place.region
        asking = "" if self.profile is None else f" --profile {shlex.quote(self.profile)}"
        return {
            "region": region,
            "cluster_name": self.cluster_name,
            "kubeconfig_command": f"aws eks update-kubeconfig --region {region} --name {self.cluster_name}{asking}",
            "oidc_provider_arn": self.oidc_provider_arn,
            "file_system_id": self.file_system_id,
            "access_point_id": self.access_point_id,
            "subnet_ids": pulumi.Output.all(*self.subnet_ids),
            "security_group_ids": pulumi.Output.all(*self.security_group_ids),
            "instance_profile": self.instance_profile,
            "node_pool_name": self.pool.node_pool_name,
            "prices": list(self.prices),
        }


def build(settings: InfraSettings, *, profile: str | None, node_life_seconds: int | None, ending: str) -> Platform:
    """Create the infrastructure of ``settings`` with the default AWS provider, which uses ``profile``.

    Neuron nodes live for ``node_life_seconds``; None: without limit. ``ending`` ends their names on an existing
    cluster. Raises RunError for settings that would make the
    first `up` fail when the cluster already exists and bills.
    """
    caller = aws.get_caller_identity()
    place = Place(partition=aws.get_partition().partition, region=settings.region, account_id=caller.account_id)
    if settings.existing is not None:
        return _on_existing(settings, settings.existing, place, profile, node_life_seconds, ending)
    _require_a_way_in(settings, caller.arn)
    return _on_new(settings, place, profile, node_life_seconds)


def _require_a_way_in(settings: InfraSettings, caller_arn: str) -> None:
    """Refuse to create a cluster that the caller could not reach afterwards; later the same settings may be fine."""
    refusal = SettingsError(first_up.problems(settings, caller_arn=caller_arn, stack=pulumi.get_stack()))
    if refusal.problems and settings.cluster_name not in aws.eks.get_clusters().names:
        raise pulumi.RunError(str(placed(refusal))) from refusal


def _on_new(settings: InfraSettings, place: Place, profile: str | None, node_life_seconds: int | None) -> Platform:
    subnets = _subnets(settings, place)
    cluster = _cluster(settings, subnets, place, profile)
    in_cluster = pulumi.ResourceOptions(providers=[cluster.kubernetes_provider])
    karpenter = _karpenter(settings, cluster, place, in_cluster)
    scheduling = NeuronScheduling(
        "neuron",
        NeuronSchedulingArgs(
            kubernetes=settings.kubernetes,
            registries=settings.registries,
            fleet=settings.neuron.fleet_nodes > 0,
            after=cluster.running,
        ),
        in_cluster,
    )
    subnet_ids = [subnets.private_ids[zone] for zone in settings.neuron.zones]
    storage = SharedStorage(
        "storage",
        SharedStorageArgs(
            subnets=subnets,
            client_security_group_id=cluster.security_group_id,
            storage=settings.storage,
            tags=settings.tags,
        ),
    )
    pool = NeuronPool(
        "pool",
        NeuronPoolArgs(
            neuron=settings.neuron,
            instance_profile=karpenter.instance_profile_name,
            subnet_ids=subnet_ids,
            security_group_ids=[cluster.security_group_id],
            tags=settings.tags,
            life_seconds=node_life_seconds,
            # Karpenter and its dependencies terminate the instances; the Neuron chart starts the pods that make a node
            # usable.
            after=[karpenter, scheduling, cluster],
        ),
        in_cluster,
    )
    return Platform(
        cluster_name=settings.cluster_name,
        place=place,
        kubernetes_provider=cluster.kubernetes_provider,
        oidc_provider_arn=cluster.oidc_provider_arn,
        oidc_issuer=cluster.oidc_issuer,
        file_system_id=storage.file_system_id,
        access_point_id=storage.access_point_id,
        subnet_ids=subnet_ids,
        security_group_ids=[cluster.security_group_id],
        instance_profile=karpenter.instance_profile_name,
        pool=pool,
        foundation=(cluster, karpenter, scheduling, storage),
        prices=sizing.price_sentences(settings),
        profile=profile,
    )


def _cluster(settings: InfraSettings, subnets: Subnets, place: Place, profile: str | None) -> Cluster:
    args = ClusterArgs(
        cluster_name=settings.cluster_name,
        kubernetes=settings.kubernetes,
        subnets=subnets,
        control_plane=settings.control_plane,
        system_nodes=settings.system_nodes,
        addons=settings.addons,
        place=place,
        profile=profile,
        boundary=settings.permissions_boundary_arn,
        tags=settings.tags,
    )
    return Cluster("cluster", args)


def _karpenter(settings: InfraSettings, cluster: Cluster, place: Place, opts: pulumi.ResourceOptions) -> Karpenter:
    args = KarpenterArgs(
        cluster_name=settings.cluster_name,
        control_plane=[cluster.control_plane],
        running=cluster.running,
        overlays=settings.neuron.karpenter_needs_a_price,
        dry_run=settings.karpenter_dry_run,
        registries=settings.registries,
        place=place,
        boundary=settings.permissions_boundary_arn,
        tags=settings.tags,
    )
    return Karpenter("karpenter", args, opts)


def _subnets(settings: InfraSettings, place: Place) -> Subnets:
    if settings.network.existing is not None:
        return given(settings.network.existing)
    network = Network(
        "network",
        NetworkArgs(
            cidr=settings.network.cidr,
            zones=settings.zones,
            nat_gateway_per_zone=settings.network.nat_gateways == "per-zone",
            flow_log_days=settings.network.flow_log_days,
            place=place,
            boundary=settings.permissions_boundary_arn,
            tags=settings.tags,
        ),
    )
    return made(network)


def _on_existing(
    settings: InfraSettings,
    existing: ExistingCluster,
    place: Place,
    profile: str | None,
    node_life_seconds: int | None,
    ending: str,
) -> Platform:
    """Create only the access point and the node pool; everything else is expected to exist."""
    for sentence in expectations(settings, existing, ending=ending):
        pulumi.log.info(sentence)
    provider = kubernetes.Provider(
        "existing-kubernetes",
        kubeconfig=existing.kubeconfig,
        context=existing.context,
        cluster_identifier=place.cluster(existing.cluster_name),
    )
    access = access_point(
        "existing-access", existing.file_system_id, settings.storage, settings.tags, pulumi.ResourceOptions()
    )
    pool = NeuronPool(
        "pool",
        NeuronPoolArgs(
            neuron=settings.neuron,
            instance_profile=existing.instance_profile,
            subnet_ids=existing.subnet_ids,
            security_group_ids=existing.security_group_ids,
            tags=settings.tags,
            life_seconds=node_life_seconds,
            ending=ending,
            after=[],
        ),
        pulumi.ResourceOptions(providers=[provider]),
    )
    return Platform(
        cluster_name=existing.cluster_name,
        place=place,
        kubernetes_provider=provider,
        oidc_provider_arn=pulumi.Output.from_input(existing.oidc_provider_arn),
        oidc_issuer=pulumi.Output.from_input(existing.oidc_issuer),
        file_system_id=pulumi.Output.from_input(existing.file_system_id),
        access_point_id=access.id,
        subnet_ids=existing.subnet_ids,
        security_group_ids=existing.security_group_ids,
        instance_profile=existing.instance_profile,
        pool=pool,
        foundation=(access,),
        prices=sizing.price_sentences(settings),
        profile=profile,
    )
