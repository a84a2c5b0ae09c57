"""A model directory with the real shape of a model and no weights: vLLM makes random ones from it."""

import json
import pathlib

from tokenizers import Tokenizer, models, pre_tokenizers

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.shapes import FAMILIES, ModelShape, shape_from_config
from optimal_tp.plan.prompts import WORDS

_UNKNOWN = "<unk>"
_END = "<eos>"
_CHAT_TEMPLATE = (
    "{% for message in messages %}w2000 {{ message['content'] }} w2001 {% endfor %}"
    "{% if add_generation_prompt %}w2002{% endif %}"
)
"""Three words around a message, so that chats have a template as those of trained models do."""


def write_model(folder: pathlib.Path, shape: ModelShape, *, max_position_tokens: int) -> None:
    """Write into ``folder`` what vLLM reads of a model of such a shape before its weights: configuration and tokenizer.

    Every id of the vocabulary is one word (the words of synthetic prompts, then "w2000" and so on), so that any text
    the random weights produce can be decoded and a prompt of n such words is n tokens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = [_UNKNOWN, _END, *dict.fromkeys(WORDS)]
    words = {word: index for index, word in enumerate(known)}
    words |= {f"w{index}": index for index in range(len(known), shape.vocab)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": _END,
        "unk_token": _UNKNOWN,
        "chat_template": _CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config), encoding="utf-8")
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
        "attention_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def read_shape(folder: pathlib.Path) -> ModelShape:
    """Return the shape of the user's model in ``folder``.

    Raises SettingsError for a folder without a readable config.json or with one of an unknown family.
    """
    path = folder / "config.json"
    remedy = "set MODEL to a directory as downloaded from a model hub, with config.json, tokenizer and weights"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        rule = f"a model directory has a readable config.json ({error.strerror}: {path})"
        raise SettingsError([Problem(path="MODEL", value=str(folder), rule=rule, remedy=remedy)]) from None
    except ValueError as error:
        rule = f"its config.json holds JSON ({error})"
        raise SettingsError([Problem(path="MODEL", value=str(folder), rule=rule, remedy=remedy)]) from None
    if not isinstance(config, dict):
        rule = "its config.json holds one JSON object"
        raise SettingsError([Problem(path="MODEL", value=str(folder), rule=rule, remedy=remedy)])
    return shape_from_config(config, where=str(path))
