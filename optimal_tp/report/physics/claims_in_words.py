"""A run beside its physical limit, in words: one claim, and one table of all candidates."""

import dataclasses
import typing

from optimal_tp.errors import quantity
from optimal_tp.facts.hardware import LINK_BYTES_PER_SECOND, LOGICAL_CORES_PER_CHIP, Roof
from optimal_tp.measurement.estimate import MISSING, figure, percent
from optimal_tp.plan.roofline.floors import Resource
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.beside.reach import Reach
from optimal_tp.verdict.comparisons import UNIT
from optimal_tp.verdict.findings import Criterion

TOPIC = "Limit"
NEAR = 0.5
"""Share of what bandwidth or computing allows, below which that is not what holds a candidate down."""
_DOES: typing.Final[dict[Resource, str]] = {"memory bandwidth": "reads", "computing": "computes"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhysicalLimits:
    """The physical limit, as ``verdict.json`` holds it."""

    roof: Roof
    """Of one logical core."""
    candidates: tuple[Reach, ...]
    measured: tuple[Roof, ...] = ()
    """Every measurement that the roof is the largest figures of, in the order of time; empty where it is published."""
    drift_share: float | None = None
    """By how much their most different figures differ, 1 - least / largest; null of fewer than two measurements."""


def limits_of(analysis: Analysis) -> PhysicalLimits | None:
    """Return what ``analysis`` says of the physical limit; None where the cores' roof is not known."""
    physics = analysis.record.physics
    if physics is None or not analysis.reached:
        return None
    return PhysicalLimits(
        roof=physics.roof,
        candidates=analysis.reached,
        measured=physics.measured,
        drift_share=physics.drift_share,
    )


def limit_claim(analysis: Analysis) -> str:
    """Return how far the named candidate is from its limit, and what the next degree could gain at most.

    Empty where the cores' roof is not known.
    """
    physics, verdict = analysis.record.physics, analysis.verdict
    if physics is None or not analysis.reached:
        return ""
    named = verdict.chosen or verdict.provisional
    one = next((each for each in analysis.reached if each.name == named), analysis.reached[0])
    others = [
        f"{each.name} {percent(each.bandwidth_share)}"
        for each in analysis.reached
        if each is not one and each.bandwidth_share is not None
    ]
    allows = "allows" if physics.roof.kind == "published" else "allowed when it was measured"
    sentences = []
    if one.beyond_roof:
        does = " and ".join(_DOES[what] for what in one.beyond_roof)
        sentences.append(
            f"{one.name} {does} more than the cores attained without servers. The machine was busy then, so that "
            "peak is too low and no share is given."
        )
    if one.bandwidth_share is not None:
        computed = (
            "" if one.compute_share is None else f", and {percent(one.compute_share)} of what its cores can compute"
        )
        beside = f" ({', '.join(others)})" if others else ""
        sentences.append(
            f"{one.name} reaches {percent(one.bandwidth_share)} of what memory bandwidth {allows}{beside}{computed}."
        )
    given = "" if one.share_of_bound is None else f"; it reaches {percent(one.share_of_bound)} of that"
    most = f"{figure(one.bound_per_core)} {UNIT[verdict.criterion]}"
    sentences.append(f"Physics allows at most {most}{given}. {_binding(one)}")
    if one.next_factor is not None and can_run(analysis, one.next_degree):
        sentences.append(
            f"TP{one.next_degree} could give at most {figure(one.next_factor)} times as much as {one.name} does."
        )
    if physics.roof.kind == "published" and max(one.degree, one.next_degree or 0) > LOGICAL_CORES_PER_CHIP:
        sentences.append(
            f"What chips exchange over NeuronLink (at most {figure(LINK_BYTES_PER_SECOND / 1e9)} GB/s a chip) is not "
            "counted, so these bounds are generous."
        )
    sentences.append(f"Source of the peak: {physics.roof.source}.")
    return " ".join(sentences)


def _binding(one: Reach) -> str:
    """Return what holds the candidate down, or where its shares say that nothing known does, what would first."""
    shares = [share for share in (one.bandwidth_share, one.compute_share) if share is not None]
    if not shares or one.beyond_roof or max(shares) >= NEAR:
        return f"The bottleneck is {one.binds}."
    return (
        f"{one.binds.capitalize()} would bind first."
        if len(shares) == 1
        else "That roof is far away: neither memory nor computing is near it."
    )


def can_run(analysis: Analysis, degree: int) -> bool:
    """Whether the run's place may have room for ``degree``: no gate refused it, and a local machine has the cores."""
    if any(one.degree == degree and one.word == "no-fit" for one in analysis.verdict.degrees):
        return False
    cores = max((one.cores_used or 0 for one in analysis.verdict.degrees), default=0)
    return analysis.record.place != "local" or degree <= cores


_HEADS = (
    "Candidate",
    "Of memory bandwidth (MBU)",
    "Of computing (MFU)",
    "Sequences a step",
    "Step in ms",
    "Least in ms",
    "Reading weights + keys and values, ms",
    "Prompt, least in ms",
    "Measured",
    "At most",
    "Would bind first",
    "Next degree, at most",
    "KV cache holds",
)


def limit_heads(criterion: Criterion) -> tuple[str, ...]:
    """Return the heads of ``limit_rows``: goodput is fitted, throughput measured."""
    return tuple("Fitted" if head == "Measured" and criterion == "goodput" else head for head in _HEADS)


def limit_rows(
    reached: tuple[Reach, ...], runs: typing.Callable[[int], bool] = lambda _: True
) -> tuple[tuple[str, ...], ...]:
    """Return a row per candidate under ``limit_heads``; a next degree that ``runs`` rejects has no figure."""
    return tuple(
        (
            one.name,
            percent(one.bandwidth_share),
            percent(one.compute_share),
            figure(one.sequences),
            figure(one.step_ms),
            figure(one.floor_ms),
            MISSING if one.weights_floor_ms is None else f"{figure(one.weights_floor_ms)} + {figure(one.kv_floor_ms)}",
            figure(one.prefill_floor_ms),
            figure(one.measured_per_core),
            figure(one.bound_per_core),
            one.binds,
            MISSING
            if one.next_factor is None or not runs(one.next_degree)
            else f"TP{one.next_degree}: {figure(one.next_factor)} times",
            MISSING
            if one.kv_tokens is None
            else f"{one.kv_tokens:,} tokens, {quantity(one.kv_sequences or 0, 'sequence', 'sequences')}",
        )
        for one in reached
    )
