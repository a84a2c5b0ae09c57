"""A candidate's figures at each load: the bracket turn by turn, the blocks together."""

import dataclasses
import math
import typing

from optimal_tp.facts.candidates import Candidate, CandidateRow
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, of, share_within
from optimal_tp.verdict.evidence import Soundness, tokens_per_second
from optimal_tp.verdict.latency import latencies
from optimal_tp.verdict.readings import Limits
from optimal_tp.verdict.statistics import percentile_point


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadStep(CandidateRow):
    """One candidate at one load."""

    stage: typing.Literal["rising", "block"]
    """``rising``: a turn of the bracket, which decides nothing; ``block``: all turns that were compared."""
    rate_per_second_per_core: float | None
    """Planned rate of arrivals, the geometric mean over turns; None in a closed loop."""
    concurrency: int | None
    """Requests in flight; None with open arrivals."""
    requests: int
    """Counted requests."""
    tokens_per_second_per_core: float | None
    """Output tokens per second per logical core used; None where a count is missing."""
    latency_p50_ms: float | None
    """Median total latency; None where it falls on a failed request."""
    share_within: float | None
    """Share of requests, 0 to 1, that hold every limit."""


Kind = tuple[str, float | None, int | None]


def load_steps(
    soundness: Soundness, limits: Limits, cores_used: typing.Mapping[Candidate, int]
) -> tuple[LoadStep, ...]:
    """Return every step, by candidate, then by load; the blocks of open arrivals are one step, near the capacity."""
    groups: dict[tuple[Candidate, Kind], list[tuple[Turn, tuple[Sample, ...]]]] = {}
    for turn, samples in soundness.turns:
        if turn.stage in ("rising", "block"):
            rate = turn.rate_per_second if turn.stage == "rising" else None
            kind: Kind = (turn.stage, rate, turn.concurrency)
            groups.setdefault((of(turn), kind), []).append((turn, tuple(counted(turn, samples))))
    steps = [_step(candidate, turns, limits, cores_used[candidate]) for (candidate, _), turns in groups.items()]
    return tuple(sorted(steps, key=_place))


def _place(step: LoadStep) -> tuple[Candidate, str, float]:
    return (
        step.candidate,
        "a" if step.stage == "rising" else "b",
        step.rate_per_second_per_core or step.concurrency or 0,
    )


def _step(candidate: Candidate, turns: list[tuple[Turn, tuple[Sample, ...]]], limits: Limits, cores: int) -> LoadStep:
    samples = [sample for _, own in turns for sample in own]
    rates = [turn.rate_per_second for turn, _ in turns if turn.rate_per_second is not None]
    speeds = [rate for turn, own in turns if (rate := tokens_per_second(turn, own)) is not None]
    first = turns[0][0]
    return LoadStep(
        degree=candidate.degree,
        max_num_seqs=candidate.max_num_seqs,
        stage="rising" if first.stage == "rising" else "block",
        rate_per_second_per_core=math.exp(math.fsum(map(math.log, rates)) / len(rates)) / cores if rates else None,
        concurrency=first.concurrency,
        requests=len(samples),
        tokens_per_second_per_core=math.fsum(speeds) / len(speeds) / cores if speeds else None,
        latency_p50_ms=percentile_point(latencies(turns, "total_latency_ms"), 50),
        share_within=share_within(samples, limits),
    )
