"""Families of decoders whose layers can be counted, and a model's sizes from its config.json."""

import dataclasses
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.shapes import Experts, ModelShape, Norms

Config = typing.Mapping[str, typing.Any]
Said = bool | str
"""A fact of the family, or the key of config.json that holds it (if absent: False)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExpertKeys:
    """The keys of a family's config.json that describe its experts."""

    count: str
    intermediate: str
    shared: str | None = None
    """Key of the shared expert's columns, which has a gate of its own."""
    biases: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """Decoders that differ only by their config.json."""

    architecture: str
    """Its name in config.json."""
    tied: bool = False
    """Default of ``tie_word_embeddings``."""
    qk_norms: Norms = "none"
    qk_norms_if: Said = True
    qkv_biases: Said = False
    output_biases: Said = False
    mlp_biases: Said = False
    mlp_matrices: int = 3
    norms: int = 2
    norm_biases: bool = False
    head_biases: bool = False
    sinks: bool = False
    experts: ExpertKeys | None = None
    full_attention_every: int | None = None
    """One in this many layers sees all tokens, if there is a window and no ``layer_types``; None: no layer does."""
    absent: typing.Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Defaults of absent keys."""


_BIASES: typing.Final = "attention_bias"
# Layers, biases, norms and defaults: the configuration and model classes of transformers 5.19.0. A test compares each
# family's count with published ones (tests/unit/test_families.py).
FAMILIES: typing.Final[typing.Mapping[str, Family]] = {
    "llama": Family(architecture="LlamaForCausalLM", qkv_biases=_BIASES, output_biases=_BIASES, mlp_biases="mlp_bias"),
    "mistral": Family(architecture="MistralForCausalLM", absent={"num_key_value_heads": 8}),
    "mixtral": Family(
        architecture="MixtralForCausalLM",
        experts=ExpertKeys(count="num_local_experts", intermediate="intermediate_size"),
        absent={"num_key_value_heads": 8, "num_local_experts": 8},
    ),
    "qwen2": Family(architecture="Qwen2ForCausalLM", qkv_biases=True),
    "qwen2_moe": Family(
        architecture="Qwen2MoeForCausalLM",
        qkv_biases=True,
        experts=ExpertKeys(
            count="num_experts", intermediate="moe_intermediate_size", shared="shared_expert_intermediate_size"
        ),
    ),
    "qwen3": Family(
        architecture="Qwen3ForCausalLM",
        qk_norms="per head",
        qkv_biases=_BIASES,
        output_biases=_BIASES,
        absent={"head_dim": 128},
    ),
    "qwen3_moe": Family(
        architecture="Qwen3MoeForCausalLM",
        qk_norms="per head",
        qkv_biases=_BIASES,
        output_biases=_BIASES,
        experts=ExpertKeys(count="num_experts", intermediate="moe_intermediate_size"),
    ),
    "gemma": Family(architecture="GemmaForCausalLM", tied=True, absent={"head_dim": 256}),
    "gemma2": Family(
        architecture="Gemma2ForCausalLM", tied=True, norms=4, full_attention_every=2, absent={"head_dim": 256}
    ),
    "gemma3_text": Family(
        architecture="Gemma3ForCausalLM",
        tied=True,
        qk_norms="per head",
        norms=4,
        full_attention_every=6,
        absent={"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262_208},
    ),
    "phi": Family(
        architecture="PhiForCausalLM",
        qkv_biases=True,
        output_biases=True,
        mlp_biases=True,
        mlp_matrices=2,
        norms=1,
        norm_biases=True,
        head_biases=True,
    ),
    "phi3": Family(architecture="Phi3ForCausalLM"),
    "granite": Family(
        architecture="GraniteForCausalLM", qkv_biases=_BIASES, output_biases=_BIASES, mlp_biases="mlp_bias"
    ),
    "olmo2": Family(architecture="Olmo2ForCausalLM", qk_norms="whole width", qkv_biases=_BIASES, output_biases=_BIASES),
    "smollm3": Family(
        architecture="SmolLM3ForCausalLM",
        tied=True,
        qkv_biases=_BIASES,
        output_biases=_BIASES,
        mlp_biases="mlp_bias",
        absent={"num_key_value_heads": 4},
    ),
    "starcoder2": Family(
        architecture="Starcoder2ForCausalLM",
        tied=True,
        qkv_biases="use_bias",
        output_biases="use_bias",
        mlp_biases="use_bias",
        mlp_matrices=2,
        norm_biases=True,
        absent={"num_key_value_heads": 2, "use_bias": True},
    ),
    "cohere": Family(
        architecture="CohereForCausalLM",
        tied=True,
        qk_norms="whole width",
        qk_norms_if="use_qk_norm",
        qkv_biases=_BIASES,
        output_biases=_BIASES,
        norms=1,
    ),
    "gpt_oss": Family(
        architecture="GptOssForCausalLM",
        qkv_biases=True,
        output_biases=True,
        sinks=True,
        experts=ExpertKeys(count="num_local_experts", intermediate="intermediate_size", biases=True),
        full_attention_every=2,
        absent={"head_dim": 64},
    ),
}
"""By ``model_type``; another family needs only one more entry."""

ASSUMED: typing.Final = "llama"
"""An unknown family is counted like this one; the safetensors index must confirm the count."""
_NOT_COUNTED: typing.Final[typing.Mapping[str, str]] = {
    "kv_lora_rank": "latent attention, which keeps no keys and values by head",
    "n_routed_experts": "experts whose layers are not counted here",
    "num_experts": "experts whose layers are not counted here",
    "num_local_experts": "experts whose layers are not counted here",
    "mamba_d_state": "a state in the place of keys and values",
    "ssm_state_size": "a state in the place of keys and values",
    "linear_num_value_heads": "a state in the place of keys and values",
}
"""Keys of config.json that reveal a family that cannot be counted."""
_REQUIRED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


def text_part(config: Config) -> Config:
    """Return the part of config.json that describes the decoder; for a vision model, its text model."""
    inner = config.get("text_config")
    if not isinstance(inner, dict):
        return config
    tied = config.get("tie_word_embeddings")
    return inner if tied is None else {"tie_word_embeddings": tied, **inner}


def is_known(config: Config) -> bool:
    """Return whether the layers of ``config``'s family can be counted."""
    return text_part(config).get("model_type") in FAMILIES


def shape_from_config(config: Config, *, where: str) -> ModelShape:
    """Return the shape that a model directory's ``config.json`` describes; an unknown family counts as ``ASSUMED``.

    ``where`` names the file in errors. Raises SettingsError for layers that would be miscounted and for sizes that are
    missing or not whole numbers of at least 1; every bad key is listed.
    """
    config = text_part(config)
    config = {"num_experts": config.get("num_local_experts"), **config}  # transformers 5 writes this for Qwen's too
    kind = config.get("model_type")
    if not isinstance(kind, str):
        rule = "must name the model's family, for example llama"
        remedy = "take the config.json that came with the model's weights"
        raise SettingsError([Problem(path=f"{where}: model_type", value=kind, rule=rule, remedy=remedy)])
    known = FAMILIES.get(kind)
    if known is None:
        _refuse_what_would_be_miscounted(config, kind, where)
    family = known or FAMILIES[ASSUMED]
    said = {**{key: value for key, value in family.absent.items() if key not in config}, **config}
    _refuse_bad_sizes(said, family, where)
    heads, layers = said["num_attention_heads"], said["num_hidden_layers"]
    tied = said.get("tie_word_embeddings")
    experts = _experts(said, family.experts, layers)
    window = _window(said)
    return ModelShape(
        hidden=said["hidden_size"],
        layers=layers,
        q_heads=heads,
        kv_heads=heads if said.get("num_key_value_heads") is None else said["num_key_value_heads"],
        head_dim=said["hidden_size"] // heads if said.get("head_dim") is None else said["head_dim"],
        intermediate=said["intermediate_size"],
        vocab=said["vocab_size"],
        tied=family.tied if tied is None else tied is True,
        family=kind,
        qk_norms=family.qk_norms if _holds(family.qk_norms_if, said) else "none",
        qkv_biases=_holds(family.qkv_biases, said),
        output_biases=_holds(family.output_biases, said),
        mlp_matrices=family.mlp_matrices,
        mlp_biases=_holds(family.mlp_biases, said),
        norms=family.norms,
        norm_biases=family.norm_biases,
        head_biases=family.head_biases,
        sinks=family.sinks,
        experts=experts,
        window=window,
        windowed_layers=0 if window is None else _windowed_layers(said, family, layers),
    )


def _holds(said: Said, config: Config) -> bool:
    return config.get(said) is True if isinstance(said, str) else said


def _refuse_what_would_be_miscounted(config: Config, kind: str, where: str) -> None:
    kinds = config.get("layer_types")
    mixed = isinstance(kinds, list) and any("attention" not in str(each) or "linear" in str(each) for each in kinds)
    why = next((words for key, words in _NOT_COUNTED.items() if config.get(key)), None)
    if why is None and mixed:
        why = "layers other than attention"
    if why is not None:
        rule = (
            f"must be a family whose memory can be counted before anything is spent, and this one has {why} (counted "
            f"here: {', '.join(FAMILIES)}, and dense decoders with Llama's layers)"
        )
        problem = Problem(path=f"{where}: model_type", value=kind, rule=rule, remedy="serve a model of such a family")
        raise SettingsError([problem])


def _refuse_bad_sizes(said: Config, family: Family, where: str) -> None:
    keys = [*_REQUIRED, *(key for key in ("num_key_value_heads", "head_dim") if said.get(key) is not None)]
    if family.experts is not None:
        keys += [family.experts.count, family.experts.intermediate]
        keys += [] if family.experts.shared is None else [family.experts.shared]
    problems = [
        Problem(
            path=f"{where}: {key}",
            value=said.get(key),
            rule="must be a whole number of at least 1",
            remedy="take the config.json that came with the model's weights",
        )
        for key in dict.fromkeys(keys)
        if not _is_count(said.get(key))
    ]
    if problems:
        raise SettingsError(problems)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _experts(said: Config, keys: ExpertKeys | None, layers: int) -> Experts | None:
    if keys is None:
        return None
    dense, step = said.get("mlp_only_layers") or (), said.get("decoder_sparse_step") or 1
    per_token = said.get("num_experts_per_tok")
    return Experts(
        count=said[keys.count],
        intermediate=said[keys.intermediate],
        layers=sum(layer not in dense and (layer + 1) % step == 0 for layer in range(layers)),
        per_token=min(per_token, said[keys.count]) if _is_count(per_token) else 1,
        shared_intermediate=0 if keys.shared is None else said[keys.shared],
        shared_gate=keys.shared is not None,
        biases=keys.biases,
    )


def _window(said: Config) -> int | None:
    window = said.get("sliding_window")
    return window if _is_count(window) and said.get("use_sliding_window") is not False else None


def _windowed_layers(said: Config, family: Family, layers: int) -> int:
    kinds = said.get("layer_types")
    if isinstance(kinds, list):
        return sum(kind == "sliding_attention" for kind in kinds)
    every = said.get("sliding_window_pattern") or family.full_attention_every
    return layers if every is None else layers - layers // every
