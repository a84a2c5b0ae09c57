"""Which Trainium2 nodes may be launched, as what, and at which price: the ``neuron`` section of the settings."""

import typing

import pydantic

from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceType, InstanceTypeName
from optimal_tp.facts.versions import PAIRS, Pair, PairName, pair_conflict
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
"""Deleting the NodePool is given 60 minutes; draining must end well before."""


class Neuron(Section):
    """The Trainium2 nodes that Karpenter launches, and what runs on them."""

    instance_type: InstanceTypeName = pydantic.Field(
        default="trn2.3xlarge", json_schema_extra={"enum": [*INSTANCE_TYPES]}
    )
    zones: tuple[Zone, ...]
    """Where nodes may be launched; with a capacity reservation, its zone."""
    pair: PairName = "neuronx-0.16.0"
    """vLLM image and AMI whose driver fits it. ``vllm-neuron-0.29`` gives each server whole chips."""
    ami_release: str | None = pydantic.Field(
        default=None, pattern=shape(r"^v\d{8}$", "must be a release of the AMI, for example v20260915")
    )
    """Another AMI release for the pair's image; absent takes the pair's own."""
    capacity_types: tuple[CapacityType, ...] = ("reserved", "on-demand")
    """Karpenter takes ``reserved`` first, whatever the order."""
    reservation_ids: tuple[ReservationId, ...] = ()
    """Capacity reservations or Capacity Blocks, by id; Karpenter takes none that is not named."""
    price: HourPrice
    """What an hour of one node costs: the one figure behind budget, report and dashboard. AWS publishes no on-demand
    price for trn2, and Karpenter never launches what has no price, so it is told this one."""
    maximum_nodes: int = pydantic.Field(default=2, ge=1, le=64)
    """The most Neuron nodes at a time: the limit of the node pool. Fewer than the servers need means turns."""
    fleet_nodes: int = pydantic.Field(default=0, ge=0, le=100_000)
    """Nodes of a planned fleet beside the experiment's, as ``optimal-tp plan --manifests`` counts them: preflight holds
    quotas and reservations against both, and from 1 on the node problem detector watches every Neuron node."""
    root_volume_gib: int = pydantic.Field(default=200, ge=50, le=16000)
    """Holds images (8 GiB compressed each) and everything pods write locally."""
    consolidate_after_minutes: int = pydantic.Field(default=10, ge=1, le=1440)
    """An empty node stays, and is paid for, that long: what was launched to compile is still there to serve."""
    termination_grace_minutes: int = pydantic.Field(default=10, ge=1, le=_LONGEST_PODS_TO_STOP_MINUTES)
    """Pods of a node that is going are ended by then, whatever protects them."""

    @property
    def hardware(self) -> InstanceType:
        """What is known of the pinned instance type."""
        return INSTANCE_TYPES[self.instance_type]

    @property
    def karpenter_needs_a_price(self) -> bool:
        """True where something else than a reservation may be launched: Karpenter passes over what has no price."""
        return bool(set(self.capacity_types) - {"reserved"})

    @property
    def image_and_ami(self) -> Pair:
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
