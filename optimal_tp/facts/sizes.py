"""The figures of one model's memory, each with its source."""

import dataclasses
import typing

from optimal_tp.errors import Problem, SettingsError, quantity
from optimal_tp.facts.families import ASSUMED, Config, is_known, shape_from_config, text_part
from optimal_tp.facts.known import POSITIONS, SHAPES
from optimal_tp.facts.packing import bits_per_weight, scheme
from optimal_tp.facts.shapes import ModelShape, kv_values_per_token, parameters, split_weights

INDEX: typing.Final = "model.safetensors.index.json"
"""File beside weights in several files: it maps tensors to files and has the total number of bytes."""
_BYTES: typing.Final[typing.Mapping[str, int]] = {"float32": 4, "bfloat16": 2, "float16": 2}
_ALREADY_STRETCHED = ("default", "llama3", "longrope", "su", "mrope")
"""Kinds of ``rope_scaling`` whose ``max_position_embeddings`` is the served length; vLLM multiplies those of others."""
_CONFIRMS_SHARE = 0.02
"""Largest relative difference from the index with which an unknown family's arithmetic is accepted."""
_PLAIN_SHARE = 0.95
"""An index with fewer bytes than this share of two a parameter lists packed weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """A model's shape, and the figures from the index of its weights."""

    shape: ModelShape
    source: str
    """Source of the shape."""
    stored: int | None = None
    """Parameters in the checkpoint by its index; None without an index, or if packed weights hide their number."""
    stored_bytes: int | None = None
    """Bytes of the checkpoint's tensors by its index; None without one."""
    weight_bytes: int | None = None
    """Bytes of one plain weight by the dtype of its config.json; None where that does not say."""
    quantization: str | None = None
    """``quant_method`` of weights that are stored packed."""
    packed_bits: float | None = None
    """Bits of one weight of a linear layer of those; None for plain weights, and for a scheme that is not known."""
    positions: int | None = None
    """Longest sequence in tokens that vLLM derives from the config.json; None if that does not say."""

    @property
    def uncounted(self) -> int:
        """Parameters in the checkpoint beyond the arithmetic, of a vision tower for example.

        A tied head that is also stored does not count.
        """
        shape = self.shape
        beyond = 0 if self.stored is None else self.stored - parameters(shape)
        again = shape.tied and beyond == shape.vocab * shape.hidden
        return 0 if again else max(0, beyond)

    @property
    def packing(self) -> str | None:
        """Return in words what says that the weights are stored packed; None for plain ones.

        ModelOpt may say it in a file of its own, hf_quant_config.json; the index then has too few bytes.
        """
        if self.quantization is not None:
            return f"quantization_config in {self.source} says {self.quantization}"
        counted = parameters(self.shape)
        if self.stored_bytes is None or self.stored_bytes >= _PLAIN_SHARE * 2 * counted:
            return None
        return (
            f"the {INDEX} beside {self.source} has {self.stored_bytes / 1e9:.2f} GB for {counted / 1e9:.2f} billion "
            f"parameters, {self.stored_bytes / counted:.2f} bytes each"
        )

    def download(self, dtype_bytes: int) -> tuple[int, str]:
        """Return the bytes of the checkpoint's weights, and in words what says so; without an index they are counted.

        Each weight then takes the bits of its packing, the bytes of config.json's dtype, or else ``dtype_bytes``.
        """
        if self.stored_bytes is not None:
            return self.stored_bytes, f"by {INDEX}"
        weights = parameters(self.shape) if self.stored is None else self.stored
        each = dtype_bytes if self.weight_bytes is None else self.weight_bytes
        if self.packed_bits is not None:
            split = split_weights(self.shape, self.shape.kv_heads)
            bits = f"{self.packed_bits:.4g} bits a weight of the layers, by its quantization_config"
            return round(split * self.packed_bits / 8) + (weights - split) * each, bits
        said = "assumed" if self.weight_bytes is None else "by its config.json"
        return weights * each, f"{each} bytes a weight, {said}"

    def line(self, name: str, dtype_bytes: int) -> str:
        """Return the figures of the model called ``name`` in one line, each with its source."""
        shape = self.shape
        token = kv_values_per_token(shape) * dtype_bytes
        size, said = self.download(dtype_bytes)
        grouped = "" if shape.kv_heads == shape.q_heads else f" for {shape.q_heads} query heads"
        return (
            f"{name}: {self._counted()}; the KV cache takes {token / 1024:g} KiB a token (2 x {shape.layers} layers x "
            f"{quantity(shape.kv_heads, 'head', 'heads')} of {shape.head_dim}{grouped} x {dtype_bytes} bytes)"
            f"{self._windowed()}; its files have {size / 1e9:.2f} GB ({said}); sizes from {self.source}"
        )

    def _counted(self) -> str:
        shape = self.shape
        words = f"{parameters(shape) / 1e9:.2f} billion parameters by arithmetic"
        if shape.experts is not None:
            words += f", {shape.experts.count} experts among them, all of which are resident"
        if shape.tied:
            words += ", head and embedding tied"
        if self.stored is not None:
            words += f", {self.stored / 1e9:.2f} billion by {INDEX}"
        if self.uncounted:
            words += f" (the {self.uncounted / 1e9:.2f} billion beyond are counted whole on every core)"
        return words

    def _windowed(self) -> str:
        shape = self.shape
        if shape.window is None:
            return ""
        look = quantity(shape.windowed_layers, "layer looks", "layers look")
        return f", at full length although {look} back no more than {shape.window:,} tokens"


def known_sizes(name: str) -> Sizes | None:
    """Return the sizes of the model called ``name`` if they are known here."""
    shape = SHAPES.get(name)
    return (
        None
        if shape is None
        else Sizes(shape=shape, source=f"the table of known models ({name})", positions=POSITIONS.get(name))
    )


def sizes_from_config(config: Config, index: typing.Mapping[str, typing.Any] | None, *, where: str) -> Sizes:
    """Return the sizes from a model's config.json, read from ``where``, and the ``index`` of its weights.

    An unknown family is counted as Llama, which the index must confirm. Raises SettingsError for a config that cannot
    be counted.
    """
    shape = shape_from_config(config, where=where)
    said = _packed(config)
    packed = None if said is None else scheme(said)
    bits = None if said is None else bits_per_weight(said)
    stored = None if packed else _stored(config, index)
    if not is_known(config):
        _refuse_unless_confirmed(shape, stored, where)
    return Sizes(
        shape=shape,
        source=where,
        stored=stored,
        stored_bytes=_stored_bytes(index),
        weight_bytes=_weight_bytes(config),
        quantization=packed,
        packed_bits=bits,
        positions=_positions(config),
    )


def _positions(config: Config) -> int | None:
    text = text_part(config)
    most = text.get("max_position_embeddings")
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    if not isinstance(most, int) or not isinstance(scaling, dict) or any(isinstance(v, dict) for v in scaling.values()):
        return None
    if scaling.get("rope_type", scaling.get("type", "default")) in _ALREADY_STRETCHED:
        return most
    factor, before = scaling.get("factor"), scaling.get("original_max_position_embeddings") or most
    return max(most, int(before * factor)) if isinstance(factor, int | float) else None


def _packed(config: Config) -> dict[str, typing.Any] | None:
    for part in (config, text_part(config)):
        said = part.get("quantization_config")
        if isinstance(said, dict):
            return said
    return None


def _metadata(index: typing.Mapping[str, typing.Any] | None) -> dict[str, typing.Any]:
    said = None if index is None else index.get("metadata")
    return said if isinstance(said, dict) else {}


def _stored_bytes(index: typing.Mapping[str, typing.Any] | None) -> int | None:
    size = _metadata(index).get("total_size")
    return int(size) if isinstance(size, (int, float)) else None


def _weight_bytes(config: Config) -> int | None:
    kinds = (part.get(key) for part in (text_part(config), config) for key in ("dtype", "torch_dtype"))
    return _BYTES.get(str(next((kind for kind in kinds if kind is not None), None)))


def _stored(config: Config, index: typing.Mapping[str, typing.Any] | None) -> int | None:
    counted, size, each = _metadata(index).get("total_parameters"), _stored_bytes(index), _weight_bytes(config)
    if isinstance(counted, int):
        return counted
    return None if each is None or size is None else size // each


def _refuse_unless_confirmed(shape: ModelShape, stored: int | None, where: str) -> None:
    counted = parameters(shape)
    if stored is not None and abs(stored - counted) <= _CONFIRMS_SHARE * counted:
        return
    has = f"no {INDEX} lies beside it" if stored is None else f"its index has {stored / 1e9:.2f} billion"
    rule = (
        f"must be a known family, or one whose index of weights confirms that it counts as {ASSUMED}: with such "
        f"layers it has {counted / 1e9:.2f} billion parameters, and {has}"
    )
    remedy = f"put {INDEX} beside config.json, or set serving.shape_as to a known model with the same sizes"
    raise SettingsError([Problem(path=f"{where}: model_type", value=shape.family, rule=rule, remedy=remedy)])
