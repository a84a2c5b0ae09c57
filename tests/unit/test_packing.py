"""Packed weights are counted by their own bits, and a scheme whose bits nobody knows is refused by name."""

import json
import pathlib
import typing

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.packing import bits_per_weight
from optimal_tp.facts.sizes import sizes_from_config
from optimal_tp.local.weights import packed_bits, read_sizes
from optimal_tp.plan.fit import fit

LLAMA_8B: dict[str, typing.Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "torch_dtype": "float16",
}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}


@pytest.mark.parametrize(
    ("config", "bits"),
    [
        (AWQ, 4.15625),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8),
        ({"quant_method": "mxfp4"}, 4.25),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 8),
        ({"quant_algo": "NVFP4"}, 4.5),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {"weights": {"num_bits": 4, "group_size": 128}},
                    "group_1": {"weights": {"num_bits": 8, "group_size": None}},
                },
            },
            8,
        ),
        ({"quant_method": "compressed-tensors", "config_groups": {}}, None),
        ({"quant_method": "awq"}, None),
        ({"quant_method": "aqlm"}, None),
        ({}, None),
    ],
    ids=["awq", "gptq", "fp8", "mxfp4", "modelopt", "algo", "bnb", "widest", "no groups", "no bits", "aqlm", "nothing"],
)
def test_bits_are_read_from_the_config(config: dict[str, typing.Any], bits: float | None) -> None:
    """With their share of scales; None where the scheme does not say."""
    assert bits_per_weight(config) == bits


def test_an_8b_model_in_awq_takes_5_gib_not_15() -> None:
    """Head and embedding stay in 16 bits, the layers have four and their scales."""
    sizes = sizes_from_config({**LLAMA_8B, "quantization_config": AWQ}, None, where="config.json")

    def weights(bits: float | None) -> float:
        return fit(
            sizes.shape,
            1,
            max_model_len_tokens=128,
            max_num_seqs=1,
            dtype_bytes=2,
            gib_per_core=12,
            tied_head_cloned=False,
            packed_bits=bits,
        ).weights_gib_per_core

    assert (sizes.quantization, sizes.packed_bits) == ("awq", 4.15625)
    assert weights(None) == pytest.approx(14.96, abs=0.01)
    assert weights(sizes.packed_bits) == pytest.approx(5.34, abs=0.03)


def _folder(tmp_path: pathlib.Path, scheme: dict[str, typing.Any], *, weights: bool) -> pathlib.Path:
    (tmp_path / "config.json").write_text(json.dumps({**LLAMA_8B, "quantization_config": scheme}))
    if weights:
        (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path


def test_a_folder_with_packed_weights_has_their_bits(tmp_path: pathlib.Path) -> None:
    """One without weights is served with plain random ones."""
    folder = _folder(tmp_path, AWQ, weights=False)
    plain = packed_bits(folder, read_sizes(folder))
    _folder(tmp_path, AWQ, weights=True)

    assert (plain, packed_bits(folder, read_sizes(folder))) == (None, 4.15625)


def test_an_unknown_scheme_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    """Nobody could say whether it fits."""
    folder = _folder(tmp_path, {"quant_method": "aqlm"}, weights=True)

    with pytest.raises(SettingsError) as error:
        packed_bits(folder, read_sizes(folder))
    assert str(error.value) == (
        "MODEL: the memory of packed weights must be known, and the scheme 'aqlm' of its "
        "quantization_config is not (known are awq, gptq, fp8, compressed-tensors, bitsandbytes, mxfp4, modelopt, with "
        f"their bits) (got '{folder}'); set MODEL to the original model instead of the quantized one"
    )


def test_plain_weights_are_counted_as_before() -> None:
    """Known models say nothing of packing."""
    shape = SHAPES["Qwen/Qwen3-0.6B"]
    asked: dict[str, typing.Any] = {
        "max_model_len_tokens": 128,
        "max_num_seqs": 1,
        "dtype_bytes": 2,
        "gib_per_core": 24,
    }

    assert fit(shape, 1, **asked, packed_bits=16).weights_gib_per_core == fit(shape, 1, **asked).weights_gib_per_core
