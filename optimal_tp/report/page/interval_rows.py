"""Rows of a name, a dot and its interval: what each candidate does, and how long it takes, against the limit."""

import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import METRIC_WORDS, Estimate, ranged
from optimal_tp.report.page.canvas import ROW, WIDTH, Canvas, Picture, Scale, across, colour_of, shape_of
from optimal_tp.report.plots import ratios
from optimal_tp.report.words import capital, latency_words
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.findings import LimitFinding

LEFT, RIGHT = 64, WIDTH - 96
Row = tuple[Candidate, Estimate, str]
"""A candidate, its figure, and the words at the row's end."""


def rows_picture(
    name: str,
    title: str,
    rows: typing.Sequence[Row],
    *,
    label: str,
    line: tuple[float, str] | None = None,
    unit: str = "",
) -> Picture:
    """Return one row for each of ``rows``; ``line`` is a value across all of them, and its name."""
    ends = [end for _, one, _ in rows for end in (one.value, one.interval.low, one.interval.high) if end is not None]
    ends += [] if line is None else [line[0]]
    high = 1.06 * max(ends)
    scale = Scale(low=0.0, high=high, start=LEFT, end=RIGHT)
    top = 22.0
    bottom = top + ROW * len(rows)
    canvas = Canvas(bottom + 42)
    across(canvas, scale, bottom, label, top=top, unit=unit)
    for place, (candidate, one, words) in enumerate(rows):
        y = top + ROW * (place + 0.5)
        style = colour_of(candidate)
        low, end = one.interval.low, one.interval.high
        canvas.text(4, y + 4, candidate.name, "name")
        canvas.line((scale(low or 0.0), y), (scale(high if end is None else end), y), f"span {style}")
        for edge, is_open in ((low, low is None), (end, end is None)):
            if edge is not None and not is_open:
                canvas.line((scale(edge), y - 6), (scale(edge), y + 6), f"span {style}")
        canvas.mark(scale(one.value), y, f"fill {style}", shape_of(candidate))
        canvas.text(RIGHT + 8, y + 4, words, "value")
    if line is not None:
        canvas.line((scale(line[0]), top - 4), (scale(line[0]), bottom), "limit")
        canvas.text(
            min(scale(line[0]), RIGHT), top - 8, line[1], "limit-word", "end" if line[0] > high / 2 else "start"
        )
    listed = ", ".join(f"{candidate.name} {ranged(one)}" for candidate, one, _ in rows)
    against = "" if line is None else f"; {line[1]}"
    alt = f"{title}: {listed}{against}."
    return Picture(name=name, title=title, alt=alt, svg=canvas.svg(alt))


def against_choice(analysis: Analysis) -> Picture | None:
    """Return what each candidate does per core, in percent of the chosen one; None where nothing was compared."""
    verdict = analysis.verdict
    named = verdict.chosen or verdict.provisional
    percents = {candidate: ratio.scaled(100) for candidate, ratio in ratios(analysis).items()}
    rows = [(candidate, percent, f"{percent.value:.0f} %") for candidate, percent in percents.items()]
    if len(rows) < 2:  # noqa: PLR2004 - nothing to hold against each other
        return None
    what = "requests/s" if verdict.criterion == "goodput" else "output tokens/s"
    title = f"{capital(what)} per core, in percent of {named}'s"
    return rows_picture("comparison", title, rows, label="dot: estimate; bar: range that the data allow", unit=" %")


def against_limit(analysis: Analysis) -> Picture | None:
    """Return the limited percentile, or without limits the median, at each candidate's compared point."""
    rows: list[Row] = []
    line = None
    title = "Median latency at the compared point, in ms"
    for degree in analysis.verdict.at_one_point:
        finding = tightest(degree.limits)
        one = degree.median_latency_ms if finding is None else finding.latency_ms
        if finding is not None:
            line = (finding.at_most_ms, f"limit {latency_words(finding.at_most_ms)}")
            title = f"p{finding.percent:g} of {METRIC_WORDS[finding.metric]} at the compared point, in ms"
        if one is not None and degree.word != "invalid":
            rows.append((degree.candidate, one, latency_words(one.value)))
    if not rows:
        return None
    return rows_picture("latency", title, rows, label="ms, from the planned send", line=line)


def tightest(limits: typing.Sequence[LimitFinding]) -> LimitFinding | None:
    """Return the limit whose percentile is nearest to it, or the first where none has a figure; None without limits."""
    known = [one for one in limits if one.latency_ms is not None]
    if not known:
        return limits[0] if limits else None
    return max(known, key=lambda one: one.latency_ms.value / one.at_most_ms if one.latency_ms else 0.0)
