"""The plan in sentences: what to buy, how certain it is, what is extrapolated, why the verdict's order may differ."""

import dataclasses
import math
import typing

from optimal_tp.errors import quantity
from optimal_tp.fleet.demand import are_lengths_planned
from optimal_tp.fleet.model_words import model_marks
from optimal_tp.fleet.planning import Carried, FleetPlan, hourly
from optimal_tp.fleet.smallest_fleet import nearest_limit
from optimal_tp.measurement.estimate import degree_list, figure, listed, percent, plural, ranged, usd
from optimal_tp.measurement.run import RunRecord
from optimal_tp.report.words import practice, unanswered
from optimal_tp.verdict.findings import Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """A plan for people."""

    headline: str
    warnings: tuple[str, ...]
    """What a reader must know first; empty for a settled run on real hardware."""
    sentences: tuple[str, ...]
    """The most important first."""
    marks: tuple[str, ...]
    """Assumptions and extrapolations."""


def words(plan: FleetPlan, verdict: Verdict, record: RunRecord) -> Words:
    """Return the plan in sentences. At least one degree is carried."""
    best = plan.carried[0]
    sentences = [
        _traffic(plan),
        _tie(plan, best),
        _boundary(best),
        _order(plan, verdict),
        _flip(plan),
        _routing(best),
        *(_loss(plan, best, index) for index in range(len(best.losses))),
        _forecast(plan, best),
    ]
    marks = [_place(plan, record), *model_marks(plan), *_failures(plan, verdict, record)]
    warnings = (practice(record), _unsettled(verdict))
    return Words(
        headline=_doubt(verdict, record) + _headline(plan, best),
        warnings=tuple(one for one in warnings if one is not None),
        sentences=tuple(one for one in sentences if one),
        marks=tuple(one for one in marks if one),
    )


def _unsettled(verdict: Verdict) -> str | None:
    if verdict.outcome == "settled":
        return None
    why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    return f"The run behind this plan is not settled, so another candidate may be the better one{why}."


def _doubt(verdict: Verdict, record: RunRecord) -> str:
    """Return what the headline begins with where it is no advice: "Practice run, not settled: "."""
    doubts = ["practice run"] if practice(record) is not None else []
    doubts += [] if verdict.outcome == "settled" else ["not settled"]
    return f"{', '.join(doubts).capitalize()}: " if doubts else ""


def _headline(plan: FleetPlan, best: Carried) -> str:
    limits = " and ".join(limit.words for limit in plan.question.limits)
    cost = "" if best.nodes.usd_per_hour is None else f" for {usd(best.nodes.usd_per_hour)} an hour"
    million = best.usd_per_million_output_tokens
    per_token = "" if million is None else f", {usd(million)} per million output tokens"
    carry = "carries" if best.sizing.fleet.replicas == 1 else "carry"
    return (
        f"{plural(best.sizing.fleet.replicas, 'server')} of {best.candidate.name} on {best.nodes.count:,} x "
        f"{best.nodes.instance_type}{cost} {carry} {figure(plan.question.arrivals.rate_per_second)} requests/s with "
        f"{limits}{per_token}."
    )


def _traffic(plan: FleetPlan) -> str:
    arrivals = plan.question.arrivals
    if arrivals.burst_factor == 1.0:
        stream = "Requests arrive as a Poisson process"
    else:
        stream = (
            f"Half of the requests arrive in bursts of {arrivals.burst_factor:g} times the mean rate, "
            f"{arrivals.burst_seconds:g} s long on average"
        )
    return f"{stream}; routing is {plan.question.routing}."


def _boundary(best: Carried) -> str:
    replicas, by_point = best.sizing.fleet.replicas, best.sizing.replicas_by_point
    if by_point == replicas:
        return "One server fewer would miss the limit." if replicas > 1 else ""
    return (
        f"By the figures without their intervals {by_point:,} would be enough; from {replicas:,} on the upper end of "
        "the 95 % interval holds the limit too. More samples narrow this gap."
    )


def _tie(plan: FleetPlan, best: Carried) -> str:
    equal = [one.candidate.name for one in plan.equals]
    if not equal:
        return ""
    first = "the verdict's choice comes first"
    if best.candidate != plan.question.choice:
        first = f"the one with the lowest {plan.question.limits[0].measure} comes first"
    cost = "costs" if len(equal) == 1 else "cost"
    return f"In whole nodes {listed(equal)} {cost} the same at this rate; among equals {first}."


def _order(plan: FleetPlan, verdict: Verdict) -> str:
    rates = {
        degree.degree: degree.tokens_per_second_per_core.value
        for degree in verdict.degrees
        if degree.tokens_per_second_per_core is not None
    }
    here = list(dict.fromkeys(one.degree for one in plan.carried if one.degree in rates))
    there = sorted(here, key=lambda degree: (-rates[degree], degree))
    if verdict.chosen_degree in there:
        there = [verdict.chosen_degree, *(degree for degree in there if degree != verdict.chosen_degree)]
    if len(here) < 2 or here == there:  # noqa: PLR2004 - an order takes two
        return "The degrees rank as in the verdict." if len(here) > 1 else ""
    by_degree = {one.degree: one for one in reversed(plan.carried)}
    first, other = by_degree[here[0]], by_degree[there[0]]
    if first is other:
        return (
            f"The verdict has the same winner, but its order is {degree_list(there)}; here it is {degree_list(here)}."
        )
    ratio = figure(rates[other.degree] / rates[first.degree])
    return (
        f"The plan's order is {degree_list(here)}; the verdict's, by output tokens/s per core, {degree_list(there)}. "
        f"With every slot taken, TP{other.degree} gives {ratio} times TP{first.degree}'s tokens per core. But to keep "
        f"queues within the limit, its servers may run at only {percent(other.load_share)} of their capacity, "
        f"TP{first.degree}'s at {percent(first.load_share)}: a faster server leaves more of the limit for waiting."
    )


def _flip(plan: FleetPlan) -> str:
    if plan.flip is None:
        if not plan.ranges or not plan.is_compared:
            return ""
        first = plan.ranges[0].candidate
        low, high = plan.ranges[0].from_per_second, plan.ranges[-1].to_per_second
        is_shared = bool(plan.equals) or any(
            cost <= point.cost[first] for point in plan.points for one, cost in point.cost.items() if one != first
        )
        alone = ", alone or with another," if is_shared else ""
        rates = f"from {figure(low)}/s to {figure(high)}/s"
        return f"In whole nodes {first.name} is the cheapest{alone} at every rate {rates}."
    rate, below, above = plan.flip
    where = f"below it {below.name} is cheapest, above it {above.name}"
    return f"The choice flips at about {figure(rate)} requests/s: {where}."


def _routing(best: Carried) -> str:
    least = min(best.routings, key=lambda one: one.replicas)
    most = max(best.routings, key=lambda one: one.replicas)
    if least.replicas == most.replicas:
        return "The routing makes no difference to the fleet."
    costs = least.nodes.usd_per_hour, most.nodes.usd_per_hour
    dollars = "" if costs[0] is None or costs[1] is None else f", {usd(costs[1] - costs[0])} an hour more"
    fewest = plural(least.replicas, "server")
    return f"Routing matters: {least.routing} needs {fewest}, {most.routing} {most.replicas:,}{dollars}."


def _loss(plan: FleetPlan, best: Carried, index: int) -> str:
    loss = best.losses[index]
    what = f"Without one {loss.what} {quantity(loss.replicas_left, 'server is', 'servers are')} left"
    if loss.still_holds:
        return f"{what}, and {'holds' if loss.replicas_left == 1 else 'hold'} the limit."
    if loss.outcome is None:
        state = "nothing is served" if loss.replicas_left == 0 else "queues grow until it is back"
    else:
        limit = nearest_limit(loss.outcome, plan.question.limits)
        found = ranged(loss.outcome.percentiles[limit.percentile], "ms")
        state = f"{limit.measure} is {found}, and the limit is not held with confidence"
    if loss.nodes_to_withstand is None:
        return f"{what}: {state}; only a second zone helps."
    enough, verb = loss.nodes_to_withstand, "withstands" if loss.nodes_to_withstand == 1 else "withstand"
    return f"{what}: {state}; {plural(enough, 'node')} instead of {best.nodes.count:,} {verb} it."


def _forecast(plan: FleetPlan, best: Carried) -> str:
    rows = hourly(plan, best)
    if not rows:
        return ""
    cost = math.fsum(spent for _, _, spent in rows)
    fixed = plan.question.buying.cost(best.sizing.fleet.replicas, best.degree) * len(rows)
    has_price = plan.question.buying.usd_per_node_hour is not None

    def amount(spent: float) -> str:
        """Return dollars, or node-hours where there is no price."""
        return usd(spent) if has_price else f"{spent:,.0f} node-hours"

    return (
        f"Over the forecast's {plural(len(rows), 'hour')} the fleet that holds its highest hour costs {amount(fixed)}; "
        f"one that follows it hour by hour {amount(cost)}."
    )


def _place(plan: FleetPlan, record: RunRecord) -> str:
    kind = plan.question.buying.instance_type
    if record.place == "local":
        return (
            "Not Trainium2 figures: this run's servers used CPU cores, one for one NeuronCore. Nodes and dollars are "
            f"those of {kind}, as if its cores served as these did."
        )
    if record.place == "own-servers":
        return f"The plan assumes that servers on {kind} behave like the ones that this run measured."
    return "" if record.pins.get("instance") == kind else f"The plan assumes {kind}; the run does not record that type."


def _failures(plan: FleetPlan, verdict: Verdict, record: RunRecord) -> typing.Iterator[str]:
    what = "the simulation has only those that succeeded, without repeats, so it is too fast where long ones were lost"
    if are_lengths_planned(record):
        what = "the simulation has the lengths that all of them asked for, without repeats"
    for degree in verdict.degrees:
        if degree.failures and any(one.degree == degree.degree for one in plan.carried):
            ends = unanswered(degree.failed, degree.given_up)
            yield f"Of TP{degree.degree}'s {plural(degree.requests, 'request')} {ends}; {what}."
