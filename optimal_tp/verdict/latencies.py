"""Latency percentiles per degree: alone (one request at a time) and under the load of the blocks."""

import dataclasses
import math
import typing

from optimal_tp.measurement.estimate import Estimate
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.latency import latencies, latency_percentile
from optimal_tp.verdict.soundness import Soundness

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
