"""Model directories: the one we make, and what a user's own is refused for."""

import dataclasses
import json
import pathlib

import pytest
from tokenizers import Tokenizer

from optimal_tp.errors import SettingsError
from optimal_tp.facts.shapes import SHAPES
from optimal_tp.local.weights import read_shape, write_model
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
    assert read_shape(made) == SHAPE


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
        pytest.param(None, "a model directory has a readable config.json (No such file or directory: ", id="none"),
        pytest.param("{", "its config.json holds JSON (", id="cut"),
        pytest.param("[]", "its config.json holds one JSON object; ", id="a list"),
    ],
)
def test_refuses_a_directory_without_a_configuration(tmp_path: pathlib.Path, config: str | None, sentence: str) -> None:
    """One sentence that names MODEL, its value, the rule and the remedy."""
    if config is not None:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        read_shape(tmp_path)

    assert str(caught.value).startswith(f"MODEL is '{tmp_path}'; {sentence}")
    assert str(caught.value).endswith(
        "; set MODEL to a directory as downloaded from a model hub, with config.json, tokenizer and weights"
    )


def test_refuses_a_family_whose_memory_is_not_known(tmp_path: pathlib.Path) -> None:
    """An encoder is no model to serve here: the family is named."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")

    with pytest.raises(SettingsError, match="model_type is 'bert'; the model's family is one whose memory"):
        read_shape(tmp_path)
