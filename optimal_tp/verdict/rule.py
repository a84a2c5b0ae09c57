"""The verdict: gates in order, then the race; what is in doubt stays open. docs/concepts/verdict.md has the rule."""

import types
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import of
from optimal_tp.verdict.caveats import caveats_of
from optimal_tp.verdict.comparisons import comparison
from optimal_tp.verdict.contest import contest
from optimal_tp.verdict.evidence import Evidence, VoidReasons, gather
from optimal_tp.verdict.findings import Comparison, Outcome, Outlook, Proof, Verdict
from optimal_tp.verdict.outlook import comparison_question, priced
from optimal_tp.verdict.race.blocks import Standing
from optimal_tp.verdict.race.proof import proof
from optimal_tp.verdict.readings import reading
from optimal_tp.verdict.reasons import Case, Standpoint, degree_verdict, reasons_of

NO_REASONS: VoidReasons = types.MappingProxyType({})


def decide(
    record: RunRecord,
    samples: typing.Sequence[Sample],
    void_reasons: VoidReasons = NO_REASONS,
    notes: typing.Sequence[str] = (),
) -> Verdict:
    """Return the verdict on a run, finished or not.

    ``void_reasons`` has the self-audit's sentences by candidate, under None for the whole run. ``notes`` says what was
    left out of ``record`` and ``samples`` before.
    """
    evidence = gather(record, samples, void_reasons)
    found = contest(evidence)
    standpoints = {
        candidate: standpoint(evidence, candidate, found.slow, found.racing) for candidate in evidence.candidates
    }
    case = Case(evidence=evidence, contest=found, standpoints=standpoints, comparisons=_comparisons(found.standing))
    outcome = _outcome(case)
    chosen = case.choice if outcome == "settled" else None
    proven = None if chosen is None else _proof(evidence, chosen)
    settings = evidence.settings
    return Verdict(
        outcome=outcome,
        criterion=found.criterion,
        chosen=None if chosen is None else chosen.name,
        chosen_degree=None if chosen is None else chosen.degree,
        provisional=_provisional(case) if outcome == "inconclusive" else None,
        reasons=reasons_of(case, outcome),
        caveats=caveats_of(case, chosen, is_proven=proven is not None and proven.held_per_second_per_core is not None),
        notes=(*notes, *evidence.soundness.notes),
        degrees=tuple(
            degree_verdict(case, outcome, candidate, proven if candidate == chosen else None)
            for candidate in sorted({*evidence.candidates, *evidence.ended, *evidence.unknown})
        ),
        comparisons=case.comparisons,
        outlook=() if outcome == "settled" else _outlook(case, record),
        confidence=settings.decision.confidence,
        resolution=settings.decision.resolution,
        blocks=evidence.blocks,
    )


def standpoint(
    evidence: Evidence,
    candidate: Candidate,
    slow: typing.Mapping[Candidate, bool],
    racing: typing.Collection[Candidate],
) -> Standpoint:
    """Return where a candidate with servers stands before the race."""
    own = evidence.candidates[candidate]
    if own.faults:
        return "invalid"
    if not own.turns:
        return "unmeasured"
    if not own.serves:
        return "fails"
    if own.lacks(evidence.settings.limits.asked()) is not None:
        return "unmeasured"
    if candidate in slow:
        return "misses" if slow[candidate] else "slow"
    return "races" if candidate in racing else "unmeasured"


def _comparisons(standing: Standing | None) -> tuple[Comparison, ...]:
    if standing is None:
        return ()
    every = (*standing.former, *standing.pairs, *standing.beaten.values())
    last = {frozenset((pair.first, pair.second)): pair for pair in every}
    return tuple(comparison(pair) for _, pair in sorted(last.items(), key=lambda one: sorted(one[0])))


def _outcome(case: Case) -> Outcome:
    """Return ``settled`` only where no candidate that might change the answer is in doubt."""
    stands = set(case.standpoints.values())
    if case.evidence.void or stands == {"invalid"}:
        return "void"
    if case.evidence.unknown or stands & {"invalid", "unmeasured", "fails", "slow"}:
        return "inconclusive"
    if case.contest.racing:
        closed = case.contest.unlike is None and not case.contest.rising and case.choice is not None
        return "settled" if closed else "inconclusive"
    # Every candidate that ever served is shown to miss, or none served. One that lacks memory or physics rules out
    # never can; one that lacked a node, an artifact or a server today may do so another day.
    gates = {record.gate for record in case.evidence.ended.values()}
    return "settled" if stands or gates <= {"no-fit", "misses-slo"} else "inconclusive"


def _provisional(case: Case) -> str | None:
    """Return the candidate that leads so far; None if none does, and where none held the limits."""
    capacities = {candidate: case.contest.capacities.get(candidate) for candidate in case.contest.racing}
    known = {candidate: value for candidate, value in capacities.items() if value is not None}
    return max(known, key=lambda candidate: known[candidate]).name if known else None


def _proof(evidence: Evidence, chosen: Candidate) -> Proof | None:
    limits = evidence.settings.limits.asked()
    cores = evidence.candidates[chosen].record.cores_used
    own = [
        one
        for turn, samples in evidence.soundness.turns
        if turn.stage == "proof" and of(turn) == chosen and limits
        if (one := reading(turn, samples, limits, cores)) is not None
    ]
    if not own:
        return None
    return proof(own, alpha=1 - evidence.settings.decision.confidence)


def _outlook(case: Case, record: RunRecord) -> tuple[Outlook, ...]:
    price = case.evidence.settings.price
    standing = case.contest.standing
    if standing is None and (case.evidence.blocks or not case.evidence.candidates):
        return ()
    missing = case.evidence.settings.decision.minimum_blocks - (0 if standing is None else standing.blocks)
    questions: list[tuple[str, int | None]] = []
    if missing > 0:
        questions.append(("everything, because the first claim needs more blocks", missing))
    elif case.choice is None:
        questions.extend(comparison_question(pair) for pair in case.open_pairs())
    return tuple(priced(question, blocks, record, price) for question, blocks in questions)
