"""Every sentence of a report, made from the numbers of its run; nothing is said that the data do not carry."""

import dataclasses
import typing

from optimal_tp.measurement.estimate import (
    METRIC_WORDS,
    TIMES,
    Estimate,
    duration,
    figure,
    name_list,
    percent,
    plural,
    ranged,
    usd,
)
from optimal_tp.measurement.node_bill import Receipt
from optimal_tp.report.choice_by_limit import by_limit_claim
from optimal_tp.report.headline import answer, certainty, otherwise
from optimal_tp.report.physics.claims_in_words import TOPIC, limit_claim
from optimal_tp.report.physics.extrapolations import WHAT_IF_TOPIC, what_if_claim
from optimal_tp.report.predicted import predicted_claim
from optimal_tp.report.words import holds
from optimal_tp.verdict.analysis import Analysis, LatencySplit
from optimal_tp.verdict.comparisons import UNIT, turned_to
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.latency import medians_alone
from optimal_tp.verdict.predictions import Prediction


def receipt_claim(receipt: Receipt | None) -> str:
    """Return which nodes were there for how long, what they cost, and what is not known; empty without a receipt."""
    if receipt is None:
        return ""
    unknown = "; ".join(receipt.unknown)
    if not receipt.nodes:
        return f"No Neuron node was seen. Not known: {unknown}."
    nodes = ", ".join(
        f"{total.nodes} x {total.instance_type}, {duration(total.seconds)} in total" for total in receipt.totals
    )
    if receipt.total_usd is None:
        return f"{nodes}. Not known: {unknown}."
    share = receipt.total_usd_per_verdict
    each = "no settled verdict" if share is None else f"{usd(share)} per verdict"
    around = "" if not receipt.idle_usd else f" and about {usd(receipt.idle_usd)} for the cluster around them"
    return f"{nodes}: {usd(receipt.neuron_usd)}{around}; {each}. Not known: {unknown}."


NOISE_SHARE = 0.10
"""Largest residual, as a share of the latency, at which the split is still called a description of the data."""

SHOWN_NOTES = 2
_NUMBERS: typing.Final = {2: "two", 3: "three", 4: "four", 5: "five"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement and what it is about."""

    topic: str
    sentence: str


def claims(analysis: Analysis) -> tuple[Claim, ...]:
    """Return the claims of a report: the answer, its certainty, what otherwise; then whatever the run carries."""
    found = [
        ("Answer", answer(analysis)),
        ("Certainty", certainty(analysis.verdict, analysis.record)),
        ("Otherwise", otherwise(analysis)),
    ]
    if analysis.verdict.outcome != "void":
        found += [
            ("Caveats", _caveats(analysis.verdict)),
            ("By limit", by_limit_claim(analysis)),
            ("Latency", latency_claim(analysis)),
            ("Equal cores", equal_cores_claim(analysis)),
            ("Load", load_claim(analysis)),
            ("Why", "" if analysis.split is None else split_claim(analysis.split)),
            ("Cost", cost_claim(analysis)),
            ("Plan", plan_claim(analysis)),
            (TOPIC, limit_claim(analysis)),
            (WHAT_IF_TOPIC, what_if_claim(analysis)),
        ]
    found.append(("Predicted", predicted_claim(analysis)))
    found += [
        ("Receipt", receipt_claim(analysis.record.receipt)),
        ("Left out", left_out_claim(analysis)),
        ("Run", run_claim(analysis)),
    ]
    return tuple(Claim(topic=topic, sentence=sentence) for topic, sentence in found if sentence)


def _caveats(verdict: Verdict) -> str:
    """Return what limits the figures of a run that is not settled; a settled one says so beside its certainty."""
    if verdict.outcome == "settled" or not verdict.caveats:
        return ""
    return " ".join(holds(each).replace("It holds ", "The figures hold ", 1) for each in verdict.caveats)


def latency_claim(analysis: Analysis) -> str:
    """Return which degree answers fastest alone, as far as the bounds of the medians tell them apart."""
    medians = medians_alone(analysis.latencies)
    if len(medians) < 2:  # noqa: PLR2004 - nothing to order
        return ""
    order = sorted(medians, key=lambda candidate: medians[candidate].value)
    listed = ", ".join(f"{candidate.name} {ranged(medians[candidate], 'ms')}" for candidate in order)
    lowest = order[0] if _apart(medians[order[0]], medians[order[1]]) else None
    highest = order[-1] if _apart(medians[order[-2]], medians[order[-1]]) else None
    if lowest is None:
        noise = "the difference between the two lowest is within the noise"
        return f"Median latency, one request at a time: {listed}; {noise}."
    last = "" if highest is None else f", {highest.name} the highest"
    return f"{lowest.name} has the lowest latency{last}; median, one request at a time: {listed}."


def _apart(lower: Estimate, upper: Estimate) -> bool:
    """Whether the bounds of two medians leave no doubt which is the lower."""
    return lower.interval.high is not None and upper.interval.is_above(lower.interval.high)


def equal_cores_claim(analysis: Analysis) -> str:
    """Return what the same number of cores gives at each degree, and whether that was measured."""
    if not analysis.equal_cores:
        return ""
    parts = [
        f"{one.servers}{TIMES}{one.name} {figure(one.tokens_per_second)} tokens/s"
        f"{'' if one.measured else ' (computed, not measured together)'}"
        for one in analysis.equal_cores
    ]
    return f"On {plural(analysis.equal_cores[0].cores, 'logical core')}: {', '.join(parts)}."


def load_claim(analysis: Analysis) -> str:
    """Return what was seen of each candidate near its capacity: the compared point."""
    parts = []
    for step in analysis.steps:
        if step.stage != "block":
            continue
        load = (
            f"at {figure(step.rate_per_second_per_core)} requests/s per core"
            if step.rate_per_second_per_core is not None
            else f"with {plural(step.concurrency or 0, 'request')} in flight"
        )
        within = (
            "" if step.share_within is None else f", {percent(step.share_within)} of the requests within the limits"
        )
        within = within if analysis.record.settings.limits.asked() else ""
        parts.append(
            f"{step.candidate.name} {load}: {figure(step.tokens_per_second_per_core)} output tokens/s per core, "
            f"median latency {figure(step.latency_p50_ms)} ms{within}."
        )
    return " ".join(parts)


def split_claim(split: LatencySplit) -> str:
    """Return how latency splits, how well that describes it, and what it says, as extrapolation, of the next degree."""
    growth = "" if not split.per_doubling_ms else f", and each doubling adds {figure(split.per_doubling_ms)} ms"
    count = _NUMBERS.get(len(split.observed_ms), str(len(split.observed_ms)))
    if split.exact:
        fit = f"{count} points, {count} parameters: a sketch"
    elif split.worst_residual_share > NOISE_SHARE:
        fit = f"a poor fit, off by up to {percent(split.worst_residual_share)}"
    else:
        fit = f"the fit is off by at most {percent(split.worst_residual_share)}"
    largest = max(split.observed_ms)
    return (
        f"About {figure(split.divided_ms)} ms of the median latency shrinks as cores are added, "
        f"{figure(split.kept_ms)} ms does not{growth} ({fit}). Extrapolated, not measured: TP{split.next_degree} would "
        f"take {figure(split.next_ms)} ms; to match TP{largest} per core it would have to take "
        f"{figure(split.observed_ms[largest] * largest / split.next_degree)} ms."
    )


def cost_claim(analysis: Analysis) -> str:
    """Return the cost per million output tokens and of the experiment; empty without a price."""
    costs = analysis.money
    if costs is None:
        return ""
    parts = [
        f"{one.name} {usd(one.in_blocks.value)} "
        f"({usd(one.in_blocks.interval.low)} to {usd(one.in_blocks.interval.high)})"
        for one in costs.tokens
        if one.in_blocks is not None
    ]
    price = f"{usd(costs.usd_per_hour)} an hour for {plural(costs.billed_cores, 'core')} ({costs.source}, {costs.date})"
    tokens = f"Per million output tokens: {', '.join(parts)}, at {price}." if parts else f"Price: {price}."
    even = " ".join(break_evens(analysis))
    return f"{tokens}{' ' + even if even else ''} The experiment itself: {usd(costs.experiment_usd)} without set-up."


def break_evens(analysis: Analysis) -> list[str]:
    """Return, of each candidate shown to do less per core, how much less its cores would have to cost."""
    verdict = analysis.verdict
    if verdict.chosen is None:
        return []
    found = []
    for degree in verdict.degrees:
        one = turned_to(verdict.comparisons, degree.name, verdict.chosen)
        if one is not None and one.ratio is not None and one.ratio.interval.is_below(1.0):
            less = f"{100 * (1 - one.ratio.value):.0f} %"
            found.append(f"{degree.name} is cheaper per token only if its cores cost at least {less} less.")
    return found


def plan_claim(analysis: Analysis) -> str:
    """Return what the plan's model says of the compared point, and how far it was off in turns that it never saw."""
    prediction = analysis.prediction
    if prediction is None:
        return ""
    verdict = analysis.verdict
    by = {each.name: each for each in verdict.degrees}
    parts = []
    for one in prediction.capacities:
        seen = by[one.candidate.name]
        tokens = seen.tokens_per_second_per_core
        value, how = (tokens.value if tokens is not None else None), "measured"
        if verdict.criterion == "goodput":
            value, how = seen.goodput_per_second_per_core, "fitted to its turns"
        beside = "" if value is None else f" ({how}: {figure(value)})"
        parts.append(f"{one.candidate.name} {ranged(one.per_core)}{beside}")
    if not parts:
        return ""
    sentences = [
        f"The fleet planning model, fitted to this run, predicts {UNIT[verdict.criterion]}: {', '.join(parts)}."
    ]
    if len(parts) > 1 and verdict.chosen in {one.candidate.name for one in prediction.capacities}:
        sentences.append(_plans_order(analysis, prediction))
    if prediction.held_out:
        worst = max(prediction.held_out, key=lambda one: abs(one.error))
        sentences.append(
            f"On turns it was not fitted to, its largest error is {100 * worst.error:+.1f} % "
            f"(p{worst.percent:g} of {METRIC_WORDS[worst.metric]}, {worst.candidate.name})."
        )
    return " ".join(sentences)


def _plans_order(analysis: Analysis, prediction: Prediction) -> str:
    """Return whether the plan names the candidate that the verdict chose."""
    first = max(prediction.capacities, key=lambda one: one.per_core.value).candidate.name
    if first == analysis.verdict.chosen:
        return f"It also finds {first} the cheapest."
    return f"It finds {first} the cheapest, but within its stated error."


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
        "budget": "it used up its time budget",
        "blocks": "it completed all its blocks",
        "interrupted": "it was interrupted",
        "failed": "it failed",
        "running": "it was still running",
    }[record.ending]
    detail = f": {record.ending_detail}" if record.ending_detail else ""
    return (
        f"{record.run}, {record.place}, {record.settings.model.name}, "
        f"{name_list(each.candidate for each in record.degrees)}, {duration(record.elapsed_seconds)}; "
        f"{ending}{detail.rstrip('.')}."
    )
