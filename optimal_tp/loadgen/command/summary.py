"""Summary of one load: counts and percentiles in bounded memory, as data and as text."""

import operator
import typing

from optimal_tp.measurement.distribution import Histogram
from optimal_tp.measurement.samples import Sample

_CLASS_WIDTH = 0.001
_EXACT = 25_000  # enough classes for a microsecond to 20 hours
_PENDING = 1024  # some 0.2 ms of work: no stamp may wait longer


class Distribution:
    """Values of 0 or more, kept as counts of whole microseconds, as samples are stored."""

    def __init__(self, *, unit_microseconds: float) -> None:
        """Values come in units of ``unit_microseconds``; results are in ms."""
        self.pending: list[float] = []
        """Values not counted yet; add to it, and call ``settle`` now and then."""
        self.pending_zeros = 0
        """Number of further values not counted yet, all of them 0."""
        self._unit = unit_microseconds
        self._counted = Histogram(most=_EXACT, width=_CLASS_WIDTH)

    def settle(self) -> None:
        """Count the pending values in bulk: one at a time would cost more than the request itself."""
        unit = self._unit
        self._counted.add_all([int(unit * value + 0.5) for value in self.pending])
        self.pending.clear()
        if self.pending_zeros:
            self._counted.add_all({0: self.pending_zeros})
            self.pending_zeros = 0

    def percentile(self, percent: float) -> float | None:
        """Return the ``percent``-th percentile in ms, at most 0.1 % too high; None without any value."""
        self.settle()
        return _ms(self._counted.percentile(percent))

    def record(self) -> dict[str, float | None]:
        """Return count, mean, p50, p90, p99 and max in ms; None for each but the count if there are no values."""
        self.settle()
        return {
            "count": self._counted.count,
            "mean": _rounded(_ms(self._counted.mean)),
            "p50": _rounded(self.percentile(50)),
            "p90": _rounded(self.percentile(90)),
            "p99": _rounded(self.percentile(99)),
            "max": _ms(self._counted.greatest),
        }


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


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
        self.streams = 0
        """Requests that succeeded and brought a token in a stream."""
        self._merged_firsts = 0
        self._between = Distribution(unit_microseconds=1e6)
        self._per_request = {name: Distribution(unit_microseconds=1e3) for name in MEASURES if name != "inter_token_ms"}

    def add(self, sample: Sample) -> None:
        """Count ``sample``. Latencies are those of requests that succeeded; delays those of all that were sent."""
        if sample.status == "ok":
            self.ok += 1
        else:
            self.failures[sample.status] = self.failures.get(sample.status, 0) + 1
            self.first_failure = self.first_failure or sample.detail
        self._prompt_tokens = _plus(self._prompt_tokens, sample.prompt_tokens)
        self._output_tokens = _plus(self._output_tokens, sample.output_tokens)
        for name, distribution in self._per_request.items():
            value = getattr(sample, name)
            if value is not None:
                distribution.pending.append(value)
        moments = sample.token_seconds
        if moments and sample.status == "ok":
            self.streams += 1
            if len(moments) > 1 and moments[0] == moments[1]:
                self._merged_firsts += 1
            if moments[0] == moments[-1]:  # all came in one read
                self._between.pending_zeros += len(moments) - 1
            else:
                self._between.pending.extend(map(operator.sub, moments[1:], moments))
        if len(self._between.pending) > _PENDING or (self.ok + sum(self.failures.values())) % _PENDING == 0:
            for distribution in (self._between, *self._per_request.values()):
                distribution.settle()

    @property
    def first_token_merged_share(self) -> float | None:
        """Share of the successful streams whose first two tokens came in one read; None without any stream.

        The first token then has the time of the last one in that read, which may be late (docs/decisions/0025).
        """
        return self._merged_firsts / self.streams if self.streams else None

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
            **{name: distribution.record() for name, distribution in self._per_request.items()},
            "inter_token_ms": self._between.record(),
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
