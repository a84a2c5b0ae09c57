"""One word per candidate, the number that decided it, and the sentence that says so."""

import dataclasses
import math
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import METRIC_WORDS, figure, name_list, percent, plural, ranged
from optimal_tp.measurement.run import DegreeRecord
from optimal_tp.measurement.turns import is_given_up, share_within
from optimal_tp.verdict.comparisons import UNIT, turned_to
from optimal_tp.verdict.contest import Contest
from optimal_tp.verdict.evidence import CandidateEvidence, Evidence
from optimal_tp.verdict.findings import Comparison, DegreeVerdict, Ground, Outcome, Proof, Word
from optimal_tp.verdict.latency import latency_percentile, limit_finding
from optimal_tp.verdict.outlook import unbracketed
from optimal_tp.verdict.race.pairs import Pair
from optimal_tp.verdict.readings import limits_by_share, shares_within
from optimal_tp.verdict.statistics import geometric_mean

Standpoint = typing.Literal["invalid", "unmeasured", "fails", "misses", "slow", "races"]
"""``fails``: no request succeeded. ``misses``: shown to hold the limits at no rate. ``slow``: likely to be so."""
GOODPUT, PER_CORE = "GoodputPerSecondPerCore", "OutputTokensPerSecondPerCore"
UNMET = "met the limits at no rate that was tried"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Everything known about a run before its candidates get their words."""

    evidence: Evidence
    contest: Contest
    standpoints: typing.Mapping[Candidate, Standpoint]
    comparisons: tuple[Comparison, ...]

    @property
    def choice(self) -> Candidate | None:
        """The safe choice; None while there is none."""
        standing = self.contest.standing
        return None if standing is None else standing.safe

    @property
    def unit(self) -> str:
        """The unit in which candidates are compared, in words."""
        return UNIT[self.contest.criterion]

    @property
    def unmet(self) -> tuple[Candidate, ...]:
        """The compared candidates that held the limits in no turn."""
        return tuple(one for one in self.contest.racing if one not in self.contest.capacities)

    def open_pairs(self) -> tuple[Pair, ...]:
        """Return the pairs of the candidates that are still in the race."""
        standing = self.contest.standing
        return () if standing is None else standing.pairs

    def against(self, candidate: Candidate, rival: Candidate) -> Comparison | None:
        """Return the comparison of two candidates with ``candidate`` first; None where they were not compared."""
        return turned_to(self.comparisons, candidate.name, rival.name)


def degree_verdict(case: Case, outcome: Outcome, candidate: Candidate, proven: Proof | None) -> DegreeVerdict:
    """Return the verdict on ``candidate``; ``proven`` is what is proven about its goodput."""
    left = case.evidence.left.get(candidate)
    own = case.evidence.candidates.get(candidate, left)
    if own is None:
        return _unmeasured(case, candidate)
    word, ground = _word(case, outcome, candidate, own) if left is None else _ended(left.record)
    samples = own.samples
    limits = case.evidence.settings.limits.asked()
    confidence = case.evidence.settings.decision.confidence
    closed = {turn.concurrency for turn, _ in own.turns}
    return DegreeVerdict(
        degree=candidate.degree,
        max_num_seqs=candidate.max_num_seqs,
        word=word,
        ground=ground,
        reasons=_reasons(case, candidate, own, ground),
        cores_used=own.record.cores_used,
        concurrency=closed.pop() if len(closed) == 1 else None,
        blocks=len(own.turns),
        disturbed=sum(one.candidate == candidate for one in case.contest.disturbed),
        requests=len(samples),
        failures=sum(sample.status != "ok" for sample in samples),
        given_up=sum(is_given_up(sample, limits) for sample in samples),
        goodput_per_second_per_core=case.contest.capacities.get(candidate) if limits else None,
        proof=proven,
        tokens_per_second_per_core=geometric_mean(own.log_tokens_per_core(), alpha=1 - confidence),
        median_latency_ms=latency_percentile(own.turns, "total_latency_ms", 50, alpha=1 - confidence),
        share_within=share_within(samples, limits),
        limits=tuple(limit_finding(own.turns, metric, limit, alpha=1 - confidence) for metric, limit in limits.items()),
    )


def _ended(record: DegreeRecord) -> tuple[Word, Ground]:
    """Return the word of a candidate that a gate ended."""
    word: Word = "inconclusive" if record.gate is None else record.gate
    return word, _gate_ground(word, record.reason or "no number was recorded")


def _unmeasured(case: Case, candidate: Candidate) -> DegreeVerdict:
    record = case.evidence.ended.get(candidate)
    word: Word = "inconclusive"
    ground = _gate_ground(word, "the run has no record of it")
    if record is not None:
        word, ground = _ended(record)
    return DegreeVerdict(
        degree=candidate.degree,
        max_num_seqs=candidate.max_num_seqs,
        word=word,
        ground=ground,
        reasons=(),
        cores_used=None if record is None else record.cores_used,
        concurrency=None,
        blocks=0,
        disturbed=0,
        requests=0,
        failures=0,
        given_up=0,
        goodput_per_second_per_core=None,
        proof=None,
        tokens_per_second_per_core=None,
        median_latency_ms=None,
        share_within=None,
        limits=(),
    )


def _gate_ground(metric: str, sentence: str) -> Ground:
    return Ground(metric=metric, observed=None, interval=None, threshold=None, unit="", sentence=sentence)


def _word(case: Case, outcome: Outcome, candidate: Candidate, own: CandidateEvidence) -> tuple[Word, Ground]:
    """Return the word of the first gate that stops ``candidate``, or the race's word where none does."""
    stand = case.standpoints[candidate]
    if stand == "invalid":
        return "invalid", _gate_ground("RunValid", own.faults[0])
    if outcome == "void":
        return "invalid", _gate_ground("RunValid", "the run is void as a whole")
    if stand == "unmeasured":
        return "inconclusive", _gate_ground("blocks", unmeasured_sentence(case.evidence, candidate))
    if stand == "fails":
        return "invalid", _failing_ground(own)
    if stand in ("misses", "slow"):
        return ("misses-slo" if stand == "misses" else "inconclusive"), _slow_ground(case, own, shown=stand == "misses")
    return _race_word(case, outcome, candidate)


def unmeasured_sentence(evidence: Evidence, candidate: Candidate) -> str:
    """Return why a candidate with servers has nothing that can be compared."""
    own, limits = evidence.candidates[candidate], evidence.settings.limits.asked()
    lacking = own.lacks(limits)
    if lacking is not None:
        return (
            f"no request has a {METRIC_WORDS[lacking]}, so the limit of {figure(limits[lacking].at_most_ms)} ms cannot "
            "be checked; stream the answers or set another limit"
        )
    if own.turns and limits:
        return (
            "its blocks kept a fixed number of requests in flight, so they do not show which rate meets the limits; "
            "measure it again"
        )
    return "it completed no block"


def _failing_ground(own: CandidateEvidence) -> Ground:
    first = next((sample for sample in own.samples if sample.status != "ok"), None)
    said = "" if first is None else f"; the first: {first.status}" + (f", {first.detail}" if first.detail else "")
    sentence = f"none of {plural(len(own.samples), 'request')} succeeded{said}"
    return dataclasses.replace(_gate_ground("RunValid", sentence), observed=0.0, threshold=0.0)


def _slow_ground(case: Case, own: CandidateEvidence, *, shown: bool) -> Ground:
    groups = limits_by_share(case.evidence.settings.limits.asked())
    shares = shares_within(own.samples, case.evidence.settings.limits.asked())
    asked = min(shares, key=lambda each: (1 - each) / (1 - shares[each]) if shares[each] < 1 else math.inf)
    limits, share, percentile = groups[asked], shares[asked], 100 * asked
    words = " and ".join(f"{METRIC_WORDS[metric]} within {figure(one.at_most_ms)} ms" for metric, one in limits.items())
    tail = "" if shown else "; more requests must confirm it"
    return Ground(
        metric="share_within",
        observed=share,
        interval=None,
        threshold=percentile / 100,
        unit="share of requests",
        sentence=(
            f"even one at a time, only {percent(share)} of {plural(len(own.samples), 'request')} keep {words} "
            f"({percentile:g} % must){tail}"
        ),
    )


def _race_word(case: Case, outcome: Outcome, candidate: Candidate) -> tuple[Word, Ground]:
    standing, choice = case.contest.standing, case.choice
    if outcome == "settled" and candidate == choice:
        return "chosen", _own_ground(case, candidate)
    if standing is not None and candidate in standing.beaten:
        return "dominated", _against(case, candidate, standing.beaten[candidate].first)
    if outcome == "settled" and choice is not None:
        return "dominated", _against(case, candidate, choice)
    if candidate in case.contest.rising:
        return "inconclusive", _gate_ground(PER_CORE, "not saturated: its throughput still rose at the last load step")
    rivals = [other for other in case.contest.racing if other != candidate]
    best = max(rivals, key=lambda other: case.contest.capacities.get(other, 0.0), default=None)
    return "inconclusive", _own_ground(case, candidate) if best is None else _against(case, candidate, best)


def _own_ground(case: Case, candidate: Candidate) -> Ground:
    """Return the candidate's own figure."""
    value = case.contest.capacities.get(candidate)
    metric = GOODPUT if case.contest.criterion == "goodput" else PER_CORE
    within = " within the limits" if case.contest.criterion == "goodput" else ", saturated"
    return Ground(
        metric=metric,
        observed=value,
        interval=None,
        threshold=None,
        unit="Count/Second",
        sentence=UNMET if value is None else f"about {figure(value)} {case.unit}{within}",
    )


def _against(case: Case, candidate: Candidate, rival: Candidate) -> Ground:
    found = case.against(candidate, rival)
    if found is None or found.ratio is None:
        why = None if found is None else found.why_open
        return _gate_ground(GOODPUT, f"not compared with {rival.name}{'' if why is None else f': {why}'}")
    resolution = percent(case.evidence.settings.decision.resolution)
    tail = {
        "better": "",
        "worse": "",
        "equal": f": equal within {resolution}",
        "at most better": f": at most {resolution} better",
        "at most worse": f": at most {resolution} worse",
        "open": f": {found.why_open or 'the difference is within the noise'}",
    }[found.word]
    return Ground(
        metric=GOODPUT if case.contest.criterion == "goodput" else PER_CORE,
        observed=found.ratio.value,
        interval=found.ratio.interval,
        threshold=1.0,
        unit="ratio",
        sentence=f"{ranged(found.ratio)} times {rival.name}'s {case.unit}{tail}",
    )


def _reasons(case: Case, candidate: Candidate, own: CandidateEvidence, ground: Ground) -> tuple[str, ...]:
    """Return every further sentence that bears on a candidate's word."""
    name = f"{candidate.name} block"
    unsound = [sentence for turn, sentence in case.evidence.soundness.unsound if sentence.startswith(name) and turn]
    disturbed = [
        f"block {one.block} was disturbed and left out: {percent(one.share)} of {one.counted} requests met the limits"
        for one in case.contest.disturbed
        if one.candidate == candidate
    ]
    sentences = [*own.faults, *unsound, *disturbed]
    return tuple(sentence for sentence in dict.fromkeys(sentences) if sentence != ground.sentence)


def reasons_of(case: Case, outcome: Outcome) -> tuple[str, ...]:
    """Return why the outcome is what it is, as sentences; none for a settled one."""
    if outcome == "settled":
        return ()
    evidence, sentences = case.evidence, list(case.evidence.void)
    by: dict[Standpoint, list[Candidate]] = {}
    for candidate, stand in case.standpoints.items():
        by.setdefault(stand, []).append(candidate)
    sentences += [f"{one.name}: {evidence.candidates[one].faults[0]}" for one in by.get("invalid", [])]
    sentences += [f"{one.name}: {_failing_ground(evidence.candidates[one]).sentence}" for one in by.get("fails", [])]
    if not evidence.candidates:
        sentences += [f"{one.name}: {each.gate}: {each.reason}" for one, each in evidence.ended.items()]
    if evidence.unknown:
        sentences.append(f"the settings ask for {name_list(evidence.unknown)}, but the run did not record it")
    sentences += [f"{one.name}: {unmeasured_sentence(evidence, one)}" for one in by.get("unmeasured", [])]
    if slow := by.get("slow"):
        sentences.append(f"too few requests show whether {name_list(slow)} can meet the limits")
    sentences += [f"{name_list(case.unmet)} {UNMET}"] if case.unmet else []
    if case.contest.rising:
        sentences.append(f"not saturated at the last load step: {name_list(case.contest.rising)}")
    sentences += [case.contest.unlike] if case.contest.unlike is not None else []
    if outcome == "inconclusive" and case.choice is None and case.contest.racing:
        sentences += _open_points(case)
    return tuple(sentences)


def _open_points(case: Case) -> list[str]:
    """Return what is undecided between the candidates that may be the answer."""
    standing, least = case.contest.standing, case.evidence.settings.decision.minimum_blocks
    if standing is None or standing.blocks < least:
        done = 0 if standing is None else standing.blocks
        return [f"a claim needs {plural(least, 'block')} and the run completed {done}"]
    if standing.cycle:
        better = " better than ".join(one.name for one in (*standing.cycle, standing.cycle[0]))
        return [f"the ranking runs in a circle, {better}: the blocks do not measure one thing"]
    unknown = unbracketed(case.contest.unbracketed, case.evidence.settings.load)
    if not standing.pairs:
        return unknown or ([] if case.unmet else unbracketed(case.contest.racing, case.evidence.settings.load))
    pairs = [pair for pair in standing.pairs if not {pair.first, pair.second} & {*case.contest.unbracketed}]
    noisy = [pair for pair in pairs if not pair.is_unsteady or pair.why_open is None]
    together = sorted({one for pair in noisy for one in (pair.first, pair.second)})
    within = [f"the difference between {name_list(together)} is within the noise"] if together else []
    why = [pair.why_open for pair in pairs if pair.why_open is not None]
    return [*unknown, *within, *dict.fromkeys(why)]
