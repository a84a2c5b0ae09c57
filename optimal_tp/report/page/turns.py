"""The run's timeline: one lane per candidate, one bar per turn, and what was not counted in plain sight."""

import collections
import typing

from optimal_tp.measurement.estimate import duration, plural
from optimal_tp.report.page.canvas import Canvas, Picture, Scale, colour_of
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.views.timeline import Fate, TimelineTurn

WIDE = 940.0
"""The timeline has the page's whole width; a narrow screen scrolls it."""
LEFT, TOP, LANE = 64.0, 10.0, 36.0
WORDS: typing.Final[dict[Fate, str]] = {
    "counted": "compared",
    "searched": "searching for the load",
    "proof": "proving the choice",
    "beside": "warm-up, idle or test of the plan",
    "disturbed": "disturbed, not compared",
    "left out": "left out by the audit",
}


def timeline_picture(analysis: Analysis) -> Picture | None:
    """Return every turn at its time; None where there was none."""
    stretches = analysis.timeline
    if not stretches:
        return None
    lanes = sorted({one.candidate for one in stretches})
    end = max(one.end_seconds for one in stretches) / 60
    x = Scale(low=0.0, high=max(end, 0.1), start=LEFT, end=WIDE - 10)
    bottom = TOP + LANE * len(lanes)
    canvas = Canvas(bottom + 40)
    for tick in x.ticks(8):
        canvas.line((x(tick), TOP), (x(tick), bottom), "grid")
        canvas.text(x(tick), bottom + 16, f"{tick:g}", "tick", "middle")
    canvas.text((LEFT + WIDE) / 2, bottom + 34, "minutes since the first request", "tick", "middle")
    for number, candidate in enumerate(lanes):
        canvas.text(4, TOP + LANE * (number + 0.5) + 4, candidate.name, "name")
    for one in stretches:
        _bar(canvas, x, one, TOP + LANE * lanes.index(one.candidate))
    counts = collections.Counter(one.fate for one in stretches)
    told = ", ".join(f"{counts[fate]:,} {words}" for fate, words in WORDS.items() if counts[fate])
    title = "Every turn of the run"
    alt = f"{title}: {plural(len(stretches), 'turn')} in {duration(60 * end)}; {told}."
    svg = canvas.svg(alt).replace('viewBox="0 0 460', f'viewBox="0 0 {WIDE:.0f}', 1)
    return Picture(name="timeline", title=title, alt=alt, svg=svg, note=f"{told}.")


def _bar(canvas: Canvas, x: Scale, one: TimelineTurn, top: float) -> None:
    start, end = x(one.start_seconds / 60), x(one.end_seconds / 60)
    width = max(end - start, 1.5)
    block = "" if one.block is None else f", block {one.block}"
    told = f"{one.candidate.name}{block}: {one.why or WORDS[one.fate]}, {duration(one.end_seconds - one.start_seconds)}"
    kind = {"counted": "fill", "proof": "fill pale", "searched": "hollow", "beside": "faint"}.get(one.fate, "bad")
    canvas.box(start, top + 7, (width, LANE - 14), f"{kind} {colour_of(one.candidate)}", told)
    if kind == "bad":
        middle, centre = start + width / 2, top + LANE / 2
        canvas.line((middle - 5, centre - 5), (middle + 5, centre + 5), "cross")
        canvas.line((middle - 5, centre + 5), (middle + 5, centre - 5), "cross")


def skipped(analysis: Analysis) -> tuple[str, ...]:
    """Return a sentence for each turn that was not counted though it was measured to be."""
    return tuple(
        f"{one.candidate.name}{'' if one.block is None else f' block {one.block}'}: {one.why}"
        for one in analysis.timeline
        if one.fate in ("disturbed", "left out") and one.why is not None
    )
