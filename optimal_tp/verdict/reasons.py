"""One word per degree, the number that decided it, and the sentence that says so."""

import dataclasses
import math
import typing

import numpy as np

from optimal_tp.measurement.estimate import (
    METRIC_WORDS,
    Estimate,
    Interval,
    degree_list,
    figure,
    percent,
    percent_bounds,
    plural,
    ranged,
)
from optimal_tp.measurement.turns import goodput
from optimal_tp.verdict.evidence import DegreeEvidence, Evidence
from optimal_tp.verdict.findings import Comparison, DegreeVerdict, Ground, LimitFinding, Outcome, Word
from optimal_tp.verdict.ranking import MARGIN, Ranking, is_better, relative
from optimal_tp.verdict.statistics import mean_sequence

Standing = typing.Literal["invalid", "unmeasured", "fails", "misses", "passes", "open"]
PER_CORE = "OutputTokensPerSecondPerCore"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Everything found about a run before words are given."""

    evidence: Evidence
    comparisons: tuple[Comparison, ...]
    findings: typing.Mapping[int, tuple[LimitFinding, ...]]
    standing: typing.Mapping[int, Standing]
    ranking: Ranking

    @property
    def short_of_blocks(self) -> int:
        """Blocks that are missing before the first look; 0 if none are."""
        counts = [
            len(self.evidence.degrees[number].turns)
            for number, word in self.standing.items()
            if word in ("passes", "open", "misses", "unmeasured")
        ]
        return max(0, self.evidence.settings.decision.minimum_blocks - min(counts)) if counts else 0

    def comparison(self, first: int, second: int) -> Comparison | None:
        """Return the comparison between two degrees; None if there is none."""
        wanted = {first, second}
        return next((item for item in self.comparisons if {item.first, item.second} == wanted), None)

    def open_limits(self) -> list[int]:
        """Return the degrees whose limits are undecided and might change the answer."""
        relevant = {*self.ranking.unsettled}
        return [number for number, word in self.standing.items() if word == "open" and number in relevant]


def degree_verdict(case: Case, outcome: Outcome, number: int) -> DegreeVerdict:
    """Return the verdict on degree ``number``."""
    degree = case.evidence.degrees.get(number)
    if degree is None:
        return _unmeasured(case, number)
    word, ground = _word(case, outcome, number, degree)
    samples = degree.samples
    turns = [turn for turn, _ in degree.turns]
    logs = list(degree.log_per_core().values())
    per_core = _per_core(logs, case.evidence.settings.decision.confidence)
    return DegreeVerdict(
        degree=number,
        word=word,
        ground=ground,
        reasons=_reasons(case, number, degree, ground),
        cores_used=degree.record.cores_used,
        concurrency=turns[-1].concurrency if turns else None,
        blocks=len(turns),
        requests=len(samples),
        failures=sum(sample.status != "ok" for sample in samples),
        tokens_per_second=None if per_core is None else per_core.value * degree.record.cores_used,
        tokens_per_second_per_core=per_core,
        goodput=goodput(samples, case.evidence.settings.limits.asked()),
        limits=case.findings[number],
    )


def _per_core(logs: list[float], confidence: float) -> Estimate | None:
    if not logs:
        return None
    interval = mean_sequence(logs, alpha=1 - confidence) or Interval(low=None, high=None)
    return Estimate(value=math.exp(float(np.mean(logs))), interval=interval.exponentiated())


def _unmeasured(case: Case, number: int) -> DegreeVerdict:
    record = case.evidence.ended.get(number)
    word: Word = "inconclusive" if record is None or record.gate is None else record.gate
    sentence = "the run has no record of it" if record is None else record.reason or "no number was recorded"
    return DegreeVerdict(
        degree=number,
        word=word,
        ground=_gate_ground(word, sentence),
        reasons=(),
        cores_used=None if record is None else record.cores_used,
        concurrency=None,
        blocks=0,
        requests=0,
        failures=0,
        tokens_per_second=None,
        tokens_per_second_per_core=None,
        goodput=None,
        limits=(),
    )


def _gate_ground(metric: str, sentence: str) -> Ground:
    return Ground(metric=metric, observed=None, interval=None, threshold=None, unit="", sentence=sentence)


def _word(case: Case, outcome: Outcome, number: int, degree: DegreeEvidence) -> tuple[Word, Ground]:
    """Return the word of the first gate that stops ``number``, else of its throughput."""
    standing = case.standing[number]
    if standing == "invalid":
        return "invalid", _gate_ground("RunValid", degree.faults[0])
    if outcome == "void":
        return "invalid", _gate_ground("RunValid", "the run is void as a whole")
    if standing == "unmeasured":
        return "inconclusive", _gate_ground("blocks", "no block of it was completed")
    if standing == "fails":
        return "invalid", _failing_ground(degree)
    if standing == "misses":
        return "misses-slo", _limit_ground(case.findings[number], "misses")
    return _throughput_word(case, outcome, number, degree)


def _throughput_word(case: Case, outcome: Outcome, number: int, degree: DegreeEvidence) -> tuple[Word, Ground]:
    leader = case.ranking.leader
    if number in case.ranking.beaten:
        return "dominated", _against(case, number, case.ranking.beaten[number], "")
    if outcome == "settled" and number == leader:
        return "chosen", _chosen_ground(case, number, degree)
    if outcome == "settled" and leader is not None:
        tail = f": not {percent(MARGIN)} more, and it takes {number} cores a server where {leader} would do"
        return "dominated", _against(case, number, leader, tail)
    if case.standing[number] == "open":
        return "inconclusive", _limit_ground(case.findings[number], "inconclusive")
    return "inconclusive", _open_ground(case, number, degree)


def _failing_ground(degree: DegreeEvidence) -> Ground:
    empty = sum(not any(sample.status == "ok" for sample in samples) for _, samples in degree.turns)
    sentence = f"no request succeeded in {empty} of {plural(len(degree.turns), 'block')}"
    return dataclasses.replace(_gate_ground("RunValid", sentence), observed=float(empty), threshold=0.0)


def _chosen_ground(case: Case, number: int, degree: DegreeEvidence) -> Ground:
    """Return the degree's own figure, and how near the next best of those in question comes."""
    per_core = _per_core(list(degree.log_per_core().values()), case.evidence.settings.decision.confidence)
    rivals = [other for other, word in case.standing.items() if word in ("passes", "open") and other != number]
    ratios = {other: ratio for other in rivals if (ratio := relative(case.comparisons, other, number)) is not None}
    sentence = ranged(per_core, "output tokens/s per core")
    if ratios:
        nearest = max(ratios, key=lambda other: ratios[other].value)
        sentence += f"; TP{nearest} comes nearest with {ranged(ratios[nearest])} times that"
    return Ground(
        metric=PER_CORE,
        observed=None if per_core is None else per_core.value,
        interval=None if per_core is None else per_core.interval,
        threshold=None,
        unit="Count/Second",
        sentence=sentence,
    )


def _open_ground(case: Case, number: int, degree: DegreeEvidence) -> Ground:
    rival = case.ranking.leader if case.ranking.leader != number else next(iter(case.ranking.unsettled), None)
    if rival is None:
        return _chosen_ground(case, number, degree)
    ratio = relative(case.comparisons, number, rival)
    if case.standing[rival] == "open" and ratio is not None and ratio.interval.is_below(1.0):
        return _against(case, number, rival, f"; it is the answer only if TP{rival} misses a limit")
    return _against(case, number, rival, ": not told apart")


def _against(case: Case, number: int, rival: int, tail: str) -> Ground:
    ratio = relative(case.comparisons, number, rival)
    if ratio is None:
        comparison = case.comparison(number, rival)
        why = "it was never measured beside it" if comparison is None else comparison.why_no_ratio
        return _gate_ground(PER_CORE, f"against TP{rival}: {why}")
    return Ground(
        metric=PER_CORE,
        observed=ratio.value,
        interval=ratio.interval,
        threshold=1.0,
        unit="ratio",
        sentence=f"{ranged(ratio)} times TP{rival}'s output tokens/s per core{tail}",
    )


def _limit_ground(findings: tuple[LimitFinding, ...], word: str) -> Ground:
    finding = next(item for item in findings if item.word == word)
    return Ground(
        metric=finding.metric,
        observed=finding.hits / finding.requests if finding.requests else None,
        interval=finding.share,
        threshold=finding.percent / 100,
        unit="share of requests",
        sentence=limit_sentence(finding),
    )


def limit_sentence(finding: LimitFinding) -> str:
    """Return what was found about one limit, with its numbers."""
    if not finding.requests:
        return f"no request has a {METRIC_WORDS[finding.metric]} to hold against {figure(finding.at_most_ms)} ms"
    within = f"within {figure(finding.at_most_ms)} ms {METRIC_WORDS[finding.metric]}"
    asked = percent(finding.percent / 100)
    sentence = (
        f"{percent(finding.hits / finding.requests)} of {plural(finding.requests, 'request')} {within} "
        f"({percent_bounds(finding.share)}; {asked} asked)"
    )
    if finding.latency_ms is not None:
        sentence += f"; p{finding.percent:g} is {ranged(finding.latency_ms, 'ms')}"
    return sentence


def _reasons(case: Case, number: int, degree: DegreeEvidence, ground: Ground) -> tuple[str, ...]:
    """Return every further sentence that bears on a degree's word."""
    unsound = [
        sentence
        for turn, sentence in case.evidence.soundness.unsound
        if turn.degree == number and turn.stage == "block"
    ]
    limits = [limit_sentence(finding) for finding in case.findings[number]]
    sentences = [*degree.faults, *unsound, *limits]
    return tuple(sentence for sentence in dict.fromkeys(sentences) if sentence != ground.sentence)


def reasons_of(case: Case, outcome: Outcome) -> tuple[str, ...]:
    """Return why the outcome is what it is, as sentences."""
    evidence, sentences = case.evidence, []
    if evidence.void:
        sentences += list(evidence.void)
    invalid = [number for number, word in case.standing.items() if word == "invalid"]
    sentences += [f"TP{number}: {evidence.degrees[number].faults[0]}" for number in invalid]
    unmeasured = [number for number, word in case.standing.items() if word == "unmeasured"]
    if evidence.unknown:
        sentences.append(f"the settings ask for {degree_list(evidence.unknown)}, of which the run has no record")
    if unmeasured:
        sentences.append(f"no block of {degree_list(unmeasured)} was completed")
    if outcome == "inconclusive" and case.short_of_blocks:
        least = evidence.settings.decision.minimum_blocks
        sentences.append(f"{plural(evidence.blocks, 'block')} completed; a first look takes {least}")
    if outcome == "inconclusive":
        sentences += _open_points(case)
    return tuple(sentences)


def _open_points(case: Case) -> list[str]:
    """Return what is undecided between the degrees that might be the answer."""
    limits = case.open_limits()
    found = [f"whether {degree_list(limits)} {'holds' if len(limits) == 1 else 'hold'} the limits is undecided"]
    leader = case.ranking.leader
    alike = (
        []
        if leader is None
        else [other for other in case.ranking.unsettled if not is_better(case.comparisons, other, leader)]
    )
    together = degree_list(sorted([*alike, *([] if leader is None else [leader])]))
    return [*(found if limits else []), *([f"{together} are not told apart"] if alike else [])]
