"""Every sentence of a report, made from the numbers of its run; nothing is said that the data do not carry."""

import dataclasses

from optimal_tp.measurement.estimate import (
    METRIC_WORDS,
    TIMES,
    Estimate,
    bounds,
    degree_list,
    duration,
    figure,
    percent,
    plural,
    ranged,
    usd,
)
from optimal_tp.measurement.receipt import NodeSeconds, NodeSpan, Receipt
from optimal_tp.report.headline import answer, certainty, otherwise
from optimal_tp.verdict.analysis import Analysis, LatencySplit
from optimal_tp.verdict.curve import LoadCurve, Step
from optimal_tp.verdict.flips import LimitRange
from optimal_tp.verdict.latency import medians_alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bill:
    """A receipt with its sums, as ``verdict.json`` holds it. What is not known is null."""

    nodes: tuple[NodeSpan, ...]
    totals: tuple[NodeSeconds, ...]
    neuron_usd: float | None
    idle_usd: float | None
    usd: float | None
    verdicts: int
    usd_per_verdict: float | None
    unknown: tuple[str, ...]


def bill(receipt: Receipt) -> Bill:
    """Return ``receipt`` with its sums."""
    return Bill(**{field.name: getattr(receipt, field.name) for field in dataclasses.fields(Bill)})


def receipt_claim(receipt: Receipt | None) -> str:
    """Return which nodes were there for how long, what they cost, and what is not known; empty without a receipt."""
    if receipt is None:
        return ""
    unknown = "; ".join(receipt.unknown)
    if not receipt.nodes:
        return f"No Neuron node was seen. Not known: {unknown}."
    nodes = ", ".join(
        f"{total.nodes} x {total.instance_type}, {duration(total.seconds)} together" for total in receipt.totals
    )
    if receipt.usd is None:
        return f"{nodes}. Not known: {unknown}."
    each = (
        "no verdict was settled" if receipt.usd_per_verdict is None else f"{usd(receipt.usd_per_verdict)} per verdict"
    )
    around = "" if not receipt.idle_usd else f" and about {usd(receipt.idle_usd)} for what ran around them"
    return f"{nodes}: {usd(receipt.neuron_usd)}{around}; {each}. Not known: {unknown}."


NOISE_SHARE = 0.10
"""Largest residual, as a share of the latency, at which the split is still called a description of the data."""

SHOWN_NOTES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement and what it is about."""

    topic: str
    sentence: str


def claims(analysis: Analysis) -> tuple[Claim, ...]:
    """Return the claims of a report: the answer, its certainty, what otherwise; then whatever the run carries."""
    found = [
        ("Answer", answer(analysis.verdict)),
        ("Certainty", certainty(analysis.verdict)),
        ("Otherwise", otherwise(analysis)),
    ]
    if analysis.verdict.outcome != "void":
        found += [
            ("Latency", latency_claim(analysis)),
            ("When it would change", flip_claim(analysis)),
            ("Price of a core", price_claim(analysis)),
            ("Equal cores", equal_cores_claim(analysis)),
            ("Load", load_claim(analysis.curves)),
            ("Why", "" if analysis.split is None else split_claim(analysis.split)),
            ("Cost", cost_claim(analysis)),
            ("Neighbouring blocks", autocorrelation_claim(analysis)),
        ]
    found += [
        ("Receipt", receipt_claim(analysis.record.receipt)),
        ("Left out", left_out_claim(analysis)),
        ("Run", run_claim(analysis)),
    ]
    return tuple(Claim(topic=topic, sentence=sentence) for topic, sentence in found if sentence)


def latency_claim(analysis: Analysis) -> str:
    """Return which degree answers fastest alone, as far as the bounds of the medians tell them apart."""
    medians = medians_alone(analysis.latencies)
    if len(medians) < 2:  # noqa: PLR2004 - nothing to order
        return ""
    order = sorted(medians, key=lambda degree: medians[degree].value)
    listed = ", ".join(f"TP{degree} {ranged(medians[degree], 'ms')}" for degree in order)
    lowest = order[0] if _apart(medians[order[0]], medians[order[1]]) else None
    highest = order[-1] if _apart(medians[order[-2]], medians[order[-1]]) else None
    if lowest is None:
        return f"Median latency, one request at a time: {listed}; the two lowest are not told apart."
    last = "" if highest is None else f", TP{highest} the highest"
    return f"TP{lowest} has the lowest latency{last}; median, one request at a time: {listed}."


def _apart(lower: Estimate, upper: Estimate) -> bool:
    """Whether the bounds of two medians leave no doubt which is the lower."""
    return lower.interval.high is not None and upper.interval.is_above(lower.interval.high)


def flip_claim(analysis: Analysis) -> str:
    """Return the choice as a function of the latency limit."""
    flips = analysis.flips
    if not flips.ranges:
        return ""
    parts = [_range_words(one) for one in reversed(flips.ranges) if one.from_ms is not None]
    below = flips.ranges[0].to_ms if flips.ranges[0].degree is None else None
    if below is not None:
        parts.append(f"none below {figure(below)} ms")
    metric = METRIC_WORDS[flips.metric]
    return f"By the limit on p{flips.percent:g} of {metric}: {'; '.join(parts)}."


def _range_words(one: LimitRange) -> str:
    band = "" if one.from_ms is None else f" (lower end {bounds(one.from_ms.interval)})"
    low = figure(None if one.from_ms is None else one.from_ms.value)
    if one.to_ms is None:
        return f"TP{one.degree} from {low} ms up{band}"
    return f"TP{one.degree} from {low} to {figure(one.to_ms)} ms{band}"


def price_claim(analysis: Analysis) -> str:
    """Return the core prices at which another degree would cost no more per token."""
    return " ".join(
        f"Per token TP{flip.degree} would cost less than TP{flip.against} only where its cores cost less than "
        f"{ranged(flip.core_price_ratio)} times as much."
        for flip in analysis.flips.prices
    )


def equal_cores_claim(analysis: Analysis) -> str:
    """Return what the same number of cores gives at each degree, and whether that was measured."""
    if not analysis.equal_cores:
        return ""
    parts = [
        f"{one.servers}{TIMES}TP{one.degree} {figure(one.tokens_per_second)} tokens/s"
        f"{'' if one.measured else ' (computed from one layout, not measured together)'}"
        for one in analysis.equal_cores
    ]
    return f"On {plural(analysis.equal_cores[0].cores, 'logical core')}: {', '.join(parts)}."


def load_claim(curves: tuple[LoadCurve, ...]) -> str:
    """Return saturation, knee and capacity at the limit of each degree."""
    sentences = []
    for curve in curves:
        knee = "" if curve.knee is None else f", knee at {_in_flight(curve.knee)}"
        limit = "no step holds the limits"
        if curve.at_limit is not None:
            limit = f"capacity at the limit {figure(curve.at_limit.tokens_per_second)} tokens/s"
        sentences.append(
            f"TP{curve.degree}: {figure(curve.saturation.tokens_per_second)} tokens/s at most, "
            f"with {_in_flight(curve.saturation)}{knee}; {limit}."
        )
    return " ".join(sentences)


def _in_flight(step: Step) -> str:
    return f"{plural(step.concurrency, 'request')} in flight"


def split_claim(split: LatencySplit) -> str:
    """Return how latency splits, how well that describes it, and what it says, as extrapolation, of the next degree."""
    growth = "" if not split.per_doubling_ms else f", and each doubling adds {figure(split.per_doubling_ms)} ms"
    if split.exact:
        fit = "as many terms as degrees, so nothing tests it"
    elif split.worst_residual_share > NOISE_SHARE:
        fit = f"it misses by up to {percent(split.worst_residual_share)}, too much to describe the data"
    else:
        fit = f"it misses by at most {percent(split.worst_residual_share)}"
    largest = max(split.observed_ms)
    return (
        f"Fitted to the medians, {figure(split.divided_ms)} ms of the latency divide by the degree and "
        f"{figure(split.kept_ms)} ms do not{growth} ({fit}). Extrapolated, not measured: TP{split.next_degree} would "
        f"take {figure(split.next_ms)} ms; to match TP{largest} per core it would have to take "
        f"{figure(split.observed_ms[largest] * largest / split.next_degree)} ms."
    )


def cost_claim(analysis: Analysis) -> str:
    """Return the cost per million output tokens and of the experiment; empty without a price."""
    costs = analysis.money
    if costs is None:
        return ""
    parts = [
        f"TP{one.degree} {usd(one.in_blocks.value)} ({usd(one.in_blocks.interval.low)} to "
        f"{usd(one.in_blocks.interval.high)})"
        for one in costs.tokens
        if one.in_blocks is not None
    ]
    price = f"{usd(costs.usd_per_hour)} an hour for {plural(costs.billed_cores, 'core')} ({costs.source}, {costs.date})"
    tokens = f"Per million output tokens: {', '.join(parts)}; " if parts else ""
    return f"{tokens}at {price}. The experiment itself: {usd(costs.experiment_usd)}, set-up not counted."


def autocorrelation_claim(analysis: Analysis) -> str:
    """Return whether neighbouring blocks resemble each other, and what was done about it."""
    looked_at = [one for one in analysis.verdict.comparisons if one.autocorrelation is not None]
    alike = [one for one in looked_at if one.batch > 1]
    if not looked_at:
        return ""
    if not alike:
        return "Paired differences of neighbouring blocks show no resemblance that would widen an interval."
    parts = [
        f"TP{one.first} against TP{one.second} {ranged(one.autocorrelation)}, blocks averaged {one.batch} at a time"
        for one in alike
    ]
    return f"Paired differences of neighbouring blocks resemble each other (lag one): {'; '.join(parts)}."


def left_out_claim(analysis: Analysis) -> str:
    """Return what was left out; the first few in words, all of them counted."""
    notes = analysis.verdict.notes
    if not notes:
        return ""
    shown = "; ".join(note.rstrip(".") for note in notes[:SHOWN_NOTES])
    rest = len(notes) - SHOWN_NOTES
    return f"{shown}{f'; and {rest} more, listed in verdict.json' if rest > 0 else ''}."


def run_claim(analysis: Analysis) -> str:
    """Return what ran, for how long, and how it ended."""
    record = analysis.record
    ending = {
        "settled": "it ended when the verdict was settled",
        "budget": "its time budget ended it",
        "blocks": "its last block ended it",
        "interrupted": "it was interrupted",
        "failed": "it failed",
        "running": "it had not ended",
    }[record.ending]
    detail = f": {record.ending_detail}" if record.ending_detail else ""
    return (
        f"{record.run}, {record.place}, {record.settings.model.name}, "
        f"{degree_list(tuple(degree.degree for degree in record.degrees))}, {duration(record.elapsed_seconds)}; "
        f"{ending}{detail.rstrip('.')}."
    )
