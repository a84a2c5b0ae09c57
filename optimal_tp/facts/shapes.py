"""The sizes of a decoder, and the weights that follow: those that tensor parallelism splits, and those it copies."""

import dataclasses
import json
import typing

Norms = typing.Literal["none", "per head", "whole width"]
"""How queries and keys are normalised: not at all, with one vector for all heads (Qwen3), one for each (OLMo 2)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experts:
    """The mixture of experts that replaces the perceptron in some layers."""

    count: int
    intermediate: int
    """Columns of one expert."""
    layers: int
    """Layers that have experts."""
    per_token: int = 1
    """Experts that one token passes, without the shared one; 1 if config.json does not say."""
    shared_intermediate: int = 0
    """Columns of the expert that every token passes; 0 without one."""
    shared_gate: bool = False
    biases: bool = False
    """True if experts and router have biases."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The sizes that determine a decoder's memory. All are counts except flags; config.json has every key."""

    hidden: int
    layers: int
    q_heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    """True if the output head is the embedding's transpose."""
    family: str = "llama"
    """``model_type`` of its config.json."""
    qk_norms: Norms = "none"
    qkv_biases: bool = False
    """True if the query, key and value projections have biases, as Qwen2 does."""
    output_biases: bool = False
    """True if attention's output projection has a bias."""
    mlp_matrices: int = 3
    """Matrices of the perceptron: 3 with a gate, 2 without."""
    mlp_biases: bool = False
    norms: int = 2
    """Normalisations over a layer's whole width."""
    norm_biases: bool = False
    head_biases: bool = False
    sinks: bool = False
    """True if each query head has a sink, as gpt-oss does."""
    experts: Experts | None = None
    window: int | None = None
    """Tokens that a windowed layer looks back; None if every layer sees all tokens."""
    windowed_layers: int = 0

    def as_json(self) -> str:
        """Return the shape in one line, for ``read``."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> "ModelShape":
        """Return the shape that ``as_json`` wrote."""
        data = json.loads(text)
        experts = data.pop("experts")
        return cls(**data, experts=None if experts is None else Experts(**experts))

    def differences(self, other: "ModelShape") -> str:
        """Return the differences of ``other`` in words: "hidden 1024 and not 4096, …"; empty for the same sizes."""
        own, others = dataclasses.asdict(self), dataclasses.asdict(other)
        return ", ".join(f"{key} {others[key]} and not {own[key]}" for key in own if own[key] != others[key])


def parameters(shape: ModelShape, *, tied_head_cloned: bool = False) -> int:
    """Return the number of weights; a tied head counts only if the engine clones it."""
    heads = 2 if tied_head_cloned or not shape.tied else 1
    return heads * shape.vocab * shape.hidden + split_weights(shape, shape.kv_heads) + whole_weights(shape)


def split_weights(shape: ModelShape, kv_heads: int) -> int:
    """Return the weights of all layers that tensor parallelism splits, with ``kv_heads`` key and value heads each."""
    width, kv_width = shape.q_heads * shape.head_dim, kv_heads * shape.head_dim
    attention = 2 * shape.hidden * width + 2 * shape.hidden * kv_width
    biases = width + 2 * kv_width if shape.qkv_biases else 0
    columns = shape.mlp_matrices * shape.hidden + (shape.mlp_matrices - 1 if shape.mlp_biases else 0)
    experts = shape.experts
    dense_layers = shape.layers - (experts.layers if experts else 0)
    split = shape.layers * (attention + biases) + dense_layers * columns * shape.intermediate
    if experts is not None:
        each = (3 * shape.hidden + (2 if experts.biases else 0)) * experts.intermediate
        split += experts.layers * (experts.count * each + 3 * shape.hidden * experts.shared_intermediate)
    return split


def whole_weights(shape: ModelShape) -> int:
    """Return the weights of which every core holds a copy: norms, routers, and biases that are added after a sum."""
    vector = shape.hidden * (2 if shape.norm_biases else 1)
    of_heads = {"none": 0, "per head": 2, "whole width": shape.q_heads + shape.kv_heads}[shape.qk_norms]
    per_layer = shape.norms * vector + of_heads * shape.head_dim
    per_layer += shape.hidden if shape.output_biases else 0
    per_layer += shape.q_heads if shape.sinks else 0
    experts = shape.experts
    dense_layers = shape.layers - (experts.layers if experts else 0)
    whole = shape.layers * per_layer + vector + (dense_layers * shape.hidden if shape.mlp_biases else 0)
    if experts is not None:
        biases = experts.count * (shape.hidden + 1) if experts.biases else 0
        gate = shape.hidden if experts.shared_gate else 0
        whole += experts.layers * (shape.hidden * experts.count + biases + gate)
    return whole + (shape.vocab if shape.head_biases else 0)


def kv_values_per_token(shape: ModelShape) -> int:
    """Return the number of keys and values that one token stores in all layers, each head once."""
    return 2 * shape.layers * shape.kv_heads * shape.head_dim
