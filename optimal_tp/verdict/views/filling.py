"""How well compiled lengths suit the load: a server on Neuron computes the whole bucket that holds a request."""

import bisect
import dataclasses
import typing

from optimal_tp.measurement.distribution import rank
from optimal_tp.verdict.evidence import Evidence

STEP_TOKENS = 128
"""The smallest bucket. The others named here are multiples of it, so that every degree divides them."""
Kind = typing.Literal["prompt", "context"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filling:
    """One kind of length over the requests of all blocks, in tokens as the servers counted them."""

    kind: Kind
    """``context`` is a prompt with its whole answer."""
    requests: int
    p50: int
    p99: int
    longest: int
    buckets: tuple[int, ...]
    """Rising: one for the median, one for the 99th percentile, one for the longest, where these differ."""
    filled: float
    """Share of those buckets that holds tokens, 0 to 1, with each request in the smallest bucket that holds it."""
    filled_by_powers: float
    """The same with the powers of two from 128 to the model's length."""


def fillings(evidence: Evidence) -> tuple[Filling, ...]:
    """Return prompts, then contexts, of the requests that succeeded; nothing where no server counted their tokens."""
    most = evidence.settings.model.max_model_len_tokens
    sizes = [
        (sample.prompt_tokens, sample.output_tokens)
        for own in evidence.candidates.values()
        for sample in own.samples
        if sample.status == "ok" and sample.prompt_tokens is not None and sample.output_tokens is not None
    ]
    if not sizes:
        return ()
    prompts, contexts = (prompt for prompt, _ in sizes), (prompt + output for prompt, output in sizes)
    return _filling("prompt", sorted(prompts), most), _filling("context", sorted(contexts), most)


def _filling(kind: Kind, ordered: typing.Sequence[int], most: int) -> Filling:
    p50, p99 = (ordered[rank(len(ordered), percent) - 1] for percent in (50, 99))
    buckets = tuple(sorted({min(-(-tokens // STEP_TOKENS) * STEP_TOKENS, most) for tokens in (p50, p99, ordered[-1])}))
    return Filling(
        kind=kind,
        requests=len(ordered),
        p50=p50,
        p99=p99,
        longest=ordered[-1],
        buckets=buckets,
        filled=_filled(ordered, buckets),
        filled_by_powers=_filled(ordered, _powers(most)),
    )


def _powers(most: int) -> tuple[int, ...]:
    found = [STEP_TOKENS]
    while 2 * found[-1] < most:
        found.append(2 * found[-1])
    return (*(each for each in found if each < most), most)


def _filled(ordered: typing.Sequence[int], buckets: typing.Sequence[int]) -> float:
    last = len(buckets) - 1
    return sum(ordered) / sum(buckets[min(bisect.bisect_left(buckets, tokens), last)] for tokens in ordered)
