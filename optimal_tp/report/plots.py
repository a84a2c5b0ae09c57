"""The report's pictures, each with its title and an alt text made from the same numbers."""

import dataclasses
import functools

from optimal_tp.measurement.estimate import METRIC_WORDS, Estimate, figure, ranged
from optimal_tp.report.claims import flip_claim
from optimal_tp.report.drawing import Draw, by_degree, choices, for_dark_pages, load, picture
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.curve import telling

MEDIAN = 50.0


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
    """The same on no ground, in colours for dark pages."""


def plots(analysis: Analysis) -> tuple[Plot, ...]:
    """Return every picture that the run has data for; the same analysis gives the same bytes."""
    found = []
    run = analysis.record.run
    points, throughputs = _latencies(analysis), _throughputs(analysis)
    limit = _limit_ms(analysis)
    metric, percent = telling(analysis.record.settings.limits.asked())
    measure = f"p{percent:g} of {METRIC_WORDS[metric]}"
    if points:
        draw = functools.partial(by_degree, points=points, label=f"{measure}, ms", limit=limit)
        found.append(
            _plot("latency", f"{measure} in the blocks, by degree", _latency_alt(points, limit, measure), draw, run)
        )
    if throughputs:
        draw = functools.partial(by_degree, points=throughputs, label="output tokens/s per core", limit=None)
        title = "Output tokens/s per logical core used, by degree"
        found.append(_plot("throughput", title, f"{title}: {_listed(throughputs)}.", draw, run))
    if len(analysis.flips.ranges) > 1:
        draw = functools.partial(choices, ranges=analysis.flips.ranges, limit=limit)
        title = f"The choice, by the limit on {measure}"
        found.append(_plot("choice", title, flip_claim(analysis), draw, run, height_inches=2.0))
    if analysis.curves:
        on_axis = limit if metric == "total_latency_ms" and percent == MEDIAN else None
        draw = functools.partial(load, curves=analysis.curves, limit=on_axis)
        title = "Throughput against latency as load rises (numbers: requests in flight; filled: Pareto set)"
        found.append(_plot("load", title, _load_alt(analysis), draw, run))
    return tuple(found)


def _latency_alt(points: dict[int, Estimate], limit: float | None, measure: str) -> str:
    against = "no limit is set" if limit is None else f"the limit is {figure(limit)} ms"
    return f"{measure} in ms, by degree: {_listed(points)}; {against}."


def _load_alt(analysis: Analysis) -> str:
    parts = [
        f"TP{curve.degree} reaches {figure(curve.saturation.tokens_per_second_per_core)} tokens/s per core "
        f"with {curve.saturation.concurrency} in flight"
        for curve in analysis.curves
    ]
    return f"Output tokens per second per core against median latency as load rises: {'; '.join(parts)}."


def _listed(points: dict[int, Estimate]) -> str:
    return ", ".join(f"TP{degree} {ranged(one)}" for degree, one in points.items())


def _latencies(analysis: Analysis) -> dict[int, Estimate]:
    """Return the limited percentile by degree, as the verdict has it; without limits the median of the blocks."""
    metric, _ = telling(analysis.record.settings.limits.asked())
    limited = {
        degree.degree: one.latency_ms
        for degree in analysis.verdict.degrees
        for one in degree.limits
        if one.metric == metric and one.latency_ms is not None
    }
    if analysis.record.settings.limits.asked():
        return limited
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
    limits = analysis.record.settings.limits.asked()
    metric, _ = telling(limits)
    return limits[metric].at_most_ms if metric in limits else None


def _plot(name: str, title: str, alt: str, draw: Draw, run: str, *, height_inches: float = 3.4) -> Plot:
    svg = picture(draw, "svg", height_inches).decode()
    return Plot(
        name=name,
        title=title,
        alt=alt,
        png=picture(draw, "png", height_inches, f"{alt} Run {run}."),
        svg_light=svg,
        svg_dark=for_dark_pages(svg),
    )
