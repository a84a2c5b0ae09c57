"""Which candidate would be the choice at another latency limit, from the requests of the same run.

At the run's own limit the choice is the verdict's. At any other it is an estimate: every open turn is compared with the
other limit, and the rate at which just the asked share holds it lies between rates that hold it and rates that miss it.
There is no estimate beyond the rates that were tried.
"""

import dataclasses
import math
import typing

from optimal_tp.facts.candidates import Candidate, CandidateRow
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, is_within, latency_ms, of
from optimal_tp.settings.workload import Limit, LimitedMetric
from optimal_tp.verdict.evidence import Evidence
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.load_steps import LoadStep
from optimal_tp.verdict.readings import limits_by_share

Reach = typing.Literal["measured", "at least", "below", "misses"]
"""``measured``: between rates that hold the limit and rates that miss it; ``at least``: every rate tried holds it;
``below``: every rate tried misses it; ``misses``: even one request at a time misses it."""
MOST_POINTS = 48
"""Most limits that are examined, evenly spaced by their ratio."""
MEDIAN = 50.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class AtLimit(CandidateRow):
    """One candidate at one limit."""

    reach: Reach
    per_core: float | None
    """Requests, or without limits output tokens, per second per core. With ``at least`` the highest rate tried, with
    ``below`` the lowest; None with ``misses``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitPoint:
    """The choice at one limit."""

    limit_ms: float
    choice: str | None
    """None where no candidate holds the limit, or the rates tried do not decide it. At the own limit of a run that is
    not settled, the candidate that leads."""
    is_decided: bool
    """False where the rates that were tried do not say which candidate does most."""
    near: tuple[str, ...]
    """Other candidates within the resolution of the choice: the difference is within the noise."""
    candidates: tuple[AtLimit, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByLimit:
    """The choice over a range of limits of one metric; the other limits stay as they are."""

    metric: LimitedMetric
    percent: float
    """Share of the requests that must hold the limit, in percent."""
    asked_ms: float | None
    """The run's own limit; None where it had none."""
    per_core: typing.Literal["requests", "output tokens"]
    """What ``AtLimit.per_core`` counts."""
    points: tuple[LimitPoint, ...]
    """In rising order of the limit."""


def by_limit(
    evidence: Evidence,
    verdict: Verdict,
    steps: typing.Sequence[LoadStep],
    disturbed: typing.Container[tuple[Candidate, int | None]],
) -> tuple[ByLimit, ...]:
    """Return the choice by each limited metric; without limits by the median of the total latency.

    ``disturbed`` are turns that were not compared, by candidate and block. Empty where nothing was compared.
    """
    if verdict.outcome == "void" or len([one for one in verdict.degrees if one.blocks]) < 2:  # noqa: PLR2004 - no choice
        return ()
    if not evidence.settings.limits.asked():
        found = _saturated(verdict, steps)
        return () if found is None else (found,)
    views = (_of_metric(evidence, verdict, metric, disturbed) for metric in evidence.settings.limits.asked())
    return tuple(view for view in views if view is not None)


def _of_metric(
    evidence: Evidence,
    verdict: Verdict,
    metric: LimitedMetric,
    disturbed: typing.Container[tuple[Candidate, int | None]],
) -> ByLimit | None:
    limits = evidence.settings.limits.asked()
    own = limits[metric]
    answers = {
        candidate: _Answers(evidence, candidate, metric, limits, disturbed)
        for candidate, each in evidence.candidates.items()
        if each.turns and each.serves and not each.faults
    }
    known = [each for each in answers.values() if each.turns or each.alone]
    if len(known) < 2:  # noqa: PLR2004 - nothing to choose from
        return None
    points = []
    for limit_ms in _grid(known, own):
        at = [each.at(limit_ms) for each in known]
        if limit_ms == own.at_most_ms:
            points.append(_as_judged(verdict, limit_ms, at))
        else:
            points.append(_point(limit_ms, at, verdict.resolution))
    return ByLimit(
        metric=metric,
        percent=own.percentile,
        asked_ms=own.at_most_ms,
        per_core="requests",
        points=_trimmed(points, own.at_most_ms),
    )


class _Answers:
    """The turns of one candidate, ready to be compared with any limit of one metric."""

    def __init__(
        self,
        evidence: Evidence,
        candidate: Candidate,
        metric: LimitedMetric,
        limits: typing.Mapping[LimitedMetric, Limit],
        disturbed: typing.Container[tuple[Candidate, int | None]],
    ) -> None:
        """Collect each turn's latencies of ``metric``, infinity where the request missed a limit of another metric."""
        self.candidate = candidate
        self.asked = limits[metric].percentile / 100
        together = {other: limit for other, limit in limits_by_share(limits)[self.asked].items() if other != metric}
        cores = evidence.candidates[candidate].record.cores_used
        self.turns: list[tuple[float, list[float]]] = []
        """Logarithm of the rate per core, and the latencies of the counted requests."""
        self.alone: list[float] = []
        """Latencies of one request at a time."""
        for turn, samples in evidence.soundness.turns:
            own = counted(turn, samples)
            if of(turn) != candidate or not own:
                continue
            values = [_latency(sample, metric, together) for sample in own]
            if turn.stage == "idle" or turn.concurrency == 1:
                self.alone += values
            elif _is_open(turn) and (candidate, turn.block) not in disturbed and turn.rate_per_second:
                self.turns.append((math.log(turn.rate_per_second / cores), values))

    def at(self, limit_ms: float) -> AtLimit:
        """Return what the candidate does at ``limit_ms``."""
        levels = falling([(rate, _share(values, limit_ms), len(values)) for rate, values in self.turns])
        held = [rate for rate, share in levels if share >= self.asked]
        alone = bool(self.alone) and _share(self.alone, limit_ms) >= self.asked
        if not held and not alone:
            return self._answer("misses", None)
        if not held:
            return self._answer("below", math.exp(levels[0][0]) if levels else None)
        if len(held) == len(levels):
            return self._answer("at least", math.exp(held[-1]))
        (before, above), (after, under) = levels[len(held) - 1], levels[len(held)]
        way = (above - self.asked) / (above - under)
        return self._answer("measured", math.exp(before + way * (after - before)))

    def _answer(self, reach: Reach, per_core: float | None) -> AtLimit:
        one = self.candidate
        return AtLimit(degree=one.degree, max_num_seqs=one.max_num_seqs, reach=reach, per_core=per_core)


def falling(turns: typing.Iterable[tuple[float, float, int]]) -> list[tuple[float, float]]:
    """Return (log rate, share) of each turn, rates rising and shares falling; ``turns`` have rate, share and weight.

    Isotonic regression: neighbours that are out of order take their common share (Ayer and others, "An empirical
    distribution function for sampling with incomplete information", Annals of Mathematical Statistics 26, 1955). More
    load never helps, so a share that rises with the rate is chance.
    """
    pooled: list[tuple[list[float], float, float]] = []
    for rate, share, weight in sorted(turns):
        rates, hits, total = [rate], share * weight, float(weight)
        while pooled and pooled[-1][1] / pooled[-1][2] < hits / total:
            before = pooled.pop()
            rates, hits, total = before[0] + rates, before[1] + hits, before[2] + total
        pooled.append((rates, hits, total))
    return [(rate, hits / total) for rates, hits, total in pooled for rate in rates]


def _is_open(turn: Turn) -> bool:
    return turn.rate_per_second is not None and turn.stage in ("rising", "block")


def _latency(sample: Sample, metric: LimitedMetric, together: typing.Mapping[LimitedMetric, Limit]) -> float:
    value = latency_ms(sample, metric)
    return value if value is not None and is_within(sample, together) else math.inf


def _share(values: typing.Sequence[float], limit_ms: float) -> float:
    return sum(value <= limit_ms for value in values) / len(values)


def _grid(known: typing.Sequence[_Answers], own: Limit) -> list[float]:
    """Return limits from below the fastest request up to the slowest ones, around the run's own limit."""
    finite = [value for each in known for values in (each.alone, *(own for _, own in each.turns)) for value in values]
    finite = sorted(value for value in finite if math.isfinite(value))
    if not finite:
        return [own.at_most_ms]
    low = min(0.8 * finite[0], own.at_most_ms / 1.2)
    high = max(finite[min(len(finite) - 1, int(0.99 * len(finite)))], own.at_most_ms * 1.2)
    step = (high / low) ** (1 / (MOST_POINTS - 2))
    grid = {round_limit(low * step**place) for place in range(MOST_POINTS - 1)}
    return sorted({*grid, own.at_most_ms})


def round_limit(limit_ms: float) -> float:
    """Return ``limit_ms`` rounded to half a unit of its second digit: limits that a person would set."""
    unit = 10.0 ** (math.floor(math.log10(limit_ms)) - 1) / 2
    return round(limit_ms / unit) * unit


def _as_judged(verdict: Verdict, limit_ms: float, at: typing.Sequence[AtLimit]) -> LimitPoint:
    """Return the point at the run's own limit, with the race's figures and its choice, if any."""
    by = {one.candidate: one for one in verdict.degrees}
    found = []
    for one in at:
        goodput = by[one.candidate].goodput_per_second_per_core
        if goodput is not None and by[one.candidate].word != "misses-slo":
            found.append(dataclasses.replace(one, reach="measured", per_core=goodput))
        else:
            found.append(one)
    leader = verdict.chosen or verdict.provisional
    return LimitPoint(
        limit_ms=limit_ms,
        choice=leader,
        is_decided=verdict.outcome == "settled" or leader is not None,
        near=_near(found, leader, verdict.resolution),
        candidates=tuple(found),
    )


def _point(limit_ms: float, at: typing.Sequence[AtLimit], resolution: float) -> LimitPoint:
    """Return the point at another limit; it names the best where no other can be better, by the rates tried."""
    able = [one for one in at if one.reach != "misses"]
    sure = [one for one in able if one.reach in ("measured", "at least") and one.per_core is not None]
    best = max(sure, key=lambda one: one.per_core or 0.0, default=None)
    rivals = [_most(one) for one in able if one is not best]
    decided = not able or (best is not None and all(most <= (best.per_core or 0.0) for most in rivals))
    choice = best.candidate.name if decided and best is not None else None
    return LimitPoint(
        limit_ms=limit_ms,
        choice=choice,
        is_decided=decided,
        near=_near(at, choice, resolution),
        candidates=tuple(at),
    )


def _most(one: AtLimit) -> float:
    """Return the most that a candidate may do, by the rates tried; infinity where nothing bounds it."""
    return math.inf if one.per_core is None or one.reach == "at least" else one.per_core


def _near(at: typing.Iterable[AtLimit], choice: str | None, resolution: float) -> tuple[str, ...]:
    found = {one.candidate.name: one.per_core for one in at if one.reach == "measured" and one.per_core is not None}
    best = found.get(choice or "")
    if best is None:
        return ()
    return tuple(name for name, value in found.items() if name != choice and value * (1 + resolution) >= best)


def _trimmed(points: typing.Sequence[LimitPoint], own_ms: float | None) -> tuple[LimitPoint, ...]:
    """Return ``points`` without the undecided ones at both ends, but with the run's own."""
    told = [place for place, one in enumerate(points) if one.is_decided or one.limit_ms == own_ms]
    if not told:
        return ()
    first, last = told[0], told[-1]
    empty = [place for place in range(first, last + 1) if points[place].choice is not None]
    # A few of the limits that no candidate holds are enough: more would squeeze the interesting ones into one end.
    start = max(first, empty[0] - 3) if empty else first
    return tuple(points[start : last + 1])


def _saturated(verdict: Verdict, steps: typing.Sequence[LoadStep]) -> ByLimit | None:
    """Return the choice by the median latency, from every number of requests in flight that was measured."""
    names = {one.candidate: one for one in verdict.degrees if one.word != "invalid" and one.blocks}
    own: dict[Candidate, list[tuple[float, float]]] = {}
    for step in steps:
        if step.candidate in names and step.latency_p50_ms and step.tokens_per_second_per_core:
            own.setdefault(step.candidate, []).append((step.latency_p50_ms, step.tokens_per_second_per_core))
    if len(own) < 2:  # noqa: PLR2004 - nothing to choose from
        return None
    grid = sorted({round_limit(1.02 * latency) for pairs in own.values() for latency, _ in pairs})
    points = []
    for limit_ms in [0.8 * grid[0], *grid]:
        at = [_step_at(candidate, pairs, limit_ms) for candidate, pairs in sorted(own.items())]
        points.append(_point(limit_ms, at, verdict.resolution))
    if verdict.chosen is not None:
        last = points[-1]
        points[-1] = dataclasses.replace(
            last, choice=verdict.chosen, near=_near(last.candidates, verdict.chosen, verdict.resolution)
        )
    return ByLimit(
        metric="total_latency_ms", percent=MEDIAN, asked_ms=None, per_core="output tokens", points=tuple(points)
    )


def _step_at(candidate: Candidate, pairs: typing.Sequence[tuple[float, float]], limit_ms: float) -> AtLimit:
    best = max((tokens for latency, tokens in pairs if latency <= limit_ms), default=None)
    return AtLimit(
        degree=candidate.degree,
        max_num_seqs=candidate.max_num_seqs,
        reach="misses" if best is None else "measured",
        per_core=best,
    )
