"""Who leads in throughput per core, who is beaten beyond doubt, and which question is still open."""

import dataclasses
import math
import typing

from optimal_tp.verdict.findings import Comparison
from optimal_tp.verdict.ranking import log_interval

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
