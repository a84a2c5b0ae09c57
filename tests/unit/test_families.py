"""The arithmetic of each family, against the parameter counts of published models."""

import dataclasses
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.families import FAMILIES, is_known, shape_from_config
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.shapes import ModelShape, kv_values_per_token, parameters


def config(  # noqa: PLR0913, PLR0917 - the columns of the table below
    kind: str, hidden: int, layers: int, heads: int, kv: int | None, intermediate: int, vocab: int, **rest: object
) -> dict[str, typing.Any]:
    """Return the keys of a config.json that decide memory."""
    kv_heads = {} if kv is None else {"num_key_value_heads": kv}
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        **kv_heads,
        "intermediate_size": intermediate,
        "vocab_size": vocab,
        **rest,
    }


TIED = {"tie_word_embeddings": True}
UNTIED = {"tie_word_embeddings": False}
CONFIGS: typing.Final[dict[str, tuple[dict[str, typing.Any], int]]] = {
    # Sizes: config.json of each model. Counts: the safetensors metadata of each on huggingface.co, read 2026-09 and
    # 2026-10, where it lists one; else the model card's.
    "Llama-2-7B": (config("llama", 4096, 32, 32, None, 11008, 32000, **UNTIED), 6_738_415_616),
    "Llama-3.1-8B": (config("llama", 4096, 32, 32, 8, 14336, 128_256, **UNTIED), 8_030_261_248),
    "Llama-3.2-1B": (config("llama", 2048, 16, 32, 8, 8192, 128_256, head_dim=64, **TIED), 1_235_814_400),
    "Llama-3.2-3B": (config("llama", 3072, 28, 24, 8, 8192, 128_256, head_dim=128, **TIED), 3_212_749_824),
    "Llama-3.3-70B": (config("llama", 8192, 80, 64, 8, 28672, 128_256), 70_553_706_496),
    "SmolLM2-135M": (config("llama", 576, 30, 9, 3, 1536, 49152, **TIED), 134_515_008),
    "SmolLM2-1.7B": (config("llama", 2048, 24, 32, 32, 8192, 49152, **TIED), 1_711_376_384),
    "TinyLlama-1.1B": (config("llama", 2048, 22, 32, 4, 5632, 32000), 1_100_048_384),
    "Mistral-7B-v0.1": (config("mistral", 4096, 32, 32, 8, 14336, 32000, sliding_window=4096), 7_241_732_096),
    "Mistral-7B-v0.3": (config("mistral", 4096, 32, 32, 8, 14336, 32768, sliding_window=None), 7_248_023_552),
    "Mistral-Nemo": (config("mistral", 5120, 40, 32, 8, 14336, 131_072, head_dim=128), 12_247_782_400),
    "Mistral-Small-24B": (config("mistral", 5120, 40, 32, 8, 32768, 131_072, head_dim=128), 23_572_403_200),
    "Qwen2.5-0.5B": (config("qwen2", 896, 24, 14, 2, 4864, 151_936, **TIED), 494_032_768),
    "Qwen2.5-1.5B": (config("qwen2", 1536, 28, 12, 2, 8960, 151_936, **TIED), 1_543_714_304),
    "Qwen2.5-7B": (config("qwen2", 3584, 28, 28, 4, 18944, 152_064, **UNTIED), 7_615_616_512),
    "Qwen2.5-72B": (config("qwen2", 8192, 80, 64, 8, 29568, 152_064, **UNTIED), 72_706_203_648),
    "R1-Distill-Qwen-1.5B": (config("qwen2", 1536, 28, 12, 2, 8960, 151_936, **UNTIED), 1_777_088_000),
    "Qwen3-4B": (config("qwen3", 2560, 36, 32, 8, 9728, 151_936, **TIED), 4_022_468_096),
    "Qwen3-32B": (config("qwen3", 5120, 64, 64, 8, 25600, 151_936, head_dim=128), 32_762_123_264),
    "Gemma-2B": (config("gemma", 2048, 18, 8, 1, 16384, 256_000, head_dim=256), 2_506_172_416),
    "Gemma-2-2B": (config("gemma2", 2304, 26, 8, 4, 9216, 256_000, sliding_window=4096), 2_614_341_888),
    "Gemma-2-9B": (config("gemma2", 3584, 42, 16, 8, 14336, 256_000, head_dim=256), 9_241_705_984),
    "Gemma-3-1B": (config("gemma3_text", 1152, 26, 4, 1, 6912, 262_144, sliding_window=512), 999_885_952),
    "Phi-2": (config("phi", 2560, 32, 32, None, 10240, 51200, **UNTIED), 2_779_683_840),
    "Phi-3-mini": (config("phi3", 3072, 32, 32, 32, 8192, 32064, sliding_window=2047), 3_821_079_552),
    "Phi-4": (config("phi3", 5120, 40, 40, 10, 17920, 100_352, **UNTIED), 14_659_507_200),
    "Phi-4-mini": (config("phi3", 3072, 32, 24, 8, 8192, 200_064, **TIED), 3_836_021_760),
    "Granite-3.3-2B": (config("granite", 2048, 40, 32, 8, 8192, 49159, **TIED), 2_533_539_840),
    "Granite-3.3-8B": (config("granite", 4096, 40, 32, 8, 12800, 49159, **TIED), 8_170_864_640),
    "OLMo-2-7B": (config("olmo2", 4096, 32, 32, 32, 11008, 100_352, **UNTIED), 7_298_617_344),
    "SmolLM3-3B": (config("smollm3", 2048, 36, 16, 4, 11008, 128_256), 3_075_098_624),
    "StarCoder2-3B": (config("starcoder2", 3072, 30, 24, 2, 12288, 49152, use_bias=True), 3_030_371_328),
    "Command-R": (config("cohere", 8192, 40, 64, 64, 22528, 256_000, use_qk_norm=False), 34_980_831_232),
    "Mixtral-8x7B": (config("mixtral", 4096, 32, 32, 8, 14336, 32000, num_local_experts=8), 46_702_792_704),
    "Qwen3-30B-A3B": (
        config("qwen3_moe", 2048, 48, 32, 4, 6144, 151_936, head_dim=128, num_experts=128, moe_intermediate_size=768),
        30_532_122_624,
    ),
    "Qwen1.5-MoE-A2.7B": (
        config(
            *("qwen2_moe", 2048, 24, 16, 16, 5632, 151_936),
            num_experts=60,
            moe_intermediate_size=1408,
            shared_expert_intermediate_size=5632,
        ),
        14_315_784_192,
    ),
    "gpt-oss-20b": (config("gpt_oss", 2880, 24, 64, 8, 2880, 201_088, num_local_experts=32), 20_914_757_184),
}


def shape_of(name: str, **changes: object) -> ModelShape:
    """Return the shape of a model of the table whose config.json has ``changes``."""
    return shape_from_config({**CONFIGS[name][0], **changes}, where="config.json")


@pytest.mark.parametrize("name", CONFIGS)
def test_published_models_have_their_published_parameters(name: str) -> None:
    """Every weight of every family is counted: the figures are equal to the last one."""
    assert parameters(shape_of(name)) == CONFIGS[name][1]


def test_experts_are_counted_under_either_name() -> None:
    """A Qwen3 mixture that transformers 5 saved has num_local_experts where the published file has num_experts."""
    config, count = CONFIGS["Qwen3-30B-A3B"]
    saved = {key: value for key, value in config.items() if key != "num_experts"} | {"num_local_experts": 128}

    assert parameters(shape_from_config(saved, where="config.json")) == count


def test_every_family_is_held_against_a_published_model() -> None:
    """A family whose count nobody has compared could be miscounted."""
    assert {each["model_type"] for each, _ in CONFIGS.values()} == set(FAMILIES)


@pytest.mark.parametrize(
    ("name", "kib"), [("Llama-2-7B", 512), ("Llama-3.1-8B", 128), ("Gemma-2B", 18), ("Mistral-Nemo", 160)]
)
def test_the_cache_of_one_token_counts_grouped_heads(name: str, kib: int) -> None:
    """Two bytes for each key and value of each head that is kept, whatever the query heads and the width are."""
    assert kv_values_per_token(shape_of(name)) * 2 == kib * 1024


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("Mistral-7B-v0.1", {}, (4096, 32)),
        ("Mistral-7B-v0.3", {}, (None, 0)),
        ("Gemma-2-2B", {}, (4096, 13)),
        ("Gemma-3-1B", {}, (512, 22)),
        ("Qwen2.5-7B", {"sliding_window": 131_072, "use_sliding_window": False}, (None, 0)),
        ("Gemma-2-2B", {"layer_types": ["sliding_attention", "full_attention", "full_attention"]}, (4096, 1)),
    ],
    ids=["all layers", "none", "every other", "five of six", "switched off", "listed"],
)
def test_windows_are_seen(name: str, changes: dict[str, object], expected: tuple[int | None, int]) -> None:
    """Window in tokens, and how many layers have it."""
    shape = shape_of(name, **changes)

    assert (shape.window, shape.windowed_layers) == expected


def test_a_model_that_sees_is_its_text_model() -> None:
    """Gemma 3 4B leaves out what its configuration class has as a default: 8 query and 4 key-value heads of 256."""
    inner = {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "model_type": "gemma3_text"}
    shape = shape_from_config({"model_type": "gemma3", "text_config": inner, "vision_config": {}}, where="config.json")

    assert (shape.q_heads, shape.kv_heads, shape.head_dim, shape.vocab, shape.tied) == (8, 4, 256, 262_208, True)
    assert parameters(shape) == 3_880_263_168


def test_a_known_name_has_the_sizes_of_its_config() -> None:
    """The convenience says what config.json says."""
    assert shape_of("Qwen3-4B") == SHAPES["Qwen/Qwen3-4B"]
    assert shape_of("Qwen3-32B") == SHAPES["Qwen/Qwen3-32B"]


def test_absent_head_sizes_follow_the_family() -> None:
    """Llama keeps a key-value head for each query head and shares the width among them; heads are not tied."""
    shape = shape_of("Llama-2-7B", tie_word_embeddings=None, head_dim=None)

    assert (shape.kv_heads, shape.head_dim, shape.tied) == (32, 128, False)


def test_a_shape_is_read_back_from_its_line() -> None:
    """A Job gets the sizes of the plan as one argument, experts among them."""
    for name in CONFIGS:
        shape = shape_of(name)

        assert ModelShape.read(shape.as_json()) == shape


def test_differences_are_said_in_words() -> None:
    """What another model has otherwise, and nothing that is the same."""
    shape = shape_of("Llama-3.1-8B")

    assert not shape.differences(shape)
    assert (
        shape.differences(dataclasses.replace(shape, layers=16, tied=True))
        == "layers 16 and not 32, tied True and not False"
    )


def test_an_unknown_family_is_counted_as_llama() -> None:
    """With Llama's layers its count is right; the index of its weights has to confirm it."""
    unknown = {**CONFIGS["Llama-3.1-8B"][0], "model_type": "some_new_decoder"}

    assert not is_known(unknown)
    assert parameters(shape_from_config(unknown, where="config.json")) == 8_030_261_248


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kv_lora_rank": 512}, "latent attention, which keeps no keys and values by head"),
        ({"n_routed_experts": 64}, "experts whose layers are not counted here"),
        ({"layer_types": ["linear_attention", "full_attention"]}, "layers other than attention"),
    ],
    ids=["latent attention", "experts", "linear attention"],
)
def test_an_unknown_family_that_would_be_miscounted_is_refused(changes: dict[str, object], why: str) -> None:
    """Its keys and values are not those of plain attention, or its experts cannot be counted: say which."""
    with pytest.raises(SettingsError) as caught:
        shape_of("Llama-3.1-8B", model_type="some_new_decoder", **changes)

    assert str(caught.value) == (
        "config.json: model_type: must be a family whose memory can be counted before anything is spent, and this one "
        f"has {why} (counted here: {', '.join(FAMILIES)}, and dense decoders with Llama's layers) "
        "(got 'some_new_decoder'); serve a model of such a family"
    )


def test_every_bad_size_is_listed() -> None:
    """A config with three broken sizes names them all."""
    with pytest.raises(SettingsError) as caught:
        shape_of("Mixtral-8x7B", hidden_size=None, num_key_value_heads="8", num_local_experts=0)

    assert str(caught.value).splitlines() == [
        f"config.json: {key}: must be a whole number of at least 1 ({found}); take the config.json that came with the "
        "model's weights"
        for key, found in (
            ("hidden_size", "not set"),
            ("num_key_value_heads", "got '8'"),
            ("num_local_experts", "got 0"),
        )
    ]


def test_a_config_without_a_family_is_refused() -> None:
    """It is no model's."""
    with pytest.raises(SettingsError, match=r"config\.json: model_type: must name the model's family"):
        shape_from_config({}, where="config.json")
