"""The comparison of two candidates of a verdict, as data and in either direction."""

import dataclasses
import math
import typing

from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.verdict.findings import Comparison, Criterion
from optimal_tp.verdict.race.pairs import Pair

UNIT: dict[Criterion, str] = {"goodput": "requests/s per core", "throughput": "output tokens/s per core"}
"""The unit in which candidates are compared, by criterion."""


def comparison(pair: Pair) -> Comparison:
    """Return what ``pair`` shows, as data."""
    back = pair.turned()
    word: typing.Literal["better", "worse", "equal", "at most better", "at most worse", "open"] = "open"
    if pair.is_better or back.is_better:
        word = "better" if pair.is_better else "worse"
    elif pair.is_safe or back.is_safe:
        word = "equal" if pair.is_safe and back.is_safe else "at most worse" if pair.is_safe else "at most better"
    ratio = None
    if pair.log_ratio is not None:
        ratio = Estimate(value=math.exp(pair.log_ratio), interval=pair.interval.exponentiated())
    return Comparison(
        first=pair.first.name,
        second=pair.second.name,
        blocks=pair.blocks,
        ratio=ratio,
        log_deviation=pair.deviation,
        word=word,
        alpha=pair.rules.alpha,
        why_open=pair.why_open,
    )


_TURNED: dict[str, typing.Any] = {
    "better": "worse",
    "worse": "better",
    "at most better": "at most worse",
    "at most worse": "at most better",
}


def turned_to(comparisons: typing.Iterable[Comparison], first: str, second: str) -> Comparison | None:
    """Return the comparison of two candidates with ``first`` first; None where they were not compared."""
    for one in comparisons:
        if (one.first, one.second) == (first, second):
            return one
        if (one.second, one.first) == (first, second):
            ratio = one.ratio
            if ratio is not None:
                low, high = ratio.interval.low, ratio.interval.high
                ends = Interval(low=1 / high if high else None, high=1 / low if low else None)
                ratio = Estimate(value=1 / ratio.value, interval=ends)
            word = _TURNED.get(one.word, one.word)
            return dataclasses.replace(one, first=first, second=second, ratio=ratio, word=word)
    return None
