"""The metric table: the only place that names a metric. Publisher, dashboard and report are made from it."""

import dataclasses
import typing

NAMESPACE = "qwen-vllm-loadgen"
"""CloudWatch namespace, as the seed names it."""

Unit = typing.Literal["Milliseconds", "Count/Second", "Percent", "Count", "None"]
"""CloudWatch units that the table uses."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric, whole: whoever shows or publishes it needs nothing else."""

    name: str
    unit: Unit
    dimensions: tuple[str, ...]
    """Names of CloudWatch dimensions: ``Model`` is model_dimension(degree, series), ``Status`` Success or Error."""
    statistics: tuple[str, ...]
    """CloudWatch statistics worth showing, most telling first."""
    direction: typing.Literal["lower", "higher", "neither"]
    """Which way is better."""
    formula: str
    """In terms of Sample's and Turn's fields."""
    title: str
    """For people."""
    per: typing.Literal["request", "minute", "turn"]
    """``request``: one value per successful request; ``minute``: one per minute; ``turn``: one per turn."""


_PERCENTILES = ("p50", "p90", "p99")
_TOGETHER = ("Sum",)
"""Of a rate over 60 s: each load generator publishes its own once a minute; the load is their sum, one or several."""

METRICS: tuple[Metric, ...] = (
    Metric(
        name="TotalLatency_ms",
        unit="Milliseconds",
        dimensions=("Model",),
        statistics=_PERCENTILES,
        direction="lower",
        formula="1000 * (end_seconds - intended_seconds)",
        title="Total latency",
        per="request",
    ),
    Metric(
        name="TTFT_ms",
        unit="Milliseconds",
        dimensions=("Model",),
        statistics=_PERCENTILES,
        direction="lower",
        formula="1000 * (token_seconds[0] - intended_seconds)",
        title="Time to first token",
        per="request",
    ),
    Metric(
        name="TPOT_ms",
        unit="Milliseconds",
        dimensions=("Model",),
        statistics=_PERCENTILES,
        direction="lower",
        formula="1000 * (token_seconds[-1] - token_seconds[0]) / (output_tokens - 1)",
        title="Time per output token after the first",
        per="request",
    ),
    Metric(
        name="ScheduleDelay_ms",
        unit="Milliseconds",
        dimensions=("Model",),
        statistics=("p99", "Maximum"),
        direction="lower",
        formula="1000 * (sent_seconds - intended_seconds)",
        title="Schedule delay",
        per="request",
    ),
    Metric(
        name="RPS",
        unit="Count/Second",
        dimensions=("Model", "Status"),
        statistics=_TOGETHER,
        direction="higher",
        formula="requests ended in the minute / 60",
        title="Requests per second",
        per="minute",
    ),
    Metric(
        name="OfferedRPS",
        unit="Count/Second",
        dimensions=("Model",),
        statistics=_TOGETHER,
        direction="neither",
        formula="requests intended in the minute / 60",
        title="Requests offered per second",
        per="minute",
    ),
    Metric(
        name="OutputTokensPerSecond",
        unit="Count/Second",
        dimensions=("Model",),
        statistics=("Average",),
        direction="higher",
        formula=(
            "closed loop: concurrency * sum(output_tokens) / sum(end_seconds - intended_seconds); "
            "otherwise sum(output_tokens) / (turn.end_seconds - turn.start_seconds)"
        ),
        title="Output tokens per second",
        per="turn",
    ),
    Metric(
        name="OutputTokensPerSecondPerCore",
        unit="Count/Second",
        dimensions=("Model",),
        statistics=("Average",),
        direction="higher",
        formula="OutputTokensPerSecond / cores_used (logical cores)",
        title="Output tokens per second and core",
        per="turn",
    ),
    Metric(
        name="Goodput",
        unit="Percent",
        dimensions=("Model",),
        statistics=("Average",),
        direction="higher",
        formula="100 * requests that succeed and hold every latency limit / requests",
        title="Goodput",
        per="turn",
    ),
    Metric(
        name="RunValid",
        unit="Count",
        dimensions=("Model",),
        statistics=("Minimum",),
        direction="higher",
        formula="1 if the self-audit of the turn passed, else 0",
        title="Self-audit passed",
        per="turn",
    ),
)

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def model_dimension(degree: int, series: str = "") -> str:
    """Return the value of the ``Model`` dimension for ``degree``, as the seed names it: "TP1", "TP2", "TP4".

    ``series``: the model's title in a sweep, which stands before it ("Qwen3-4B TP2"); empty for one model alone.
    """
    return f"{series} TP{degree}".lstrip()
