"""Bits per packed weight, from a model's ``quantization_config``."""

import collections.abc
import typing

_SCALE_BITS = 16
_MODELOPT: typing.Final[typing.Mapping[str, float]] = {"FP8": 8, "NVFP4": 4.5, "W4A16_AWQ": 4.25, "W4A8_AWQ": 4.25}
"""By ``quant_algo``: NVFP4 has a scale of 8 bits for every 16 weights, AWQ one of 16 bits and a zero for every 128."""
PACKED: typing.Final = ("awq", "gptq", "fp8", "compressed-tensors", "bitsandbytes", "mxfp4", "modelopt")
"""Schemes whose bits are known here."""


def scheme(config: collections.abc.Mapping[str, typing.Any]) -> str:
    """Return the name of the scheme in a ``quantization_config``; "unknown" if it has none."""
    return str(config.get("quant_method") or config.get("quant_algo") or "unknown")


def bits_per_weight(config: collections.abc.Mapping[str, typing.Any]) -> float | None:
    """Return the bits of one weight of a linear layer, with its share of scales; None for an unknown scheme.

    Embeddings, head and norms are not packed. Forms by transformers 5.19 (utils/quantization_config.py): ``bits`` and
    ``group_size`` of AWQ and GPTQ; a scale of 32 bits for each block of FP8; the widest of the groups of
    compressed-tensors; MXFP4 has a scale of 8 bits for every 32 weights.
    """
    name = scheme(config).lower()
    if name in ("awq", "gptq"):
        bits, group = _number(config.get("bits")), _number(config.get("group_size"))
        if bits is None:
            return None
        return bits + ((_SCALE_BITS + bits) / group if group is not None and group > 0 else 0)
    if name == "bitsandbytes":
        return 4.5 if config.get("load_in_4bit") else 8.0 if config.get("load_in_8bit") else None
    if name == "compressed-tensors":
        return _widest(config.get("config_groups"))
    if name == "modelopt" or "quant_algo" in config:
        return _MODELOPT.get(str(config.get("quant_algo")).upper())
    return {"fp8": 8.0, "mxfp4": 4.25}.get(name)


def _widest(groups: object) -> float | None:
    if not isinstance(groups, dict) or not groups:
        return None
    found = []
    for group in groups.values():
        weights = group.get("weights") if isinstance(group, dict) else None
        bits = _number(weights.get("num_bits")) if isinstance(weights, dict) else None
        if bits is None or not isinstance(weights, dict):
            return None
        size = _number(weights.get("group_size"))
        found.append(bits + (_SCALE_BITS / size if size is not None and size > 0 else 0))
    return max(found)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
