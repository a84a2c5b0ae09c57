"""The evidence of the blocks about each candidate, in the form that decisions need."""

import collections
import dataclasses
import math
import operator
import typing

from optimal_tp.errors import quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.run import DegreeRecord, RunRecord, TraceRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import (
    Key,
    Turn,
    counted,
    key,
    latency_ms,
    of,
    output_tokens_per_second,
    samples_by_turn,
)
from optimal_tp.settings.workload import Limit, LimitedMetric, WorkloadSettings

SOUND_SHARE = 0.9
"""Share of a candidate's block turns that must be sound; below it the candidate is invalid, not just measured less."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Soundness:
    """The usable turns with their samples, and the fault of each unusable turn."""

    turns: tuple[tuple[Turn, tuple[Sample, ...]], ...]
    unsound: tuple[tuple[Turn, str], ...]
    notes: tuple[str, ...]


def examine(record: RunRecord, samples: typing.Sequence[Sample]) -> Soundness:
    """Return the sound turns of ``record``; exact duplicates of a sample count once, warm-ups are left out."""
    distinct = _distinct(samples)
    notes = []
    if len(distinct) < len(samples):
        twice = len(samples) - len(distinct)
        what = "is an exact duplicate" if twice == 1 else "are exact duplicates"
        notes.append(f"{twice} of {len(samples)} samples {what}; each counts once")
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
        notes.append(f"{quantity(strays, 'sample belongs', 'samples belong')} to turns that did not end: left out")
    return Soundness(turns=tuple(sound), unsound=tuple(unsound), notes=tuple(notes))


_REQUEST = operator.attrgetter(
    "stage", "degree", "max_num_seqs", "block", "concurrency", "rate_per_second", "replica", "request"
)


def _distinct(samples: typing.Sequence[Sample]) -> tuple[Sample, ...]:
    """Return each of ``samples`` once. Only samples of one request can be equal, and whole samples compare slowly."""
    is_once_each = len(set(map(_REQUEST, samples))) == len(samples)
    return tuple(samples) if is_once_each else tuple(dict.fromkeys(samples))


def turn_name(turn: Turn) -> str:
    """Return the name by which a reader finds ``turn``: "TP2 block 3"."""
    return f"{of(turn).name} {turn.stage}" + ("" if turn.block is None else f" {turn.block}")


def turn_fault(turn: Turn, samples: typing.Sequence[Sample]) -> str | None:
    """Return what makes ``turn`` unusable, in words; None if nothing does."""
    if not (math.isfinite(turn.start_seconds) and math.isfinite(turn.end_seconds)):
        return "its start or end is not a finite number"
    if turn.end_seconds < turn.start_seconds:
        return f"it ends {turn.start_seconds - turn.end_seconds:.3f} s before it starts: the clock stepped"
    requests = {(sample.replica, sample.request) for sample in samples}
    if len(requests) < len(samples):
        twice = quantity(len(samples) - len(requests), "request has", "requests have")
        return f"{twice} two samples that contradict each other"
    if len(samples) != turn.requests:
        found = quantity(len(samples), "sample", "samples")
        return f"it has {found} for {quantity(turn.requests, 'request', 'requests')}"
    return next((fault for fault in map(sample_fault, samples) if fault is not None), None)


def sample_fault(sample: Sample) -> str | None:
    """Return what makes ``sample`` impossible, in words; None if nothing does."""
    moments = [sample.intended_seconds, sample.sent_seconds, *sample.token_seconds, sample.end_seconds]
    known = [moment for moment in moments if moment is not None]
    if not all(map(math.isfinite, known)):
        return f"request {sample.request} has a time that is not a finite number"
    if known != sorted(known):
        return f"request {sample.request} has times out of order: the clock stepped"
    for name, count in (("prompt", sample.prompt_tokens), ("output", sample.output_tokens)):
        if count is not None and (not isinstance(count, int) or count < 0):
            return f"request {sample.request} has {count!r} {name} tokens"
    return None


VoidReasons = typing.Mapping[Candidate | None, typing.Sequence[str]]
"""Why a candidate's measurement is void, by candidate; under None, why the whole run is void."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CandidateEvidence:
    """One measured candidate and its turns."""

    record: DegreeRecord
    turns: tuple[tuple[Turn, tuple[Sample, ...]], ...]
    """Its sound block turns, with their counted samples."""
    faults: tuple[str, ...]
    """Why its measurement is invalid; empty for a valid one."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Every counted sample of its blocks."""
        return tuple(sample for _, samples in self.turns for sample in samples)

    @property
    def serves(self) -> bool:
        """Whether any request of its blocks succeeded."""
        return any(sample.status == "ok" for sample in self.samples)

    def lacks(self, limits: typing.Mapping[LimitedMetric, Limit]) -> LimitedMetric | None:
        """Return a limited metric for which no successful request has a figure; None where there is none."""
        good = [sample for sample in self.samples if sample.status == "ok"]
        without = (metric for metric in limits if all(latency_ms(sample, metric) is None for sample in good))
        return next(without, None) if good else None

    def log_tokens_per_core(self) -> list[float]:
        """Return the logarithm of output tokens per second per logical core used, for each turn that has it."""
        rates = (tokens_per_second(turn, samples) for turn, samples in self.turns)
        return [math.log(rate / self.record.cores_used) for rate in rates if rate]


def tokens_per_second(turn: Turn, samples: typing.Sequence[Sample]) -> float | None:
    """Return the output tokens per second of a turn by its counted ``samples``; None where a count is missing.

    Closed loop: as ``output_tokens_per_second``. Open arrivals: ``rate * mean output tokens of all counted requests``,
    where a failed request has none: all that arrive also leave, so their rate is the throughput.
    """
    if turn.rate_per_second is None:
        return output_tokens_per_second(turn, samples)
    tokens = [sample.output_tokens if sample.status == "ok" else 0 for sample in samples]
    known = [count for count in tokens if count is not None]
    if not tokens or len(known) < len(tokens):
        return None
    return turn.rate_per_second * math.fsum(known) / len(known)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run, ready to be judged."""

    settings: WorkloadSettings
    soundness: Soundness
    candidates: typing.Mapping[Candidate, CandidateEvidence]
    """Candidates that were measured or should have been, ascending."""
    ended: typing.Mapping[Candidate, DegreeRecord]
    """Candidates that a gate ended, ascending."""
    left: typing.Mapping[Candidate, CandidateEvidence]
    """Those of them that were measured until their servers did not come back: shown, not compared."""
    unknown: tuple[Candidate, ...]
    """Degrees that the settings ask for and the run did not record."""
    void: tuple[str, ...]
    """Why the whole run is void; empty for a valid one."""
    trace: TraceRecord | None = None
    """The trace that gave requests their sizes; None where sizes were drawn at random."""
    are_prompts_alike: bool = False
    """Whether prompts may repeat, so that a prefix cache holds them."""

    @property
    def blocks(self) -> int:
        """Blocks in which anything was measured."""
        return len({turn.block for own in self.candidates.values() for turn, _ in own.turns})


def gather(record: RunRecord, samples: typing.Sequence[Sample], void_reasons: VoidReasons) -> Evidence:
    """Return the evidence in a run."""
    soundness = examine(record, samples)
    records = {each.candidate: each for each in sorted(record.degrees, key=lambda each: each.candidate)}
    known = {candidate.degree for candidate in records}
    of_ended = {candidate: _candidate(each, soundness, ()) for candidate, each in records.items() if each.gate}
    return Evidence(
        settings=record.settings,
        soundness=soundness,
        candidates={
            candidate: _candidate(each, soundness, void_reasons.get(candidate, ()))
            for candidate, each in records.items()
            if each.gate is None
        },
        ended={candidate: each for candidate, each in records.items() if each.gate is not None},
        left={candidate: own for candidate, own in of_ended.items() if own.turns},
        unknown=tuple(Candidate(degree) for degree in record.settings.degrees if degree not in known),
        void=tuple(void_reasons.get(None, ())),
        trace=record.trace,
        are_prompts_alike="repeated" in record.pins.get("prompts", ""),
    )


def _candidate(record: DegreeRecord, soundness: Soundness, reasons: typing.Sequence[str]) -> CandidateEvidence:
    turns = tuple(
        (turn, tuple(counted(turn, samples)))
        for turn, samples in soundness.turns
        if turn.stage == "block" and of(turn) == record.candidate
    )
    unsound = [
        sentence for turn, sentence in soundness.unsound if turn.stage == "block" and of(turn) == record.candidate
    ]
    faults = list(reasons)
    if unsound and len(turns) < SOUND_SHARE * (len(turns) + len(unsound)):
        are = "is" if len(unsound) == 1 else "are"
        faults.append(f"{len(unsound)} of {len(turns) + len(unsound)} blocks {are} left out; the first: {unsound[0]}")
    return CandidateEvidence(record=record, turns=turns, faults=tuple(faults))
