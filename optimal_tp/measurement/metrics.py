"""The metric table: the only place that names a metric. Publisher, dashboard and report are made from it."""

import collections.abc
import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.settings.workload import LimitedMetric

NAMESPACE = "qwen-vllm-loadgen"
"""CloudWatch namespace, as the AWS sample names it."""

Unit = typing.Literal["Milliseconds", "Count/Second", "Percent", "Count", "None"]
"""CloudWatch units that the table uses."""


SECONDS = 60
"""Length of a minute: metrics are published once a minute."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TurnFigures:
    """The figures of one turn that has ended."""

    turn: Turn
    samples: collections.abc.Sequence[Sample]
    output_tokens_per_second: float | None
    cores_used: int
    """Logical cores of the degree's servers."""
    share_within: float | None
    faults: tuple[str, ...]
    """Faults that the self-audit found; empty for a valid turn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinuteCounts:
    """Requests of one minute and candidate."""

    ended: collections.abc.Mapping[str, int]
    """By status: Success and Error."""
    offered: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """Everything that measuring, showing and publishing one metric needs. Exactly one ``of_`` field is set."""

    name: str
    unit: Unit
    dimensions: tuple[str, ...] = ("Model",)
    """Names of CloudWatch dimensions: ``Model`` is model_dimension(candidate, title), ``Status`` Success or Error."""
    statistics: tuple[str, ...]
    """CloudWatch statistics worth showing, most telling first."""
    direction: typing.Literal["lower", "higher", "neither"]
    """Which way is better."""
    formula: str
    """In terms of Sample's and Turn's fields."""
    title: str
    """For people."""
    of_request: collections.abc.Callable[[Sample], float | None] | None = None
    """One value per successful request."""
    of_turn: collections.abc.Callable[[TurnFigures], float | None] | None = None
    """One value per turn."""
    of_minute: collections.abc.Callable[[MinuteCounts], collections.abc.Mapping[str | None, float]] | None = None
    """One value per minute and status; None for the status where the metric has no such dimension."""
    limited_by: LimitedMetric | None = None
    """The setting that limits it."""

    @property
    def per(self) -> typing.Literal["request", "minute", "turn"]:
        """Whether each request, each minute or each turn has one value."""
        return "request" if self.of_request is not None else "turn" if self.of_turn is not None else "minute"


def _ended(counts: MinuteCounts) -> dict[str | None, float]:
    """Return the rate of each status; nothing where no request ended."""
    return {status: count / SECONDS for status, count in counts.ended.items()} if any(counts.ended.values()) else {}


def _offered(counts: MinuteCounts) -> dict[str | None, float]:
    return {None: counts.offered / SECONDS} if counts.offered else {}


def _goodput(known: TurnFigures) -> float | None:
    rate = known.turn.rate_per_second
    return None if rate is None or known.share_within is None else rate * known.share_within


def _per_core(known: TurnFigures) -> float | None:
    rate = known.output_tokens_per_second
    return None if rate is None else rate / known.cores_used


_PERCENTILES = ("p50", "p90", "p99")
_TOGETHER = ("Sum",)
"""For a rate over 60 s: each load generator publishes its own rate once a minute, and the load is their sum."""

METRICS: tuple[Metric, ...] = (
    Metric(
        name="TotalLatency_ms",
        unit="Milliseconds",
        statistics=_PERCENTILES,
        direction="lower",
        formula="1000 * (end_seconds - intended_seconds)",
        title="Total latency",
        of_request=lambda sample: sample.total_latency_ms,
        limited_by="total_latency_ms",
    ),
    Metric(
        name="TTFT_ms",
        unit="Milliseconds",
        statistics=_PERCENTILES,
        direction="lower",
        formula="1000 * (token_seconds[0] - intended_seconds)",
        title="Time to first token",
        of_request=lambda sample: sample.ttft_ms,
        limited_by="ttft_ms",
    ),
    Metric(
        name="TPOT_ms",
        unit="Milliseconds",
        statistics=_PERCENTILES,
        direction="lower",
        formula="1000 * (token_seconds[-1] - token_seconds[0]) / (output_tokens - 1)",
        title="Time per output token after the first",
        of_request=lambda sample: sample.tpot_ms,
        limited_by="tpot_ms",
    ),
    Metric(
        name="ScheduleDelay_ms",
        unit="Milliseconds",
        statistics=("p99", "Maximum"),
        direction="lower",
        formula="1000 * (sent_seconds - intended_seconds)",
        title="Schedule delay",
        of_request=lambda sample: sample.schedule_delay_ms,
    ),
    Metric(
        name="RPS",
        unit="Count/Second",
        dimensions=("Model", "Status"),
        statistics=_TOGETHER,
        direction="higher",
        formula="requests ended in the minute / 60",
        title="Requests per second",
        of_minute=_ended,
    ),
    Metric(
        name="OfferedRPS",
        unit="Count/Second",
        statistics=_TOGETHER,
        direction="neither",
        formula="requests intended in the minute / 60",
        title="Requests offered per second",
        of_minute=_offered,
    ),
    Metric(
        name="OutputTokensPerSecond",
        unit="Count/Second",
        statistics=("Average",),
        direction="higher",
        formula=(
            "closed loop: output tokens in the window / its length, from when every slot has ended its first request "
            "until a slot has no next one; "
            "otherwise sum(output_tokens) / (turn.end_seconds - turn.start_seconds)"
        ),
        title="Output tokens per second",
        of_turn=lambda known: known.output_tokens_per_second,
    ),
    Metric(
        name="OutputTokensPerSecondPerCore",
        unit="Count/Second",
        statistics=("Average",),
        direction="higher",
        formula="OutputTokensPerSecond / cores_used (logical cores)",
        title="Output tokens per second and core",
        of_turn=_per_core,
    ),
    Metric(
        name="WithinLimits",
        unit="Percent",
        statistics=("Average",),
        direction="higher",
        formula="100 * counted requests that succeed and hold every latency limit / counted requests",
        title="Requests within the limits",
        of_turn=lambda known: None if known.share_within is None else 100 * known.share_within,
    ),
    Metric(
        name="Goodput",
        unit="Count/Second",
        statistics=("Average",),
        direction="higher",
        formula="planned arrivals/s * counted requests within every limit / counted requests; open arrivals only",
        title="Goodput: requests within the limits, per second",
        of_turn=_goodput,
    ),
    Metric(
        name="RunValid",
        unit="Count",
        statistics=("Minimum",),
        direction="higher",
        formula="1 if the self-audit of the turn passed, else 0",
        title="Self-audit passed",
        of_turn=lambda known: 0 if known.faults else 1,
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Derived:
    """A figure of the report and ``verdict.json`` that needs more than a run's samples; it is not published."""

    name: str
    title: str
    formula: str
    """In the terms of docs/concepts/how-far-from-the-limit.md."""


DERIVED: tuple[Derived, ...] = (
    Derived(
        name="limits.candidates[].bandwidth_share",
        title="Model bandwidth utilisation (MBU) of decode steps",
        formula=(
            "sum over counted requests of steps * (bytes of weights + mean bytes of keys and values of all sequences "
            "in its steps) / sum of (last token - first token) / bytes/s of the server's cores"
        ),
    ),
    Derived(
        name="limits.candidates[].compute_share",
        title="Model FLOP utilisation (MFU)",
        formula=(
            "output tokens/s * (operations of its prompts and output tokens / output tokens) / (operations/s of a core "
            "* cores_used); with an attained roof, a share of what was attained"
        ),
    ),
    Derived(
        name="limits.candidates[].weights_floor_ms",
        title="Least time of a decode step to read the weights",
        formula="1000 * bytes of weights / degree / bytes/s of a core",
    ),
    Derived(
        name="limits.candidates[].kv_floor_ms",
        title="Least time of a decode step to read keys and values",
        formula=(
            "1000 * mean bytes of keys and values of all sequences in a counted request's step / degree / bytes/s of a "
            "core"
        ),
    ),
)

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def model_dimension(candidate: Candidate, title: str = "") -> str:
    """Return the value of the ``Model`` dimension for ``candidate``, as the AWS sample names it: "TP1", "TP2", "TP4".

    ``title`` is the model's title in a sweep and comes first ("Qwen3-4B TP2"); empty for a single model.
    """
    return f"{title} {candidate.name}".lstrip()
