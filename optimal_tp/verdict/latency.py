"""The latency gate: whether the asked share of requests holds each limit, with confidence at every look."""

import dataclasses
import math
import typing

from optimal_tp.measurement.estimate import Estimate
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, holds, latency_ms
from optimal_tp.settings.workload import Limit, LimitedMetric
from optimal_tp.verdict.evidence import Soundness
from optimal_tp.verdict.findings import LimitFinding
from optimal_tp.verdict.statistics import design_effect, percentile, percentile_point, share_sequence

Turns = typing.Sequence[tuple[Turn, tuple[Sample, ...]]]


def limit_finding(
    turns: Turns, metric: LimitedMetric, limit: Limit, *, alpha: float, display_alpha: float
) -> LimitFinding:
    """Return whether ``turns`` hold ``limit``.

    A failed request misses. Where requests succeed but none has the figure (a time per token of one token, a time to
    the first token without streaming) nothing was asked of any: no requests, in doubt. Requests of one turn may
    resemble each other, so the counts are divided by the design effect of the turns before the confidence sequence is
    formed. ``alpha`` is the decision's share of the error budget, ``display_alpha`` that of the percentile's bounds.
    """
    groups = _groups(turns, metric, limit) if _has_figure(turns, metric) else []
    hits, requests = sum(hits for hits, _ in groups), sum(trials for _, trials in groups)
    effect = design_effect(groups)
    share = share_sequence(hits / effect, requests / effect, alpha=alpha)
    target = limit.percentile / 100
    word: typing.Literal["holds", "misses", "inconclusive"] = "inconclusive"
    if requests and share.low is not None and share.low >= target:
        word = "holds"
    elif requests and share.is_below(target):
        word = "misses"
    return LimitFinding(
        metric=metric,
        percent=limit.percentile,
        at_most_ms=limit.at_most_ms,
        requests=requests,
        hits=hits,
        design_effect=effect,
        share=share,
        latency_ms=latency_percentile(turns, metric, limit.percentile, alpha=display_alpha),
        word=word,
    )


def _has_figure(turns: Turns, metric: LimitedMetric) -> bool:
    good = [sample for _, samples in turns for sample in samples if sample.status == "ok"]
    return not good or any(latency_ms(sample, metric) is not None for sample in good)


def latency_percentile(turns: Turns, metric: LimitedMetric, percent: float, *, alpha: float) -> Estimate | None:
    """Return the percentile in milliseconds over all requests, failures as infinity; None where it is one of those.

    Its bounds allow for turns that differ more than independent requests would, as seen at the percentile itself.
    """
    values = latencies(turns, metric)
    point = percentile_point(values, percent)
    if point is None or point <= 0:
        return None
    effect = design_effect(_groups(turns, metric, Limit(percentile=percent, at_most_ms=point)))
    return percentile(values, percent, alpha=alpha, design_effect=effect)


def _groups(turns: Turns, metric: LimitedMetric, limit: Limit) -> list[tuple[int, int]]:
    return [(sum(holds(sample, metric, limit) for sample in samples), len(samples)) for _, samples in turns]


def latencies(turns: Turns, metric: LimitedMetric) -> list[float]:
    """Return the figure of every request in milliseconds; infinity for a failure."""
    values = (latency_ms(sample, metric) for _, samples in turns for sample in samples)
    return [math.inf if value is None else value for value in values]


METRICS: tuple[LimitedMetric, ...] = ("total_latency_ms", "ttft_ms", "tpot_ms")
PERCENTS = (50, 90, 99)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyRow:
    """One metric of one degree in one stage. Percentiles count a failed request as one that never ended."""

    degree: int
    stage: typing.Literal["idle", "block"]
    metric: LimitedMetric
    requests: int
    p50_ms: Estimate | None
    p90_ms: Estimate | None
    p99_ms: Estimate | None


def latency_rows(soundness: Soundness, *, alpha: float) -> tuple[LatencyRow, ...]:
    """Return a row for each degree, stage and metric that has a figure; bounds at ``1 - alpha``, each for itself."""
    rows = []
    degrees = sorted({turn.degree for turn, _ in soundness.turns})
    stages: tuple[typing.Literal["idle", "block"], ...] = ("idle", "block")
    for degree in degrees:
        for stage in stages:
            turns = [pair for pair in soundness.turns if pair[0].degree == degree and pair[0].stage == stage]
            for metric in METRICS:
                values = latencies(turns, metric)
                if not any(math.isfinite(value) for value in values):
                    continue
                p50, p90, p99 = (latency_percentile(turns, metric, percent, alpha=alpha) for percent in PERCENTS)
                rows.append(
                    LatencyRow(
                        degree=degree,
                        stage=stage,
                        metric=metric,
                        requests=len(values),
                        p50_ms=p50,
                        p90_ms=p90,
                        p99_ms=p99,
                    )
                )
    return tuple(rows)


def medians_alone(rows: typing.Sequence[LatencyRow]) -> dict[int, Estimate]:
    """Return the median total latency by degree: alone where it was measured, else in the blocks."""
    medians: dict[int, Estimate] = {}
    for stage in ("block", "idle"):
        found = {
            row.degree: row.p50_ms
            for row in rows
            if row.stage == stage and row.metric == "total_latency_ms" and row.p50_ms is not None
        }
        medians |= found
    return medians
