"""The turns of a run in their order, each with its fate."""

import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate, CandidateRow
from optimal_tp.measurement.samples import Stage
from optimal_tp.measurement.turns import Turn, of
from optimal_tp.verdict.evidence import Evidence

Fate = typing.Literal["counted", "searched", "proof", "beside", "disturbed", "left out"]
"""``counted``: compared in a block; ``searched``: of the bracket; ``proof``: after the choice; ``beside``: warm-up, one
request at a time, or held out of the model; ``disturbed``: listed, not compared; ``left out``: failed the audit."""
FATES: dict[Stage, Fate] = {"block": "counted", "rising": "searched", "proof": "proof"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimelineTurn(CandidateRow):
    """One turn on the run's time line. Seconds from the run's origin."""

    stage: Stage
    block: int | None
    start_seconds: float
    end_seconds: float
    fate: Fate
    why: str | None
    """Why it was not counted; None for one that was."""


def timeline(
    turns: typing.Iterable[Turn],
    evidence: Evidence,
    disturbed: typing.Container[tuple[Candidate, int | None]],
    left_out: typing.Sequence[tuple[Turn, str]],
) -> tuple[TimelineTurn, ...]:
    """Return every turn in the order of its start; ``left_out`` are those that the audit left out, with the reason."""
    unsound = {id(turn): why for turn, why in evidence.soundness.unsound}
    found = [_stretch(turn, "left out", why) for turn, why in left_out]
    for turn in turns:
        fate, why = FATES.get(turn.stage, "beside"), None
        if id(turn) in unsound:
            fate, why = "left out", unsound[id(turn)]
        elif turn.stage == "block" and turn.block is not None and (of(turn), turn.block) in disturbed:
            fate, why = "disturbed", "far too slow for its rate: disturbed, so not compared"
        found.append(_stretch(turn, fate, why))
    return tuple(sorted(found, key=lambda one: (one.start_seconds, one.degree)))


def _stretch(turn: Turn, fate: Fate, why: str | None) -> TimelineTurn:
    return TimelineTurn(
        degree=turn.degree,
        max_num_seqs=turn.max_num_seqs,
        stage=turn.stage,
        block=turn.block,
        start_seconds=turn.start_seconds,
        end_seconds=turn.end_seconds,
        fate=fate,
        why=why,
    )
