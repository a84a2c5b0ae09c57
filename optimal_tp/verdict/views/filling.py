"""How well compiled lengths suit the load: a server on Neuron computes the whole bucket that holds a request."""

import bisect
import dataclasses
import typing

from optimal_tp.facts.bucketing import PINS, STEP_TOKENS, Kind, compiled, of_pin
from optimal_tp.facts.engines import Line
from optimal_tp.facts.versions import PAIRS
from optimal_tp.measurement.distribution import rank
from optimal_tp.verdict.evidence import Evidence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filling:
    """One kind of length over the requests of all blocks, in tokens as the servers counted them."""

    kind: Kind
    requests: int
    p50: int
    p99: int
    longest: int
    buckets: tuple[int, ...]
    """Rising: one for the median, one for the 99th percentile, one for the longest, where these differ."""
    filled: float
    """Share of those buckets that holds tokens, 0 to 1, with each request in the smallest bucket that holds it."""
    compiled: tuple[int, ...]
    """Those that the servers had, rising."""
    filled_as_compiled: float
    """Share of these that holds tokens."""


def fillings(evidence: Evidence, pins: typing.Mapping[str, str]) -> tuple[Filling, ...]:
    """Return prompts, then contexts, of the requests that succeeded; nothing where no server counted their tokens.

    ``pins`` are the run's, with its image and the buckets that its stack file states; without an image NxD Inference's
    own buckets are meant.
    """
    most = evidence.settings.model.max_model_len_tokens
    line: Line = next((pair.line for name, pair in PAIRS.items() if name == pins.get("pair")), "fork-v0")
    sizes = [
        (sample.prompt_tokens, sample.output_tokens)
        for own in evidence.candidates.values()
        for sample in own.samples
        if sample.status == "ok" and sample.prompt_tokens is not None and sample.output_tokens is not None
    ]
    if not sizes:
        return ()
    lengths: dict[Kind, list[int]] = {
        "prompt": sorted(prompt for prompt, _ in sizes),
        "context": sorted(prompt + output for prompt, output in sizes),
    }
    return tuple(
        _filling(kind, own, most, compiled(of_pin(pins.get(PINS[kind])), line, kind, most))
        for kind, own in lengths.items()
    )


def _filling(kind: Kind, ordered: typing.Sequence[int], most: int, has: tuple[int, ...]) -> Filling:
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
        compiled=has,
        filled_as_compiled=_filled(ordered, has),
    )


def _filled(ordered: typing.Sequence[int], buckets: typing.Sequence[int]) -> float:
    last = len(buckets) - 1
    return sum(ordered) / sum(buckets[min(bisect.bisect_left(buckets, tokens), last)] for tokens in ordered)
