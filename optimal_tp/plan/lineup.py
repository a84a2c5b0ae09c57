"""The plans of all models of a sweep together: at once where the nodes hold them, else one model after the other."""

import collections.abc
import dataclasses
import types
import typing

from optimal_tp.errors import CapacityError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import InstanceType
from optimal_tp.facts.physics import Physics
from optimal_tp.plan.placement import SERVERS, Plan, Seat, Servers, Wish, bins, placed, plan
from optimal_tp.settings.spend import Shortage
from optimal_tp.settings.stack_file import ClusterSettings
from optimal_tp.settings.workload import WorkloadSettings


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a candidate has no servers, before anything is spent."""

    __pydantic_config__: typing.ClassVar = types.MappingProxyType({"extra": "forbid"})
    """Of who reads it: an order."""
    gate: typing.Literal["no-fit", "misses-slo"]
    """The word it ends with; ``misses-slo`` where physics allows nobody to hold a limit."""
    reason: str
    """The arithmetic."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """One model: what is asked of it, and where its servers run."""

    settings: WorkloadSettings
    slug: str
    """The model's, in the names of its servers in a sweep; empty for one model alone."""
    plan: Plan
    gates: collections.abc.Mapping[Candidate, Refusal] = dataclasses.field(default_factory=dict)
    """Candidates of the settings that have no servers, since they do not fit or cannot hold a limit."""
    physics: Physics | None = None
    """What its report is held against; None before it was asked for."""

    def lines(self) -> list[str]:
        """Return the plan for people: a line per round and node, and one for each candidate that does not fit."""
        return [
            *self.plan.lines(),
            *(f"{each.name} is not measured ({no.gate}): {no.reason}" for each, no in self.gates.items()),
        ]

    def part(self, name: str) -> str:
        """Return ``name`` as this model's part: "fetch-qwen3-4b" in a sweep, "fetch" alone."""
        return f"{name}-{self.slug}" if self.slug else name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lineup:
    """All models in the order in which they are measured."""

    models: tuple[ModelPlan, ...]
    runs_at_once: bool
    """False where a model's servers run only while those of the others are stopped."""
    nodes_for_all: int
    """Nodes that all servers at once would need."""

    @property
    def instance_type(self) -> InstanceType:
        """The one type of node."""
        return self.models[0].plan.instance_type

    @property
    def nodes(self) -> int:
        """Nodes that run at the same time, at most."""
        return max(model.plan.nodes for model in self.models)

    @property
    def servers(self) -> Servers:
        """Every server, by model, candidate and replica."""
        return tuple(server for model in self.models for server in model.plan.servers)

    @property
    def rounds(self) -> tuple[tuple[Candidate, ...], ...]:
        """Candidates of each round, the rounds of all models after each other; one round where all runs at once."""
        if self.runs_at_once and not any(model.plan.runs_in_rounds for model in self.models):
            return (tuple(each for model in self.models for each in model.plan.candidates),)
        return tuple(together for model in self.models for together in model.plan.rounds)

    @property
    def runs_in_rounds(self) -> bool:
        """True if some servers run only while others are stopped."""
        return len(self.rounds) > 1

    def lines(self) -> list[str]:
        """Return the plan for people: one line per model, round and node."""
        if len(self.models) == 1:
            return self.models[0].lines()
        head = (
            f"{len(self.models)} models on {self.nodes} x {self.instance_type.name}, all at once"
            if self.runs_at_once
            else f"{len(self.models)} models one after the other on {self.nodes} x {self.instance_type.name}; all at "
            f"once would need {self.nodes_for_all}"
        )
        return [
            head,
            *(f"{model.settings.model.name}: {line}" for model in self.models for line in model.lines()),
        ]


def wish(
    settings: ClusterSettings,
    of: WorkloadSettings,
    served: collections.abc.Sequence[Candidate],
    prior: collections.abc.Mapping[Candidate, float],
    *,
    whole_chips: bool = False,
) -> Wish:
    """Return what is to be placed on nodes for the model ``of``: servers of its candidates ``served``.

    ``prior``: what each may carry per core, at most.
    """
    slug = settings.slug(of)
    # A degree that has no servers has no say in how many cores the others are measured on.
    of = of.model_copy(update={"degrees": tuple(sorted({each.degree for each in served}))})
    return Wish(
        candidates=tuple(served),
        layout=settings.serving.layout,
        placement=settings.serving.placement,
        equal_cores=settings.equal_cores(of),
        family=f"{SERVERS}-{slug}" if slug else SERVERS,
        prior=prior,
        whole_chips=whole_chips,
    )


def line_up(
    asked: collections.abc.Sequence[tuple[WorkloadSettings, str, Wish]],
    kind: InstanceType,
    *,
    nodes_available: int,
    limited_by: str,
    shortage: Shortage,
) -> Lineup:
    """Return where the servers of every model run; ``asked``: its settings, its slug and its wish.

    Raises CapacityError as ``plan`` does, with a sentence per model that the nodes cannot hold.
    """
    if len(asked) == 1:
        settings, slug, wish = asked[0]
        alone = plan(wish, kind, nodes_available=nodes_available, limited_by=limited_by, shortage=shortage)
        model = ModelPlan(settings=settings, slug=slug, plan=alone)
        return Lineup(models=(model,), runs_at_once=True, nodes_for_all=alone.nodes_for_all)
    sentences = []
    plans: list[Plan] = []
    for settings, _, wish in asked:
        try:
            plans.append(plan(wish, kind, nodes_available=nodes_available, limited_by=limited_by, shortage=shortage))
        except CapacityError as error:
            sentences.append(f"{settings.model.name}: {error}")
    if sentences:
        raise CapacityError("\n".join(sentences))
    seats = [seat for _, _, wish in asked for seat in wish.seats(wish.candidates)]
    together = bins(seats, asked[0][2].placement, kind)
    at_once = len(together) <= nodes_available
    if not at_once and shortage == "refuse":
        raise CapacityError(
            f"the servers of all {len(asked)} models need {len(together)} {kind.name}, and {limited_by} allows "
            f"{nodes_available}; allow more nodes, remove models or degrees or let them take turns "
            "(serving.when_nodes_are_few: take-turns)"
        )
    return Lineup(
        models=tuple(
            ModelPlan(settings=settings, slug=slug, plan=_among(found, wish, together) if at_once else found)
            for (settings, slug, wish), found in zip(asked, plans, strict=True)
        ),
        runs_at_once=at_once,
        nodes_for_all=len(together),
    )


def _among(found: Plan, wish: Wish, nodes: collections.abc.Sequence[collections.abc.Sequence[Seat]]) -> Plan:
    """Return ``found`` with its servers on the ``nodes`` that all models share."""
    return dataclasses.replace(
        found,
        servers=placed(wish, nodes, found.instance_type, 0),
        rounds=(wish.candidates,),
        nodes=len(nodes),
        nodes_for_all=len(nodes),
    )
