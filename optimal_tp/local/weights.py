"""Model directories: the user's own, and directories without weights, for which vLLM makes random ones."""

import json
import pathlib
import shutil
import typing

from tokenizers import Tokenizer, models, pre_tokenizers

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.families import FAMILIES, text_part
from optimal_tp.facts.packing import PACKED
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.facts.sizes import INDEX, Sizes, sizes_from_config
from optimal_tp.plan.prompts import WORDS

_UNKNOWN = "<unk>"
_END = "<eos>"
_CHAT_TEMPLATE = (
    "{% for message in messages %}w2000 {{ message['content'] }} w2001 {% endfor %}"
    "{% if add_generation_prompt %}w2002{% endif %}"
)
"""Puts three words around a message, so that chats have a template as with trained models."""
_END_ID = 1
TOKENIZER: typing.Final = "tokenizer"
"""Folder of a generated tokenizer, for model families that would not load it from the model's own folder."""
_REPLACED = frozenset({"qwen2"})
"""Families whose tokenizer transformers replaces by a class of its own (5.19, tokenization_auto.py,
MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS), which would know none of our words. Tried with vLLM 0.32, 2026-11-28."""
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "merges.txt")
_REMEDY = "set MODEL to a directory as downloaded from a model hub: config.json, tokenizer and weights"


def write_model(folder: pathlib.Path, shape: ModelShape, *, max_position_tokens: int) -> None:
    """Write into ``folder`` the files that vLLM reads before a model's weights: configuration and tokenizer.

    ``shape`` must be one of ``facts.known``.
    """
    config = {
        "architectures": [FAMILIES[shape.family].architecture],
        "model_type": shape.family,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.q_heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "vocab_size": shape.vocab,
        "tie_word_embeddings": shape.tied,
        "hidden_act": "silu",
        "max_position_embeddings": max_position_tokens,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "attention_bias": shape.qkv_biases,
        "torch_dtype": "bfloat16",
    }
    _write(folder, config, shape.vocab)


def write_model_like(folder: pathlib.Path, own: pathlib.Path) -> None:
    """Write into ``folder`` a model without weights, with the config.json in ``own`` and its tokenizer if it has one.

    A model that takes images becomes its text model, and packed weights become plain ones.
    """
    config = dict(text_part(_read(own)))
    config.pop("quantization_config", None)
    if config["model_type"] in FAMILIES:
        config["architectures"] = [FAMILIES[config["model_type"]].architecture]
    tokenizer = [own / name for name in _TOKENIZER if (own / name).is_file()]
    if not tokenizer:
        _write(folder, config, read_sizes(own).shape.vocab)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for file in tokenizer:
        shutil.copy(file, folder)


def _write(folder: pathlib.Path, config: dict[str, typing.Any], vocab: int) -> None:
    """Write ``config`` and a tokenizer for it.

    Every id of the vocabulary is one word (the words of synthetic prompts, then "w2000" and so on), so that any text
    the random weights produce can be decoded and a prompt of n such words is n tokens.
    """
    words_folder = folder / TOKENIZER if config["model_type"] in _REPLACED else folder
    words_folder.mkdir(parents=True, exist_ok=True)
    known = [_UNKNOWN, _END, *dict.fromkeys(WORDS)]
    words = {word: index for index, word in enumerate(known)}
    words |= {f"w{index}": index for index in range(len(known), vocab)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(words_folder / "tokenizer.json"))
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": _END,
        "unk_token": _UNKNOWN,
        "chat_template": _CHAT_TEMPLATE,
    }
    (words_folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config), encoding="utf-8")
    if words_folder != folder:
        (words_folder / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    whole = {**config, "bos_token_id": _END_ID, "eos_token_id": _END_ID}
    (folder / "config.json").write_text(json.dumps(whole), encoding="utf-8")


def has_weights(folder: pathlib.Path) -> bool:
    """Return whether the model directory ``folder`` holds weights."""
    return any(True for pattern in _WEIGHTS for _ in folder.glob(pattern))


def read_sizes(folder: pathlib.Path) -> Sizes:
    """Return the sizes of the user's model in ``folder``.

    Raises SettingsError for a folder without a readable config.json or with a model whose memory cannot be counted.
    """
    index = folder / INDEX
    found = _read(folder)
    return sizes_from_config(found, _object(index) if index.is_file() else None, where=str(folder / "config.json"))


def packed_bits(folder: pathlib.Path, sizes: Sizes) -> float | None:
    """Return the bits of a layer's weight where the weights in ``folder`` are packed; None where they are plain.

    A folder without weights gets plain ones. Raises SettingsError for a scheme whose bits are unknown.
    """
    if sizes.quantization is None or not has_weights(folder):
        return None
    if sizes.packed_bits is None:
        rule = (
            f"the memory of packed weights must be known, and the scheme {sizes.quantization!r} of its "
            f"quantization_config is not (known are {', '.join(PACKED)}, with their bits)"
        )
        remedy = "set MODEL to the original model instead of the quantized one"
        raise SettingsError([Problem(path="MODEL", value=str(folder), rule=rule, remedy=remedy)])
    return sizes.packed_bits


def _read(folder: pathlib.Path) -> dict[str, typing.Any]:
    return _object(folder / "config.json")


def _object(path: pathlib.Path) -> dict[str, typing.Any]:
    value = str(path.parent)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        rule = f"must be a model directory with a readable {path.name} ({error.strerror}: {path})"
        raise SettingsError([Problem(path="MODEL", value=value, rule=rule, remedy=_REMEDY)]) from None
    except ValueError as error:
        rule = f"must have a {path.name} in JSON ({error})"
        raise SettingsError([Problem(path="MODEL", value=value, rule=rule, remedy=_REMEDY)]) from None
    if not isinstance(found, dict):
        rule = f"must have one JSON object in its {path.name}"
        raise SettingsError([Problem(path="MODEL", value=value, rule=rule, remedy=_REMEDY)])
    return found
