"""Latencies by stage, and how each limit was held: percentiles with bounds, for display."""

import dataclasses
import math
import sys
import typing

from optimal_tp.facts.candidates import Candidate, CandidateRow
from optimal_tp.measurement.estimate import Estimate
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, holds, latency_ms, of
from optimal_tp.settings.workload import Limit, LimitedMetric
from optimal_tp.verdict.evidence import Soundness
from optimal_tp.verdict.findings import LimitFinding
from optimal_tp.verdict.statistics import design_effect, percentile, percentile_point

Turns = typing.Sequence[tuple[Turn, tuple[Sample, ...]]]


def limit_finding(turns: Turns, metric: LimitedMetric, limit: Limit, *, alpha: float) -> LimitFinding:
    """Return how ``turns`` hold ``limit``: a description that no decision uses.

    A failed request misses. Where requests succeed but none has the figure (time per token with one token, time to the
    first token without streaming), the limit does not apply, and the finding has 0 requests.
    """
    samples = [sample for _, own in turns for sample in own] if _has_figure(turns, metric) else []
    return LimitFinding(
        metric=metric,
        percent=limit.percentile,
        at_most_ms=limit.at_most_ms,
        requests=len(samples),
        hits=sum(holds(sample, metric, limit) for sample in samples),
        latency_ms=latency_percentile(turns, metric, limit.percentile, alpha=alpha),
    )


def is_beyond(turns: Turns, metric: LimitedMetric, limit: Limit, *, alpha: float) -> bool:
    """Whether the whole range of the limited percentile lies beyond ``limit``; a failure counts as later than any."""
    late = [[min(value, sys.float_info.max) for value in own] for own in _by_turn(turns, metric)]
    found = _percentile(late, limit.percentile, alpha=alpha)
    return found is not None and found.interval.is_above(limit.at_most_ms)


def _has_figure(turns: Turns, metric: LimitedMetric) -> bool:
    good = [sample for _, samples in turns for sample in samples if sample.status == "ok"]
    return not good or any(latency_ms(sample, metric) is not None for sample in good)


def latency_percentile(turns: Turns, metric: LimitedMetric, percent: float, *, alpha: float) -> Estimate | None:
    """Return the percentile in milliseconds over all requests, failures as infinity; None where it falls on a failure.

    Its bounds allow for turns that differ more than independent requests would, as measured at the percentile.
    """
    return _percentile(_by_turn(turns, metric), percent, alpha=alpha)


def _percentile(by_turn: typing.Sequence[typing.Sequence[float]], percent: float, *, alpha: float) -> Estimate | None:
    values = sorted(value for own in by_turn for value in own)
    point = percentile_point(values, percent)
    if point is None or point <= 0:
        return None
    groups = [(sum(value <= point for value in own), len(own)) for own in by_turn]
    return percentile(values, percent, alpha=alpha, design_effect=design_effect(groups))


def latencies(turns: Turns, metric: LimitedMetric) -> list[float]:
    """Return the figure of every request in milliseconds; infinity for a failure."""
    return [value for own in _by_turn(turns, metric) for value in own]


def _by_turn(turns: Turns, metric: LimitedMetric) -> list[list[float]]:
    found = ((latency_ms(sample, metric) for sample in samples) for _, samples in turns)
    return [[math.inf if value is None else value for value in own] for own in found]


METRICS: tuple[LimitedMetric, ...] = ("total_latency_ms", "ttft_ms", "tpot_ms")
PERCENTS = (50, 90, 99)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyRow(CandidateRow):
    """One metric of one candidate in one stage. Percentiles count a failed request as one that never ended."""

    stage: typing.Literal["idle", "block"]
    metric: LimitedMetric
    requests: int
    p50_ms: Estimate | None
    p90_ms: Estimate | None
    p99_ms: Estimate | None


def latency_rows(soundness: Soundness, *, alpha: float) -> tuple[LatencyRow, ...]:
    """Return a row for each candidate, stage and metric that has a figure; bounds at ``1 - alpha``, each for itself."""
    rows = []
    candidates = sorted({of(turn) for turn, _ in soundness.turns})
    stages: tuple[typing.Literal["idle", "block"], ...] = ("idle", "block")
    for candidate in candidates:
        for stage in stages:
            turns = [
                (turn, tuple(counted(turn, samples)))
                for turn, samples in soundness.turns
                if of(turn) == candidate and turn.stage == stage
            ]
            for metric in METRICS:
                by_turn = _by_turn(turns, metric)
                if not any(math.isfinite(value) for own in by_turn for value in own):
                    continue
                p50, p90, p99 = (_percentile(by_turn, percent, alpha=alpha) for percent in PERCENTS)
                rows.append(
                    LatencyRow(
                        degree=candidate.degree,
                        max_num_seqs=candidate.max_num_seqs,
                        stage=stage,
                        metric=metric,
                        requests=sum(map(len, by_turn)),
                        p50_ms=p50,
                        p90_ms=p90,
                        p99_ms=p99,
                    )
                )
    return tuple(rows)


def medians_alone(rows: typing.Sequence[LatencyRow]) -> dict[Candidate, Estimate]:
    """Return the median total latency of one request at a time, by candidate."""
    return {
        row.candidate: row.p50_ms
        for row in rows
        if row.stage == "idle" and row.metric == "total_latency_ms" and row.p50_ms is not None
    }
