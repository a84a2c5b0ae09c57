"""Turns in the race's terms: the share of counted requests within the limits, or saturated throughput."""

import dataclasses
import math
import typing

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, is_within, of, output_tokens_per_second, share_within
from optimal_tp.settings.workload import Limit, LimitedMetric
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.proof import is_shown, missed
from optimal_tp.verdict.race.scoring import Throughput

Limits = typing.Mapping[LimitedMetric, Limit]


def limits_by_share(limits: Limits) -> dict[float, Limits]:
    """Return the limits of each asked share of requests, 0 to 1, the highest first.

    Limits of one percentile must be held together by that share of the requests, those of another by their own share.
    """
    percents = sorted({limit.percentile for limit in limits.values()}, reverse=True)
    return {
        percent / 100: {metric: limit for metric, limit in limits.items() if limit.percentile == percent}
        for percent in percents
    }


def shares_within(samples: typing.Sequence[Sample], limits: Limits) -> dict[float, float]:
    """Return, by asked share, the share of ``samples`` that hold its limits; empty without samples."""
    found = {asked: share_within(samples, own) for asked, own in limits_by_share(limits).items()}
    return {asked: share for asked, share in found.items() if share is not None}


def is_shown_to_miss(turns: typing.Sequence[typing.Mapping[float, float]], *, alpha: float) -> bool:
    """Whether bets on ``shares_within`` show that less than an asked share holds; the shares divide ``alpha``."""
    asked = turns[0] if turns else {}
    return any(is_shown(missed((own[each] for own in turns), each), alpha / len(asked)) for each in asked)


def reading(turn: Turn, samples: typing.Sequence[Sample], limits: Limits, cores_used: int) -> Reading | None:
    """Return the reading of an open ``turn``; None for a closed loop and for a turn that was cut short."""
    own = counted(turn, samples)
    if turn.rate_per_second is None or not own or (turn.counted is not None and len(own) < turn.counted):
        return None
    log_rate = math.log(turn.rate_per_second / cores_used)
    ordered = sorted(own, key=lambda sample: sample.request)
    first, *others = (
        _share_reading(turn, [is_within(sample, each) for sample in ordered], asked, log_rate)
        for asked, each in limits_by_share(limits).items()
    )
    return dataclasses.replace(first, others=tuple(others))


def _share_reading(turn: Turn, within: typing.Sequence[bool], asked: float, log_rate: float) -> Reading:
    return Reading(
        candidate=of(turn),
        block=turn.block,
        log_rate=log_rate,
        asked=asked,
        hits=sum(within),
        counted=len(within),
        early_hits=sum(within[: len(within) // 2]),
        start=turn.server_start or 0,
    )


def throughput(turn: Turn, samples: typing.Sequence[Sample], cores_used: int) -> Throughput | None:
    """Return the saturated throughput of a closed ``turn``; None for open arrivals and where nothing was counted."""
    rate = None if turn.concurrency is None else output_tokens_per_second(turn, samples)
    if not rate:
        return None
    return Throughput(
        candidate=of(turn), block=turn.block, log_rate=math.log(rate / cores_used), start=turn.server_start or 0
    )
