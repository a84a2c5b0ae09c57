"""Compare two candidates: the interval of their log ratio, and what it shows."""

import collections.abc
import dataclasses
import math
import typing

import scipy.special

from optimal_tp.errors import quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import UNBOUNDED, Interval, name_list
from optimal_tp.verdict.statistics import t_bound

PRIOR_VARIANCE = 0.3
"""Prior variance of the mixture t sequence: makes it narrow for a dozen to a hundred blocks."""
SURE_LEAD = 4
"""A lead of at least this many resolutions is called better without waiting for FEWEST_FOR_BETTER blocks, and it
counts even where a candidate wanders: no wandering is that large."""
FEWEST_FOR_TREND = 8
"""Fewest blocks in which a trend is looked for."""
FEWEST_EFFECTIVE, FEWEST_FOR_BETTER = 6, 12
"""Fewest independent blocks that the differences must be worth, after allowing for their resemblance: to claim
anything, and to call one better. Slow drift can look like a lead that a few independent blocks cannot refute."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules by which the race makes its claims."""

    resolution: float
    """Share by which another may be better while a choice is still safe."""
    bias: float
    """Differences below this share are not called better: warm-ins and routing can cause them."""
    least_blocks: int
    most_looks: int | None
    """Fixed number of looks: after ``least_blocks`` and after each of the next blocks; None looks after every block."""
    alpha: float
    """Chance of a wrong claim, for each pair."""

    def looks(self) -> "collections.abc.Container[int]":
        """Return the numbers of blocks after which a claim may be made."""
        end = self.least_blocks + self.most_looks if self.most_looks is not None else 1_000_000
        return range(self.least_blocks, end)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """``first`` against ``second``: logarithm of the ratio of their capacities."""

    first: Candidate
    second: Candidate
    blocks: int
    """Blocks in which both were scored."""
    log_ratio: float | None
    """Mean of the paired differences; None without any."""
    interval: Interval
    deviation: float | None
    """Standard deviation of the differences, widened to allow for their resemblance; None below two."""
    surely_effective: float
    """Least number of independent blocks that the differences are worth, by the most that they may resemble."""
    why_open: str | None
    """Why nothing may be claimed yet, in words; None where it may."""
    rules: Rules
    wanders: bool = False
    """Whether one of the two drifts for longer than a turn: then neither is called better, whatever the lead."""
    is_unsteady: bool = False
    """Whether one drifts within one start of the servers too: then only a lead beyond any wandering counts."""
    warming: frozenset[Candidate] = frozenset()
    """Those of the two whose servers still seem to warm up: nothing is claimed against them."""
    starts_differ: bool = False
    """Whether the lead differs between starts of the servers: then neither is called better."""

    def turned(self) -> "Pair":
        """Return ``second`` against ``first``."""
        return dataclasses.replace(
            self,
            first=self.second,
            second=self.first,
            log_ratio=None if self.log_ratio is None else -self.log_ratio,
            interval=self.interval.negated(),
        )

    @property
    def is_better(self) -> bool:
        """Whether ``first`` is better beyond doubt."""
        low = self.interval.low
        if (
            self.wanders
            or self.starts_differ
            or self.second in self.warming
            or self.why_open is not None
            or low is None
            or low <= math.log1p(self.rules.bias)
        ):
            return False
        is_sure = low > math.log1p(SURE_LEAD * self.rules.resolution)
        return self.rules.most_looks is not None or self.surely_effective >= FEWEST_FOR_BETTER or is_sure

    @property
    def is_safe(self) -> bool:
        """Whether ``second`` is at most the resolution better than ``first``, beyond doubt."""
        low = self.interval.low
        if self.second in self.warming or self.why_open is not None or low is None:
            return False
        return low > -math.log1p(self.rules.resolution)

    @property
    def has_claim(self) -> bool:
        """Whether anything is shown, either way round."""
        return any(own.is_better or own.is_safe for own in (self, self.turned()))


def lead(first: Candidate, second: Candidate, by_block: collections.abc.Mapping[int, float], rules: Rules) -> Pair:
    """Return what the paired differences of scores show; ``by_block`` has them in the order of blocks."""
    differences = tuple(by_block.values())
    count = len(differences)
    mean = math.fsum(differences) / count if count else None
    interval, deviation, why = UNBOUNDED, None, None
    effective = surely = float(count)
    if count < rules.least_blocks:
        done = quantity(count, "block", "blocks")
        why = f"both are near their capacity in {done}, but a claim needs {rules.least_blocks}"
    if count > 1 and mean is not None:
        widening = 1.0
        if rules.most_looks is None:
            r = autocorrelation(differences)
            likely, most = (_raised(r, errors, count) for errors in (1.0, 1.5))
            widening = math.sqrt((1 + likely) / (1 - likely))
            effective, surely = (count * (1 - each) / (1 + each) for each in (likely, most))
        if effective < FEWEST_EFFECTIVE and rules.most_looks is None:
            why = why or f"neighbouring blocks of the {count} are too similar to count separately"
        else:
            squares = math.fsum((difference - mean) ** 2 for difference in differences)
            deviation = math.sqrt(squares / (count - 1)) * widening
            half = _bound(count, rules) * deviation / math.sqrt(count)
            interval = Interval(low=mean - half, high=mean + half) if math.isfinite(half) else UNBOUNDED
    pair = Pair(
        first=first,
        second=second,
        blocks=count,
        log_ratio=mean,
        interval=interval,
        deviation=deviation,
        surely_effective=surely,
        why_open=why,
        rules=rules,
    )
    return pair if rules.most_looks is None or why is not None else _as_the_last_two(pair, differences)


def wandered(pair: Pair, moved: collections.abc.Collection[Candidate]) -> Pair:
    """Return ``pair``, whose candidates ``moved`` wander within a start: only a lead beyond any wandering counts."""
    if not moved:
        return pair
    bound = math.log1p(SURE_LEAD * pair.rules.resolution)
    is_sure = pair.interval.is_above(bound) or pair.interval.is_below(-bound)
    why = pair.why_open
    if why is None and not is_sure:
        why = (
            f"this machine wanders: {name_list(sorted(moved))} moved by more than the noise of single turns, so the "
            "blocks are worth only a few independent ones; measure longer or on a quieter machine"
        )
    return dataclasses.replace(pair, is_unsteady=True, why_open=why)


def warmed(pair: Pair, warming: collections.abc.Set[Candidate]) -> Pair:
    """Return ``pair`` without claims against those of its candidates that are ``warming`` up."""
    own = frozenset(warming & {pair.first, pair.second})
    found = dataclasses.replace(pair, warming=own)
    if found.has_claim or not pair.has_claim:
        return found
    why = (
        f"the last two turns of {name_list(sorted(own))} held more than the earlier ones promise, as where servers "
        "still warm up; raise workloads.load.warm_up_requests, or measure longer"
    )
    return dataclasses.replace(found, why_open=why)


def _bound(count: int, rules: Rules) -> float:
    if rules.most_looks is None:
        return t_bound(count, alpha=rules.alpha, prior_variance=PRIOR_VARIANCE)
    # Few looks, fixed before the run: Student's t with an equal share of the error for each.
    return float(scipy.special.stdtrit(count - 1, 1 - rules.alpha / rules.most_looks / 2))


def _as_the_last_two(pair: Pair, differences: typing.Sequence[float]) -> Pair:
    """Return ``pair`` without a claim that its last two blocks contradict, as on a machine that still warms up."""
    last = math.fsum(differences[-2:]) / len(differences[-2:])
    for own, recent in ((pair, last), (pair.turned(), -last)):
        floor = math.log1p(pair.rules.bias) if own.is_better else -math.log1p(pair.rules.resolution)
        if (own.is_better or own.is_safe) and recent <= floor:
            return dataclasses.replace(pair, why_open="the last two blocks contradict the earlier ones")
    return pair


def autocorrelation(differences: typing.Sequence[float]) -> float:
    """Return the autocorrelation at lag one, corrected for its bias in short series.

    Source: Kendall, "Note on bias in the estimation of autocorrelation", Biometrika 41 (1954).
    """
    centred = _centred(differences)
    power = _product(centred, centred)
    raw = _product(centred[1:], centred[:-1]) / power if power > 0 else 0.0
    return raw + (1 + 4 * max(raw, 0.0)) / len(differences)


def _raised(r: float, errors: float, count: int) -> float:
    """Return ``r`` raised by ``errors`` of its standard errors, within 0 and 0.99: intervals are only ever widened."""
    return min(0.99, max(0.0, r + errors / math.sqrt(count)))


def trend(
    values: collections.abc.Mapping[int, float], starts: collections.abc.Mapping[int, collections.abc.Hashable]
) -> float:
    """Return the t statistic of the slope of ``values`` over their blocks; 0 for too few or no spread.

    ``starts`` has the start of the servers by block. Each start has a level of its own, because starts differ without
    any trend; one slope is common to all.
    """
    groups: dict[collections.abc.Hashable, list[int]] = {}
    for block in sorted(values):
        groups.setdefault(starts[block], []).append(block)
    freedom = len(values) - len(groups) - 1
    if len(values) < FEWEST_FOR_TREND or freedom < 1:
        return 0.0
    blocks = [block for group in groups.values() for block in _centred(group)]
    own = [value for group in groups.values() for value in _centred([values[block] for block in group])]
    spread = _product(blocks, blocks)
    if not spread:
        return 0.0
    slope = _product(blocks, own) / spread
    rest = [value - slope * block for value, block in zip(own, blocks, strict=True)]
    error = math.sqrt(_product(rest, rest) / freedom / spread)
    return slope / error if error > 0 else 0.0


def _centred(values: typing.Sequence[float]) -> list[float]:
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def _product(first: typing.Sequence[float], second: typing.Sequence[float]) -> float:
    # For a few dozen numbers making arrays would take five times as long.
    return math.fsum(one * other for one, other in zip(first, second, strict=True))
