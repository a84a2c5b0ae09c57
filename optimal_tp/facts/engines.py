"""Layout rules of each line of vLLM on Neuron: padding, refusals, and use of a chip."""

import dataclasses
import typing

Line = typing.Literal["fork-v0", "plugin-v1", "vllm-neuron"]
"""The vLLM in an image: AWS's fork with engine V0 (flag --override-neuron-config), vLLM with engine V1 and the
plugin for NxD Inference (--additional-config), or vLLM with the plugin of today, which has models of its own."""


LINE_WORDS: typing.Final[typing.Mapping[Line, str]] = {
    "fork-v0": "AWS's fork of vLLM, engine V0, on NxD Inference",
    "plugin-v1": "vLLM, engine V1, with AWS's plugin on NxD Inference",
    "vllm-neuron": "vLLM, engine V1, with vLLM's Neuron plugin and models of its own",
}
"""Names of the lines for people."""
BETA: typing.Final[frozenset[Line]] = frozenset({"vllm-neuron"})
"""Lines that AWS calls beta (AWS Neuron documentation of SDK 2.33, read 2026-11-28)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """The properties of a line that the plan uses."""

    pads: bool = False
    """Heads and columns that a degree does not divide are padded; other lines refuse such a degree."""
    replicates_kv_heads_evenly: bool = False
    """A degree must divide the key and value heads or be a multiple of them; NxD Inference pads them instead."""
    whole_chips: bool = False
    """A server takes whole chips, whatever its degree; no other server gets its idle cores."""
    memory_share: float = 1.0
    """Share of a core's memory that weights and KV cache together may fill."""
    kv_share: float = 1.0
    """Largest share of a core's memory for the KV cache, however small the weights are."""
    least_kv_gib: float = 0.0
    """Least memory per core for the KV cache; with less the server does not start."""
    even_prompts: bool = False
    """The longest prompt must be a multiple of the degree, and longer than it: prefill is compiled for that length."""
    families: frozenset[str] | None = None
    """``model_type`` of the supported models; None if the plan does not check the list."""
    refuses_biases_and_windows: bool = False
    """Attention with biases or a sliding window is refused, even in supported families."""


FORK: typing.Final = Engine()
MEMORY_UTILISATION: typing.Final = 0.9
"""vLLM's ``--gpu-memory-utilization``, said to the plugin of today so that the arithmetic below is the server's: AWS's
pages compute with 0.9, vLLM 0.32 has 0.92 by default."""

ENGINES: typing.Final[typing.Mapping[Line, Engine]] = {
    # neuronx-distributed-inference 0.6, modules/attention/gqa.py, get_number_of_extra_heads; the fork keeps vLLM's
    # check.
    "fork-v0": FORK,
    "plugin-v1": Engine(pads=True),
    # Devices, heads, families: vllm-neuron 0.24 (neuron_worker.py, model/llama3/model.py, model/registry.py), read in a
    # public fork, and the recipes of SDK 2.33 for Qwen3. Memory and buckets: AWS Neuron documentation of SDK 2.32 and
    # 2.33, vllm-neuron/docs (determine_available_memory, configuration reference, scheduler), read 2026-11-27: KV gets
    # min(memory x utilisation - weights, memory x utilisation x 0.30), and less than 1 GiB is an error. That 0.29 still
    # has all of it is taken from its pages, not from its source.
    "vllm-neuron": Engine(
        replicates_kv_heads_evenly=True,
        whole_chips=True,
        memory_share=MEMORY_UTILISATION,
        kv_share=0.3 * MEMORY_UTILISATION,
        least_kv_gib=1.0,
        even_prompts=True,
        families=frozenset({"llama", "qwen3", "gpt_oss"}),
        refuses_biases_and_windows=True,
    ),
}
