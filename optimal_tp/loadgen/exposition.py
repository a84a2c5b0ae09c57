"""Parse a server's /metrics, with the names of every release of vLLM and of its plugin for Neuron."""

import collections.abc
import math
import typing

from optimal_tp.measurement.counters.reading import CounterReading, Gauges, Totals

_COUNTERS: typing.Final[dict[str, tuple[str, ...]]] = {
    "prompt_tokens": ("vllm:prompt_tokens_total",),
    "generation_tokens": ("vllm:generation_tokens_total",),
    "requests": ("vllm:request_success_total",),
    "preemptions": ("vllm:num_preemptions_total",),
    "prefix_queries": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "prefix_hits": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "queue_seconds": ("vllm:request_queue_time_seconds_sum",),
    "queue_requests": ("vllm:request_queue_time_seconds_count",),
    "process_cpu_seconds": ("process_cpu_seconds_total",),
    "neff_executions": ("vllm_neuron:neff_execution_count_total", "vllm_neuron:neff_execution_count"),
    "padded_sequences": ("vllm_neuron:num_seqs_padding_sum",),
    "padded_tokens": ("vllm_neuron:num_batched_tokens_padding_sum",),
}
"""By field of ``Totals``: the newest name first. Renames: vllm#18354 (2025-06) and #29330 (2025-11); names of the
plugin by AWS's metrics page of Neuron SDK 2.32."""
_SECONDS = {"queue_seconds", "process_cpu_seconds"}
_GAUGES: typing.Final[dict[str, tuple[str, ...]]] = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "kv_use": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "started": ("process_start_time_seconds",),
    "start_up": ("vllm_neuron:startup_time_seconds",),
    "compile": ("vllm_neuron:compilation_time_seconds",),
    "load": ("vllm_neuron:model_load_time_seconds",),
}
_READ: typing.Final = tuple(name for names in (*_COUNTERS.values(), *_GAUGES.values()) for name in names)
_OWN_END = {"abort", "error"}
"""Finish reasons other than a request's own end."""

_Found = dict[str, list[tuple[dict[str, str], float]]]


def reading(text: str, epoch_seconds: float) -> CounterReading | None:
    """Return the reading in ``text``, an answer in Prometheus's format; None if it has none of vLLM's counters.

    Only the lines in use are parsed, so lines of other programs cannot break it.
    """
    found = _found(text)
    if not any(name in found for name in (*_COUNTERS["prompt_tokens"], *_COUNTERS["generation_tokens"])):
        return None
    values: dict[str, typing.Any] = {}
    for field, names in _COUNTERS.items():
        total = _sum(found, names)
        values[field] = total if total is None or field in _SECONDS else round(total)
    running, waiting = _sum(found, _GAUGES["running"]), _sum(found, _GAUGES["waiting"])
    return CounterReading(
        epoch_seconds=epoch_seconds,
        started_epoch_seconds=_most(found, _GAUGES["started"]),
        totals=Totals(**values),
        gauges=Gauges(
            running=None if running is None else round(running),
            waiting=None if waiting is None else round(waiting),
            kv_use=_most(found, _GAUGES["kv_use"]),
        ),
        start_up_seconds=_most(found, _GAUGES["start_up"]),
        compile_seconds=_sum(found, _GAUGES["compile"]),
        load_seconds=_most(found, _GAUGES["load"]),
    )


def _found(text: str) -> _Found:
    """Return labels and value of every sample in use, by its name."""
    # Imported here so that a load begins early: it parses only after it has ended.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    lines = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(_READ))
    found: _Found = {}
    try:
        for family in text_string_to_metric_families(lines):
            for sample in family.samples:
                is_own = sample.labels.get("finished_reason") not in _OWN_END
                if sample.name in _READ and is_own and math.isfinite(sample.value):
                    found.setdefault(sample.name, []).append((sample.labels, sample.value))
    except ValueError:
        return {}
    return found


def _values(found: _Found, names: collections.abc.Iterable[str]) -> list[tuple[dict[str, str], float]]:
    return next((found[name] for name in names if name in found), [])


def _sum(found: _Found, names: collections.abc.Iterable[str]) -> float | None:
    """Return the sum over engines, models, reasons and buckets. The ranks of one engine share the same work."""
    ranks: dict[str, float] = {}
    for labels, value in _values(found, names):
        rank = labels.get("rank_id", "")
        ranks[rank] = ranks.get(rank, 0.0) + value
    return max(ranks.values(), default=None)


def _most(found: _Found, names: collections.abc.Iterable[str]) -> float | None:
    return max((value for _, value in _values(found, names)), default=None)
