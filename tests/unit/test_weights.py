"""Model directories: the one we make, and what a user's own is refused for."""

import dataclasses
import json
import pathlib

import pytest
from tokenizers import Tokenizer

from optimal_tp.errors import SettingsError
from optimal_tp.facts.known import SHAPES
from optimal_tp.local.weights import TOKENIZER, has_weights, read_sizes, write_model, write_model_like
from optimal_tp.plan.prompts import WORDS

SHAPE = dataclasses.replace(SHAPES["Qwen/Qwen3-0.6B"], vocab=5_000)
"""The real vocabulary is thirty times as large, and takes as much longer to write."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a directory with a model that we made."""
    folder = tmp_path_factory.mktemp("made")
    write_model(folder, SHAPE, max_position_tokens=128)
    return folder


def test_a_made_model_has_the_real_shape(made: pathlib.Path) -> None:
    """Its configuration, read back, is the shape that it was made from."""
    assert read_sizes(made).shape == SHAPE
    assert not has_weights(made)


def test_a_made_tokenizer_knows_every_id_and_every_prompt_word(made: pathlib.Path) -> None:
    """Whatever random weights sample can be decoded, and a prompt of n words is n different tokens."""
    tokenizer = Tokenizer.from_file(str(made / "tokenizer.json"))
    words = list(dict.fromkeys(WORDS))
    ids = tokenizer.encode(" ".join(words)).ids

    assert tokenizer.get_vocab_size() == SHAPE.vocab
    assert len(set(ids)) == len(words)
    assert tokenizer.decode([SHAPE.vocab - 1]) == f"w{SHAPE.vocab - 1}"


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        pytest.param(
            None,
            "must be a model directory with a readable config.json (No such file or directory: ",
            id="none",
        ),
        pytest.param(
            "{",
            (
                "must have a config.json in JSON (Expecting property name enclosed in double quotes: "
                "line 1 column 2 (char 1))"
            ),
            id="cut",
        ),
        pytest.param("[]", "must have one JSON object in its config.json", id="a list"),
    ],
)
def test_refuses_a_directory_without_a_configuration(tmp_path: pathlib.Path, config: str | None, sentence: str) -> None:
    """One sentence that names MODEL, its value, the rule and the remedy."""
    if config is not None:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        read_sizes(tmp_path)

    assert str(caught.value).startswith(f"MODEL: {sentence}")
    assert f"(got '{tmp_path}')" in str(caught.value)
    assert str(caught.value).endswith(
        "; set MODEL to a directory as downloaded from a model hub: config.json, tokenizer and weights"
    )


def test_refuses_a_family_whose_memory_cannot_be_counted(tmp_path: pathlib.Path) -> None:
    """Experts of an unknown family are not counted, so the family is named."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dbrx", "num_experts": 8}), encoding="utf-8")

    with pytest.raises(SettingsError, match="model_type: must be a family whose memory can be counted before anything"):
        read_sizes(tmp_path)


def own_model(folder: pathlib.Path, **more: object) -> pathlib.Path:
    """Return ``folder`` with the config.json of a small model of another family, and ``more`` of its keys."""
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    config = {"model_type": "gemma2", **shape, "vocab_size": 3000, "num_key_value_heads": 2, **more}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_a_directory_without_weights_gets_random_ones_in_its_own_shape(tmp_path: pathlib.Path) -> None:
    """Every key of its config.json stays, packed weights become plain ones, and the tokenizer knows every id."""
    packed = {"quant_method": "awq", "bits": 4}
    own = own_model(tmp_path, query_pre_attn_scalar=224, quantization_config=packed)
    write_model_like(tmp_path / "made", own)
    config = json.loads((tmp_path / "made" / "config.json").read_text(encoding="utf-8"))

    assert read_sizes(tmp_path / "made").shape == read_sizes(own).shape
    assert (config["architectures"], config["query_pre_attn_scalar"]) == (["Gemma2ForCausalLM"], 224)
    assert "quantization_config" not in config
    assert Tokenizer.from_file(str(tmp_path / "made" / "tokenizer.json")).get_vocab_size() == 3000


def test_a_made_tokenizer_lies_apart_where_its_family_would_replace_it(tmp_path: pathlib.Path) -> None:
    """Transformers gives each Qwen2 model its own tokenizer class, which knows none of the words made here."""
    write_model_like(tmp_path / "made", own_model(tmp_path, model_type="qwen2"))
    words = tmp_path / "made" / TOKENIZER

    assert not (tmp_path / "made" / "tokenizer.json").exists()
    assert Tokenizer.from_file(str(words / "tokenizer.json")).get_vocab_size() == 3000
    assert "chat_template" in json.loads((words / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert json.loads((words / "config.json").read_text(encoding="utf-8")) == {"model_type": "llama"}


def test_a_tokenizer_that_is_there_is_kept(tmp_path: pathlib.Path) -> None:
    """Real text is tokenised as by the real model, whatever the weights."""
    (own_model(tmp_path) / "tokenizer.json").write_text("{}", encoding="utf-8")
    write_model_like(tmp_path / "made", tmp_path)

    assert (tmp_path / "made" / "tokenizer.json").read_text(encoding="utf-8") == "{}"


def test_weights_are_seen(tmp_path: pathlib.Path) -> None:
    """What has weights is served as it is."""
    assert not has_weights(own_model(tmp_path))
    (tmp_path / "model-00001-of-00002.safetensors").touch()
    assert has_weights(tmp_path)
