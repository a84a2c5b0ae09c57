"""TODO."""

import dataclasses
import typing

from optimal_tp.errors import Problem, SettingsError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The sizes of a dense decoder that decide its memory. All are counts except ``tied``."""

    hidden: int
    layers: int
    q_heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    """True if the output head is the embedding's transpose."""
    qk_norms: bool = True
    """True if queries and keys are normalised per head, as Qwen3 does: 2 x head_dim weights a layer."""
    qkv_biases: bool = False
    """True if the query, key and value projections have biases, as Qwen2 does."""
    family: str = "qwen3"
    """Key of FAMILIES."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """Dense decoders that differ in nothing but their sizes."""

    architecture: str
    """As config.json names it."""
    qk_norms: bool
    qkv_biases: bool
    models: typing.Mapping[str, ModelShape]
    """Models whose sizes are known by name."""


def _qwen3(hidden: int, layers: int, q_heads: int, intermediate: int, *, tied: bool) -> ModelShape:
    return ModelShape(
        hidden=hidden,
        layers=layers,
        q_heads=q_heads,
        kv_heads=8,
        head_dim=128,
        intermediate=intermediate,
        vocab=151_936,
        tied=tied,
    )


FAMILIES: typing.Final[typing.Mapping[str, Family]] = {
    "qwen3": Family(
        architecture="Qwen3ForCausalLM",
        qk_norms=True,
        qkv_biases=False,
        # Layers, heads and ties: Qwen3 technical report (arXiv 2505.09388), table 1. Hidden, intermediate and
        # vocabulary: config.json of each model on huggingface.co/Qwen, read 2026-11. The parameter counts that follow
        # (0.596, 1.72, 4.02, 8.19, 14.77 and 32.76 billion) agree with the model cards.
        models={
            "Qwen/Qwen3-0.6B": _qwen3(1024, 28, 16, 3072, tied=True),
            "Qwen/Qwen3-1.7B": _qwen3(2048, 28, 16, 6144, tied=True),
            "Qwen/Qwen3-4B": _qwen3(2560, 36, 32, 9728, tied=True),
            "Qwen/Qwen3-8B": _qwen3(4096, 36, 32, 12288, tied=False),
            "Qwen/Qwen3-14B": _qwen3(5120, 40, 40, 17408, tied=False),
            "Qwen/Qwen3-32B": _qwen3(5120, 64, 64, 25600, tied=False),
        },
    ),
    "qwen2": Family(architecture="Qwen2ForCausalLM", qk_norms=False, qkv_biases=True, models={}),
    "llama": Family(architecture="LlamaForCausalLM", qk_norms=False, qkv_biases=False, models={}),
}
"""The families whose layers are counted here, by ``model_type``: one entry is all that another family takes."""

SHAPES: typing.Final[dict[str, ModelShape]] = {
    name: dataclasses.replace(shape, family=key, qk_norms=family.qk_norms, qkv_biases=family.qkv_biases)
    for key, family in FAMILIES.items()
    for name, shape in family.models.items()
}
"""Every model whose sizes are known, by name."""

_REQUIRED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


def shape_from_config(config: typing.Mapping[str, typing.Any], *, where: str) -> ModelShape:
    """Return the shape that a model directory's ``config.json`` describes.

    ``where`` names the file in errors. Raises SettingsError for a family whose layers are not counted here and for
    sizes that are missing or no whole numbers of at least 1; every bad key is listed.
    """
    kind = config.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None or not isinstance(kind, str):
        rule = f"the model's family is one whose memory can be computed: {', '.join(FAMILIES)}"
        remedy = "serve a model of such a family"
        raise SettingsError([Problem(path=f"{where}: model_type", value=kind, rule=rule, remedy=remedy)])
    optional = [key for key in ("num_key_value_heads", "head_dim") if config.get(key) is not None]
    problems = [
        Problem(
            path=f"{where}: {key}",
            value=config.get(key),
            rule="it is a whole number of at least 1",
            remedy="take the config.json that came with the model's weights",
        )
        for key in (*_REQUIRED, *optional)
        if not _is_count(config.get(key))
    ]
    if problems:
        raise SettingsError(problems)
    heads = config["num_attention_heads"]
    return ModelShape(
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        q_heads=heads,
        kv_heads=config["num_key_value_heads"] if "num_key_value_heads" in optional else heads,
        head_dim=config["head_dim"] if "head_dim" in optional else config["hidden_size"] // heads,
        intermediate=config["intermediate_size"],
        vocab=config["vocab_size"],
        # The configuration classes of all three families have False as their default (transformers 4.51).
        tied=config.get("tie_word_embeddings") is True,
        qk_norms=family.qk_norms,
        qkv_biases=family.qkv_biases,
        family=kind,
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def parameters(shape: ModelShape, *, tied_head_cloned: bool = False) -> int:
    """Return the number of weights; a tied head counts only where the engine clones it."""
    heads = 2 if tied_head_cloned or not shape.tied else 1
    return heads * shape.vocab * shape.hidden + _split(shape, shape.kv_heads) + _whole(shape)


def _split(shape: ModelShape, kv_heads: int) -> int:
    """Return the weights of all layers that tensor parallelism splits, with ``kv_heads`` key and value heads each."""
    attention = 2 * shape.hidden * shape.q_heads * shape.head_dim + 2 * shape.hidden * kv_heads * shape.head_dim
    biases = (shape.q_heads + 2 * kv_heads) * shape.head_dim if shape.qkv_biases else 0
    return shape.layers * (attention + biases + 3 * shape.hidden * shape.intermediate)


def _whole(shape: ModelShape) -> int:
    """Return the weights that every core holds whole: the norms."""
    per_layer = 2 * shape.hidden + (2 * shape.head_dim if shape.qk_norms else 0)
    return shape.layers * per_layer + shape.hidden
