"""The ``infra`` section of a stack file, parsed and checked as a whole."""

import ipaddress
import itertools
import typing

import pydantic

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.eks_addons import addon_conflict
from optimal_tp.facts.hardware import OFFERINGS_READ_ON
from optimal_tp.facts.versions import CHART_REGISTRY, IMAGE_REGISTRY, KubernetesMinor, bad_release
from optimal_tp.settings.addons import ADDON_KEYS, AddonVersions
from optimal_tp.settings.aws.existing import ExistingCluster, ExistingNetwork
from optimal_tp.settings.aws.ids import PolicyArn, RoleArn, TagKey, TagValue
from optimal_tp.settings.node_capacity import Neuron, Zone
from optimal_tp.settings.parser import Section, broken, parse, shape
from optimal_tp.settings.prices import Prices

LogType = typing.Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]
RetentionDays = typing.Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653]
"""Days that CloudWatch Logs accepts (PutRetentionPolicy), except the longest."""

_SMALLEST_VPC_PREFIX, _LARGEST_VPC_PREFIX = 20, 16
_FEWEST_ZONES, _MOST_ZONES = 2, 6
# Karpenter and EKS set these themselves; its CRD refuses them in EC2NodeClass.spec.tags.
_RESERVED_TAGS = ("aws:", "eks:", "karpenter.sh/", "karpenter.k8s.aws/", "kubernetes.io/cluster")


class NetworkSettings(Section):
    """The VPC: a new one, or one that exists already."""

    cidr: str = pydantic.Field(
        default="10.42.0.0/16", json_schema_extra={"x-range": "an IPv4 network between /16 and /20"}
    )
    """IPv4 range of a new VPC, /16 to /20."""
    nat_gateways: typing.Literal["one", "per-zone"] = "one"
    """``one`` is cheaper; ``per-zone`` survives the loss of a zone."""
    flow_log_days: RetentionDays | None = None
    """How many days VPC flow logs are kept; absent: no flow logs."""
    existing: ExistingNetwork | None = None
    """The existing VPC to use; absent: the program creates one."""

    @pydantic.field_validator("cidr")
    @classmethod
    def _is_a_network(cls, cidr: str) -> str:
        rule = "must be an IPv4 network between /16 and /20, for example 10.42.0.0/16"
        try:
            network = ipaddress.IPv4Network(cidr)
        except ValueError:
            raise broken(rule) from None
        if not _LARGEST_VPC_PREFIX <= network.prefixlen <= _SMALLEST_VPC_PREFIX:
            raise broken(rule)
        return cidr

    @pydantic.field_validator("existing")
    @classmethod
    def _nothing_asked_of_an_existing_one(
        cls, existing: ExistingNetwork | None, info: pydantic.ValidationInfo
    ) -> ExistingNetwork | None:
        made = {"cidr": "10.42.0.0/16", "nat_gateways": "one", "flow_log_days": None}
        for key, default in made.items():
            if existing is not None and info.data.get(key, default) != default:
                rule = f"must not go with network.{key}: the program does not change an existing VPC"
                remedy = f"remove network.{key} or network.existing"
                raise broken(rule, remedy, path="vpc_id", value=existing.vpc_id)
        return existing


class ControlPlane(Section):
    """The EKS control plane."""

    public_access_cidrs: tuple[str, ...] = pydantic.Field(
        default=(),
        json_schema_extra={"x-range": "IPv4 networks, for example 203.0.113.7/32, but not the whole internet"},
    )
    """Networks that may reach the API server from the internet; an empty list keeps it private to the VPC. The `up`
    that creates the VPC runs outside it, so it refuses an empty list."""
    log_types: tuple[LogType, ...] = ("api", "audit", "authenticator")
    """Logs that EKS sends to CloudWatch, which charges for them; an empty list sends none."""
    log_retention_days: RetentionDays = 7
    """How many days CloudWatch keeps these logs."""
    deletion_protection: bool = False
    """True: ``pulumi destroy`` stops at the cluster until an ``up`` sets this to false."""
    key_deletion_days: int = pydantic.Field(default=7, ge=7, le=30)
    """How many days after destroy the KMS key of the cluster's secrets can still be restored."""
    admin_role_arns: tuple[RoleArn, ...] = ()
    """Roles that administer the cluster, in addition to the one that creates it."""

    @pydantic.field_validator("public_access_cidrs")
    @classmethod
    def _named_networks(cls, cidrs: tuple[str, ...]) -> tuple[str, ...]:
        for index, cidr in enumerate(cidrs):
            try:
                network = ipaddress.IPv4Network(cidr)
            except ValueError:
                raise broken(
                    "must be an IPv4 network, for example 203.0.113.7/32", path=f"[{index}]", value=cidr
                ) from None
            if network.prefixlen == 0:
                rule = "must not open the API server to the whole internet"
                raise broken(rule, "name the networks you work from", path=f"[{index}]", value=cidr)
        return cidrs


class SystemNodes(Section):
    """The managed node group that runs everything except Neuron pods: two nodes, untainted."""

    instance_type: str = pydantic.Field(
        default="m7i.large",
        pattern=shape(r"^[a-z0-9-]+\.[a-z0-9-]+$", "must be an EC2 instance type, for example m7i.large"),
    )
    """An x86-64 type that the region offers."""
    disk_gib: int = pydantic.Field(default=30, ge=20, le=1000)
    """Root volume of each node; it holds the images of the controllers and of the load generator."""


class Registries(Section):
    """The sources of charts and images, for accounts that keep private mirrors."""

    charts: str = pydantic.Field(default=CHART_REGISTRY, min_length=1)
    """Helm charts: ``oci://host[/prefix]`` with the upstream paths below it, or a local folder of unpacked charts."""
    images: str = pydantic.Field(
        default=IMAGE_REGISTRY,
        pattern=shape(
            r"^[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*$",
            "must be a registry's host, optionally with a prefix, for example public.ecr.aws",
        ),
    )
    """Images: a registry's host, optionally with a prefix, that has the upstream paths below it."""


class Storage(Section):
    """The file system that compile Jobs fill and servers read."""

    throughput: typing.Literal["elastic", "bursting"] = "elastic"
    """EFS throughput: ``elastic`` bills by the byte; ``bursting`` grows with the amount stored."""
    owner_uid: int = pydantic.Field(default=1000, ge=0, le=4294967295)
    """User and group id that own every file on the access point, whichever user writes it."""


_OF_A_NEW_CLUSTER: typing.Final = (
    *("cluster_name", "network", "control_plane", "system_nodes", "addons", "prices", "karpenter_dry_run"),
)

SYSTEM_NODES = 2
"""Karpenter runs two replicas that refuse to share a node; with fewer nodes its chart never becomes ready."""


class InfraSettings(Section):
    """The ``infra`` section."""

    cluster_name: str = pydantic.Field(
        default="optimal-tp",
        pattern=shape(
            r"^[a-z][a-z0-9-]*[a-z0-9]$", "must be lower-case letters, digits and hyphens, for example optimal-tp-dev"
        ),
        max_length=40,
    )
    """Physical name of the cluster; its log group and tags carry the same name."""
    zones: tuple[Zone, ...]
    """Zones of the network, at least two, all in the stack's region; a single NAT gateway goes into the first."""
    kubernetes: KubernetesMinor = "1.35"
    """Minor version of the cluster and its nodes; ``neuron.pair`` must have an AMI for it."""
    permissions_boundary_arn: PolicyArn | None = None
    """Permissions boundary of every IAM role that the program creates; absent: no boundary."""
    karpenter_dry_run: bool = True
    """True: Karpenter tries launches before it accepts a node class. Set false if your organization's policies refuse
    such trials, which name neither IMDSv2 nor the right instance type."""
    tags: dict[TagKey, TagValue] = pydantic.Field(default_factory=dict)
    """Tags on every AWS resource, and on the instances and volumes that Karpenter launches."""
    registries: Registries = Registries()
    network: NetworkSettings = NetworkSettings()
    control_plane: ControlPlane = ControlPlane()
    system_nodes: SystemNodes = SystemNodes()
    addons: AddonVersions = AddonVersions()
    prices: Prices = Prices()
    neuron: Neuron
    storage: Storage = Storage()
    existing: ExistingCluster | None = None
    """The existing cluster to use; absent: the program creates one."""

    @property
    def region(self) -> str:
        """The region that the zones lie in."""
        return self.zones[0][:-1]

    @property
    def physical_name(self) -> str:
        """The name of the new or existing cluster; dashboard and alarms carry it too."""
        return self.cluster_name if self.existing is None else self.existing.cluster_name

    @pydantic.field_validator("kubernetes", mode="before")
    @classmethod
    def _as_written(cls, minor: object) -> object:
        """Take a minor that was written without quotes, which YAML reads as a number."""
        return str(minor) if isinstance(minor, float) else minor

    @pydantic.field_validator("zones")
    @classmethod
    def _two_of_one_region(cls, zones: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(zones)) != len(zones) or not _FEWEST_ZONES <= len(zones) <= _MOST_ZONES:
            raise broken("must name two to six zones, each once (EKS needs two)")
        for index, zone in enumerate(zones):
            if zone[:-1] != zones[0][:-1]:
                raise broken(
                    f"must be in the region of the first zone ({zones[0][:-1]})", path=f"[{index}]", value=zone
                )
        return zones

    @pydantic.field_validator("tags")
    @classmethod
    def _not_a_controllers_own(cls, tags: dict[str, str]) -> dict[str, str]:
        for key, prefix in itertools.product(tags, _RESERVED_TAGS):
            if key.startswith(prefix):
                rule = f"must not begin with {prefix}, which AWS, EKS or Karpenter set themselves"
                raise broken(rule, path=key, value=tags[key])
        return tags

    @pydantic.field_validator("addons")
    @classmethod
    def _do_no_known_harm(cls, addons: AddonVersions, info: pydantic.ValidationInfo) -> AddonVersions:
        minor = info.data.get("kubernetes")
        for key, addon in ADDON_KEYS.items():
            version = getattr(addons, key)
            rule = None if minor is None or version is None else addon_conflict(addon, version, minor)
            if rule is not None:
                raise broken(rule, path=key, value=version)
        return addons

    @pydantic.field_validator("network")
    @classmethod
    def _has_a_subnet_for_each_zone(cls, network: NetworkSettings, info: pydantic.ValidationInfo) -> NetworkSettings:
        zones = info.data.get("zones")
        if network.existing is not None and zones is not None and set(network.existing.private_subnet_ids) != {*zones}:
            rule = f"must name one subnet for each of infra.zones ({', '.join(zones)})"
            found = sorted(network.existing.private_subnet_ids)
            raise broken(rule, path="existing.private_subnet_ids", value=found)
        return network

    @pydantic.field_validator("prices")
    @classmethod
    def _of_the_nodes_in_use(cls, prices: Prices, info: pydantic.ValidationInfo) -> Prices:
        known, used = SystemNodes().instance_type, info.data.get("system_nodes")
        if used is not None and used.instance_type != known and prices.system_node == Prices().system_node:
            rule = f"must be the price of {used.instance_type}: the default is the price of {known}"
            remedy = f"set what an hour of {used.instance_type} costs"
            raise broken(rule, remedy, path="system_node.usd_per_hour", value=prices.system_node.usd_per_hour)
        return prices

    @pydantic.field_validator("neuron")
    @classmethod
    def _can_be_launched(cls, neuron: Neuron, info: pydantic.ValidationInfo) -> Neuron:
        minor, zones = info.data.get("kubernetes"), info.data.get("zones")
        if minor is not None and minor not in neuron.image_and_ami.kubernetes:
            known = ", ".join(neuron.image_and_ami.kubernetes)
            rule = f"must be a pair that runs on Kubernetes {minor}; this one runs on {known}"
            raise broken(rule, "choose another pair or another infra.kubernetes", path="pair", value=neuron.pair)
        harm = None if minor is None else bad_release(neuron.ami, minor)
        if harm is not None:
            remedy = f"remove ami_release to use {neuron.image_and_ami.ami_release}"
            rule = f"must be an AMI without a known fault: {harm}"
            raise broken(rule, remedy, path="ami_release", value=neuron.ami)
        for index, zone in enumerate(neuron.zones):
            if zones is not None and zone not in zones:
                raise broken(f"must be one of infra.zones ({', '.join(zones)})", path=f"zones[{index}]", value=zone)
        offered = neuron.hardware.offered
        if zones is not None and zones[0][:-1] not in offered:
            rule = f"must be offered in {zones[0][:-1]}; on {OFFERINGS_READ_ON} only {', '.join(offered)} offered it"
            remedy = "choose one of these regions; docs/get-started/aws.md says how to add another"
            raise broken(rule, remedy, path="instance_type", value=neuron.instance_type)
        return neuron

    @pydantic.field_validator("existing")
    @classmethod
    def _leaves_the_cluster_alone(
        cls, existing: ExistingCluster | None, info: pydantic.ValidationInfo
    ) -> ExistingCluster | None:
        if existing is None:
            return existing
        for key in _OF_A_NEW_CLUSTER:
            if key in info.data and info.data[key] != cls.model_fields[key].get_default(call_default_factory=True):
                rule = f"must not go with infra.{key}: the program does not change an existing cluster"
                remedy = f"remove infra.{key} or infra.existing"
                raise broken(rule, remedy, path="cluster_name", value=existing.cluster_name)
        return existing


def parse_infra(data: object, *, file: str) -> InfraSettings:
    """Return the ``infra`` section of ``file``. Raises SettingsError with every bad key."""
    return parse(InfraSettings, data, where="infra", file=file)


def require_region(settings: InfraSettings, region: str, *, file: str) -> None:
    """Check that ``aws:region``, which every AWS call goes to, is where the zones lie. Raises SettingsError if not."""
    if region != settings.region:
        rule = f"must be the region of infra.zones ({settings.region})"
        raise SettingsError([Problem(path="aws:region", value=region, rule=rule, file=file)])
