"""The most requests that one server can carry: within limits at the asked share of requests, or without limits."""

import collections
import collections.abc
import dataclasses
import math
import typing

from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.roofline.floors import Floor, ModelledServer, Resource
from optimal_tp.plan.roofline.work import mean_seen_context
from optimal_tp.settings.workload import Limit, LimitedMetric, Load

Lengths = collections.abc.Mapping[Shape, float]
"""The share of requests of each size; shares add up to 1."""
Limits = collections.abc.Mapping[LimitedMetric, Limit]


def lengths_of(load: Load, recorded: collections.abc.Sequence[Shape] | None = None) -> dict[Shape, float]:
    """Return how long the requests of ``load`` are; those of its trace where ``recorded`` has them.

    The settings do not say how long prompts of a file are, so such a prompt counts as one token.
    """
    if recorded:
        counts = collections.Counter(recorded)
        return {shape: count / len(recorded) for shape, count in sorted(counts.items())}
    prompt = load.prompt_tokens if load.prompt == "synthetic" else 1
    least, most = load.output_range
    return {Shape(prompt, output): 1 / (most - least + 1) for output in range(least, most + 1)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoneRequest:
    """One size of request, alone on a server that does nothing else."""

    share: float
    prefill: Floor
    steps: int
    """Decode steps: its output tokens but the first, which the prefill gives."""
    context_tokens: float
    """In its mean decode step."""
    step: Floor
    """Its mean decode step."""

    def least_seconds(self, metric: LimitedMetric) -> float:
        """Return the least that ``metric`` can be; 0 for a time between tokens that it does not have."""
        if metric == "ttft_ms":
            return self.prefill.seconds
        if metric == "tpot_ms":
            return self.step.seconds if self.steps else 0.0
        return self.prefill.seconds + self.steps * self.step.seconds


def requests(server: ModelledServer, lengths: Lengths) -> tuple[LoneRequest, ...]:
    """Return the requests of ``lengths`` as ``server`` would answer each alone."""
    found = []
    for (prompt, output), share in lengths.items():
        # The first decode step looks back at the prompt, the last one at all but the last two tokens.
        context = mean_seen_context(server.shape, prompt, max(prompt, prompt + output - 2))
        found.append(
            LoneRequest(
                share=share,
                prefill=server.prefill(prompt),
                steps=output - 1,
                context_tokens=context,
                step=server.decode_step(1, context),
            )
        )
    return tuple(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bound:
    """The most that a server can carry, whatever its scheduler does. Rates are per logical core."""

    requests_per_second_per_core: float
    """Nobody carries more: reading for one request overlaps computing for others. 0 where no rate holds the limits."""
    separate_requests_per_second_per_core: float
    """The same where no step both prefills and decodes, as in Neuron's servers: lower, and what orders candidates."""
    mean_output_tokens: float
    sequences: float
    """Sequences in a step, at most within the limits: a mean over the output tokens of those that hold them."""
    binds: Resource
    """What the time of the first rate goes to."""

    @property
    def output_tokens_per_second_per_core(self) -> float:
        """The first rate in output tokens."""
        return self.requests_per_second_per_core * self.mean_output_tokens


def bound(server: ModelledServer, lengths: Lengths, limits: Limits) -> Bound:
    """Return the most that ``server`` carries of requests of such ``lengths`` within ``limits``, without queueing.

    Each limit is held by its own share of the requests; the rest may wait for the fullest steps. The lowest of the
    limits' bounds counts. Why this is a bound: docs/decisions/0079-bounds-are-bounds.md.
    """
    own = requests(server, lengths)
    if not limits:
        return _bound(server, own, [math.inf] * len(own), 1.0)
    found = []
    for metric, limit in limits.items():
        found.append(_bound(server, own, _step_limits(own, metric, limit), limit.percentile / 100))
    return min(found, key=lambda one: one.requests_per_second_per_core)


def _step_limits(own: collections.abc.Sequence[LoneRequest], metric: LimitedMetric, limit: Limit) -> list[float]:
    """Return how long the mean decode step of each request may take, seconds; below 0 where it can never hold."""
    most = limit.at_most_ms / 1000
    if metric == "tpot_ms":
        return [most if one.steps else math.inf for one in own]
    left = [most - one.prefill.seconds for one in own]
    if metric == "ttft_ms":
        return [-1.0 if each < 0 else math.inf for each in left]
    return [
        -1.0 if each < 0 else each / one.steps if one.steps else math.inf for each, one in zip(left, own, strict=True)
    ]


class _Cost(typing.NamedTuple):
    """Seconds of the server that one request takes, where it holds its limit and where it does not have to."""

    share: float
    holding: float
    """Infinite where it cannot hold."""
    free: float


def _bound(
    server: ModelledServer,
    own: collections.abc.Sequence[LoneRequest],
    step_limits: collections.abc.Sequence[float],
    asked: float,
) -> Bound:
    least_context = min(one.context_tokens for one in own)
    most = [_most_sequences(server, one, limit, least_context) for one, limit in zip(own, step_limits, strict=True)]
    read = _blended(
        [
            _Cost(one.share, _read_seconds(one, held), _read_seconds(one, server.batch))
            for one, held in zip(own, most, strict=True)
        ],
        asked,
    )
    separate = _blended(
        [
            _Cost(one.share, _separate_seconds(one, held), _separate_seconds(one, server.batch))
            for one, held in zip(own, most, strict=True)
        ],
        asked,
    )
    computed = math.fsum(
        one.share * ((one.prefill.compute_seconds or 0.0) + one.steps * (one.step.compute_seconds or 0.0))
        for one in own
    )
    # A request whose only token is the prefill's reads the weights with as many others as the server takes.
    together = max(read, computed, math.fsum(one.share * one.prefill.weights_seconds for one in own) / server.batch)
    tokens = math.fsum(one.share * one.steps for one, held in zip(own, most, strict=True) if held)
    return Bound(
        requests_per_second_per_core=1 / (together * server.degree),
        separate_requests_per_second_per_core=1 / (separate * server.degree),
        mean_output_tokens=math.fsum(one.share * (one.steps + 1) for one in own),
        sequences=math.fsum(one.share * one.steps * held for one, held in zip(own, most, strict=True)) / tokens
        if tokens
        else 0.0,
        binds="computing" if computed > read else "memory bandwidth",
    )


def _most_sequences(server: ModelledServer, one: LoneRequest, limit_seconds: float, least_context: float) -> float:
    """Return how many sequences its mean step may have within ``limit_seconds``, not whole; 0 where not even itself.

    The others have at least ``least_context`` tokens so far.
    """
    if one.step.seconds > limit_seconds:
        return 0.0
    if math.isinf(limit_seconds):
        return float(server.batch)
    each = server.decode_step(1, least_context)
    most = (limit_seconds - each.weights_seconds) / each.kv_seconds
    if each.compute_seconds:
        most = min(most, limit_seconds / each.compute_seconds)
    return min(float(server.batch), max(1.0, most))


def _read_seconds(one: LoneRequest, sequences: float) -> float:
    """Return the seconds of reading for its decode steps, the weights shared by ``sequences``."""
    if not one.steps:
        return 0.0 if sequences else math.inf
    return one.steps * (one.step.weights_seconds / sequences + one.step.kv_seconds) if sequences else math.inf


def _separate_seconds(one: LoneRequest, sequences: float) -> float:
    """Return its seconds where prefill and decode steps take turns."""
    if not sequences:
        return math.inf
    step = one.step
    each = max(step.weights_seconds / sequences + step.kv_seconds, step.compute_seconds or 0.0)
    return one.prefill.seconds + one.steps * each


def _blended(costs: collections.abc.Sequence[_Cost], asked: float) -> float:
    """Return the mean cost where a share ``asked`` holds: those that gain most by not holding are the ones that do not.

    Infinite where fewer than the asked share can hold.
    """
    released = 1 - asked
    total = 0.0
    for share, holding, free in sorted(costs, key=lambda one: one.free - one.holding):
        part = min(share, released)
        released -= part
        held = share - part
        # Shares are sums of fractions: what is left of them by rounding is nobody.
        total += part * free + (held * holding if held > 1e-9 else 0.0)  # noqa: PLR2004
    return total
