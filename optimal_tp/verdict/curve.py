"""The load curve: throughput against latency under rising load, its knee, its Pareto set, the capacity at the limit."""

import dataclasses
import math
import typing

from optimal_tp.measurement.estimate import Estimate
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, goodput, holds, key, output_tokens_per_second, samples_by_turn
from optimal_tp.settings.workload import Limit, LimitedMetric
from optimal_tp.verdict.latency import latency_percentile
from optimal_tp.verdict.ranking import MARGIN

Limits = typing.Mapping[LimitedMetric, Limit]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One degree at one concurrency."""

    degree: int
    concurrency: int
    requests: int
    tokens_per_second: float
    """Output tokens per second of all replicas."""
    tokens_per_second_per_core: float
    """Per logical core used."""
    latency_p50_ms: Estimate | None
    """Median total latency; None where it falls on a failed request."""
    latency_ms: Estimate | None
    """The asked percentile of the first limit's metric; the median of total latency without limits."""
    goodput: float
    """Share of requests that hold every limit, 0 to 1."""
    within_limits: bool
    """Whether the asked share of the requests seen holds every limit; no confidence is claimed."""
    pareto: bool
    """Whether no other step gives as much per core, less MARGIN, at a median latency lower by MARGIN or more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadCurve:
    """One degree under rising load."""

    degree: int
    steps: tuple[Step, ...]
    """Ascending concurrency."""
    saturation: Step
    """The lowest step within MARGIN of the highest throughput."""
    knee: Step | None
    """The step of highest throughput per median latency: beyond it waiting grows faster than work gets done.
    Source: Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer
    communications", ICC (1979). None where no step has a median."""
    at_limit: Step | None
    """The lowest step within MARGIN of the highest throughput within the limits; None if no step is within them."""


def operating_point(turns: typing.Sequence[Turn], samples: typing.Iterable[Sample], limits: Limits) -> dict[int, int]:
    """Return the concurrency at which each degree's blocks are run, from its turns of the rising load.

    It is the smallest step whose throughput is within MARGIN of the best among the steps at which the asked share of
    the requests holds every limit; the lowest step where none does. Degrees without rising turns are absent.
    """
    chosen: dict[int, int] = {}
    for degree, steps in load_steps(turns, samples, limits, {}, stages=("rising",)).items():
        usable = [step for step in steps if step.within_limits]
        chosen[degree] = (_highest(usable) or steps[0]).concurrency
    return chosen


def load_curves(
    turns: typing.Sequence[Turn],
    samples: typing.Iterable[Sample],
    limits: Limits,
    cores_used: typing.Mapping[int, int],
) -> tuple[LoadCurve, ...]:
    """Return the curve of every degree that has rising turns, ascending; block turns add to their step."""
    by_degree = load_steps(turns, samples, limits, cores_used, stages=("rising", "block"))
    rising = {turn.degree for turn in turns if turn.stage == "rising"}
    every = [step for degree, steps in by_degree.items() if degree in rising for step in steps]
    curves = []
    for degree in sorted(rising & by_degree.keys()):
        steps = tuple(dataclasses.replace(step, pareto=_undominated(step, every)) for step in by_degree[degree])
        within = [step for step in steps if step.within_limits]
        with_median = [step for step in steps if step.latency_p50_ms is not None]
        curves.append(
            LoadCurve(
                degree=degree,
                steps=steps,
                saturation=_highest(steps) or steps[0],
                knee=max(with_median, key=_power, default=None),
                at_limit=_highest(within),
            )
        )
    return tuple(curves)


def _highest(steps: typing.Sequence[Step]) -> Step | None:
    """Return the first of ``steps``, by concurrency, within MARGIN of the highest throughput; None of none."""
    best = max((step.tokens_per_second for step in steps), default=0.0)
    return next((step for step in steps if step.tokens_per_second >= best * (1 - MARGIN)), None)


def load_steps(
    turns: typing.Sequence[Turn],
    samples: typing.Iterable[Sample],
    limits: Limits,
    cores_used: typing.Mapping[int, int],
    *,
    stages: tuple[str, ...],
) -> dict[int, list[Step]]:
    """Return the steps of each degree by ascending concurrency; turns of equal concurrency are pooled."""
    grouped = samples_by_turn(samples)
    pooled: dict[tuple[int, int], list[tuple[Turn, tuple[Sample, ...]]]] = {}
    for turn in turns:
        if turn.stage in stages and turn.concurrency is not None:
            own = tuple(grouped.get(key(turn), ()))
            pooled.setdefault((turn.degree, turn.concurrency), []).append((turn, own))
    by_degree: dict[int, list[Step]] = {}
    for (degree, concurrency), pairs in sorted(pooled.items()):
        step = _step(degree, concurrency, pairs, limits, cores_used.get(degree, degree))
        if step is not None:
            by_degree.setdefault(degree, []).append(step)
    return by_degree


def _step(
    degree: int,
    concurrency: int,
    pairs: list[tuple[Turn, tuple[Sample, ...]]],
    limits: Limits,
    cores_used: int,
) -> Step | None:
    samples = [sample for _, own in pairs for sample in own]
    rates = [output_tokens_per_second(turn, own) for turn, own in pairs]
    known = [rate for rate in rates if rate is not None]
    good = goodput(samples, limits)
    if not known or good is None:
        return None
    rate = math.fsum(known) / len(known)
    metric, percent = telling(limits)
    return Step(
        degree=degree,
        concurrency=concurrency,
        requests=len(samples),
        tokens_per_second=rate,
        tokens_per_second_per_core=rate / cores_used,
        latency_p50_ms=latency_percentile(pairs, "total_latency_ms", 50, alpha=0.05),
        latency_ms=latency_percentile(pairs, metric, percent, alpha=0.05),
        goodput=good,
        within_limits=rate > 0 and all(_share(samples, name, limit) for name, limit in limits.items()),
        pareto=False,
    )


def telling(limits: Limits) -> tuple[LimitedMetric, float]:
    """Return the metric and percentile that latency is shown by: the first limit's, else the median total latency."""
    for metric, limit in limits.items():
        return metric, limit.percentile
    return "total_latency_ms", 50.0


def _share(samples: typing.Sequence[Sample], metric: LimitedMetric, limit: Limit) -> bool:
    hits = sum(holds(sample, metric, limit) for sample in samples)
    return hits >= len(samples) * limit.percentile / 100


def _power(step: Step) -> float:
    return 0.0 if step.latency_p50_ms is None else step.tokens_per_second / step.latency_p50_ms.value


def _undominated(step: Step, every: typing.Sequence[Step]) -> bool:
    """Whether no other step gives as much per core sooner; MARGIN on both keeps noise from making a difference."""
    if step.latency_p50_ms is None:
        return False
    mine = step.latency_p50_ms.value
    return not any(
        other.latency_p50_ms is not None
        and other.tokens_per_second_per_core >= step.tokens_per_second_per_core * (1 - MARGIN)
        and other.latency_p50_ms.value <= mine * (1 - MARGIN)
        for other in every
    )
