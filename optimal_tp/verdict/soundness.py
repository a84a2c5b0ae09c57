"""Whether samples can be what they say: nothing twice, nothing missing, no clock that ran backwards."""

import collections
import dataclasses
import itertools
import math
import typing

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Key, Turn, key, samples_by_turn

SOUND_SHARE = 0.9
"""Share of a degree's block turns that must be sound; below it the degree is invalid, not merely measured less."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Soundness:
    """The turns that may be used with their samples, and the fault of each that may not."""

    turns: tuple[tuple[Turn, tuple[Sample, ...]], ...]
    unsound: tuple[tuple[Turn, str], ...]
    notes: tuple[str, ...]


def examine(record: RunRecord, samples: typing.Sequence[Sample]) -> Soundness:
    """Return the sound turns of ``record``; exact duplicates of a sample count once, warm-ups are left out."""
    distinct = tuple(dict.fromkeys(samples))
    notes = []
    if len(distinct) < len(samples):
        notes.append(f"{len(samples) - len(distinct)} of {len(samples)} samples are exact duplicates; each counts once")
    grouped = samples_by_turn(distinct)
    repeated = {name for name, count in collections.Counter(map(key, record.turns)).items() if count > 1}
    sound: list[tuple[Turn, tuple[Sample, ...]]] = []
    unsound: list[tuple[Turn, str]] = []
    for turn in record.turns:
        if turn.stage == "warm_up":
            continue
        own = grouped.get(key(turn), [])
        fault = "it is recorded twice" if key(turn) in repeated else turn_fault(turn, own)
        if fault is None:
            sound.append((turn, tuple(own)))
        else:
            unsound.append((turn, f"{turn_name(turn)}: {fault}"))
    known: set[Key] = {key(turn) for turn in record.turns}
    strays = sum(len(group) for name, group in grouped.items() if name not in known)
    if strays:
        notes.append(f"{strays} samples belong to turns that did not end; they are left out")
    return Soundness(turns=tuple(sound), unsound=tuple(unsound), notes=tuple(notes))


def turn_name(turn: Turn) -> str:
    """Return how a reader finds ``turn``: "TP2 block 3"."""
    return f"TP{turn.degree} {turn.stage}" + ("" if turn.block is None else f" {turn.block}")


def turn_fault(turn: Turn, samples: typing.Sequence[Sample]) -> str | None:
    """Return what makes ``turn`` unusable, in words; None if nothing does."""
    if not (math.isfinite(turn.start_seconds) and math.isfinite(turn.end_seconds)):
        return "its start or end is no finite number"
    if turn.end_seconds < turn.start_seconds:
        return f"it ends {turn.start_seconds - turn.end_seconds:.3f} s before it starts: the clock stepped"
    requests = {(sample.replica, sample.request) for sample in samples}
    if len(requests) < len(samples):
        return f"{len(samples) - len(requests)} requests have two samples that contradict each other"
    if len(samples) != turn.requests:
        return f"it has {len(samples)} samples for {turn.requests} requests"
    return next((fault for fault in map(sample_fault, samples) if fault is not None), None)


def sample_fault(sample: Sample) -> str | None:
    """Return what makes ``sample`` impossible, in words; None if nothing does."""
    moments = [sample.intended_seconds, sample.sent_seconds, *sample.token_seconds, sample.end_seconds]
    known = [moment for moment in moments if moment is not None]
    if not all(math.isfinite(moment) for moment in known):
        return f"request {sample.request} has a time that is no finite number"
    if any(later < earlier for earlier, later in itertools.pairwise(known)):
        return f"request {sample.request} has times out of order: the clock stepped"
    for name, count in (("prompt", sample.prompt_tokens), ("output", sample.output_tokens)):
        if count is not None and (not isinstance(count, int) or count < 0):
            return f"request {sample.request} has {count!r} {name} tokens"
    return None
