"""The ``neuron`` section of the settings: the Trainium2 nodes, their capacity and their price."""

import typing

import pydantic

from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceType, InstanceTypeName
from optimal_tp.facts.versions import PAIRS, ImageAndAmi, PairName, pair_conflict
from optimal_tp.settings.parser import Section, broken, shape
from optimal_tp.settings.prices import HourPrice

CapacityType = typing.Literal["reserved", "on-demand", "spot"]
Zone = typing.Annotated[
    str,
    pydantic.Field(
        pattern=shape(r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$", "must be an availability zone, for example us-east-2a")
    ),
]
ReservationId = typing.Annotated[
    str,
    pydantic.Field(
        pattern=shape(r"^cr-[0-9a-z]+$", "must be the id of a capacity reservation, for example cr-0123456789abcdef0")
    ),
]

_LONGEST_PODS_TO_STOP_MINUTES = 45
"""Pulumi waits 60 minutes for the NodePool's deletion; draining must end well before."""


class Neuron(Section):
    """The Trainium2 nodes that Karpenter launches, and what runs on them."""

    instance_type: InstanceTypeName = pydantic.Field(
        default="trn2.3xlarge", json_schema_extra={"enum": [*INSTANCE_TYPES]}
    )
    """The only instance type that Karpenter may launch for Neuron pods."""
    zones: tuple[Zone, ...]
    """Zones where nodes may be launched; with a capacity reservation, its zone."""
    pair: PairName = "neuronx-0.16.0"
    """vLLM image and AMI whose driver fits it. ``vllm-neuron-0.29`` gives each server whole chips."""
    ami_release: str | None = pydantic.Field(
        default=None, pattern=shape(r"^v\d{8}$", "must be a release of the AMI, for example v20260915")
    )
    """Another AMI release for the pair's image; absent: the pair's own."""
    capacity_types: tuple[CapacityType, ...] = ("reserved", "on-demand")
    """Capacity that Karpenter may use; it takes ``reserved`` first, whatever the order."""
    reservation_ids: tuple[ReservationId, ...] = ()
    """Ids of your capacity reservations or Capacity Blocks; Karpenter uses no others."""
    price: HourPrice
    """Hourly price of one node. Budget, report and dashboard use it. Karpenter also needs it on demand: it launches no
    instance without a price, and AWS publishes no on-demand price for trn2."""
    maximum_nodes: int = pydantic.Field(default=2, ge=1, le=64)
    """Most Neuron nodes at a time: the node pool's limit. If all servers need more, ``serving.when_nodes_are_few``
    decides."""
    fleet_nodes: int = pydantic.Field(default=0, ge=0, le=100_000)
    """Nodes of a planned fleet, as counted by ``optimal-tp plan --manifests``. Preflight checks quotas and reservations
    for the experiment and the fleet together. From 1 up, the node problem detector watches every Neuron node."""
    root_volume_gib: int = pydantic.Field(default=200, ge=50, le=16000)
    """Root volume of each node; it holds images (8 GiB compressed each) and everything that pods write locally."""
    consolidate_after_minutes: int = pydantic.Field(default=10, ge=1, le=1440)
    """How long an empty node stays, and bills, so that the node that compiled the model can also serve it."""
    termination_grace_minutes: int = pydantic.Field(default=10, ge=1, le=_LONGEST_PODS_TO_STOP_MINUTES)
    """How long a node may take to drain. Then its pods are ended, even those that a disruption budget protects."""

    @property
    def hardware(self) -> InstanceType:
        """The facts of the instance type."""
        return INSTANCE_TYPES[self.instance_type]

    @property
    def karpenter_needs_a_price(self) -> bool:
        """True if nodes outside a reservation may be launched: Karpenter skips instances without a price."""
        return bool(set(self.capacity_types) - {"reserved"})

    @property
    def image_and_ami(self) -> ImageAndAmi:
        """The pair by its name."""
        return PAIRS[self.pair]

    @property
    def ami(self) -> str:
        """The AMI release in use, ``vYYYYMMDD``."""
        return self.image_and_ami.ami_release if self.ami_release is None else self.ami_release

    @pydantic.field_validator("instance_type")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in INSTANCE_TYPES:
            raise broken(f"must be one of {', '.join(INSTANCE_TYPES)}")
        return name

    @pydantic.field_validator("ami_release")
    @classmethod
    def _fits_the_image(cls, release: str | None, info: pydantic.ValidationInfo) -> str | None:
        pair = info.data.get("pair")
        conflict = None if release is None or pair is None else pair_conflict(PAIRS[pair], release)
        if conflict is not None:
            raise broken(
                f"must have a driver that the image accepts, but {conflict}",
                "remove ami_release or choose another pair",
            )
        return release

    @pydantic.field_validator("zones", "capacity_types", "reservation_ids")
    @classmethod
    def _each_once(cls, values: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        if len(set(values)) != len(values):
            raise broken("must name each once")
        if not values and info.field_name != "reservation_ids":
            raise broken("must name at least one")
        return values

    @pydantic.field_validator("reservation_ids")
    @classmethod
    def _with_reserved(cls, ids: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        if "capacity_types" in info.data and bool(ids) != ("reserved" in info.data["capacity_types"]):
            raise broken("must name your reservations if capacity_types has reserved, and must be empty otherwise")
        return ids
