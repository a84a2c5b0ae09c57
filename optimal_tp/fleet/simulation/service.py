"""Service times from a run's samples: when each request left the queue, and how many were in service with it."""

import dataclasses
import heapq
import operator
import typing

import numpy as np

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """One request as its server saw it."""

    turn: str
    """The turn in which it was measured; the bootstrap resamples whole turns."""
    prompt_tokens: int
    output_tokens: int
    level: int
    """Requests in service at its server, itself included: the mean over its service, rounded."""
    total_seconds: float
    """From the start of service to the last byte."""
    first_seconds: float | None
    """From the start of service to the first token; None without streaming."""


def served(turns: typing.Iterable[tuple[Turn, typing.Sequence[Sample]]], slots: int) -> list[Served]:
    """Return the requests of ``turns`` that succeeded and whose tokens were counted.

    A server takes ``slots`` requests at a time in the order of their sends, as vLLM's scheduler does with
    --max-num-seqs; the others wait. So a request's service starts when it was sent or when a slot became free,
    whichever is later. This splits the latency that a client sees at a high load into waiting and service. Failed
    requests hold their slot until they end, and give no service time.
    """
    found: list[Served] = []
    for turn, samples in turns:
        name = f"{turn.stage} {turn.block} {turn.concurrency} {turn.rate_per_second}"
        for replica in sorted({sample.replica for sample in samples}):
            own = [sample for sample in samples if sample.replica == replica and sample.sent_seconds is not None]
            found += _at_one_server(name, sorted(own, key=operator.attrgetter("begun_seconds")), slots)
    return found


def _at_one_server(turn: str, samples: typing.Sequence[Sample], slots: int) -> list[Served]:
    free: list[float] = []
    starts = []
    for sample in samples:
        start = sample.begun_seconds
        if len(free) == slots:
            start = max(start, heapq.heappop(free))
        if sample.token_seconds:  # a token is proof of service, whatever the order of the sends
            start = min(start, sample.token_seconds[0])
        starts.append(min(start, sample.end_seconds))
        heapq.heappush(free, sample.end_seconds)
    levels = _levels(np.array(starts), np.array([sample.end_seconds for sample in samples]))
    return [
        Served(
            turn=turn,
            prompt_tokens=sample.prompt_tokens,
            output_tokens=sample.output_tokens,
            level=min(max(1, round(float(level))), slots),
            total_seconds=sample.end_seconds - start,
            first_seconds=sample.token_seconds[0] - start if sample.token_seconds else None,
        )
        for sample, start, level in zip(samples, starts, levels, strict=True)
        if sample.status == "ok" and sample.prompt_tokens is not None and sample.output_tokens
        if sample.end_seconds > start
    ]


def _levels(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return, for each stretch from start to end, the mean number of stretches under way."""
    if not len(starts):
        return starts
    moments = np.concatenate([starts, ends])
    order = np.argsort(moments, kind="stable")
    steps = np.concatenate([np.ones(len(starts)), -np.ones(len(ends))])[order]
    moments = moments[order]
    under_way = np.cumsum(steps)
    integral = np.concatenate([[0.0], np.cumsum(under_way[:-1] * np.diff(moments))])
    lengths = np.maximum(ends - starts, 1e-9)
    levels: np.ndarray = (np.interp(ends, moments, integral) - np.interp(starts, moments, integral)) / lengths
    return levels
