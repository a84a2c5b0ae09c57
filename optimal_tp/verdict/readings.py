"""What a turn says in the race's terms: the share of counted requests within the limits, or saturated throughput."""

import math
import typing

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, is_within, of, output_tokens_per_second
from optimal_tp.settings.workload import Limit, LimitedMetric
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.scoring import Throughput

Limits = typing.Mapping[LimitedMetric, Limit]


def asked_share(limits: Limits) -> float:
    """Return the share of requests, 0 to 1, that must hold every limit: the highest asked percentile.

    Where limits ask for different percentiles every one of them must be held by the highest: a request counts as within
    only if it holds them all.
    """
    return max(limit.percentile for limit in limits.values()) / 100


def reading(turn: Turn, samples: typing.Sequence[Sample], limits: Limits, cores_used: int) -> Reading | None:
    """Return what an open ``turn`` says of its candidate; None for a closed loop and for a turn that was cut short."""
    own = counted(turn, samples)
    if turn.rate_per_second is None or not own or (turn.counted is not None and len(own) < turn.counted):
        return None
    within = [is_within(sample, limits) for sample in sorted(own, key=lambda sample: sample.request)]
    return Reading(
        candidate=of(turn),
        block=turn.block,
        log_rate=math.log(turn.rate_per_second / cores_used),
        hits=sum(within),
        counted=len(within),
        early_hits=sum(within[: len(within) // 2]),
    )


def throughput(turn: Turn, samples: typing.Sequence[Sample], cores_used: int) -> Throughput | None:
    """Return the saturated throughput of a closed ``turn``; None for open arrivals and where nothing was counted."""
    rate = None if turn.concurrency is None else output_tokens_per_second(turn, samples)
    if not rate:
        return None
    return Throughput(candidate=of(turn), block=turn.block, log_rate=math.log(rate / cores_used))
