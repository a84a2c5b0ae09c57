"""The report's pictures, each with its title and an alt text made from the same numbers."""

import dataclasses
import functools

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import METRIC_WORDS, Estimate, Interval, figure, ranged
from optimal_tp.measurement.estimate import percent as percent_of
from optimal_tp.report.drawing import Draw, by_candidate, picture, saturation, within
from optimal_tp.report.words import capital
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.comparisons import UNIT, turned_to
from optimal_tp.verdict.readings import limits_by_share

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
    svg_light: str = ""
    """The same on no ground, for a page; empty where the page draws its own."""
    svg_dark: str = ""
    """In colours for dark pages."""


def plots(analysis: Analysis) -> tuple[Plot, ...]:
    """Return every picture that the run has data for; the same analysis gives the same bytes."""
    found = []
    run = analysis.record.run
    limits = analysis.record.settings.limits.asked()
    compared, latencies = ratios(analysis), _latencies(analysis)
    if len(compared) > 1:
        best = next(iter(one for one, estimate in compared.items() if estimate.interval == _ITSELF))
        title = capital(f"{UNIT[analysis.verdict.criterion]}, times {best.name}'s")
        draw = functools.partial(by_candidate, points=compared, label=f"times {best.name}", line=None)
        found.append(_plot("comparison", title, f"{title}: {_listed(compared)}.", draw, run))
    if latencies:
        metric: LimitedMetric = next(iter(limits), "total_latency_ms")
        limit = limits.get(metric)
        percent = MEDIAN if limit is None else limit.percentile
        measure = f"p{percent:g} of {METRIC_WORDS[metric]}"
        line = None if limit is None else ("limit", limit.at_most_ms)
        draw = functools.partial(by_candidate, points=latencies, label=f"{measure}, ms", line=line)
        against = "no limit is set" if limit is None else f"the limit is {figure(limit.at_most_ms)} ms"
        title = f"{measure} at the compared point"
        found.append(_plot("latency", title, f"{title}, in ms: {_listed(latencies)}; {against}.", draw, run))
    if any(step.stage == "block" for step in analysis.steps):
        found.append(_load(analysis, run))
    return tuple(found)


def _load(analysis: Analysis, run: str) -> Plot:
    limits = analysis.record.settings.limits.asked()
    blocks = [step for step in analysis.steps if step.stage == "block"]
    if limits:
        title = "Requests within the limits as arrivals rise (hollow: turns that only searched)"
        told = "; ".join(
            f"{step.candidate.name} {percent_of(step.share_within)} at {figure(step.rate_per_second_per_core)}"
            for step in blocks
        )
        asked = max(limits_by_share(limits))
        draw: Draw = functools.partial(within, steps=analysis.steps, asked=asked)
        return _plot("load", title, f"{title}, requests/s per core: {told}; {percent_of(asked)} asked.", draw, run)
    title = "Throughput as requests in flight rise (filled: where candidates are compared)"
    told = "; ".join(
        f"{step.candidate.name} {figure(step.tokens_per_second_per_core)} with {step.concurrency}" for step in blocks
    )
    draw = functools.partial(saturation, steps=analysis.steps)
    return _plot("load", title, f"{title}, output tokens/s per core: {told}.", draw, run)


_ITSELF = Interval(low=1.0, high=1.0)


def ratios(analysis: Analysis) -> dict[Candidate, Estimate]:
    """Return every compared candidate against the one that is chosen or leads; empty where none is."""
    verdict = analysis.verdict
    named = verdict.chosen or verdict.provisional
    if named is None:
        return {}
    found: dict[Candidate, Estimate] = {}
    for degree in verdict.degrees:
        one = turned_to(verdict.comparisons, degree.name, named)
        if degree.name == named:
            found[degree.candidate] = Estimate(value=1.0, interval=_ITSELF)
        elif one is not None and one.ratio is not None:
            found[degree.candidate] = one.ratio
    return found


def _listed(points: dict[Candidate, Estimate]) -> str:
    return ", ".join(f"{candidate.name} {ranged(one)}" for candidate, one in points.items())


def _latencies(analysis: Analysis) -> dict[Candidate, Estimate]:
    """Return the first limit's percentile by candidate at the compared point; without limits the median."""
    limited = {
        degree.candidate: degree.limits[0].latency_ms
        for degree in analysis.verdict.degrees
        if degree.limits and degree.limits[0].latency_ms is not None
    }
    if analysis.record.settings.limits.asked():
        return limited
    return {
        degree.candidate: degree.median_latency_ms
        for degree in analysis.verdict.degrees
        if degree.median_latency_ms is not None
    }


def _plot(name: str, title: str, alt: str, draw: Draw, run: str) -> Plot:
    return Plot(name=name, title=title, alt=alt, png=picture(draw, "png", told=f"{alt} Run {run}."))
