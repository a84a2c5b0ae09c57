"""Buckets: the lengths for which a server on Neuron has compiled graphs, stated in the stack file or chosen by vLLM."""

import collections.abc
import math
import re
import typing

from optimal_tp.facts.engines import Line

STEP_TOKENS: typing.Final = 128
"""The smallest bucket; stated ones are multiples of it. Attention is computed in tiles of as many tokens (AWS Neuron
documentation of SDK 2.33, decode context-length bucketing), and every degree divides it."""
Kind = typing.Literal["prompt", "context"]
"""``context``: a prompt with its whole answer."""
PINS: typing.Final[collections.abc.Mapping[Kind, str]] = {"prompt": "prompt_buckets", "context": "context_buckets"}
"""What a run's record calls the stated buckets, among its pins."""
_NONE = "none"


def compiled(
    stated: collections.abc.Sequence[int] | None, line: Line, kind: Kind, longest_tokens: int
) -> tuple[int, ...]:
    """Return the buckets of ``kind``, rising; the last is always ``longest_tokens``, which no request exceeds.

    ``stated``: the others; None: those that ``line`` has by itself. NxD Inference takes powers of two from 128, with
    the exponent of the longest rounded (neuronx-distributed-inference 0.6, modules/autobucketing.py,
    generate_buckets). Today's plugin takes powers of two for prompts, which we state, and has one graph for contexts.
    """
    if stated is not None:
        return (*stated, longest_tokens)
    if line == "vllm-neuron" and kind == "context":
        return (longest_tokens,)
    exponent = math.log2(longest_tokens)
    end = math.ceil(exponent) if line == "vllm-neuron" else round(exponent)
    return (*(2**power for power in range(int(math.log2(STEP_TOKENS)), end)), longest_tokens)


def as_pin(stated: collections.abc.Sequence[int]) -> str:
    """Return what a run's record says of ``stated``."""
    return ", ".join(map(str, stated)) or _NONE


def of_pin(said: str | None) -> tuple[int, ...] | None:
    """Return the buckets of which ``as_pin`` is ``said``; None where the record says nothing."""
    return None if said is None else tuple(map(int, re.findall(r"\d+", said)))
