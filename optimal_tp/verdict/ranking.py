"""Two degrees against each other, block by block, so that whatever drifts hits both alike."""

import dataclasses
import math
import typing

import numpy as np
import scipy.special

from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.verdict.findings import Comparison
from optimal_tp.verdict.statistics import batched, lag_one, mean_sequence

FEWEST_BATCHES = 5
"""Batches below which blocks are not merged further: fewer leave no interval worth having."""

RESEMBLANCE = 0.8
"""How sure it must be that neighbouring blocks resemble each other before they are averaged. Readier than usual, as
averaging can only widen an interval: at this value ties with an autocorrelation of 0.5 are misjudged in less than 5 %
of simulated runs, and independent blocks cost no more than at 0.975; see docs/verdict.md."""


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

    Where neighbours resemble each other (autocorrelation at lag one above what RESEMBLANCE allows) blocks are averaged
    two, four, eight at a time until they do not, and the interval is the hull of those passed on the way: only ever
    wider than the unbatched one, whose guarantee it keeps.
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


def resemblance_bound(count: int) -> float:
    """Return the autocorrelation at lag one from which ``count`` values count as resembling their neighbours."""
    return float(scipy.special.ndtri(RESEMBLANCE)) / math.sqrt(count)


def _resembles(values: typing.Sequence[float]) -> bool:
    autocorrelation = lag_one(values)
    return autocorrelation is not None and autocorrelation.value > resemblance_bound(len(values))


def relative(comparisons: typing.Sequence[Comparison], first: int, second: int) -> Estimate | None:
    """Return throughput per core of ``first`` over that of ``second``; None where the two were not compared."""
    for comparison in comparisons:
        if comparison.ratio is None or {comparison.first, comparison.second} != {first, second}:
            continue
        ratio = comparison.ratio
        if comparison.first == first:
            return ratio
        interval = logarithm(ratio.interval).negated().exponentiated()
        return Estimate(value=1 / ratio.value, interval=interval)
    return None


def log_interval(comparisons: typing.Sequence[Comparison], first: int, second: int) -> Interval | None:
    """Return the interval of log throughput per core of ``first`` less that of ``second``; None where there is none."""
    ratio = relative(comparisons, first, second)
    return None if ratio is None else logarithm(ratio.interval)


def logarithm(interval: Interval) -> Interval:
    """Return the interval of the logarithm of a ratio; unbounded where the ratio's end is 0 or unbounded."""
    return Interval(
        low=math.log(interval.low) if interval.low else None,
        high=None if interval.high is None else math.log(interval.high),
    )


MARGIN = 0.02
"""Degrees whose throughput per core differs by less than this share count as equal: half of the noise that careful
runs on one machine show between turns, and less than any price difference worth a second server layout."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranking:
    """The order that the comparisons allow."""

    leader: int | None
    """The smallest passing degree that no passing degree beats beyond doubt."""
    beaten: typing.Mapping[int, int]
    """Degrees beaten beyond doubt by a passing degree, with the one that beats them by most."""
    unsettled: tuple[int, ...]
    """Degrees that might still be the better answer than the leader."""


def rank(
    passing: typing.Sequence[int], undecided: typing.Sequence[int], comparisons: typing.Sequence[Comparison]
) -> Ranking:
    """Return the ranking of ``passing`` degrees, with ``undecided`` ones that may yet turn out to pass.

    The answer is the smallest degree that is not beaten. It is settled against a smaller degree when that one is
    beaten, and against a larger one when the larger one's advantage is below MARGIN beyond doubt.
    """
    contenders = sorted({*passing, *undecided})
    beaten = {}
    for degree in contenders:
        margins = {other: _least_lead(comparisons, other, degree) for other in passing if other != degree}
        winners = {other: lead for other, lead in margins.items() if lead > 0}
        if winners:
            beaten[degree] = max(winners, key=lambda other: (winners[other], -other))
    alive = [degree for degree in contenders if degree not in beaten]
    leader = next((degree for degree in alive if degree in passing), None)
    if leader is None:
        return Ranking(leader=None, beaten=beaten, unsettled=tuple(alive))
    unsettled = tuple(
        degree
        for degree in alive
        if degree < leader or (degree > leader and not _is_no_better(comparisons, degree, leader))
    )
    return Ranking(leader=leader, beaten=beaten, unsettled=unsettled)


def is_better(comparisons: typing.Sequence[Comparison], first: int, second: int) -> bool:
    """Whether ``first`` gives more per core than ``second`` beyond doubt."""
    return _least_lead(comparisons, first, second) > 0


def _least_lead(comparisons: typing.Sequence[Comparison], first: int, second: int) -> float:
    """Return by how much, in logarithms, ``first`` beats ``second`` at the least; minus infinity if unknown."""
    interval = log_interval(comparisons, first, second)
    return -math.inf if interval is None or interval.low is None else interval.low


def _is_no_better(comparisons: typing.Sequence[Comparison], larger: int, leader: int) -> bool:
    interval = log_interval(comparisons, larger, leader)
    return interval is not None and interval.is_at_most(math.log1p(MARGIN))
