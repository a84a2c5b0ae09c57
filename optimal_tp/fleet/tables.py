"""The plan's tables as rows of text, the same for the terminal and the page."""

import pathlib
import typing

import rich.console

from optimal_tp.fleet.model_words import check_table
from optimal_tp.fleet.planning import Carried, FleetPlan, Loss, hourly
from optimal_tp.fleet.sentences import words
from optimal_tp.fleet.simulation.answers import Percentile
from optimal_tp.measurement.estimate import METRIC_WORDS, MISSING, figure, percent, ranged, usd
from optimal_tp.report.conclusion import grid
from optimal_tp.report.tables import Table, held_out_table
from optimal_tp.report.words import badge
from optimal_tp.results.retrial import Retrial
from optimal_tp.verdict.findings import Verdict


def tables(plan: FleetPlan, verdict: Verdict) -> tuple[Table, ...]:
    """Return every table that has rows, the most telling first."""
    every = (
        fleet_table(plan),
        latency_table(plan),
        node_table(plan),
        loss_table(plan),
        routing_table(plan),
        range_table(plan),
        hour_table(plan),
        refused_table(plan, verdict),
        held_out_table(plan.held_out),
        check_table(plan),
    )
    return tuple(table for table in every if table.rows)


def fleet_table(plan: FleetPlan) -> Table:
    """Return one row per candidate that holds the limits, the cheapest first."""
    return Table(
        caption="The smallest fleet of each candidate that holds the limit with confidence, the cheapest first",
        heads=(
            "Candidate",
            "Servers",
            "By point",
            "Nodes",
            "USD/hour",
            "USD/M output tokens",
            "Slots taken",
            "Of capacity",
        ),
        rows=tuple(
            (
                one.candidate.name,
                f"{one.sizing.fleet.replicas:,}",
                f"{one.sizing.replicas_by_point:,}",
                f"{one.nodes.count:,} x {one.nodes.instance_type}",
                usd(one.nodes.usd_per_hour),
                usd(one.usd_per_million_output_tokens),
                percent(one.sizing.outcome.utilisation),
                percent(one.load_share),
            )
            for one in plan.carried
        ),
    )


def latency_table(plan: FleetPlan) -> Table:
    """Return one row per candidate and metric."""
    asked = plan.question
    return Table(
        caption="Latency of these fleets in ms, interval of simulation and samples (95 %) and of the model",
        heads=("Candidate", "Metric", *(f"p{share:g}" for share in asked.percents)),
        rows=tuple(
            (
                one.candidate.name,
                METRIC_WORDS[metric],
                *(ranged(one.sizing.outcome.percentiles.get((metric, share))) for share in asked.percents),
            )
            for one in plan.carried
            for metric in asked.metrics
        ),
    )


def node_table(plan: FleetPlan) -> Table:
    """Return one row per candidate and instance type that can hold its fleet."""
    return Table(
        caption="Nodes by instance type; room: servers that the nodes hold",
        heads=("Candidate", "Type", "Servers per node", "Nodes", "Room", "USD/hour"),
        rows=tuple(
            (
                one.candidate.name,
                nodes.instance_type,
                str(nodes.servers_per_node),
                f"{nodes.count:,}",
                f"{nodes.room:,}",
                usd(nodes.usd_per_hour),
            )
            for one in plan.carried
            for nodes in one.options
        ),
    )


def loss_table(plan: FleetPlan) -> Table:
    """Return one row per candidate and part that may be lost, with a column for each limited figure."""
    limited = {limit.percentile: f"{limit.measure} in ms" for limit in plan.question.limits}
    return Table(
        caption=f"Loss of a node, and of one of {plan.question.zones} zones",
        heads=("Candidate", "Lost", "Servers left", *limited.values(), "Holds", "Nodes that withstand it"),
        rows=tuple(
            (
                one.candidate.name,
                loss.what,
                f"{loss.replicas_left:,}",
                *(_after(loss, percentile) for percentile in limited),
                "yes" if loss.still_holds else "no",
                MISSING if loss.nodes_to_withstand is None else f"{loss.nodes_to_withstand:,}",
            )
            for one in plan.carried
            for loss in one.losses
        ),
    )


def _after(loss: Loss, percentile: Percentile) -> str:
    if loss.outcome is None:
        return "overloaded" if loss.replicas_left else "nothing left"
    return ranged(loss.outcome.percentiles[percentile])


def routing_table(plan: FleetPlan) -> Table:
    """Return one row per candidate and routing."""
    return Table(
        caption="The same traffic under each routing",
        heads=("Candidate", "Routing", "Servers", "Nodes", "USD/hour"),
        rows=tuple(
            (
                one.candidate.name,
                price.routing + (" (planned)" if price.routing == plan.question.routing else ""),
                f"{price.replicas:,}",
                f"{price.nodes.count:,}",
                usd(price.nodes.usd_per_hour),
            )
            for one in plan.carried
            for price in one.routings
        ),
    )


def range_table(plan: FleetPlan) -> Table:
    """Return one row per stretch of rates with one cheapest candidate; none without another candidate."""
    found = plan.ranges if plan.is_compared else ()
    return Table(
        caption="The cheapest candidate, by rate",
        heads=("From requests/s", "To requests/s", "Cheapest"),
        rows=tuple((figure(one.from_per_second), figure(one.to_per_second), one.candidate.name) for one in found),
    )


def hour_table(plan: FleetPlan) -> Table:
    """Return one row per forecast hour, for the cheapest candidate."""
    best: Carried | None = plan.carried[0] if plan.carried else None
    has_price = plan.question.buying.usd_per_node_hour is not None
    return Table(
        caption="" if best is None else f"The forecast, hour by hour, with {best.candidate.name}",
        heads=("Hour", "Requests/s", "Servers", "USD" if has_price else "Nodes"),
        rows=tuple(
            (
                hour.time.isoformat(timespec="minutes"),
                figure(hour.rate_per_second),
                f"{replicas:,}",
                usd(cost) if has_price else f"{cost:,.0f}",
            )
            for hour, replicas, cost in (() if best is None else hourly(plan, best))
        ),
    )


def refused_table(plan: FleetPlan, verdict: Verdict) -> Table:
    """Return one row per candidate without a fleet."""
    known = {one.candidate.degree for one in plan.carried} | {one.candidate.degree for one in plan.refused}
    rows = [(one.candidate.name, one.word, one.sentence) for one in plan.refused]
    rows += [
        (f"TP{other.degree}", badge(verdict, other), other.ground.sentence)
        for other in verdict.degrees
        if other.degree not in known
    ]
    return Table(caption="Candidates without a fleet", heads=("Candidate", "Result", "Why"), rows=tuple(rows))


_WIDTH = 130
"""Width in characters that the tables need, whatever the terminal offers."""


def _show(
    found: FleetPlan,
    again: Retrial,
    files: typing.Sequence[pathlib.Path],
    replaced: typing.Collection[pathlib.Path] = (),
) -> None:
    """Print the plan and the names of its files; ``replaced``: those of an earlier plan that are gone."""
    console = rich.console.Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    said = words(found, again.verdict, again.record)
    verdict: Verdict = again.verdict
    for warning in said.warnings:
        console.print(warning, style="bold yellow", soft_wrap=True)
    for table in tables(found, verdict):
        console.print(grid(table.heads, table.rows, table.caption))
    for sentence in (said.headline, *said.sentences, *said.marks):
        console.print(sentence, soft_wrap=True)
    for file in files:
        earlier = ", in place of an earlier plan (--output names another folder)" if file in replaced else ""
        console.print(f"Written: {file}{earlier}", soft_wrap=True)
