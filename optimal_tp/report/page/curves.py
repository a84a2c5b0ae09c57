"""Curves: how latencies spread against the limit, the interval block by block, and the share within by load."""

from optimal_tp.measurement.estimate import METRIC_WORDS, figure, percent
from optimal_tp.report.page.canvas import WIDTH, Canvas, Picture, Scale, across, colour_of, shape_of, upwards
from optimal_tp.report.words import latency_words
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.readings import limits_by_share

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 14.0, 24.0, 228.0
HEIGHT = BOTTOM + 42
FULL = 100.0


def cumulative(analysis: Analysis) -> Picture | None:
    """Return the share of requests that are done by each moment, with the limit and the share it asks for."""
    spreads = analysis.spreads
    if not spreads:
        return None
    metric = spreads[0].metric
    limit = analysis.record.settings.limits.asked().get(metric)
    ends = sorted(one.points[-1][0] for one in spreads)
    high = 1.05 * max([ends[-1], *([] if limit is None else [1.2 * limit.at_most_ms])])
    if limit is not None:
        high = min(high, 4 * limit.at_most_ms)
    x = Scale(low=0.0, high=high, start=LEFT, end=RIGHT)
    y = Scale(low=0.0, high=FULL, start=BOTTOM, end=TOP)
    canvas = Canvas(HEIGHT)
    across(canvas, x, BOTTOM, f"{METRIC_WORDS[metric]}, ms", top=TOP)
    upwards(canvas, y, LEFT, "requests done, %", right=RIGHT)
    told = []
    for place, one in enumerate(spreads):
        style = colour_of(one.candidate)
        shown = [(x(ms), y(FULL * share)) for ms, share in one.points if ms <= high]
        canvas.path([(x(one.points[0][0]), y(0)), *shown], f"curve {style}")
        middle = next((pair for pair in one.points if pair[1] >= 0.35 + 0.2 * place), one.points[-1])
        canvas.mark(x(middle[0]), y(FULL * middle[1]), f"fill {style}", shape_of(one.candidate))
        canvas.text(x(middle[0]) + 10, y(FULL * middle[1]) + 14, one.candidate.name, "name")
        within = None if limit is None else max((s for ms, s in one.points if ms <= limit.at_most_ms), default=0.0)
        half = next((ms for ms, share in one.points if share >= 0.5), None)  # noqa: PLR2004 - the median
        told.append(
            f"{one.candidate.name} half after {figure(half)} ms"
            + ("" if within is None else f", {percent(within)} within the limit")
        )
    if limit is not None:
        edge, asked = x(limit.at_most_ms), y(limit.percentile)
        canvas.line((edge, TOP), (edge, BOTTOM), "limit")
        canvas.line((LEFT, asked), (RIGHT, asked), "limit")
        anchor = "end" if limit.at_most_ms > high / 2 else "start"
        words = f"limit {latency_words(limit.at_most_ms)}, {limit.percentile:g} % asked"
        canvas.text(edge + (-6 if anchor == "end" else 6), BOTTOM - 8, words, "limit-word", anchor)
    title = f"How {METRIC_WORDS[metric]} spreads at the compared point"
    alt = f"{title}: {'; '.join(told)}."
    return Picture(name="spread", title=title, alt=alt, svg=canvas.svg(alt))


def narrowed(analysis: Analysis) -> Picture | None:
    """Return the interval of the closest pair after every block."""
    found = analysis.narrowing
    looks = [] if found is None else [one for one in found.looks if one.low is not None and one.high is not None]
    if found is None or len(looks) < 3:  # noqa: PLR2004 - no line to speak of
        return None
    calm = looks[len(looks) // 3 :]
    low = max(0.0, min(one.low or 0.0 for one in calm) - 0.05)
    high = min(max([*(one.high or 0.0 for one in calm), 1 + found.resolution]) + 0.05, 3.0)
    x = Scale(low=looks[0].blocks - 1.0, high=float(looks[-1].blocks), start=LEFT, end=RIGHT, is_whole=True)
    y = Scale(low=FULL * min(low, 0.9), high=FULL * max(high, 1.1), start=BOTTOM, end=TOP)
    canvas = Canvas(HEIGHT)
    across(canvas, x, BOTTOM, "blocks measured", top=TOP)
    upwards(canvas, y, LEFT, f"{found.first} in percent of {found.second}, per core", right=RIGHT)
    upper = [(x(one.blocks), y(FULL * (one.high or 0.0))) for one in looks]
    lower = [(x(one.blocks), y(FULL * (one.low or 0.0))) for one in looks]
    canvas.path([*upper, *reversed(lower)], "band", closed=True)
    canvas.path([(x(one.blocks), y(FULL * one.ratio)) for one in looks], "curve strong")
    canvas.line((LEFT, y(FULL)), (RIGHT, y(FULL)), "limit")
    canvas.text(RIGHT, y(FULL) - 6, f"as much as {found.second}", "limit-word", "end")
    last = looks[-1]
    title = "The answer narrowing, block by block"
    alt = (
        f"{title}: {found.first} over {found.second}, after block {last.blocks} {figure(FULL * last.ratio)} % "
        f"({figure(FULL * (last.low or 0.0))} to {figure(FULL * (last.high or 0.0))})."
    )
    return Picture(name="narrowing", title=title, alt=alt, svg=canvas.svg(alt))


def by_load(analysis: Analysis) -> Picture | None:
    """Return the share within the limits against the rate, or throughput against requests in flight."""
    steps = [step for step in analysis.steps if step.share_within is not None]
    limits = analysis.record.settings.limits.asked()
    if limits:
        points = [
            (step, step.rate_per_second_per_core, FULL * (step.share_within or 0.0))
            for step in steps
            if step.rate_per_second_per_core is not None
        ]
    else:
        points = [
            (step, float(step.concurrency), step.tokens_per_second_per_core)
            for step in steps
            if step.concurrency is not None and step.tokens_per_second_per_core is not None
        ]
    if len({step.candidate for step, _, _ in points}) < 1 or not any(step.stage == "block" for step, _, _ in points):
        return None
    most = max(at for _, at, _ in points)
    x = Scale(
        low=0.0 if limits else min(1.0, most / 2), high=most * 1.08, start=LEFT, end=RIGHT - 24, is_log=not limits
    )
    y = Scale(low=0.0, high=FULL if limits else 1.1 * max(up for _, _, up in points), start=BOTTOM, end=TOP)
    canvas = Canvas(HEIGHT)
    across(canvas, x, BOTTOM, "requests/s per core" if limits else "requests in flight", top=TOP)
    upwards(canvas, y, LEFT, "within the limits, %" if limits else "output tokens/s per core", right=RIGHT)
    told = []
    for step, at, up in points:
        is_block = step.stage == "block"
        style = f"{'fill' if is_block else 'hollow'} {colour_of(step.candidate)}"
        words = f"{step.candidate.name}: {figure(up)} at {figure(at)}"
        canvas.mark(x(at), y(up), style, shape_of(step.candidate), words)
        if is_block:
            canvas.text(x(at) + 9, y(up) + 4, step.candidate.name, "name")
            told.append(words)
    asked = FULL * max(limits_by_share(limits)) if limits else None
    if asked is not None:
        canvas.line((LEFT, y(asked)), (RIGHT, y(asked)), "limit")
        canvas.text(LEFT + 4, y(asked) + 14, f"{asked:g} % asked", "limit-word")
    title = "Requests within the limits as load rises" if limits else "Throughput as load rises"
    alt = f"{title}: {'; '.join(told)}."
    note = "Filled: where candidates are compared. Hollow: turns that only searched."
    return Picture(name="load", title=title, alt=alt, svg=canvas.svg(alt), note=note)
