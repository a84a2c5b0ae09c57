"""Models whose sizes are known by name, so that no file has to be read; any other model works too."""

import typing

from optimal_tp.facts.shapes import ModelShape


def _qwen3(hidden: int, layers: int, q_heads: int, intermediate: int, *, tied: bool) -> ModelShape:
    return ModelShape(
        hidden=hidden,
        layers=layers,
        q_heads=q_heads,
        kv_heads=8,
        head_dim=128,
        intermediate=intermediate,
        vocab=151_936,
        tied=tied,
        family="qwen3",
        qk_norms="per head",
    )


SHAPES: typing.Final[typing.Mapping[str, ModelShape]] = {
    # Layers, heads and ties: Qwen3 technical report (arXiv 2505.09388), table 1. Hidden, intermediate and vocabulary:
    # config.json of each model on huggingface.co/Qwen, read 2026-11. The parameter counts that follow (0.596, 1.72,
    # 4.02, 8.19, 14.77 and 32.76 billion) agree with the model cards.
    "Qwen/Qwen3-0.6B": _qwen3(1024, 28, 16, 3072, tied=True),
    "Qwen/Qwen3-1.7B": _qwen3(2048, 28, 16, 6144, tied=True),
    "Qwen/Qwen3-4B": _qwen3(2560, 36, 32, 9728, tied=True),
    "Qwen/Qwen3-8B": _qwen3(4096, 36, 32, 12288, tied=False),
    "Qwen/Qwen3-14B": _qwen3(5120, 40, 40, 17408, tied=False),
    "Qwen/Qwen3-32B": _qwen3(5120, 64, 64, 25600, tied=False),
}
"""By name."""
POSITIONS: typing.Final[typing.Mapping[str, int]] = {name: 40_960 for name in SHAPES if name.startswith("Qwen/Qwen3-")}
"""``max_position_embeddings`` from the same config.json, by name; other models have no limit here."""
