"""The bytes that a model's steps read and the operations that its tokens take, of one whole server, at the least.

Pope and others, "Efficiently Scaling Transformer Inference" (2022, arXiv 2211.05102), for bytes; "PaLM" (2022, arXiv
2204.02311), appendix B, for operations: its forward pass, a multiplication and an addition for each weight.
"""

from optimal_tp.facts.shapes import ModelShape, split_weights, whole_weights


def step_weights(shape: ModelShape) -> int:
    """Return the weights that one step reads, for however few tokens.

    All but the embedding, of which a token needs one row, and but the experts that no token of the step need pass. A
    tied embedding is read once, as the output head.
    """
    return shape.vocab * shape.hidden + split_weights(shape, shape.kv_heads) + whole_weights(shape) - _idle(shape)


def _idle(shape: ModelShape) -> int:
    """Return the weights of experts that need not be read for one token."""
    experts = shape.experts
    if experts is None:
        return 0
    each = (3 * shape.hidden + (2 if experts.biases else 0)) * experts.intermediate
    return experts.layers * (experts.count - experts.per_token) * each


def kv_values(shape: ModelShape, context_tokens: float) -> float:
    """Return the keys and values that a token reads behind ``context_tokens`` others, in all layers."""
    return 2 * shape.kv_heads * shape.head_dim * seen(shape, context_tokens)


def layer_flop(shape: ModelShape) -> int:
    """Return the operations of one token in the matrices of all layers, attention over others apart."""
    width, kv_width = shape.q_heads * shape.head_dim, shape.kv_heads * shape.head_dim
    weights = shape.layers * (2 * shape.hidden * width + 2 * shape.hidden * kv_width)
    experts = shape.experts
    dense_layers = shape.layers - (experts.layers if experts else 0)
    weights += dense_layers * shape.mlp_matrices * shape.hidden * shape.intermediate
    if experts is not None:
        columns = experts.per_token * experts.intermediate + experts.shared_intermediate
        weights += experts.layers * shape.hidden * (3 * columns + experts.count)
    return 2 * weights


def head_flop(shape: ModelShape) -> int:
    """Return the operations of one token in the output head."""
    return 2 * shape.vocab * shape.hidden


def attention_flop(shape: ModelShape, context_tokens: float) -> float:
    """Return the operations of one token's attention over ``context_tokens``."""
    return 4 * shape.q_heads * shape.head_dim * seen(shape, context_tokens)


def decode_flop(shape: ModelShape, context_tokens: float) -> float:
    """Return the operations of one output token behind ``context_tokens``."""
    return layer_flop(shape) + head_flop(shape) + attention_flop(shape, context_tokens)


def prefill_flop(shape: ModelShape, prompt_tokens: int) -> float:
    """Return the operations of a prompt: every token passes the layers, the last one the head."""
    attention = attention_flop(shape, mean_seen_context(shape, 1, prompt_tokens))
    return prompt_tokens * (layer_flop(shape) + attention) + head_flop(shape)


def seen(shape: ModelShape, context_tokens: float) -> float:
    """Return how many tokens all layers together look back at: no more than its window in a windowed one."""
    if shape.window is None:
        return shape.layers * context_tokens
    full = shape.layers - shape.windowed_layers
    return full * context_tokens + shape.windowed_layers * min(context_tokens, shape.window)


def mean_seen_context(shape: ModelShape, first: int, last: int) -> float:
    """Return the one context in whose place all from ``first`` to ``last`` tokens are seen alike, on average.

    Without windows that is their middle; windows make it a context of fewer tokens. ``last`` is at least ``first``.
    """
    middle = (first + last) / 2
    if shape.window is None or last <= shape.window:
        return middle
    full, windowed = shape.layers - shape.windowed_layers, shape.windowed_layers
    inside = max(0, shape.window - first + 1)
    count = last - first + 1
    clipped = (inside * (first + shape.window) / 2 + (count - inside) * shape.window) / count
    wanted = full * middle + windowed * clipped
    # seen() is linear up to the window and beyond it.
    at_window = shape.layers * shape.window
    if wanted <= at_window or not full:
        return min(wanted / shape.layers, shape.window)
    return shape.window + (wanted - at_window) / full
