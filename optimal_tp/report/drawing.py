"""Draws the report's pictures: error bars, direct labels, colours that colour-blind readers tell apart."""

import io
import math
import typing

from optimal_tp.measurement.estimate import Estimate, figure
from optimal_tp.verdict.curve import LoadCurve, Step
from optimal_tp.verdict.flips import LimitRange

if typing.TYPE_CHECKING:
    import matplotlib.axes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A8A8A")
"""By position of the degree: 1, 2, 4, ... Source: Okabe and Ito, "Color Universal Design" (2008); grey for black."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LIMIT_COLOUR = "#D55E00"
_WIDE_FROM, _FARTHEST = 4, 20

INK, FAINT = "#1b1f24", "#c9ced6"
_ON_DARK = {INK: "#e6e8eb", FAINT: "#454c56"}

Draw = typing.Callable[["matplotlib.axes.Axes"], None]


def picture(draw: Draw, form: typing.Literal["png", "svg"], height_inches: float = 3.4, told: str = "") -> bytes:
    """Return what ``draw`` puts on the axes; PNG on white, SVG on no ground. The same input gives the same bytes.

    ``told`` goes into a PNG as its description: the picture says which run it is of wherever it is copied to.
    """
    # A run imports this module for its end: what takes half a second to import waits until something is drawn.
    import matplotlib.figure  # noqa: PLC0415

    with matplotlib.rc_context({"svg.hashsalt": "optimal-tp", "svg.fonttype": "path", "font.size": 11}):
        drawing = matplotlib.figure.Figure(figsize=(5.6, height_inches), layout="constrained")
        axes = drawing.add_subplot()
        _dress(axes)
        draw(axes)
        target = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None, "Description": told}
        ground = "none" if form == "svg" else "white"
        drawing.savefig(target, format=form, dpi=150, metadata=metadata, facecolor=ground)
    return target.getvalue()


def for_dark_pages(svg: str) -> str:
    """Return ``svg`` with its ink and its faint lines in colours that show on a dark ground."""
    for light, dark in _ON_DARK.items():
        svg = svg.replace(light, dark)
    return svg


def _dress(axes: "matplotlib.axes.Axes") -> None:
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.6, alpha=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)


def by_degree(
    axes: "matplotlib.axes.Axes", points: typing.Mapping[int, Estimate], label: str, limit: float | None
) -> None:
    """Draw one point with its range per degree, and the limit as a line across."""
    ends = [end for one in points.values() for end in (one.value, one.interval.high) if end is not None]
    top = 1.12 * max([*ends, *([] if limit is None else [limit])])
    for place, (degree, one) in enumerate(points.items()):
        colour, marker = _look(degree)
        low, high = one.interval.low, one.interval.high
        spread = [
            [0.0 if low is None else max(0.0, one.value - low)],
            [0.0 if high is None else max(0.0, high - one.value)],
        ]
        axes.errorbar(place, one.value, yerr=spread, fmt=marker, color=colour, markersize=7, capsize=9, linewidth=2)
        if low is None or high is None:  # the range has no end that the sample could show: a line without a cap
            start, end = 0.0 if low is None else one.value, top if high is None else one.value
            axes.vlines(place, start, end, color=colour, linewidth=2, linestyle=(0, (1, 2)))
        _write(axes, figure(one.value), (place, one.value), (16, -4), INK)
    if limit is not None:
        axes.axhline(limit, color=LIMIT_COLOUR, linewidth=1.4, linestyle=(0, (5, 3)))
        _write(axes, f"limit {figure(limit)}", (len(points) - 0.52, limit), (0, 4), LIMIT_COLOUR, "right")
    axes.set_xticks(range(len(points)), [f"TP{degree}" for degree in points])
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.set_ylim(0, top)
    axes.set_ylabel(label)


def load(axes: "matplotlib.axes.Axes", curves: typing.Sequence[LoadCurve], limit: float | None) -> None:
    """Draw throughput per core against median latency, a line per degree and a point per step."""
    for curve in curves:
        colour, marker = _look(curve.degree)
        known = [(step, _median(step)) for step in curve.steps if step.latency_p50_ms is not None]
        across = [median for _, median in known]
        up = [step.tokens_per_second_per_core for step, _ in known]
        axes.plot(across, up, color=colour, linewidth=1.6, alpha=0.8)
        for step, median in known:
            height = step.tokens_per_second_per_core
            inside = colour if step.pareto else "none"
            axes.plot(median, height, marker=marker, color=colour, markersize=8, markerfacecolor=inside)
            _write(axes, str(step.concurrency), (median, height), (0, 8), INK, "center")
        if known:
            _write(axes, f"TP{curve.degree}", (across[-1], up[-1]), (10, -4), colour)
    axes.set_xlabel("median total latency, ms")
    axes.set_ylabel("output tokens/s per core")
    axes.margins(x=0.14, y=0.16)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    if limit is not None:
        axes.axvline(limit, color=LIMIT_COLOUR, linewidth=1.4, linestyle=(0, (5, 3)))
        _write(axes, f"limit {figure(limit)}", (limit, 0), (4, 5), LIMIT_COLOUR)


def choices(axes: "matplotlib.axes.Axes", ranges: typing.Sequence[LimitRange], limit: float | None) -> None:
    """Draw the choice along the latency limit: a band per degree, its lower end with its range.

    The limit's axis is logarithmic where it spans more than a factor of ``_WIDE_FROM``: what changes the choice is
    often a tenth of the limit, and would be a few pixels at the edge.
    A limit beyond ``_FARTHEST`` times the last change is named only.
    """
    last = ranges[-1].from_ms
    farthest = math.inf if last is None else _FARTHEST * last.value
    right = 1.25 * max(0.0 if last is None else last.value, 0.0 if limit is None else min(limit, farthest))
    left = 0.8 * (ranges[0].to_ms or 0.0)
    is_wide = 0.0 < _WIDE_FROM * left < right
    if is_wide:
        axes.set_xscale("log")
    for one in ranges:
        start = left if one.from_ms is None else one.from_ms.value
        end = right if one.to_ms is None else one.to_ms
        colour = FAINT if one.degree is None else _look(one.degree)[0]
        axes.barh(0, end - start, left=start, height=0.6, color=colour, alpha=0.35 if one.degree is None else 0.85)
        middle = math.sqrt(start * end) if is_wide else (start + end) / 2
        _write(axes, "none" if one.degree is None else f"TP{one.degree}", (middle, 0.34), (0, 3), INK, "center")
        if one.from_ms is not None:
            low = start if one.from_ms.interval.low is None else one.from_ms.interval.low
            high = start if one.from_ms.interval.high is None else one.from_ms.interval.high
            spread = [[max(0.0, start - low)], [max(0.0, high - start)]]
            axes.errorbar(start, 0, xerr=spread, color=INK, capsize=5, linewidth=1.6)
            _write(axes, figure(start), (start, -0.34), (0, -12), INK, "center")
    if limit is not None and limit <= right:
        axes.axvline(limit, color=LIMIT_COLOUR, linewidth=1.6, linestyle=(0, (5, 3)))
        _write(axes, f"limit {figure(limit)}", (limit, 0.85), (-4, 0), LIMIT_COLOUR, "right")
    elif limit is not None:
        _write(axes, f"limit {figure(limit)} \N{RIGHTWARDS ARROW}", (right, 0.85), (-4, 0), LIMIT_COLOUR, "right")
    axes.set_xlim(left, right)
    import matplotlib.ticker  # noqa: PLC0415 - as above

    if is_wide:
        axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda tick, _: figure(tick)))
    axes.set_ylim(-0.75, 1.1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("latency limit, ms")


def _write(
    axes: "matplotlib.axes.Axes",
    text: str,
    where: tuple[float, float],
    offset_points: tuple[float, float],
    colour: str,
    align: str = "left",
) -> None:
    axes.annotate(text, where, textcoords="offset points", xytext=offset_points, ha=align, color=colour)


def _median(step: Step) -> float:
    return 0.0 if step.latency_p50_ms is None else step.latency_p50_ms.value


def _look(degree: int) -> tuple[str, str]:
    place = (degree.bit_length() - 1) % len(COLOURS)
    return COLOURS[place], MARKERS[place]
