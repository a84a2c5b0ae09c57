"""Whether a model fits a tensor-parallel degree: head and memory arithmetic per core, before anything is spent."""

import dataclasses
import math

from optimal_tp.errors import quantity
from optimal_tp.facts.engines import FORK, Engine
from optimal_tp.facts.physics import Room
from optimal_tp.facts.shapes import ModelShape, parameters, split_weights, whole_weights

BYTES_PER_GIB = 2**30


def padded(shape: ModelShape, degree: int) -> tuple[ModelShape, str]:
    """Return ``shape`` as a server at ``degree`` computes it, and in words what it adds.

    NxDI rounds query heads and intermediate columns up to the next multiple of the degree and fills them with zeros
    (neuronx-distributed-inference 0.6, modules/attention/gqa.py, get_number_of_extra_heads; its parallel layers pad).
    """
    experts = shape.experts
    larger = dataclasses.replace(
        shape,
        q_heads=_up(shape.q_heads, degree),
        intermediate=_up(shape.intermediate, degree),
        experts=experts and dataclasses.replace(experts, intermediate=_up(experts.intermediate, degree)),
    )
    words = [f"{count} {what} are padded to {_up(count, degree)}" for what, count in _shared(shape) if count % degree]
    return larger, ", ".join(words)


def _shared(shape: ModelShape) -> list[tuple[str, int]]:
    """Return what a degree has to divide, with its name."""
    experts = shape.experts
    shared = [("query heads", shape.q_heads)]
    if experts is None or experts.layers < shape.layers:
        shared.append(("intermediate columns", shape.intermediate))
    if experts is not None:
        shared.append(("columns of each expert", experts.intermediate))
    return shared


def _up(count: int, degree: int) -> int:
    return math.ceil(count / degree) * degree


def kv_heads_per_core(shape: ModelShape, degree: int) -> int:
    """Return the key and value heads that one core holds at ``degree``.

    More cores than heads: each head is replicated. Where neither divides the other, NxDI pads them up to the query
    heads (CONVERT_TO_MHA; neuronx-distributed-inference 0.6, modules/attention/gqa.py).
    """
    if shape.kv_heads % degree == 0:
        return shape.kv_heads // degree
    if degree % shape.kv_heads == 0:
        return 1
    return math.ceil(shape.q_heads / degree)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryFit:
    """What one degree's arithmetic says."""

    fits: bool
    weights_gib_per_core: float
    kv_gib_per_core: float
    """Of the asked sequences at their full length."""
    kv_tokens: int
    """Tokens whose keys and values one server holds beside the weights."""
    kv_sequences: int
    """Sequences of full length in them: the largest batch that never waits for memory."""
    arithmetic: str
    """The arithmetic in one sentence, with the number that decided it."""
    padding: str
    """What the server adds so that the degree divides it, in words; empty where nothing is added."""

    def room(self, degree: int) -> Room:
        """Return what a run's record keeps of it at ``degree``."""
        return Room(degree=degree, kv_tokens=self.kv_tokens, kv_sequences=self.kv_sequences)


def fit(  # noqa: PLR0913 - nine numbers decide, each is named at the call
    shape: ModelShape,
    degree: int,
    *,
    max_model_len_tokens: int,
    max_num_seqs: int,
    dtype_bytes: int,
    gib_per_core: float,
    tied_head_cloned: bool = True,
    engine: Engine = FORK,
    uncounted: int = 0,
    packed_bits: float | None = None,
) -> MemoryFit:
    """Return whether one server of ``shape`` fits ``degree`` cores, and the arithmetic.

    The rule is Neuron's: heads divisible by the degree, weights plus KV cache below the memory of the cores (Neuron
    SDK 2.32, nxd-inference feature guide, "Tensor parallelism"). The KV cache is allocated whole at load. Compiled
    code, scratch space and collectives are not in the rule: Neuron gives no figure for them, so a fit near the limit
    can still fail. ``tied_head_cloned``: NxDI keeps a copy of a tied head, other engines share it. ``engine``: what the
    server pads, refuses and keeps of a core's memory. ``uncounted``: parameters of the checkpoint that ``shape`` does
    not explain; each core is expected to hold all of them. ``packed_bits``: bits of a weight of the linear layers,
    where they are packed; embeddings and head are not.
    """
    whole_shape, padding = shape, ""
    if engine.pads:
        shape, padding = padded(shape, degree)
    kv_heads = kv_heads_per_core(shape, degree)
    heads = 2 if tied_head_cloned or not shape.tied else 1
    # A core holds at least its own heads, so what is replicated over cores is counted on each of them.
    split = split_weights(shape, kv_heads * degree) / degree
    plain = heads * math.ceil(shape.vocab / degree) * shape.hidden + whole_weights(shape) + uncounted
    each_bytes = dtype_bytes if packed_bits is None else packed_bits / 8
    weights_gib = (plain * dtype_bytes + split * each_bytes) / BYTES_PER_GIB
    of_token = 2 * shape.layers * kv_heads * shape.head_dim * dtype_bytes
    cache_gib = of_token * max_model_len_tokens * max_num_seqs / BYTES_PER_GIB
    # Below the memory, not up to it.
    room = min(gib_per_core * engine.memory_share - weights_gib, gib_per_core * engine.kv_share)
    tokens = max(0, math.ceil(room * BYTES_PER_GIB / of_token) - 1)
    refused = engine_refusals(engine, shape, degree, max_model_len_tokens)
    if engine.least_kv_gib > 0 and room < engine.least_kv_gib:
        refused.append(f"{room:.2f} GiB are left for the KV cache of a core, but it needs {engine.least_kv_gib:g}")
    needed = weights_gib + cache_gib
    head = "; its tied head is cloned" if shape.tied and tied_head_cloned else ""
    billions = (parameters(whole_shape) + uncounted) / 1e9
    packed = "" if packed_bits is None else f", of the layers {packed_bits:.4g} bits"
    words = (
        f"TP{degree} needs {needed:.2f} GiB of the {gib_per_core:g} GiB of each core{_allowed(engine, gib_per_core)}: "
        f"weights {weights_gib:.2f} GiB (the model has {billions:.2f} billion parameters of {dtype_bytes} bytes"
        f"{packed}{head}) and KV cache {cache_gib:.2f} GiB (2 x {shape.layers} layers x "
        f"{quantity(kv_heads, 'head', 'heads')} x {shape.head_dim} x {max_model_len_tokens} tokens x "
        f"{quantity(max_num_seqs, 'sequence', 'sequences')} x {dtype_bytes} bytes)"
    )
    return MemoryFit(
        fits=cache_gib < room and not refused,
        weights_gib_per_core=weights_gib,
        kv_gib_per_core=cache_gib,
        kv_tokens=tokens,
        kv_sequences=tokens // max_model_len_tokens,
        arithmetic="; ".join([*refused, *([padding] if padding else []), words]),
        padding=padding,
    )


def engine_refusals(engine: Engine, shape: ModelShape, degree: int, longest_tokens: int) -> list[str]:
    """Return why ``engine`` refuses ``shape`` at ``degree``, whatever the memory."""
    found = [f"{count} {what} do not divide by {degree}" for what, count in _shared(shape) if count % degree]
    if engine.families is not None and shape.family not in engine.families:
        found.append(f"the image supports {', '.join(sorted(engine.families))}, but the model is {shape.family}")
    elif (
        engine.refuses_biases_and_windows and shape.family != "gpt_oss" and (shape.qkv_biases or shape.windowed_layers)
    ):
        found.append(f"the image's {shape.family} supports neither attention biases nor a sliding window")
    if engine.replicates_kv_heads_evenly and shape.kv_heads % degree and degree % shape.kv_heads:
        found.append(f"{shape.kv_heads} key and value heads are neither shared nor repeated evenly by {degree}")
    if engine.even_prompts and (longest_tokens <= degree or longest_tokens % degree):
        found.append(f"max_model_len_tokens {longest_tokens} must be a multiple of {degree} above it")
    return found


def _allowed(engine: Engine, gib_per_core: float) -> str:
    if engine.kv_share >= 1:
        return ""
    weights, cache = engine.memory_share * gib_per_core, engine.kv_share * gib_per_core
    return f" ({weights:.2f} for both, {cache:.2f} at most for the KV cache)"
