"""The course of the race: the interval of the closest pair after every block."""

import dataclasses
import math
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.race.blocks import Standing
from optimal_tp.verdict.race.pairs import Pair


@dataclasses.dataclass(frozen=True, kw_only=True)
class NarrowingStep:
    """What was known after one block."""

    blocks: int
    ratio: float
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Narrowing:
    """``first`` over ``second``, per core, block by block."""

    first: str
    second: str
    resolution: float
    looks: tuple[NarrowingStep, ...]


def narrowing(verdict: Verdict, standings: typing.Sequence[Standing]) -> Narrowing | None:
    """Return how the interval between the leader and its closest rival narrowed; None where no two were compared."""
    named = verdict.chosen or verdict.provisional
    if named is None or not standings:
        return None
    mine = next((one.candidate for one in verdict.degrees if one.name == named), None)
    rivals = {
        rival: pair
        for pair in _pairs(standings[-1])
        if pair.log_ratio is not None and mine in (pair.first, pair.second)
        for rival in [pair.second if pair.first == mine else pair.first]
    }
    if mine is None or not rivals:
        return None
    closest = min(rivals, key=lambda rival: abs(rivals[rival].log_ratio or 0.0))
    looks = [look for standing in standings if (look := _look(standing, closest, mine)) is not None]
    if not looks:
        return None
    return Narrowing(first=closest.name, second=named, resolution=verdict.resolution, looks=tuple(looks))


def _pairs(standing: Standing) -> tuple[Pair, ...]:
    return (*standing.pairs, *standing.beaten.values(), *standing.former)


def _look(standing: Standing, first: Candidate, second: Candidate) -> NarrowingStep | None:
    for pair in _pairs(standing):
        turned = pair if (pair.first, pair.second) == (first, second) else pair.turned()
        if (turned.first, turned.second) == (first, second) and turned.log_ratio is not None:
            ends, ratio = turned.interval.exponentiated(), math.exp(turned.log_ratio)
            return NarrowingStep(blocks=standing.blocks, ratio=ratio, low=ends.low, high=ends.high)
    return None
