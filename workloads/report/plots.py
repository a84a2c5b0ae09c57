"""The report's pictures: error bars, direct labels, colours that colour-blind readers tell apart, an alt text each."""

import dataclasses
import io
import typing

import matplotlib as mpl
import matplotlib.axes
import matplotlib.figure

from workloads.report.analysis import Analysis
from workloads.report.curve import Step, telling
from workloads.report.wording import METRIC_WORDS, figure, ranged
from workloads.statistics import Estimate

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A8A8A")
"""By position of the degree: 1, 2, 4, ... Source: Okabe and Ito, "Color Universal Design" (2008); grey for black."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

Theme = typing.Literal["light", "dark"]
_INK: dict[Theme, str] = {"light": "#1b1f24", "dark": "#e6e8eb"}
_FAINT: dict[Theme, str] = {"light": "#c9ced6", "dark": "#454c56"}
_SIZE_INCHES = (6.4, 3.8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plot:
    """One picture, ready to be kept."""

    name: str
    """File name without ending."""
    title: str
    alt: str
    png: bytes
    """On white."""
    svg_light: str
    svg_dark: str
    """The same on a transparent ground for dark pages."""


Draw = typing.Callable[[matplotlib.axes.Axes, Analysis, Theme], None]


def plots(analysis: Analysis) -> tuple[Plot, ...]:
    """Return every picture that the run has data for; the same analysis gives the same bytes."""
    found = []
    if _latency_points(analysis):
        found.append(_plot("latency", latency_title(analysis), latency_alt(analysis), _draw_latency, analysis))
    if _throughputs(analysis):
        title = "Output tokens/s per logical core used, by degree"
        found.append(_plot("throughput", title, throughput_alt(analysis), _draw_throughput, analysis))
    if analysis.curves:
        found.append(
            _plot("load", "Throughput against latency as load rises", load_alt(analysis), _draw_load, analysis)
        )
    return tuple(found)


def latency_title(analysis: Analysis) -> str:
    """Return the title of the latency plot."""
    metric, percent = telling(analysis.settings.limits.asked())
    return f"p{percent:g} of {METRIC_WORDS[metric]} in the blocks, by degree"


def latency_alt(analysis: Analysis) -> str:
    """Return the latency plot in words."""
    limit = _limit_ms(analysis)
    against = "no limit is set" if limit is None else f"the limit is {figure(limit)} ms"
    listed = ", ".join(f"TP{degree} {ranged(one, 'ms')}" for degree, one in _latency_points(analysis).items())
    return f"{latency_title(analysis)}: {listed}; {against}."


def throughput_alt(analysis: Analysis) -> str:
    """Return the throughput plot in words."""
    listed = ", ".join(f"TP{degree} {ranged(one)}" for degree, one in _throughputs(analysis).items())
    return f"Output tokens per second per logical core used: {listed}."


def load_alt(analysis: Analysis) -> str:
    """Return the load plot in words."""
    parts = [
        f"TP{curve.degree} rises to {figure(curve.saturation.tokens_per_second_per_core)} tokens/s per core "
        f"at {curve.saturation.concurrency} in flight"
        for curve in analysis.curves
    ]
    return f"Output tokens per second per core against median latency as load rises: {'; '.join(parts)}."


def _latency_points(analysis: Analysis) -> dict[int, Estimate]:
    metric, percent = telling(analysis.settings.limits.asked())
    points = {
        degree.degree: one.latency_ms
        for degree in analysis.verdict.degrees
        for one in degree.limits
        if one.metric == metric and one.latency_ms is not None
    }
    if points or percent != 50:  # noqa: PLR2004 - the median is in the rows
        return points
    return {
        row.degree: row.p50_ms
        for row in analysis.latencies
        if row.stage == "block" and row.metric == metric and row.p50_ms is not None
    }


def _throughputs(analysis: Analysis) -> dict[int, Estimate]:
    return {
        degree.degree: degree.tokens_per_second_per_core
        for degree in analysis.verdict.degrees
        if degree.tokens_per_second_per_core is not None
    }


def _limit_ms(analysis: Analysis) -> float | None:
    limits = analysis.settings.limits.asked()
    metric, _ = telling(limits)
    return limits[metric].at_most_ms if metric in limits else None


def _plot(name: str, title: str, alt: str, draw: Draw, analysis: Analysis) -> Plot:
    return Plot(
        name=name,
        title=title,
        alt=alt,
        png=_picture(draw, analysis, "light", "png"),
        svg_light=_picture(draw, analysis, "light", "svg").decode(),
        svg_dark=_picture(draw, analysis, "dark", "svg").decode(),
    )


def _picture(draw: Draw, analysis: Analysis, theme: Theme, form: typing.Literal["png", "svg"]) -> bytes:
    with mpl.rc_context({"svg.hashsalt": "optimal-tp", "svg.fonttype": "path", "font.size": 10.5}):
        drawing = matplotlib.figure.Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = drawing.add_subplot()
        draw(axes, analysis, theme)
        _dress(axes, theme)
        target = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        ground = "none" if form == "svg" else "white"
        drawing.savefig(target, format=form, dpi=150, metadata=metadata, facecolor=ground)
    return target.getvalue()


def _dress(axes: matplotlib.axes.Axes, theme: Theme) -> None:
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT[theme])
    axes.tick_params(colors=_INK[theme], length=0)
    axes.grid(axis="y", color=_FAINT[theme], linewidth=0.6, alpha=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_INK[theme])


def _draw_latency(axes: matplotlib.axes.Axes, analysis: Analysis, theme: Theme) -> None:
    points = _latency_points(analysis)
    _points_by_degree(axes, points, theme, "ms")
    metric, percent = telling(analysis.settings.limits.asked())
    axes.set_ylabel(f"p{percent:g} of {METRIC_WORDS[metric]}, ms")
    limit = _limit_ms(analysis)
    if limit is not None:
        axes.axhline(limit, color="#D55E00", linewidth=1.4, linestyle=(0, (5, 3)))
        axes.annotate(
            f"limit {figure(limit)} ms",
            (len(points) - 0.55, limit),
            textcoords="offset points",
            xytext=(0, 4),
            ha="right",
            color="#D55E00",
        )
        axes.set_ylim(top=max(axes.get_ylim()[1], limit * 1.1))


def _draw_throughput(axes: matplotlib.axes.Axes, analysis: Analysis, theme: Theme) -> None:
    _points_by_degree(axes, _throughputs(analysis), theme, "")
    axes.set_ylabel("output tokens/s per core")


def _points_by_degree(
    axes: matplotlib.axes.Axes, points: typing.Mapping[int, Estimate], theme: Theme, unit: str
) -> None:
    for place, (degree, one) in enumerate(points.items()):
        colour, marker = _look(degree)
        low = one.value if one.interval.low is None else one.interval.low
        high = one.value if one.interval.high is None else one.interval.high
        axes.errorbar(
            place,
            one.value,
            yerr=[[max(0.0, one.value - low)], [max(0.0, high - one.value)]],
            fmt=marker,
            color=colour,
            markersize=9,
            capsize=6,
            linewidth=2,
        )
        axes.annotate(
            f"{figure(one.value)}{unit and ' ' + unit}",
            (place, one.value),
            textcoords="offset points",
            xytext=(13, -4),
            color=_INK[theme],
        )
    axes.set_xticks(range(len(points)), [f"TP{degree}" for degree in points])
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.12)


def _draw_load(axes: matplotlib.axes.Axes, analysis: Analysis, theme: Theme) -> None:
    for curve in analysis.curves:
        colour, marker = _look(curve.degree)
        known = [(step, _median(step)) for step in curve.steps if step.latency_p50_ms is not None]
        across = [median for _, median in known]
        up = [step.tokens_per_second_per_core for step, _ in known]
        axes.plot(across, up, color=colour, linewidth=1.6, alpha=0.8)
        for step, median in known:
            axes.plot(
                median,
                step.tokens_per_second_per_core,
                marker=marker,
                color=colour,
                markersize=8,
                markerfacecolor=colour if step.pareto else "none",
                markeredgewidth=1.6,
            )
            axes.annotate(
                str(step.concurrency),
                (median, step.tokens_per_second_per_core),
                textcoords="offset points",
                xytext=(0, 8),
                ha="center",
                color=_INK[theme],
                fontsize=8.5,
            )
        if known:
            end = (across[-1], up[-1])
            axes.annotate(
                f"TP{curve.degree}", end, textcoords="offset points", xytext=(9, -4), color=colour, fontweight="bold"
            )
    axes.set_xlabel("median total latency, ms (numbers: requests in flight; filled: Pareto set)")
    axes.set_ylabel("output tokens/s per core")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.12, y=0.15)


def _median(step: Step) -> float:
    return 0.0 if step.latency_p50_ms is None else step.latency_p50_ms.value


def _look(degree: int) -> tuple[str, str]:
    place = (degree.bit_length() - 1) % len(COLOURS)
    return COLOURS[place], MARKERS[place]
