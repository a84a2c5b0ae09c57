"""Limits that a server cannot hold, however well it is built: each with the arithmetic."""

import collections.abc

from optimal_tp.errors import quantity
from optimal_tp.measurement.estimate import METRIC_WORDS, figure
from optimal_tp.plan.roofline.bounds import Lengths, Limits, LoneRequest, requests
from optimal_tp.plan.roofline.floors import ModelledServer
from optimal_tp.settings.workload import Limit, LimitedMetric

ROUNDING = 1e-9
"""Share of requests that sums of fractions may be off by."""


def miss(server: ModelledServer, lengths: Lengths, limits: Limits) -> str | None:
    """Return the arithmetic of the first of ``limits`` that too many requests miss even alone on ``server``.

    ``server`` reaches its roof. None where physics allows every limit.
    """
    own = requests(server, lengths)
    for metric, limit in limits.items():
        least = _percentile([(one.least_seconds(metric), one) for one in own], limit.percentile / 100)
        if 1000 * least[0] > limit.at_most_ms:
            return _sentence(server, metric, limit, *least)
    return None


def _percentile(found: collections.abc.Sequence[tuple[float, LoneRequest]], asked: float) -> tuple[float, LoneRequest]:
    """Return the least value, and whose it is, that a share ``asked`` of the requests has at most."""
    ordered = sorted(found, key=lambda pair: pair[0])
    total = 0.0
    for pair in ordered:
        total += pair[1].share
        if total >= asked - ROUNDING:
            return pair
    return ordered[-1]


def _sentence(server: ModelledServer, metric: LimitedMetric, limit: Limit, seconds: float, one: LoneRequest) -> str:
    head = (
        f"p{limit.percentile:g} of {METRIC_WORDS[metric]} must be at most {figure(limit.at_most_ms)} ms, but physics "
        f"allows TP{server.degree} at least {figure(1000 * seconds)} ms, even with one request at a time: "
    )
    kept = min(server.roof.kept_bytes, server.weight_bytes)
    less = f"(less {_gb(kept)} that could stay on the chip) " if kept else ""
    step = (
        f"a step reads {_gb(server.weight_bytes)} of weights {less}"
        f"and {_gb(server.kv_bytes(one.context_tokens))} of keys and values on each core, which takes "
        f"{figure(1000 * one.step.seconds)} ms"
    )
    prefill = f"the prompt takes {figure(1000 * one.prefill.seconds)} ms of {one.prefill.binds}"
    follow = quantity(one.steps, "such step follows", "such steps follow")
    body = {
        "ttft_ms": prefill,
        "tpot_ms": step,
        "total_latency_ms": f"{prefill}; then {step}, and {follow}",
    }[metric]
    return f"{head}{body} ({server.roof.source})"


def _gb(count: float) -> str:
    return f"{figure(count / 1e9)} GB" if count >= 1e8 else f"{figure(count / 1e6)} MB"  # noqa: PLR2004
