"""The service times of one degree by request lengths and concurrency, from which the simulation draws."""

import collections
import collections.abc
import dataclasses
import functools
import math
import typing

import numpy as np

from optimal_tp.fleet.simulation.answers import Answers, Percentile
from optimal_tp.fleet.simulation.kernel import Requests, Values, serve
from optimal_tp.fleet.simulation.service import Served
from optimal_tp.plan.lengths import Shape as Asked

FEWEST = 3
"""Least service times for which a concurrency counts as measured."""
MOST_SHAPES = 8
"""Most pairs of lengths to keep apart; if there are more, lengths are pooled by powers of two."""
GRID = 64
"""Least values in a distribution that is interpolated from two others."""

CAPACITY_SAMPLES = 200
"""Bootstrap samples behind the lower end of a server's capacity."""

Array = np.ndarray
Shape = tuple[int, int]
"""Prompt and output tokens."""
Cell = tuple[Array, Array]
"""Service times in seconds, ascending, and the share of each that had passed at the first token (NaN if unknown)."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ServiceTimeTable:
    """Service times as the simulation reads them. ``cell = shape * (slots + 1) + level``."""

    slots: int
    """Requests that a server works on at a time."""
    shares: Array
    """Share of the requests that has each shape; sums to 1."""
    output_tokens: Array
    """By shape."""
    starts: Array
    """By cell: index of its first value in ``seconds``."""
    counts: Array
    """By cell: how many values it has."""
    seconds: Array
    """Service times of all cells, ascending within each."""
    first_shares: Array
    """Beside ``seconds``: the share of the service that had passed at the first token; NaN if unknown."""
    measured: Array
    """By cell: whether it was measured; the others are interpolated from their neighbours."""

    def mean_seconds(self, level: int) -> float:
        """Return the mean service time of the mix with ``level`` requests in service."""
        means = []
        for shape in range(len(self.shares)):
            cell = shape * (self.slots + 1) + level
            start = self.starts[cell]
            means.append(float(np.mean(self.seconds[start : start + self.counts[cell]])))
        return float(np.dot(self.shares, means))

    @property
    def capacity_per_second(self) -> float:
        """Requests per second that one server completes with every slot taken: ``slots / mean service time``."""
        return self.slots / self.mean_seconds(self.slots)

    @property
    def mean_output_tokens(self) -> float:
        """Output tokens of the mean request."""
        return float(np.dot(self.shares, self.output_tokens))

    def answers(self, arrivals: Array, servers: int, generator: np.random.Generator) -> Answers:
        """Simulate ``servers`` behind one router with requests at ``arrivals``, in seconds, ascending."""
        shapes = generator.choice(len(self.shares), size=len(arrivals), p=self.shares)
        ranks = generator.random(len(arrivals))
        values = Values(self.starts, self.counts, self.seconds, self.first_shares)
        totals, firsts, time_at = serve(Requests(arrivals, shapes, ranks), values, servers, self.slots)
        return Answers(
            totals=totals,
            firsts=firsts,
            tokens=self.output_tokens[shapes],
            taken_seconds=float(time_at.sum()),
            unmeasured_seconds=float(time_at[~self.measured].sum()),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceTimes:
    """The service times that a run measured at one degree."""

    slots: int
    cells: typing.Mapping[tuple[Shape, int], tuple[Cell, ...]]
    """By shape and level: the values of each turn."""
    shares: typing.Mapping[Shape, float]
    why: str = ""
    """Why no engine was fitted: the end of a sentence."""

    @property
    def count(self) -> int:
        """Service times measured."""
        return sum(len(seconds) for turns in self.cells.values() for seconds, _ in turns)

    @functools.cached_property
    def plain(self) -> ServiceTimeTable:
        """The values as they are."""
        return self.table()

    @property
    def capacity_per_second(self) -> float:
        """Requests per second that one server completes with every slot taken."""
        return self.plain.capacity_per_second

    @property
    def mean_output_tokens(self) -> float:
        """Output tokens of the mean request."""
        return self.plain.mean_output_tokens

    def drawn(self, generator: np.random.Generator | None = None) -> ServiceTimeTable:
        """Return the values as they are; with ``generator`` a bootstrap sample of them."""
        return self.plain if generator is None else self.table(generator)

    def error(self, asked: Percentile) -> float:  # noqa: ARG002 - as every model answers
        """Return 0: the model's own error is not known."""
        return 0.0

    @functools.cached_property
    def least_capacity_per_second(self) -> float:
        """The lower end (97.5 %) of that capacity, by the bootstrap."""
        generator = np.random.default_rng(20260701)
        found = [self.table(generator).capacity_per_second for _ in range(CAPACITY_SAMPLES)]
        return min(self.plain.capacity_per_second, float(np.quantile(found, 0.025)))

    @property
    def levels(self) -> tuple[int, ...]:
        """The measured concurrencies at one server, ascending."""
        return tuple(sorted({level for (_, level), turns in self.cells.items() if _size(turns) >= FEWEST}))

    @property
    def fewest(self) -> int:
        """Number of service times at the measured concurrency with the fewest."""
        by_level = (
            sum(_size(turns) for (_, other), turns in self.cells.items() if other == level) for level in self.levels
        )
        return min(by_level)

    @property
    def has_first_tokens(self) -> bool:
        """Whether the time of the first token is known throughout."""
        return not any(np.isnan(first).any() for turns in self.cells.values() for _, first in turns)

    def table(self, generator: np.random.Generator | None = None) -> ServiceTimeTable:
        """Return the values as they are; with ``generator`` a bootstrap sample of them.

        The bootstrap draws turns with replacement and then requests within each turn drawn (Davison and Hinkley,
        "Bootstrap Methods and their Application", 1997, section 3.8), separately for each shape and concurrency, so
        that none of them vanishes. It errs on the wide side.
        """
        drawn = {
            where: _joined(turns if generator is None else _resampled(turns, generator))
            for where, turns in self.cells.items()
            if _size(turns) >= FEWEST
        }
        shapes = sorted(self.shares)
        cells: list[Cell] = []
        measured = []
        for shape in shapes:
            own = {level: cell for (other, level), cell in drawn.items() if other == shape}
            cells.append((np.array([math.nan]), np.array([math.nan])))  # no request in service
            measured.append(True)
            for level in range(1, self.slots + 1):
                measured.append(level in own)
                cells.append(own[level] if level in own else _between(own, level))
        counts = np.array([len(seconds) for seconds, _ in cells], dtype=np.int64)
        return ServiceTimeTable(
            slots=self.slots,
            shares=np.array([self.shares[shape] for shape in shapes]),
            output_tokens=np.array([output for _, output in shapes], dtype=float),
            starts=np.concatenate([[0], np.cumsum(counts)[:-1]]),
            counts=counts,
            seconds=np.concatenate([seconds for seconds, _ in cells]),
            first_shares=np.concatenate([first for _, first in cells]),
            measured=np.array(measured),
        )


def service_times(
    requests: typing.Sequence[Served], slots: int, asked: typing.Sequence[Asked] = ()
) -> ServiceTimes | None:
    """Return the service times in ``requests``; None where no lengths have FEWEST values at any concurrency.

    They are drawn by how often each length was ``asked`` for, without any by how often it was served.
    """
    shape_of = _shapes({*((one.prompt_tokens, one.output_tokens) for one in requests), *asked})
    grouped: dict[tuple[Shape, int], dict[str, list[Served]]] = {}
    for one in requests:
        where = (shape_of[one.prompt_tokens, one.output_tokens], one.level)
        grouped.setdefault(where, {}).setdefault(one.turn, []).append(one)
    cells = {where: tuple(_cell(own) for own in turns.values()) for where, turns in sorted(grouped.items())}
    usable = {shape for (shape, _), turns in cells.items() if _size(turns) >= FEWEST}
    kept = {where: turns for where, turns in cells.items() if where[0] in usable}
    totals = {shape: sum(_size(turns) for (other, _), turns in kept.items() if other == shape) for shape in usable}
    wanted = collections.Counter(shape_of[one] for one in asked)
    if any(wanted[shape] for shape in usable):
        totals = {shape: wanted[shape] for shape in usable}
    if not usable:
        return None
    every = sum(totals.values())
    return ServiceTimes(slots=slots, cells=kept, shares={shape: total / every for shape, total in totals.items()})


def _shapes(pairs: collections.abc.Set[Shape]) -> dict[Shape, Shape]:
    """Return the pair of lengths under which each pair is kept."""
    if len(pairs) <= MOST_SHAPES:
        return {pair: pair for pair in pairs}
    return {pair: (_power(pair[0]), _power(pair[1])) for pair in pairs}


def _power(tokens: int) -> int:
    return 1 << max(0, round(math.log2(max(1, tokens))))


def _cell(requests: typing.Sequence[Served]) -> Cell:
    seconds = np.array([one.total_seconds for one in requests])
    first = np.array([math.nan if one.first_seconds is None else one.first_seconds for one in requests])
    return seconds, np.clip(first / seconds, 0.0, 1.0)


def _size(turns: typing.Sequence[Cell]) -> int:
    return sum(len(seconds) for seconds, _ in turns)


def _joined(turns: typing.Sequence[Cell]) -> Cell:
    seconds = np.concatenate([seconds for seconds, _ in turns])
    first = np.concatenate([first for _, first in turns])
    order = np.argsort(seconds, kind="stable")
    return seconds[order], first[order]


def _resampled(turns: typing.Sequence[Cell], generator: np.random.Generator) -> list[Cell]:
    drawn = []
    for turn in generator.integers(len(turns), size=len(turns)):
        seconds, first = turns[turn]
        which = generator.integers(len(seconds), size=len(seconds))
        drawn.append((seconds[which], first[which]))
    return drawn


def _between(own: typing.Mapping[int, Cell], level: int) -> Cell:
    """Return the service times at a concurrency that was not measured.

    Between two measured concurrencies: the quantiles of both, mixed linearly. Above them: along the same line, never
    falling; if only one was measured, in proportion to the concurrency, as if batching had no benefit. Below them: the
    times of the lowest one, which are too long rather than too short.
    """
    levels = sorted(own)
    above = [other for other in levels if other > level]
    below = [other for other in levels if other < level]
    if not below:
        return own[above[0]]
    if not above and len(below) == 1:
        seconds, first = own[below[0]]
        return seconds * (level / below[0]), first
    low, high = (below[-1], above[0]) if above else (below[-2], below[-1])
    size = max(GRID, len(own[low][0]), len(own[high][0]))
    ranks = (np.arange(size) + 0.5) / size
    near, near_first = _at(own[low], ranks)
    far, far_first = _at(own[high], ranks)
    weight = (level - low) / (high - low)
    first = (near_first + far_first) / 2
    if above:
        return np.sort(near + weight * (far - near)), first
    return np.sort(far + (weight - 1) * np.maximum(far - near, 0.0)), first


def _at(cell: Cell, ranks: Array) -> Cell:
    seconds, first = cell
    index = (ranks * len(seconds)).astype(np.int64)
    return seconds[index], first[index]
