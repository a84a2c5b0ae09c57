"""The three tiles beneath the headline: throughput per core, latency against the limit, dollars per million tokens."""

import dataclasses

from optimal_tp.measurement.estimate import METRIC_WORDS, bounds, figure, usd
from optimal_tp.report.headline import cost_of, degree_of
from optimal_tp.report.page.interval_rows import tightest
from optimal_tp.report.words import latency_range, latency_words
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.findings import DegreeVerdict, Proof


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure, large, with what it is and how far it is known."""

    label: str
    value: str | None
    """None where there is no figure; ``unit`` then says why in a sentence."""
    unit: str
    interval: str
    """Empty where none is known."""


def tiles(analysis: Analysis) -> tuple[Tile, ...]:
    """Return the tiles of the candidate that is chosen or leads; none where no candidate does."""
    verdict = analysis.verdict
    named = verdict.chosen or verdict.provisional
    if named is None or verdict.outcome == "void":
        return ()
    degree = degree_of(verdict, named)
    return _rate(analysis, degree), _latency(analysis, degree), _dollars(analysis, degree)


def _rate(analysis: Analysis, degree: DegreeVerdict) -> Tile:
    tokens = degree.tokens_per_second_per_core
    if analysis.verdict.criterion == "goodput":
        if degree.goodput_per_second_per_core is None:
            return Tile(label="Goodput per core", value=None, unit="not known yet: try more rates", interval="")
        value, interval = f"about {figure(degree.goodput_per_second_per_core)}", _proven(degree.proof)
        return Tile(label="Goodput per core", value=value, unit="requests/s within the limits", interval=interval)
    if tokens is None:
        return Tile(label="Throughput per core", value=None, unit="not known: a token count is missing", interval="")
    return Tile(
        label="Throughput per core",
        value=figure(tokens.value),
        unit="output tokens/s, saturated",
        interval=bounds(tokens.interval),
    )


def _proven(proof: Proof | None) -> str:
    least = None if proof is None else proof.held_per_second_per_core
    most = None if proof is None else proof.missed_per_second_per_core
    if least is None and most is None:
        return "fitted, not proven"
    sides = (
        None if least is None else f"at least {figure(least)}",
        None if most is None else f"less than {figure(most)}",
    )
    return f"proven: {', '.join(side for side in sides if side is not None)}"


def _latency(analysis: Analysis, degree: DegreeVerdict) -> Tile:
    finding = tightest(degree.limits)
    if finding is None:
        median = degree.median_latency_ms
        if median is None:
            return Tile(label="Median latency", value=None, unit="not known: too many requests failed", interval="")
        interval = latency_range(median.interval)
        return Tile(label="Median latency", value=latency_words(median.value), unit="saturated", interval=interval)
    label = f"p{finding.percent:g} of {METRIC_WORDS[finding.metric]}"
    limit = f"limit {latency_words(finding.at_most_ms)}, measured near the capacity"
    if finding.latency_ms is None:
        ends = [end for count, end in ((degree.failed, "failed"), (degree.given_up, "were given up")) if count]
        why = f"not known: too many requests {' or '.join(ends) or 'failed'}"
        return Tile(label=label, value=None, unit=f"{why}; {limit}", interval="")
    value = finding.latency_ms
    if value.interval.is_above(finding.at_most_ms):
        over = (
            f"limit {latency_words(finding.at_most_ms)}: measured near capacity, over the limit{_met(analysis, degree)}"
        )
        return Tile(label=label, value=latency_words(value.value), unit=over, interval=latency_range(value.interval))
    return Tile(label=label, value=latency_words(value.value), unit=limit, interval=latency_range(value.interval))


def _met(analysis: Analysis, degree: DegreeVerdict) -> str:
    """Return the highest rate at which a turn met the limits, and the lowest at which one did not."""
    rates = analysis.tried.get(degree.candidate, {})
    met, missed = rates.get(True, ()), rates.get(False, ())
    if not met:
        return "; no turn met it"
    least = f", and missed it from {figure(min(missed))}" if missed else ""
    return f"; turns met it at up to {figure(max(met))} requests/s per core{least}"


def _dollars(analysis: Analysis, degree: DegreeVerdict) -> Tile:
    label = "Cost per million output tokens"
    cost = cost_of(analysis, degree)
    if cost is None:
        why = "no price was set; enter yours below" if analysis.money is None else "not known at this point"
        return Tile(label=label, value=None, unit=why, interval="")
    low, high = cost.interval.low, cost.interval.high
    interval = f"{usd(low)} to {usd(high)}" if low is not None and high is not None else ""
    price = "" if analysis.money is None else f"at {usd(analysis.money.usd_per_hour)} an hour"
    return Tile(label=label, value=usd(cost.value), unit=price, interval=interval)
