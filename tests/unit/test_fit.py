"""The memory and head arithmetic, against the published figures of the Qwen3 family."""

import dataclasses
import typing

import pytest

from optimal_tp.facts.engines import ENGINES
from optimal_tp.facts.families import shape_from_config
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.shapes import ModelShape, parameters
from optimal_tp.plan.fit import BYTES_PER_GIB, MemoryFit, fit, kv_heads_per_core


def on_trainium2(shape: ModelShape, degree: int, tokens: int = 128, sequences: int = 1) -> MemoryFit:
    """Return the fit on cores of 24 GiB with weights of two bytes."""
    return fit(shape, degree, max_model_len_tokens=tokens, max_num_seqs=sequences, dtype_bytes=2, gib_per_core=24)


CONFIG: dict[str, typing.Any] = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}


@pytest.mark.parametrize(
    ("name", "total_billions", "without_embedding_billions"),
    [
        ("Qwen/Qwen3-0.6B", 0.596, 0.440),
        ("Qwen/Qwen3-1.7B", 1.72, 1.41),
        ("Qwen/Qwen3-4B", 4.02, 3.63),
        ("Qwen/Qwen3-8B", 8.19, 6.95),
        ("Qwen/Qwen3-14B", 14.77, 13.21),
        ("Qwen/Qwen3-32B", 32.76, 31.21),
    ],
)
def test_the_family_has_the_published_parameters(
    name: str, total_billions: float, without_embedding_billions: float
) -> None:
    """Total and non-embedding parameters are those of the model cards, to the digits given there."""
    shape = SHAPES[name]
    embedding = shape.vocab * shape.hidden * (1 if shape.tied else 2)
    total = parameters(shape)

    assert total / 1e9 == pytest.approx(total_billions, abs=0.006)
    assert (total - embedding) / 1e9 == pytest.approx(without_embedding_billions, abs=0.006)


@pytest.mark.parametrize(
    ("name", "weights_gib", "least_degree", "greatest_degree"),
    [
        ("Qwen/Qwen3-0.6B", (1.40, 0.70, 0.35), 1, 16),
        ("Qwen/Qwen3-1.7B", (3.78, 1.89, 0.95), 1, 16),
        ("Qwen/Qwen3-4B", (8.22, 4.11, 2.05), 1, 32),
        ("Qwen/Qwen3-8B", (15.26, 7.63, 3.81), 1, 32),
        ("Qwen/Qwen3-14B", (27.51, 13.75, 6.88), 2, 8),
        ("Qwen/Qwen3-32B", (61.0, 30.5, 15.3), 4, 64),
    ],
)
def test_the_family_on_trainium2(
    name: str, weights_gib: tuple[float, ...], least_degree: int, greatest_degree: int
) -> None:
    """Resident weights per core, and the degrees that fit 24 GiB and divide the heads, are the family's table."""
    fits = {degree: on_trainium2(SHAPES[name], degree) for degree in (1, 2, 4, 8, 16, 32, 64)}
    holding = [degree for degree, result in fits.items() if result.fits]

    assert [fits[degree].weights_gib_per_core for degree in (1, 2, 4)] == pytest.approx(
        weights_gib, rel=0.005, abs=0.006
    )
    assert (holding[0], holding[-1]) == (least_degree, greatest_degree)


@pytest.mark.parametrize(
    ("name", "kib_per_token"),
    [("Qwen/Qwen3-0.6B", 112), ("Qwen/Qwen3-4B", 144), ("Qwen/Qwen3-14B", 160), ("Qwen/Qwen3-32B", 256)],
)
def test_the_cache_of_one_token(name: str, kib_per_token: int) -> None:
    """One token's keys and values on one core have the published size."""
    assert on_trainium2(SHAPES[name], 1, tokens=1).kv_gib_per_core * BYTES_PER_GIB == kib_per_token * 1024


@pytest.mark.parametrize(
    ("kv_heads", "degree", "expected"),
    [(8, 1, 8), (8, 4, 2), (8, 8, 1), (8, 16, 1), (6, 4, 6)],
    ids=["whole", "split", "one each", "replicated", "padded to the query heads"],
)
def test_key_and_value_heads_per_core(kv_heads: int, degree: int, expected: int) -> None:
    """Heads are split, then replicated, and padded to the query heads where neither divides the other."""
    shape = ModelShape(
        hidden=64, layers=2, q_heads=24, kv_heads=kv_heads, head_dim=8, intermediate=64, vocab=96, tied=False
    )

    assert kv_heads_per_core(shape, degree) == expected


def test_replicated_heads_cost_memory_on_every_core() -> None:
    """With twice as many cores as KV heads each core keeps one whole head: its weights and its cache."""
    result = on_trainium2(SHAPES["Qwen/Qwen3-0.6B"], 16)
    queries_and_output = 2 * 1024 * 128
    one_key_and_value_head = 2 * 1024 * 128
    perceptron = 3 * 1024 * 192
    norms = 28 * (2 * 1024 + 2 * 128) + 1024
    embedding_and_head = 2 * 9496 * 1024
    weights = 28 * (queries_and_output + one_key_and_value_head + perceptron) + norms + embedding_and_head

    assert result.weights_gib_per_core * BYTES_PER_GIB == 2 * weights
    assert result.kv_gib_per_core * BYTES_PER_GIB == 2 * 28 * 128 * 128 * 2


def test_a_shared_tied_head_is_counted_once() -> None:
    """An engine that shares the tied head holds one embedding less than NxDI, which clones it."""
    shape = SHAPES["Qwen/Qwen3-0.6B"]
    shared = fit(
        shape,
        1,
        max_model_len_tokens=128,
        max_num_seqs=1,
        dtype_bytes=2,
        gib_per_core=24,
        tied_head_cloned=False,
    )
    difference = on_trainium2(shape, 1).weights_gib_per_core - shared.weights_gib_per_core

    assert difference * BYTES_PER_GIB == shape.vocab * shape.hidden * 2
    assert "cloned" not in shared.arithmetic


def test_a_cache_that_is_too_long_does_not_fit() -> None:
    """Many long sequences fill a core that the weights alone would leave half empty."""
    result = on_trainium2(SHAPES["Qwen/Qwen3-8B"], 1, tokens=32_768, sequences=2)

    assert not result.fits
    assert result.kv_gib_per_core == pytest.approx(9)


def test_memory_exactly_full_does_not_fit() -> None:
    """The rule is below the memory, not up to it."""
    shape = SHAPES["Qwen/Qwen3-0.6B"]
    needed = on_trainium2(shape, 1)
    exact = needed.weights_gib_per_core + needed.kv_gib_per_core
    result = fit(shape, 1, max_model_len_tokens=128, max_num_seqs=1, dtype_bytes=2, gib_per_core=exact)

    assert not result.fits


def test_the_arithmetic_in_words() -> None:
    """The sentence has every number that decided."""
    assert on_trainium2(SHAPES["Qwen/Qwen3-14B"], 1).arithmetic == (
        "TP1 needs 27.53 GiB of the 24 GiB of each core: weights 27.51 GiB (the model has 14.77 billion parameters of "
        "2 bytes) and KV cache 0.02 GiB (2 x 40 layers x 8 heads x 128 x 128 tokens x 1 sequence x 2 bytes)"
    )


def test_heads_that_do_not_divide_come_first_in_the_sentence() -> None:
    """40 query heads cannot be shared by 16 cores, however much memory there is."""
    result = on_trainium2(SHAPES["Qwen/Qwen3-14B"], 16)

    assert not result.fits
    assert result.arithmetic.startswith("40 query heads do not divide by 16; TP16 needs 1.7")


def test_the_shape_of_a_model_directory() -> None:
    """The real config.json of Qwen3-0.6B gives the table's shape."""
    assert shape_from_config(CONFIG, where="config.json") == SHAPES["Qwen/Qwen3-0.6B"]


@pytest.mark.parametrize(("degree", "tokens", "sequences"), [(1, 211_587, 1_653), (2, 436_281, 3_408)])
def test_memory_beside_the_weights_is_a_capacity(degree: int, tokens: int, sequences: int) -> None:
    """The tokens and sequences that fit do fit, and one sequence more does not."""
    shape = SHAPES["Qwen/Qwen3-0.6B"]
    found = on_trainium2(shape, degree)

    assert (found.kv_tokens, found.kv_sequences) == (tokens, sequences)
    assert on_trainium2(shape, degree, sequences=sequences).fits
    assert not on_trainium2(shape, degree, sequences=sequences + 1).fits


def test_without_memory_beside_the_weights_there_is_no_capacity() -> None:
    """A core that the weights alone fill holds no token."""
    found = on_trainium2(SHAPES["Qwen/Qwen3-14B"], 1)

    assert (found.kv_tokens, found.kv_sequences) == (0, 0)


TODAY: typing.Final = ENGINES["vllm-neuron"]


def with_todays_plugin(shape: ModelShape, degree: int, tokens: int = 128, sequences: int = 1) -> MemoryFit:
    """Return the fit on cores of 24 GiB with the plugin of today."""
    return fit(
        shape,
        degree,
        max_model_len_tokens=tokens,
        max_num_seqs=sequences,
        dtype_bytes=2,
        gib_per_core=24,
        engine=TODAY,
    )


def test_todays_plugin_caps_the_cache() -> None:
    """However small the weights: 0.30 of 0.9 of a core's 24 GiB, 6.48, as AWS's page has it."""
    found = with_todays_plugin(SHAPES["Qwen/Qwen3-0.6B"], 1)
    of_token = 2 * 28 * 8 * 128 * 2

    assert found.kv_tokens == pytest.approx(6.48 * BYTES_PER_GIB / of_token, abs=1)
    assert "of the 24 GiB of each core (21.60 for both, 6.48 at most for the KV cache): weights" in found.arithmetic
    assert not with_todays_plugin(SHAPES["Qwen/Qwen3-0.6B"], 1, tokens=128 * 500, sequences=1).fits
    assert on_trainium2(SHAPES["Qwen/Qwen3-0.6B"], 1, tokens=128 * 500, sequences=1).fits


@pytest.mark.parametrize(
    ("changes", "degree", "tokens", "reason"),
    [
        ({}, 3, 129, "16 query heads do not divide by 3; 8 key and value heads are neither "),
        ({"kv_heads": 6, "q_heads": 24}, 4, 128, "6 key and value heads are neither shared nor repeated evenly by 4; "),
        ({"family": "gemma2"}, 1, 128, "the image supports gpt_oss, llama, qwen3, but the model is gemma2; "),
        ({"qkv_biases": True}, 1, 128, "the image's qwen3 supports neither attention biases nor a sliding window; "),
        ({"windowed_layers": 2}, 1, 128, "the image's qwen3 supports neither attention biases nor a sliding window; "),
        ({}, 16, 1000, "max_model_len_tokens 1000 must be a multiple of 16 above it; "),
        ({}, 8, 8, "max_model_len_tokens 8 must be a multiple of 8 above it; "),
        ({"layers": 686}, 1, 128, "0.92 GiB are left for the KV cache of a core, but it needs 1; "),
    ],
)
def test_todays_plugin_says_what_it_refuses(
    changes: dict[str, typing.Any], degree: int, tokens: int, reason: str
) -> None:
    """Each rule with the number that decided it, before the arithmetic."""
    shape = dataclasses.replace(SHAPES["Qwen/Qwen3-0.6B"], **changes)
    found = with_todays_plugin(shape, degree, tokens)

    assert not found.fits
    assert found.arithmetic.startswith(reason)


@pytest.mark.parametrize("degree", [1, 2, 4, 8, 16])
def test_todays_plugin_takes_the_sample(degree: int) -> None:
    """Whether it really does, only hardware shows; the arithmetic is not what keeps it."""
    assert with_todays_plugin(SHAPES["Qwen/Qwen3-0.6B"], degree).fits
