"""The plan: for every candidate the smallest fleet, its nodes, its latency, its cost and the losses it withstands."""

import dataclasses
import typing

from optimal_tp.errors import quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import InstanceTypeName
from optimal_tp.fleet.buying import (
    Buying,
    CheapestRange,
    CostPoint,
    Nodes,
    by_type,
    curve,
    nearest_flip,
    nodes_for,
    ranges,
    withstanding,
)
from optimal_tp.fleet.demand import Hour, LatencyLimit
from optimal_tp.fleet.simulation.answers import Percentile, ServerModel
from optimal_tp.fleet.simulation.arrivals import Arrivals, Routing
from optimal_tp.fleet.simulation.simulation import Outcome, is_overloaded, simulate
from optimal_tp.fleet.smallest_fleet import (
    CURVE_EFFORT,
    Carrying,
    Sizing,
    Unreachable,
    carrying,
    holds,
    smallest,
    unreachable,
)
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.predictions import HeldOut

ROUTINGS: tuple[Routing, ...] = ("least-in-flight", "round-robin", "random")
SHOWN = (50.0, 90.0, 99.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FleetQuestion:
    """The demand and the conditions to plan for."""

    arrivals: Arrivals
    limits: tuple[LatencyLimit, ...]
    routing: Routing
    buying: Buying
    prices: typing.Mapping[InstanceTypeName, float]
    """USD an hour of one node, for the types whose price is known."""
    zones: int
    hours: tuple[Hour, ...] = ()
    output_tokens: float | None = None
    """Of the mean request, whoever answers it; None: of each candidate's own mean request that succeeded."""
    choice: Candidate | None = None
    """The verdict's: of candidates that cost the same it comes first."""

    def asked(self, times: ServerModel) -> tuple[Percentile, ...]:
        """Return every percentile that is simulated."""
        metrics = self.metrics if times.has_first_tokens else self.metrics[:1]
        return tuple((metric, percent) for metric in metrics for percent in self.percents)

    @property
    def metrics(self) -> tuple[LimitedMetric, ...]:
        """The metrics that are shown: total latency, first tokens, and what else is limited."""
        return tuple(dict.fromkeys(["total_latency_ms", "ttft_ms", *(limit.metric for limit in self.limits)]))

    @property
    def percents(self) -> tuple[float, ...]:
        """The percentiles that are shown, ascending: the usual ones, and those that are limited."""
        return tuple(sorted({*SHOWN, *(limit.percent for limit in self.limits)}))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """The smallest fleet after the loss of a part."""

    what: typing.Literal["node", "zone"]
    replicas_left: int
    outcome: Outcome | None
    """None if the rest is overloaded or nothing is left."""
    still_holds: bool
    nodes_to_withstand: int | None
    """Nodes of a fleet that still holds the limits after the loss; None with one zone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoutingPrice:
    """The fleet and cost that the same traffic needs under one routing."""

    routing: Routing
    replicas: int
    nodes: Nodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Carried:
    """One candidate that holds the limits."""

    candidate: Candidate
    times: ServerModel
    sizing: Sizing
    nodes: Nodes
    options: tuple[Nodes, ...]
    """The same fleet on each instance type that can hold it."""
    usd_per_million_output_tokens: float | None
    load_share: float
    """The planned rate divided by the rate that the servers complete with every slot taken."""
    losses: tuple[Loss, ...]
    routings: tuple[RoutingPrice, ...]
    carrying: Carrying | None

    @property
    def degree(self) -> int:
        """Logical cores of one server."""
        return self.candidate.degree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused:
    """One candidate without a fleet, and the reason in one sentence."""

    candidate: Candidate
    word: str
    sentence: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class FleetPlan:
    """Every candidate, the cheapest first, and where the choice flips."""

    question: FleetQuestion
    carried: tuple[Carried, ...]
    refused: tuple[Refused, ...]
    points: tuple[CostPoint, ...]
    ranges: tuple[CheapestRange, ...]
    flip: tuple[float, Candidate, Candidate] | None
    held_out: tuple[HeldOut, ...]
    """Figures of the held-out turns, to which no model was fitted."""

    @property
    def is_compared(self) -> bool:
        """Whether at least two candidates hold the limits; one alone is not called the cheapest."""
        return len(self.carried) > 1

    @property
    def equals(self) -> tuple[Carried, ...]:
        """The candidates that cost as much as the first, in whole nodes at the planned rate."""
        cost = [self.question.buying.cost(one.sizing.fleet.replicas, one.degree) for one in self.carried]
        return tuple(one for one, own in zip(self.carried[1:], cost[1:], strict=True) if own == cost[0])


def plan(
    question: FleetQuestion, measured: typing.Mapping[Candidate, ServerModel], held_out: typing.Sequence[HeldOut] = ()
) -> FleetPlan:
    """Return the plan for every candidate with a model."""
    carried: list[Carried] = []
    refused: list[Refused] = []
    for candidate, times in sorted(measured.items(), key=lambda item: _order(item[0])):
        found = _candidate(question, candidate, times)
        if isinstance(found, Refused):
            refused.append(found)
        else:
            carried.append(found)
    carried.sort(key=lambda one: _among_equals(question, one))
    carryings = {one.candidate: one.carrying for one in carried if one.carrying is not None}
    carried.sort(key=lambda one: question.buying.cost(one.sizing.fleet.replicas, one.degree))
    points = curve(question.arrivals.rate_per_second, carryings, question.buying) if carryings else ()
    found_ranges = ranges(points)
    return FleetPlan(
        question=question,
        carried=tuple(carried),
        refused=tuple(refused),
        points=points,
        ranges=found_ranges,
        flip=nearest_flip(found_ranges, question.arrivals.rate_per_second),
        held_out=tuple(held_out),
    )


def _candidate(question: FleetQuestion, candidate: Candidate, times: ServerModel) -> Carried | Refused:
    buying, degree = question.buying, candidate.degree
    if nodes_for(1, buying.cores(degree), buying.instance_type, None) is None:
        sentence = f"a {buying.instance_type} holds no server of {quantity(degree, 'logical core', 'logical cores')}"
        return Refused(candidate=candidate, word="does not fit", sentence=sentence)
    asked = question.asked(times)
    impossible = unreachable(times, question.limits, asked)
    if impossible is not None:
        return _refusal(candidate, impossible)
    sizing = smallest(times, question.arrivals, question.routing, question.limits, asked)
    replicas = sizing.fleet.replicas
    nodes = _nodes(replicas, degree, buying)
    rate = question.arrivals.rate_per_second
    tokens_per_hour = rate * (question.output_tokens or times.mean_output_tokens) * 3600
    return Carried(
        candidate=candidate,
        times=times,
        sizing=sizing,
        nodes=nodes,
        options=by_type(replicas, buying.cores(degree), question.prices),
        usd_per_million_output_tokens=None
        if nodes.usd_per_hour is None
        else 1e6 * nodes.usd_per_hour / tokens_per_hour,
        load_share=rate / (replicas * times.capacity_per_second),
        losses=_losses(question, times, sizing, nodes),
        routings=_routings(question, degree, times, sizing),
        carrying=carrying(times, question.arrivals, question.routing, question.limits),
    )


def _among_equals(question: FleetQuestion, one: Carried) -> tuple[bool, float, tuple[int, int]]:
    """Return the place of a candidate among those that cost the same: the choice first, then by limited latency."""
    latency = one.sizing.outcome.percentiles[question.limits[0].percentile].value
    return one.candidate != question.choice, latency, _order(one.candidate)


def _order(candidate: Candidate) -> tuple[int, int]:
    return candidate.degree, candidate.max_num_seqs or 0


def _nodes(replicas: int, degree: int, buying: Buying) -> Nodes:
    found = nodes_for(replicas, buying.cores(degree), buying.instance_type, buying.usd_per_node_hour)
    if found is None:
        raise RuntimeError(f"a {buying.instance_type} holds no server of TP{degree}")
    return found


def _refusal(candidate: Candidate, impossible: Unreachable) -> Refused:
    limit = impossible.limit
    found = impossible.outcome.percentiles[limit.percentile]
    low, high = found.interval.low, found.interval.high
    figures = f"{found.value:,.0f} ms ({low:,.0f} to {high:,.0f})"
    if impossible.is_sure:
        sentence = f"no fleet holds {limit.at_most_ms:g} ms: even without queueing {limit.measure} is {figures}"
        return Refused(candidate=candidate, word="misses the limit", sentence=sentence)
    sentence = (
        f"not settled whether any fleet holds {limit.at_most_ms:g} ms: without queueing {limit.measure} is {figures}; "
        "measure more requests one at a time"
    )
    return Refused(candidate=candidate, word="inconclusive", sentence=sentence)


def _losses(question: FleetQuestion, times: ServerModel, sizing: Sizing, nodes: Nodes) -> tuple[Loss, ...]:
    replicas = sizing.fleet.replicas
    for_node, for_zone = withstanding(nodes.count, question.zones)
    in_a_zone = -(-nodes.count // question.zones) * nodes.servers_per_node
    parts: tuple[tuple[typing.Literal["node", "zone"], int, int | None], ...] = (
        ("node", nodes.servers_per_node, for_node),
        ("zone", in_a_zone, for_zone),
    )
    losses = []
    for what, lost, enough in parts:
        left = max(0, replicas - lost)
        fleet = dataclasses.replace(sizing.fleet, replicas=max(1, left))
        dead = left == 0 or is_overloaded(times, fleet)
        outcome = None if dead else simulate(times, fleet, question.asked(times))
        losses.append(
            Loss(
                what=what,
                replicas_left=left,
                outcome=outcome,
                still_holds=outcome is not None and holds(outcome, question.limits),
                nodes_to_withstand=enough,
            )
        )
    return tuple(losses)


def _routings(question: FleetQuestion, degree: int, times: ServerModel, sizing: Sizing) -> tuple[RoutingPrice, ...]:
    asked = [limit.percentile for limit in question.limits]
    prices = []
    for routing in ROUTINGS:
        other = sizing
        if routing != question.routing:
            other = smallest(times, question.arrivals, routing, question.limits, asked, CURVE_EFFORT)
        replicas = other.fleet.replicas
        prices.append(RoutingPrice(routing=routing, replicas=replicas, nodes=_nodes(replicas, degree, question.buying)))
    return tuple(prices)


def hourly(plan_of: FleetPlan, carried: Carried) -> tuple[tuple[Hour, int, float], ...]:
    """Return replicas and cost of each forecast hour, if the fleet follows the forecast; read off the curve.

    An hour is long compared with a request, so each hour is planned by itself. No fleet is larger than the planned one.
    """
    if carried.carrying is None:
        return ()
    rows = []
    for hour in plan_of.question.hours:
        needed = carried.carrying.replicas(hour.rate_per_second) if hour.rate_per_second > 0 else 0
        replicas = min(needed, carried.sizing.fleet.replicas)
        cost = plan_of.question.buying.cost(replicas, carried.degree) if replicas else 0.0
        rows.append((hour, replicas, cost))
    return tuple(rows)
