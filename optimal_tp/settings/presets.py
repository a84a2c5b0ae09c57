"""Limits and lengths of common kinds of traffic, each figure from a public source; docs/how-to/traffic.md."""

import collections.abc
import typing

Preset = typing.Literal["chat", "code", "summarise", "batch"]

Figures = collections.abc.Mapping[str, collections.abc.Mapping[str, typing.Any]]

PRESETS: typing.Final[collections.abc.Mapping[Preset, Figures]] = {
    # Lengths: medians of the conversation trace, Splitwise (arXiv 2311.18677), section 3. Limits: Llama2-70B
    # Interactive of MLPerf Inference 5.0 (mlcommons.org/2025/04/llm-inference-v5).
    "chat": {
        "model": {"max_model_len_tokens": 2048},
        "load": {"prompt_tokens": 1020, "output_tokens": 129},
        "limits": {
            "ttft_ms": {"percentile": 99, "at_most_ms": 450},
            "tpot_ms": {"percentile": 99, "at_most_ms": 40},
        },
    },
    # Lengths: medians of the coding trace, as above. Limits: code completion of DistServe (arXiv 2401.09670), table 1,
    # held by 90 % of the requests.
    "code": {
        "model": {"max_model_len_tokens": 2048},
        "load": {"prompt_tokens": 1500, "output_tokens": 13},
        "limits": {
            "ttft_ms": {"percentile": 90, "at_most_ms": 125},
            "tpot_ms": {"percentile": 90, "at_most_ms": 200},
        },
    },
    # Lengths: the published runs of LLMPerf (github.com/ray-project/llmperf-leaderboard), long prompts with short
    # answers. Limits: summarisation of DistServe, as above.
    "summarise": {
        "model": {"max_model_len_tokens": 1024},
        "load": {"prompt_tokens": 550, "output_tokens": 150},
        "limits": {
            "ttft_ms": {"percentile": 90, "at_most_ms": 15_000},
            "tpot_ms": {"percentile": 90, "at_most_ms": 150},
        },
    },
    # Lengths: means of ShareGPT, vLLM's paper (arXiv 2309.06180), figure 11. No limits: nobody waits for an answer.
    "batch": {
        "model": {"max_model_len_tokens": 1024},
        "load": {"prompt_tokens": 161, "output_tokens": 338},
        "limits": {},
    },
}


def with_preset(data: collections.abc.Mapping[str, typing.Any], preset: Preset) -> dict[str, typing.Any]:
    """Return the settings ``data`` with the figures of ``preset`` where they state none of their own.

    A limit that is explicitly null stays absent.
    """
    filled = dict(data)
    for section, figures in PRESETS[preset].items():
        stated = data.get(section)
        if stated is None or isinstance(stated, collections.abc.Mapping):
            filled[section] = {**figures, **(stated or {})}
    return filled
