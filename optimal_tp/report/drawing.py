"""Draws the report's pictures: error bars, direct labels, colours that colour-blind readers tell apart."""

import io
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import Estimate, figure
from optimal_tp.verdict.load_steps import LoadStep

if typing.TYPE_CHECKING:
    import matplotlib.axes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A8A8A")
"""By position of the degree: 1, 2, 4, ... Source: Okabe and Ito, "Color Universal Design" (2008); grey for black."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LIMIT_COLOUR = "#D55E00"

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


def by_candidate(
    axes: "matplotlib.axes.Axes",
    points: typing.Mapping[Candidate, Estimate],
    label: str,
    line: tuple[str, float] | None,
) -> None:
    """Draw one point with its range per candidate, and ``line``, a name and a height, across."""
    ends = [end for one in points.values() for end in (one.value, one.interval.high) if end is not None]
    top = 1.12 * max([*ends, *([] if line is None else [line[1]])])
    for place, (candidate, one) in enumerate(points.items()):
        colour, marker = _look(candidate)
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
    if line is not None:
        name, height = line
        axes.axhline(height, color=LIMIT_COLOUR, linewidth=1.4, linestyle=(0, (5, 3)))
        _write(axes, f"{name} {figure(height)}", (len(points) - 0.52, height), (0, 4), LIMIT_COLOUR, "right")
    axes.set_xticks(range(len(points)), [candidate.name for candidate in points])
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.set_ylim(0, top)
    axes.set_ylabel(label)


def within(axes: "matplotlib.axes.Axes", steps: typing.Sequence[LoadStep], asked: float) -> None:
    """Draw the share of requests within the limits against the rate per core: hollow for turns that only searched."""
    for candidate in sorted({step.candidate for step in steps}):
        colour, marker = _look(candidate)
        own = [step for step in steps if step.candidate == candidate and step.rate_per_second_per_core is not None]
        for step in own:
            share = 100 * (step.share_within or 0.0)
            inside = colour if step.stage == "block" else "none"
            rate = step.rate_per_second_per_core or 0.0
            axes.plot(rate, share, marker=marker, color=colour, markersize=8, markerfacecolor=inside, linestyle="none")
            if step.stage == "block":
                _write(axes, candidate.name, (rate, share), (10, -4), colour)
    axes.axhline(100 * asked, color=LIMIT_COLOUR, linewidth=1.4, linestyle=(0, (5, 3)))
    _write(axes, f"{100 * asked:g} % asked", (0, 100 * asked), (4, 4), LIMIT_COLOUR)
    axes.set_xlabel("requests/s per core arriving")
    axes.set_ylabel("requests within the limits, %")
    axes.set_ylim(0, 106)
    axes.set_xlim(left=0)
    axes.margins(x=0.14)


def saturation(axes: "matplotlib.axes.Axes", steps: typing.Sequence[LoadStep]) -> None:
    """Draw throughput per core against requests in flight, a line per candidate and a point per step."""
    for candidate in sorted({step.candidate for step in steps}):
        colour, marker = _look(candidate)
        known = sorted(
            (step.concurrency, step.tokens_per_second_per_core, step.stage)
            for step in steps
            if step.candidate == candidate
            if step.concurrency is not None and step.tokens_per_second_per_core is not None
        )
        axes.plot([each[0] for each in known], [each[1] for each in known], color=colour, linewidth=1.6, alpha=0.8)
        for slots, height, stage in known:
            inside = colour if stage == "block" else "none"
            axes.plot(slots, height, marker=marker, color=colour, markersize=8, markerfacecolor=inside)
        if known:
            _write(axes, candidate.name, (known[-1][0], known[-1][1]), (10, -4), colour)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("requests in flight")
    axes.set_ylabel("output tokens/s per core")
    axes.margins(x=0.14, y=0.16)
    axes.set_ylim(bottom=0)
    import matplotlib.ticker  # noqa: PLC0415 - as above

    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda tick, _: figure(tick)))


def _write(
    axes: "matplotlib.axes.Axes",
    text: str,
    where: tuple[float, float],
    offset_points: tuple[float, float],
    colour: str,
    align: str = "left",
) -> None:
    axes.annotate(text, where, textcoords="offset points", xytext=offset_points, ha=align, color=colour)


def _look(candidate: Candidate) -> tuple[str, str]:
    """Return the colour of a degree, and the marker of a batch: candidates of one degree differ in their markers."""
    place = candidate.degree.bit_length() - 1
    shape = place if candidate.max_num_seqs is None else candidate.max_num_seqs.bit_length() - 1
    return COLOURS[place % len(COLOURS)], MARKERS[shape % len(MARKERS)]
