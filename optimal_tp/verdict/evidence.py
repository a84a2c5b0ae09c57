"""What the blocks say about each degree, in the form that decisions need."""

import dataclasses
import math
import typing

from optimal_tp.measurement.run import DegreeRecord, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, output_tokens_per_second
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.soundness import SOUND_SHARE, Soundness, examine

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
