"""The verdict: gates in order, then throughput per core; doubt stays doubt. The rule is in docs/verdict.md."""

import dataclasses
import itertools
import types
import typing

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.verdict.evidence import DegreeEvidence, Evidence, VoidReasons, gather
from optimal_tp.verdict.findings import Comparison, LimitFinding, Outcome, Outlook, Verdict
from optimal_tp.verdict.latency import limit_finding
from optimal_tp.verdict.outlook import limit_question, priced, throughput_question
from optimal_tp.verdict.ranking import MARGIN, compare, is_better, rank
from optimal_tp.verdict.reasons import Case, degree_verdict, reasons_of

NO_REASONS: VoidReasons = types.MappingProxyType({})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ErrorBudget:
    """How the chance of a wrong declaration is shared out, by Bonferroni's inequality."""

    per_pair: float
    per_limit: float

    @classmethod
    def of(cls, *, confidence: float, degrees: int, limits: int) -> "ErrorBudget":
        """Return equal parts for every pair of degrees and for every limit of every degree; half for each kind."""
        whole = 1 - confidence
        pairs = degrees * (degrees - 1) // 2
        share = whole / 2 if pairs and limits else whole
        return cls(per_pair=share / max(1, pairs), per_limit=share / max(1, degrees * limits))


def decide(
    record: RunRecord,
    samples: typing.Sequence[Sample],
    void_reasons: VoidReasons = NO_REASONS,
    notes: typing.Sequence[str] = (),
) -> Verdict:
    """Return the verdict on a run, finished or not.

    ``void_reasons`` is what the self-audit found: sentences by degree, under None for the whole run. ``notes`` says
    what was left out before ``record`` and ``samples`` were handed over.
    """
    evidence = gather(record, samples, void_reasons)
    settings = evidence.settings
    limits = settings.limits.asked()
    budget = ErrorBudget.of(confidence=settings.decision.confidence, degrees=len(evidence.degrees), limits=len(limits))
    comparisons = _comparisons(evidence, budget)
    display_alpha = 1 - settings.decision.confidence
    findings = {
        number: tuple(
            limit_finding(degree.turns, metric, limit, alpha=budget.per_limit, display_alpha=display_alpha)
            for metric, limit in limits.items()
        )
        for number, degree in evidence.degrees.items()
    }
    standing = {number: standing_of(degree, findings[number]) for number, degree in evidence.degrees.items()}
    passing = [number for number, word in standing.items() if word == "passes"]
    undecided = [number for number, word in standing.items() if word == "open"]
    ranking = rank(passing, undecided, comparisons)
    case = Case(evidence=evidence, comparisons=comparisons, findings=findings, standing=standing, ranking=ranking)
    outcome = _outcome(case)
    outlook = () if outcome == "settled" else _outlook(case, record, budget)
    return Verdict(
        outcome=outcome,
        chosen=ranking.leader if outcome == "settled" else None,
        provisional=_provisional(case) if outcome == "inconclusive" else None,
        reasons=reasons_of(case, outcome),
        degrees=tuple(degree_verdict(case, outcome, number) for number in _all_degrees(evidence)),
        notes=(*notes, *evidence.soundness.notes),
        comparisons=comparisons,
        outlook=outlook,
        confidence=settings.decision.confidence,
        margin=MARGIN,
        blocks=evidence.blocks,
    )


def standing_of(
    degree: DegreeEvidence, findings: tuple[LimitFinding, ...]
) -> typing.Literal["invalid", "unmeasured", "fails", "misses", "passes", "open"]:
    """Return where a degree with servers stands after the gates before throughput."""
    if degree.faults:
        return "invalid"
    if not degree.turns:
        return "unmeasured"
    if not degree.serves:
        return "fails"
    if any(finding.word == "misses" for finding in findings):
        return "misses"
    return "passes" if all(finding.word == "holds" for finding in findings) else "open"


def _all_degrees(evidence: Evidence) -> list[int]:
    return sorted({*evidence.degrees, *evidence.ended, *evidence.unknown})


def _comparisons(evidence: Evidence, budget: ErrorBudget) -> tuple[Comparison, ...]:
    logs = {number: degree.log_per_core() for number, degree in evidence.degrees.items()}
    return tuple(
        compare((first, logs[first]), (second, logs[second]), alpha=budget.per_pair)
        for first, second in itertools.combinations(sorted(logs), 2)
    )


def _outcome(case: Case) -> Outcome:
    """Return ``settled`` only where no degree that might change the answer is in doubt."""
    standing = set(case.standing.values())
    if case.evidence.void or standing == {"invalid"}:
        return "void"
    if case.evidence.unknown or case.short_of_blocks or standing & {"invalid", "unmeasured"}:
        return "inconclusive"
    return "inconclusive" if case.ranking.unsettled else "settled"


def _provisional(case: Case) -> int | None:
    """Return the degree the rule names if every limit turns out as it was seen so far; None if none qualifies."""
    likely = [
        number
        for number, word in case.standing.items()
        if word in ("passes", "open") and case.evidence.degrees[number].log_per_core()
        if all(finding.hits >= finding.requests * finding.percent / 100 for finding in case.findings[number])
    ]
    return rank(likely, [], case.comparisons).leader


def _outlook(case: Case, record: RunRecord, budget: ErrorBudget) -> tuple[Outlook, ...]:
    price = case.evidence.settings.price
    questions: list[tuple[str, int | None]] = []
    if case.short_of_blocks:
        least = case.evidence.settings.decision.minimum_blocks
        questions.append((f"everything, as a first look takes {least} blocks", case.short_of_blocks))
    for number in case.open_limits():
        questions.extend(
            limit_question(number, finding, len(case.evidence.degrees[number].turns), budget.per_limit)
            for finding in case.findings[number]
            if finding.word == "inconclusive"
        )
    leader = case.ranking.leader
    if leader is not None:
        questions.extend(
            throughput_question(leader, other, case.comparison(leader, other))
            for other in case.ranking.unsettled
            if not is_better(case.comparisons, other, leader)
        )
    return tuple(priced(question, blocks, record, price) for question, blocks in questions)
