"""What the blocks say about each degree, in the form that decisions need."""

import collections
import dataclasses
import itertools
import math
import typing

from optimal_tp.measurement.run import DegreeRecord, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Key, Turn, key, output_tokens_per_second, samples_by_turn
from optimal_tp.settings.workload import WorkloadSettings

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


VoidReasons = typing.Mapping[int | None, typing.Sequence[str]]
"""Why a degree's measurement is void, by degree; under None, why the whole run is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DegreeEvidence:
    """One measured degree: its blocks and what they carried."""

    record: DegreeRecord
    turns: tuple[tuple[Turn, tuple[Sample, ...]], ...]
    """Its sound block turns with their samples."""
    tokens_per_second: typing.Mapping[int, float]
    """By block: output tokens per second of all replicas; blocks without a figure are absent."""
    faults: tuple[str, ...]
    """Why its measurement is invalid; empty for a valid one."""
    serves: bool
    """Whether every block had at least one request that succeeded."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Every sample of its blocks."""
        return tuple(sample for _, samples in self.turns for sample in samples)

    def log_per_core(self) -> dict[int, float]:
        """Return, by block, the logarithm of output tokens per second per logical core used."""
        return {
            block: math.log(rate / self.record.cores_used) for block, rate in self.tokens_per_second.items() if rate > 0
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run, ready to be judged."""

    settings: WorkloadSettings
    soundness: Soundness
    degrees: typing.Mapping[int, DegreeEvidence]
    """Degrees that were measured or should have been, ascending."""
    ended: typing.Mapping[int, DegreeRecord]
    """Degrees that a gate ended before any load, ascending."""
    unknown: tuple[int, ...]
    """Degrees that the settings ask for and the run says nothing about."""
    void: tuple[str, ...]
    """Why the whole run is void; empty for a valid one."""

    @property
    def blocks(self) -> int:
        """Blocks that every measured degree completed."""
        each = [set(degree.tokens_per_second) for degree in self.degrees.values()]
        return len(set.intersection(*each)) if each else 0


def gather(record: RunRecord, samples: typing.Sequence[Sample], void_reasons: VoidReasons) -> Evidence:
    """Return the evidence in a run."""
    soundness = examine(record, samples)
    records = {degree.degree: degree for degree in sorted(record.degrees, key=lambda item: item.degree)}
    return Evidence(
        settings=record.settings,
        soundness=soundness,
        degrees={
            number: _degree(degree, soundness, void_reasons.get(number, ()))
            for number, degree in records.items()
            if degree.gate is None
        },
        ended={number: degree for number, degree in records.items() if degree.gate is not None},
        unknown=tuple(degree for degree in record.settings.degrees if degree not in records),
        void=tuple(void_reasons.get(None, ())),
    )


def _degree(record: DegreeRecord, soundness: Soundness, reasons: typing.Sequence[str]) -> DegreeEvidence:
    turns = tuple(pair for pair in soundness.turns if pair[0].stage == "block" and pair[0].degree == record.degree)
    unsound = [
        sentence for turn, sentence in soundness.unsound if turn.stage == "block" and turn.degree == record.degree
    ]
    rates = {
        turn.block: rate
        for turn, samples in turns
        if turn.block is not None and (rate := output_tokens_per_second(turn, samples)) is not None
    }
    faults = list(reasons)
    if unsound and len(turns) < SOUND_SHARE * (len(turns) + len(unsound)):
        faults.append(f"{len(unsound)} of {len(turns) + len(unsound)} blocks are left out; the first: {unsound[0]}")
    uncounted = len(turns) - len(rates)
    if uncounted:
        faults.append(f"in {uncounted} of {len(turns)} blocks the server did not count its output tokens")
    return DegreeEvidence(
        record=record,
        turns=turns,
        tokens_per_second=rates,
        faults=tuple(faults),
        serves=all(any(sample.status == "ok" for sample in samples) for _, samples in turns),
    )
