"""Two degrees against each other, block by block, so that whatever drifts hits both alike."""

import math
import typing

import numpy as np

from workloads.report.findings import Comparison
from workloads.statistics import Estimate, Interval, batched, lag_one, mean_sequence

FEWEST_BATCHES = 8
"""Batches below which blocks are not merged further: fewer leave no interval worth having."""


def compare(
    first: tuple[int, typing.Mapping[int, float]], second: tuple[int, typing.Mapping[int, float]], *, alpha: float
) -> Comparison:
    """Return ``first`` against ``second``; each is a degree and its log throughput per core by block."""
    blocks = sorted(first[1].keys() & second[1].keys())
    differences = [first[1][block] - second[1][block] for block in blocks]
    interval, batch = paired_interval(differences, alpha=alpha)
    why = None
    if interval is None:
        why = (
            f"{len(blocks)} blocks have both; an interval takes at least 2"
            if len(blocks) < 2  # noqa: PLR2004 - a spread takes two values
            else f"the two differ by exactly the same in all {len(blocks)} blocks: no spread to judge by"
        )
    ratio = None
    if interval is not None:
        ratio = Estimate(value=math.exp(float(np.mean(differences))), interval=interval.exponentiated())
    return Comparison(
        first=first[0],
        second=second[0],
        blocks=len(blocks),
        ratio=ratio,
        log_deviation=float(np.std(differences, ddof=1)) if interval is not None else None,
        autocorrelation=lag_one(differences),
        batch=batch,
        alpha=alpha,
        why_no_ratio=why,
    )


def paired_interval(differences: typing.Sequence[float], *, alpha: float) -> tuple[Interval | None, int]:
    """Return the confidence sequence for the mean of ``differences``, in block order, and the batch it rests on.

    Where neighbours resemble each other (lag-one autocorrelation above 0 beyond doubt) blocks are averaged two, four,
    eight at a time until they do not, and the interval is the hull of those passed on the way: only ever wider than
    the unbatched one, whose guarantee it keeps.
    """
    interval = mean_sequence(differences, alpha=alpha)
    size = 1
    means: typing.Sequence[float] = differences
    while interval is not None and _resembles(means) and len(differences) // (2 * size) >= FEWEST_BATCHES:
        size *= 2
        means = batched(differences, size)
        wider = mean_sequence(means, alpha=alpha)
        interval = interval if wider is None else interval.hull(wider)
    return interval, size


def _resembles(values: typing.Sequence[float]) -> bool:
    autocorrelation = lag_one(values)
    return autocorrelation is not None and autocorrelation.interval.is_above(0)


def log_interval(comparisons: typing.Sequence[Comparison], first: int, second: int) -> Interval | None:
    """Return the interval of log throughput per core of ``first`` less that of ``second``; None where there is none."""
    for comparison in comparisons:
        if {comparison.first, comparison.second} == {first, second} and comparison.ratio is not None:
            interval = _logarithm(comparison.ratio.interval)
            return interval if comparison.first == first else interval.negated()
    return None


def _logarithm(interval: Interval) -> Interval:
    return Interval(
        low=None if interval.low is None else math.log(interval.low),
        high=None if interval.high is None else math.log(interval.high),
    )
