"""Where the choice changes: as a function of the latency limit, and of the price of a core."""

import dataclasses
import typing

from optimal_tp.measurement.estimate import Estimate
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.curve import Step
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.ranking import MARGIN, relative


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitRange:
    """Latency limits for which the choice is the same."""

    degree: int | None
    """None where no degree holds such a limit."""
    concurrency: int | None
    """Requests in flight per degree at which it holds the range's lower end."""
    from_ms: Estimate | None
    """Lower end, included, with its confidence band; None for the range that starts at 0."""
    to_ms: float | None
    """Upper end, excluded; None for the last range."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PriceFlip:
    """The price at which another degree would cost the same per token."""

    degree: int
    against: int
    core_price_ratio: Estimate
    """Price of a core of ``degree``'s instance over that of ``against``'s, below which ``degree`` costs less."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flips:
    """When the answer would be another."""

    metric: LimitedMetric
    percent: float
    """The limit is on this percentile of ``metric``."""
    ranges: tuple[LimitRange, ...]
    """Ascending, without gaps; empty where nothing was measured."""
    prices: tuple[PriceFlip, ...]


def limit_ranges(steps: typing.Sequence[Step]) -> tuple[LimitRange, ...]:
    """Return the choice for every latency limit, from the degrees and concurrencies measured.

    For a limit each degree is taken at its best concurrency that holds it; of those the highest throughput per core
    wins, and the smaller degree within MARGIN of it. Point estimates choose; the bands say how firm each end is.
    """
    options = sorted(
        (step for step in steps if step.latency_ms is not None and step.tokens_per_second > 0), key=_latency
    )
    if not options:
        return ()
    ranges = [LimitRange(degree=None, concurrency=None, from_ms=None, to_ms=_latency(options[0]))]
    for count, entering in enumerate(options, start=1):
        best = _best(options[:count])
        if best.degree == ranges[-1].degree:
            continue
        ranges[-1] = dataclasses.replace(ranges[-1], to_ms=_latency(entering))
        ranges.append(
            LimitRange(degree=best.degree, concurrency=best.concurrency, from_ms=entering.latency_ms, to_ms=None)
        )
    return tuple(one for one in ranges if one.from_ms is None or one.to_ms is None or one.to_ms > one.from_ms.value)


def price_flips(verdict: Verdict) -> tuple[PriceFlip, ...]:
    """Return, for every other degree with figures, the core price at which it would match the named one per token."""
    named = verdict.chosen if verdict.chosen is not None else verdict.provisional
    if named is None:
        return ()
    flips = []
    for degree in verdict.degrees:
        ratio = relative(verdict.comparisons, degree.degree, named)
        if ratio is not None and degree.word in ("dominated", "inconclusive"):
            flips.append(PriceFlip(degree=degree.degree, against=named, core_price_ratio=ratio))
    return tuple(flips)


def _latency(step: Step) -> float:
    if step.latency_ms is None:
        raise ValueError(f"TP{step.degree} at concurrency {step.concurrency} has no latency")
    return step.latency_ms.value


def _best(options: typing.Sequence[Step]) -> Step:
    top = max(step.tokens_per_second_per_core for step in options)
    equal = [step for step in options if step.tokens_per_second_per_core >= top * (1 - MARGIN)]
    return min(equal, key=lambda step: (step.degree, -step.tokens_per_second_per_core))
