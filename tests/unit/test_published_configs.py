"""The preview's figures of published models, from every key of their config.json that bears on them."""

import json
import typing

import pytest

from optimal_tp.facts.families import FAMILIES
from optimal_tp.facts.shapes import kv_values_per_token, parameters
from optimal_tp.facts.sizes import Sizes
from optimal_tp.plan.model_sizes import size_lines, with_sizes
from optimal_tp.settings.stack_file import ClusterSettings, parse_cluster
from tests.fakes_configs import Place
from tests.fakes_stack_files import ROOT

PUBLISHED: typing.Final[dict[str, dict[str, typing.Any]]] = json.loads(
    (ROOT / "tests/published/configs.json").read_text(encoding="utf-8")
)
MODEL: typing.Final = {"name": "owner/model", "revision": "abc"}


def read(name: str) -> ClusterSettings:
    """Return the settings of a stack whose ``serving.config_file`` is the model's."""
    sections = {"workloads": {"model": MODEL}, "serving": {"config_file": "config.json"}}
    place = Place(**{"config.json": PUBLISHED[name]["config"]})
    return with_sizes(parse_cluster(sections, file="Pulumi.dev.yaml"), place, file="Pulumi.dev.yaml")


def sizes(name: str) -> Sizes:
    """Return the sizes that were read."""
    settings = read(name)
    return settings.sizes_of(settings.models[0])


def test_twelve_families_are_held_against_their_files() -> None:
    """One model each, of families that are counted."""
    kinds = [each["config"]["model_type"] for each in PUBLISHED.values()]

    assert len(set(kinds)) == len(kinds) == 12
    assert set(kinds) <= set(FAMILIES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    """To the last one, where half a percent would do."""
    assert parameters(sizes(name).shape) == PUBLISHED[name]["parameters"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_preview_says_them_with_their_source(name: str) -> None:
    """In one line, from a file of the user's."""
    (line,) = size_lines(read(name), 2)

    assert line.startswith(f"model: {PUBLISHED[name]['parameters'] / 1e9:.2f} billion parameters by arithmetic")
    assert line.endswith("; sizes from config.json")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_longest_sequence_is_the_files(name: str) -> None:
    """No model of these stretches its positions beyond what it says."""
    assert sizes(name).positions == PUBLISHED[name]["config"]["max_position_embeddings"]


@pytest.mark.parametrize(
    ("name", "kib"),
    [
        ("Llama-3.1-8B-Instruct", 128),
        ("Qwen2.5-7B-Instruct", 56),
        ("Qwen3-8B", 144),
        ("gemma-2-2b-it", 104),
        ("phi-4", 200),
        ("granite-3.3-8b-instruct", 160),
        ("starcoder2-15b", 80),
    ],
)
def test_the_cache_of_one_token_follows_the_heads_that_are_kept(name: str, kib: int) -> None:
    """Two bytes for each key and value: layers x key and value heads x their width."""
    assert kv_values_per_token(sizes(name).shape) * 2 == kib * 1024


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("Mistral-7B-Instruct-v0.3", (None, 0)),
        ("Qwen2.5-7B-Instruct", (None, 0)),
        ("gemma-2-2b-it", (4096, 13)),
        ("starcoder2-15b", (4096, 40)),
    ],
    ids=["null", "switched off", "every other layer", "every layer"],
)
def test_windows_are_those_of_the_file(name: str, window: tuple[int | None, int]) -> None:
    """In tokens, and how many layers have it."""
    shape = sizes(name).shape

    assert (shape.window, shape.windowed_layers) == window


@pytest.mark.parametrize(
    ("name", "each"), [("phi-4", 2), ("phi-2", 2), ("starcoder2-15b", 4)], ids=["bfloat16", "float16", "float32"]
)
def test_the_download_follows_the_files_dtype(name: str, each: int) -> None:
    """StarCoder2's checkpoint is twice as large as its weights on the device."""
    assert sizes(name).download(2)[0] == each * PUBLISHED[name]["parameters"]
