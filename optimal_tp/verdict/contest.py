"""Repeat the race over a run's turns, from the record alone, as the decisions during the run saw it."""

import dataclasses
import itertools
import math
import operator
import statistics
import typing

import scipy.special

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.turns import of
from optimal_tp.settings.workload import Decision, WorkloadSettings
from optimal_tp.verdict.evidence import Evidence, Soundness
from optimal_tp.verdict.findings import Criterion
from optimal_tp.verdict.race.blocks import Race, Standing
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.pairs import Rules
from optimal_tp.verdict.race.scoring import GoodputScoring, Throughput, ThroughputScoring
from optimal_tp.verdict.readings import is_shown_to_miss, limits_by_share, reading, shares_within, throughput

REACH, QUICK_REACH = 0.15, 0.25
"""Largest distance of a compared turn from its candidate's capacity, in logarithms. With few looks turns are few."""
MOST_DISTURBED = 0.25
"""Share of a candidate's turns that may be disturbed; above it the candidate itself may be the cause."""
UNEVEN = 0.05
"""Chance below which disturbed turns are too unevenly spread over the candidates to be an accident of the machine."""
RISING = 1.05
"""A load step that gives more than this many times the best before it shows that the servers are not saturated."""


def rules_of(decision: Decision, candidates: int) -> Rules:
    """Return the race's rules for ``candidates`` candidates; all pairs share the error (Bonferroni's inequality)."""
    pairs = max(1, candidates * (candidates - 1) // 2)
    return Rules(
        resolution=decision.resolution,
        bias=decision.least_lead,
        least_blocks=decision.minimum_blocks,
        most_looks=decision.fixed_looks,
        alpha=(1 - decision.confidence) / pairs,
    )


def reach_of(decision: Decision) -> float:
    """Return the largest distance of a compared turn from its candidate's capacity, in logarithms."""
    return QUICK_REACH if decision.fixed_looks else REACH


def goodput_race(
    settings: WorkloadSettings, candidates: typing.Iterable[Candidate]
) -> tuple[GoodputScoring, Race[Reading]]:
    """Return the race of ``candidates`` within the limits of ``settings``, at its start."""
    every = sorted(candidates)
    asked = limits_by_share(settings.limits.asked())
    scoring = GoodputScoring(every, asked, reach=reach_of(settings.decision))
    return scoring, Race(every, scoring, rules_of(settings.decision, len(every)))


def throughput_race(settings: WorkloadSettings, candidates: typing.Iterable[Candidate]) -> Race[Throughput]:
    """Return the race of ``candidates`` without limits, at its start."""
    every = sorted(candidates)
    return Race(every, ThroughputScoring(every), rules_of(settings.decision, len(every)))


FEWEST_TO_FILL = 4
"""Fewest turns from which growing queues are judged."""

_OneT = typing.TypeVar("_OneT", Reading, Throughput)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contest:
    """The result of the race over a run."""

    criterion: Criterion
    racing: tuple[Candidate, ...]
    """Candidates that were compared, ascending."""
    standings: tuple[Standing, ...]
    """After each block."""
    capacities: typing.Mapping[Candidate, float]
    """Requests, or output tokens, per second per core, as fitted or measured; with limits, only for candidates that
    held them in a turn, as a fit to misses alone is a guess."""
    scores: typing.Mapping[Candidate, typing.Mapping[int, float]]
    """By candidate and block: the logarithms that were compared."""
    disturbed: tuple[Reading, ...]
    slow: typing.Mapping[Candidate, bool]
    """Candidates that held the limits at no rate of the bracket, and whether that is shown beyond doubt."""
    rising: tuple[Candidate, ...]
    """Candidates whose throughput still rose at the last step of the load."""
    filling: tuple[Candidate, ...]
    """Candidates whose turns held the limits less often in the second half than in the first, beyond doubt."""
    unlike: str | None
    """Why the disturbed turns forbid an answer, in words; None where they do not."""
    unbracketed: tuple[Candidate, ...] = ()
    """Candidates that held the limits in every turn, so that nobody knows how much more they can take."""

    @property
    def standing(self) -> Standing | None:
        """Standing after the last block; None before the first."""
        return self.standings[-1] if self.standings else None


def contest(evidence: Evidence) -> Contest:
    """Return the race over the turns of ``evidence``, from its first block to its last."""
    return _by_goodput(evidence) if evidence.settings.limits.asked() else _by_throughput(evidence)


def _by_goodput(evidence: Evidence) -> Contest:
    limits = evidence.settings.limits.asked()
    found = [
        one
        for turn, samples in evidence.soundness.turns
        if turn.stage in ("rising", "block") and of(turn) in evidence.candidates
        if (one := reading(turn, samples, limits, evidence.candidates[of(turn)].record.cores_used)) is not None
    ]
    blocks = [one for one in found if one.block is not None]
    racing = tuple(sorted({one.candidate for one in blocks}))
    scoring, race = goodput_race(evidence.settings, racing)
    for one in found:
        if one.block is None and one.candidate in racing:
            scoring.open_with(one)
    standings = _run(race, blocks)
    disturbed = scoring.disturbed()
    held = {one.candidate for one in found if one.is_held}
    return Contest(
        criterion="goodput",
        racing=racing,
        standings=standings,
        capacities={one: math.exp(by.log_capacity) for one, by in scoring.fits.items() if one in held},
        scores={candidate: scoring.scores(candidate, _oldest(standings, candidate)) for candidate in racing},
        disturbed=disturbed,
        slow=_slow(evidence, racing),
        rising=(),
        filling=tuple(
            candidate for candidate in racing if is_filling([one for one in blocks if one.candidate == candidate])
        ),
        unlike=_unlike(racing, blocks, disturbed),
        unbracketed=tuple(one for one in racing if one in held and not scoring.is_bracketed(one)),
    )


def _run(race: Race[_OneT], readings: typing.Iterable[_OneT]) -> tuple[Standing, ...]:
    """Return where ``race`` stands after each block of ``readings``."""
    standings = []
    numbered = sorted((one.block, place, one) for place, one in enumerate(readings) if one.block is not None)
    for number, together in itertools.groupby(numbered, operator.itemgetter(0)):
        standings.append(race.add_block((one for _, _, one in together), number))
    return tuple(standings)


def _oldest(standings: typing.Sequence[Standing], candidate: Candidate) -> int:
    return standings[-1].forgotten[candidate] if standings else 0


def _slow(evidence: Evidence, racing: tuple[Candidate, ...]) -> dict[Candidate, bool]:
    """Return the candidates whose blocks ran one request at a time, and whether even that misses the limits.

    The bracket leaves a candidate there if it holds the limits at no rate.
    """
    limits = evidence.settings.limits.asked()
    alpha = (1 - evidence.settings.decision.confidence) / max(1, len(evidence.candidates))
    slow = {}
    for candidate, own in evidence.candidates.items():
        alone = (shares_within(samples, limits) for turn, samples in own.turns if turn.concurrency == 1)
        turns = [shares for shares in alone if shares]
        misses = any(math.fsum(each[asked] for each in turns) < asked * len(turns) for asked in limits_by_share(limits))
        if candidate not in racing and turns and own.serves and misses:
            slow[candidate] = is_shown_to_miss(turns, alpha=alpha)
    return slow


def is_filling(own: typing.Sequence[Reading]) -> bool:
    """Whether queues still grew within the turns: Student's t test of the early minus the late shares, at 1 %."""
    readings = [one.by_share[-1] for one in own]
    falls = []
    for one in readings:
        half = one.counted // 2
        if one.early_hits is not None and half:
            falls.append(one.early_hits / half - (one.hits - one.early_hits) / (one.counted - half))
    if len(falls) < FEWEST_TO_FILL:
        return False
    error = statistics.stdev(falls) / math.sqrt(len(falls))
    return statistics.fmean(falls) > float(scipy.special.stdtrit(len(falls) - 1, 0.99)) * error > 0


def _unlike(
    racing: tuple[Candidate, ...], blocks: typing.Sequence[Reading], disturbed: typing.Sequence[Reading]
) -> str | None:
    """Return why disturbed turns forbid an answer: too many of one candidate, or far more than of another."""
    total = {candidate: sum(one.candidate == candidate for one in blocks) for candidate in racing}
    bad = {candidate: sum(one.candidate == candidate for one in disturbed) for candidate in racing}
    for candidate in racing:
        if bad[candidate] > MOST_DISTURBED * total[candidate]:
            return (
                f"{bad[candidate]} of {total[candidate]} turns of {candidate.name} {_were(bad[candidate])} disturbed: "
                "the candidate itself may be the cause"
            )
    pairs = list(itertools.combinations(racing, 2))
    for first, second in pairs:
        chance = _fisher(bad[first], total[first], bad[second], total[second])
        if chance < UNEVEN / len(pairs):
            return (
                f"{bad[first]} of {total[first]} turns of {first.name} {_were(bad[first])} disturbed and {bad[second]} "
                f"of {total[second]} of {second.name}: too unequal to be the machine's fault"
            )
    return None


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _fisher(bad: int, total: int, other_bad: int, other_total: int) -> float:
    """Return the chance, two-sided, of counts as uneven as these (Fisher's exact test)."""
    together, both = bad + other_bad, total + other_total

    def log_chance(count: int) -> float:
        """Return the logarithm of the chance that ``count`` of all bad ones fall to the first."""
        ways = _log_choose(total, count) + _log_choose(other_total, together - count)
        return ways - _log_choose(both, together)

    seen = log_chance(bad)
    counts = range(max(0, together - other_total), min(total, together) + 1)
    return min(1.0, math.fsum(math.exp(one) for one in map(log_chance, counts) if one <= seen + 1e-9))


def _log_choose(whole: int, part: int) -> float:
    return float(
        scipy.special.gammaln(whole + 1) - scipy.special.gammaln(part + 1) - scipy.special.gammaln(whole - part + 1)
    )


def _by_throughput(evidence: Evidence) -> Contest:
    found = [
        one
        for turn, samples in evidence.soundness.turns
        if turn.stage == "block" and of(turn) in evidence.candidates
        if (one := throughput(turn, samples, evidence.candidates[of(turn)].record.cores_used)) is not None
    ]
    racing = tuple(sorted({one.candidate for one in found}))
    race = throughput_race(evidence.settings, racing)
    scoring = race.scoring
    standings = _run(race, found)
    logs = {candidate: [one.log_rate for one in found if one.candidate == candidate] for candidate in racing}
    return Contest(
        criterion="throughput",
        racing=racing,
        standings=standings,
        capacities={candidate: math.exp(math.fsum(own) / len(own)) for candidate, own in logs.items()},
        scores={candidate: scoring.scores(candidate, _oldest(standings, candidate)) for candidate in racing},
        disturbed=(),
        slow={},
        rising=tuple(candidate for candidate in racing if is_rising(evidence.soundness, candidate)),
        filling=(),
        unlike=None,
    )


def is_rising(soundness: Soundness, candidate: Candidate) -> bool:
    """Whether throughput still rose at the last step of the rising load; False where no such step was taken.

    The rise has stopped when two steps in a row gained less than RISING asks.
    """
    taken = [
        (turn, samples)
        for turn, samples in soundness.turns
        if turn.stage == "rising" and of(turn) == candidate and turn.concurrency is not None
    ]
    steps = [
        (turn.concurrency or 0, one.log_rate) for turn, own in taken if (one := throughput(turn, own, 1)) is not None
    ]
    return bool(taken) and flat_steps([rate for _, rate in sorted(steps)]) < 2  # noqa: PLR2004 - twice in a row


def flat_steps(log_rates: typing.Sequence[float]) -> int:
    """Return how many steps at the end, in rising order of load, gained less than RISING asks over the best before."""
    best, flat = -math.inf, 0
    for rate in log_rates:
        flat = flat + 1 if rate < best + math.log(RISING) else 0
        best = max(best, rate)
    return flat
