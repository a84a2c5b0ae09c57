"""What one load came to: counts and percentiles in bounded memory, as data and as text."""

import itertools
import math
import typing

from workloads.samples import Sample

_CLASS_WIDTH = 1.001
_LOG_WIDTH = math.log(_CLASS_WIDTH)
_LEAST_MS = 0.001


class Distribution:
    """Values in ms, kept as counts of classes 0.1 % wide; count, mean and max are exact.

    Values below 1 microsecond are one class: tokens that arrived in one read have no time between them.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._max = 0.0
        self._classes: dict[int, int] = {}

    def add(self, value_ms: float) -> None:
        """Count ``value_ms``."""
        self.count += 1
        self._sum += value_ms
        self._max = value_ms if self.count == 1 or value_ms > self._max else self._max
        index = math.ceil(math.log(value_ms / _LEAST_MS) / _LOG_WIDTH) if value_ms > _LEAST_MS else 0
        self._classes[index] = self._classes.get(index, 0) + 1

    def percentile(self, share: float) -> float | None:
        """Return the value that ``share`` (0 to 1) of all do not exceed, at most 0.1 % too high; None without any."""
        rank = max(math.ceil(share * self.count), 1)
        seen = 0
        for index in sorted(self._classes):
            seen += self._classes[index]
            if seen >= rank:
                return min(_LEAST_MS * _CLASS_WIDTH**index, self._max) if index else min(_LEAST_MS, self._max)
        return None

    def record(self) -> dict[str, float | int | None]:
        """Return count, mean, p50, p90, p99 and max; None for each but the count if there are no values."""
        return {
            "count": self.count,
            "mean": _rounded(self._sum / self.count) if self.count else None,
            "p50": _rounded(self.percentile(0.50)),
            "p90": _rounded(self.percentile(0.90)),
            "p99": _rounded(self.percentile(0.99)),
            "max": _rounded(self._max) if self.count else None,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


MEASURES: typing.Final = {
    "total_latency_ms": "total latency",
    "latency_from_send_ms": "latency from send",
    "schedule_delay_ms": "schedule delay",
    "ttft_ms": "time to first token",
    "tpot_ms": "time per output token",
    "inter_token_ms": "inter-token latency",
}
"""Distributions of a load, with their names for people."""


class Summary:
    """Counts samples as they come."""

    def __init__(self) -> None:
        self.ok = 0
        self.failures: dict[str, int] = {}
        """Requests by status other than ``ok``."""
        self.first_failure: str | None = None
        self._prompt_tokens: int | None = None
        self._output_tokens: int | None = None
        self._distributions = {name: Distribution() for name in MEASURES}

    def add(self, sample: Sample) -> None:
        """Count ``sample``. Latencies are those of requests that succeeded; delays those of all that were sent."""
        if sample.status == "ok":
            self.ok += 1
        else:
            self.failures[sample.status] = self.failures.get(sample.status, 0) + 1
            self.first_failure = self.first_failure or sample.detail
        self._prompt_tokens = _plus(self._prompt_tokens, sample.prompt_tokens)
        self._output_tokens = _plus(self._output_tokens, sample.output_tokens)
        for name in MEASURES:
            if name != "inter_token_ms":
                value = getattr(sample, name)
                if value is not None:
                    self._distributions[name].add(value)
        if sample.status == "ok":
            between = self._distributions["inter_token_ms"]
            for earlier, later in itertools.pairwise(sample.token_seconds):
                between.add(1000 * (later - earlier))

    def record(self, *, intended: int, sent: int, planned_rate: float | None, seconds: float) -> dict[str, object]:
        """Return everything as data, for a load of ``seconds`` from the first intended send to the last byte."""
        failed = sum(self.failures.values())
        return {
            "requests": {"intended": intended, "sent": sent, "ok": self.ok, "failed": failed, **self.failures},
            "seconds": _rounded(seconds),
            "rate_per_second": {"planned": planned_rate, "sent": _rate(sent, seconds), "ok": _rate(self.ok, seconds)},
            "tokens": {
                "prompt": self._prompt_tokens,
                "output": self._output_tokens,
                "output_per_second": _rate(self._output_tokens, seconds),
            },
            **{name: distribution.record() for name, distribution in self._distributions.items()},
        }


def _rate(count: int | None, seconds: float) -> float | None:
    return None if count is None or seconds <= 0 else _rounded(count / seconds)


def _plus(total: int | None, count: int | None) -> int | None:
    return total if count is None else count + (total or 0)


def as_text(record: typing.Mapping[str, typing.Any]) -> str:
    """Return a summary's record for a terminal."""
    requests, rate, tokens = record["requests"], record["rate_per_second"], record["tokens"]
    failures = ", ".join(f"{requests[name]} {name}" for name in requests if name not in _COUNTS)
    ended = f"{requests['ok']} ok, {requests['failed']} failed{f' ({failures})' if failures else ''}"
    lines = [
        f"requests   {ended} in {record['seconds']:.2f} s",
        f"rate       {_number(rate['ok'])} ok/s, {_number(rate['sent'])} sent/s, planned {_number(rate['planned'])}/s",
        f"tokens     {_number(tokens['output'])} output, {_number(tokens['output_per_second'])} output/s",
        f"{'ms':<22}{'p50':>12}{'p90':>12}{'p99':>12}{'max':>12}",
    ]
    for name, title in MEASURES.items():
        values = record[name]
        cells = "".join(f"{_number(values[column]):>12}" for column in ("p50", "p90", "p99", "max"))
        lines.append(f"{title:<22}{cells}")
    return "\n".join(lines)


_COUNTS = {"intended", "sent", "ok", "failed"}


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
