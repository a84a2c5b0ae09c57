"""A run beside its physical limit, in words: one claim, and one table of all candidates."""

import dataclasses

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.physics import Physics
from optimal_tp.measurement.estimate import MISSING, figure, percent
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.beside.reach import Reach
from optimal_tp.verdict.comparisons import UNIT

TOPIC = "Limit"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The physical limit, as ``verdict.json`` holds it."""

    roof: Roof
    """Of one logical core."""
    candidates: tuple[Reach, ...]


def limits_of(analysis: Analysis) -> Limits | None:
    """Return what ``analysis`` says of the physical limit; None where the cores' roof is not known."""
    physics = analysis.record.physics
    return None if physics is None or not analysis.reached else Limits(roof=physics.roof, candidates=analysis.reached)


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
    allows = "allows" if physics.roof.kind == "published" else "allowed when it was measured at the start"
    sentences = []
    if one.bandwidth_share is None and one.step_ms is not None and one.stage == "block":
        sentences.append(
            f"{one.name} reads more than the cores attained at the start: the machine was busy then, that roof is too "
            "low, and no share is told."
        )
    if one.bandwidth_share is not None:
        computed = (
            "" if one.compute_share is None else f", and {percent(one.compute_share)} of what its cores can compute"
        )
        beside = f" ({', '.join(others)})" if others else ""
        sentences.append(
            f"{one.name} reaches {percent(one.bandwidth_share)} of what memory bandwidth {allows}{beside}{computed}."
        )
    given = "" if one.share_of_bound is None else f", of which it gives {percent(one.share_of_bound)}"
    most = f"{figure(one.bound_per_core)} {UNIT[verdict.criterion]}"
    sentences.append(f"Physics allows it {most} at most{given}; {one.binds} binds.")
    if one.next_factor is not None:
        sentences.append(
            f"TP{one.next_degree} could give at most {figure(one.next_factor)} times as much as {one.name} does."
        )
    sentences.append(f"The roof: {roof_words(physics)}.")
    return " ".join(sentences)


def roof_words(physics: Physics) -> str:
    """Return where the roof's figures come from."""
    return physics.roof.source


HEADS = (
    "Candidate",
    "Of memory bandwidth (MBU)",
    "Of computing (MFU)",
    "Sequences a step",
    "Step in ms",
    "Least in ms",
    "Prompt, least in ms",
    "Measured",
    "At most",
    "Binds",
    "Next degree, at most",
    "KV cache holds",
)


def limit_rows(reached: tuple[Reach, ...]) -> tuple[tuple[str, ...], ...]:
    """Return a row per candidate under ``HEADS``."""
    return tuple(
        (
            one.name,
            percent(one.bandwidth_share),
            percent(one.compute_share),
            figure(one.sequences),
            figure(one.step_ms),
            figure(one.floor_ms),
            figure(one.prefill_floor_ms),
            figure(one.measured_per_core),
            figure(one.bound_per_core),
            one.binds,
            MISSING if one.next_factor is None else f"TP{one.next_degree}: {figure(one.next_factor)} times",
            MISSING if one.kv_tokens is None else f"{one.kv_tokens:,} tokens, {one.kv_sequences:,} sequences",
        )
        for one in reached
    )
