"""``fleet.html``: the plan as one self-contained page."""

import functools
import math
import typing

from optimal_tp.fleet.model_words import untested
from optimal_tp.fleet.planning import Carried, FleetPlan
from optimal_tp.fleet.sentences import Words
from optimal_tp.fleet.smallest_fleet import nearest_limit
from optimal_tp.measurement.estimate import figure, ranged, usd
from optimal_tp.measurement.run import RunRecord
from optimal_tp.report.drawing import COLOURS, INK, LIMIT_COLOUR, for_dark_pages, picture
from optimal_tp.report.files import data_uri, page_template
from optimal_tp.report.plots import Plot
from optimal_tp.report.tables import Table
from optimal_tp.verdict.findings import Outcome

if typing.TYPE_CHECKING:
    import matplotlib.axes


def page(
    plan: FleetPlan,
    words: Words,
    found: typing.Sequence[Table],
    plots: typing.Sequence[Plot],
    record: RunRecord,
    tone: Outcome,
) -> str:
    """Return the page, in the colours of ``tone``. All of the run is escaped; pictures are data in the page."""
    return page_template("fleet.html.j2").render(
        plan=plan,
        words=words,
        tables=found,
        plots=plots,
        record=record,
        tone=tone,
        figure=figure,
        usd=usd,
        data_uri=data_uri,
        limited=functools.partial(_limited, plan),
        untested=functools.partial(_untested, plan),
    )


def _limited(plan: FleetPlan, one: Carried) -> str:
    """Return the limited figure of a candidate's fleet, of several limits the one nearest to its bound."""
    limit = nearest_limit(one.sizing.outcome, plan.question.limits)
    return f"{limit.measure} {ranged(one.sizing.outcome.percentiles[limit.percentile], 'ms')}"


def _untested(plan: FleetPlan, one: Carried) -> tuple[str, ...]:
    """Return a mark for each percentile of the limits at which a candidate's model was not compared."""
    found = (untested(one, limit.percentile) for limit in plan.question.limits)
    return tuple(dict.fromkeys(mark for mark in found if mark is not None))


def pictures(plan: FleetPlan) -> tuple[Plot, ...]:
    """Return cost by the hour and cost by the request against the rate; none without a curve."""
    if not plan.points:
        return ()
    unit = "nodes" if plan.question.buying.usd_per_node_hour is None else "USD an hour"
    flips = [f"{figure(one.from_per_second)}/s: {one.candidate.name}" for one in plan.ranges]
    cheapest = f"; cheapest from {', from '.join(flips)}" if plan.is_compared else ""
    alt = f"{unit} of the smallest fleet by rate, a line per candidate{cheapest}."
    found = []
    for name, title, per_request in (
        ("fleet-cost", f"{unit} of the smallest fleet that holds the limit, by rate", False),
        ("fleet-cost-per-request", f"The same by the request: {unit} for each request/s", True),
    ):
        draw = functools.partial(_curves, plan=plan, label=unit, per_request=per_request)
        svg = picture(draw, "svg", 3.8).decode()
        found.append(
            Plot(
                name=name,
                title=title,
                alt=alt,
                png=picture(draw, "png", 3.8),
                svg_light=svg,
                svg_dark=for_dark_pages(svg),
            )
        )
    return tuple(found)


def _curves(axes: "matplotlib.axes.Axes", plan: FleetPlan, label: str, *, per_request: bool) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for number, candidate in enumerate(plan.points[0].cost):
        known = [point for point in plan.points if math.isfinite(point.cost[candidate])]
        across = [point.rate_per_second for point in known]
        up = [point.cost[candidate] / (point.rate_per_second if per_request else 1) for point in known]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(across, up, color=colour, linewidth=1.8, drawstyle="steps-mid", label=candidate.name)
    for one in plan.ranges[1:]:
        axes.axvline(one.from_per_second, color=LIMIT_COLOUR, linewidth=1.4, linestyle=(0, (5, 3)))
        text = f"flip to {one.candidate.name}\n{figure(one.from_per_second)}/s"
        _note(axes, text, one.from_per_second, 0.03, LIMIT_COLOUR)
    rate = plan.question.arrivals.rate_per_second
    axes.axvline(rate, color=INK, linewidth=1.2, linestyle=(0, (1, 2)))
    _note(axes, f"planned\n{figure(rate)}/s", rate, 0.97, INK)
    axes.set_xlabel("requests per second")
    axes.set_ylabel(f"{label} for each request/s" if per_request else label)
    axes.legend(frameon=False, labelcolor=INK, loc="best")


def _note(axes: "matplotlib.axes.Axes", text: str, across: float, up: float, colour: str) -> None:
    axes.annotate(
        text,
        (across, up),
        xycoords=("data", "axes fraction"),
        xytext=(5, 0),
        textcoords="offset points",
        color=colour,
        fontsize=9,
        va="bottom" if up < 0.5 else "top",  # noqa: PLR2004 - the lower half
    )
