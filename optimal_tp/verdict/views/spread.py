"""How latencies spread: the share of a candidate's requests that are finished after each time."""

import dataclasses
import math
import typing

from optimal_tp.facts.candidates import CandidateRow
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.evidence import Evidence
from optimal_tp.verdict.latency import latencies

MOST_STEPS = 60
"""Most points of a curve: a picture cannot show more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread(CandidateRow):
    """One candidate's requests at the compared point."""

    metric: LimitedMetric
    requests: int
    failures: int
    """Requests without the figure; by their share the curve ends below 1."""
    points: tuple[tuple[float, float], ...]
    """Milliseconds, and the share of all requests, 0 to 1, that took at most that long; both rise."""


def spreads(evidence: Evidence) -> tuple[Spread, ...]:
    """Return a curve of each compared candidate: of the first limited metric, or of total latency without limits."""
    metric: LimitedMetric = next(iter(evidence.settings.limits.asked()), "total_latency_ms")
    found = []
    for candidate, own in evidence.candidates.items():
        values = sorted(latencies(own.turns, metric)) if own.turns and not own.faults else []
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            found.append(
                Spread(
                    degree=candidate.degree,
                    max_num_seqs=candidate.max_num_seqs,
                    metric=metric,
                    requests=len(values),
                    failures=len(values) - len(finite),
                    points=_points(finite, len(values)),
                )
            )
    return tuple(found)


def _points(finite: typing.Sequence[float], count: int) -> tuple[tuple[float, float], ...]:
    last = len(finite) - 1
    steps = min(MOST_STEPS - 1, last)
    places = sorted({round(last * step / steps) for step in range(steps + 1)}) if steps else [0]
    return tuple((round(finite[place], 1), round((place + 1) / count, 4)) for place in places)
