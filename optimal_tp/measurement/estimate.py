"""How numbers are written: three significant digits, ranges in brackets, a dash for a missing figure."""

import dataclasses
import math
import typing

from optimal_tp.errors import quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.settings.workload import LimitedMetric


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A closed range of values that the data do not reject; None where a side is open."""

    low: float | None
    high: float | None

    def is_above(self, value: float) -> bool:
        """Whether every value in the interval is greater than ``value``."""
        return self.low is not None and self.low > value

    def is_below(self, value: float) -> bool:
        """Whether every value in the interval is less than ``value``."""
        return self.high is not None and self.high < value

    def is_at_most(self, value: float) -> bool:
        """Whether every value in the interval is ``value`` or less."""
        return self.high is not None and self.high <= value

    def negated(self) -> "Interval":
        """Return the interval of the negative."""
        return Interval(
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
        )

    def exponentiated(self) -> "Interval":
        """Return the interval of ``exp``; unbounded below becomes 0, which no ratio reaches."""
        return Interval(
            low=None if self.low is None else math.exp(self.low),
            high=None if self.high is None else math.exp(self.high),
        )


UNBOUNDED = Interval(low=None, high=None)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A value and the range around it."""

    value: float
    interval: Interval

    def scaled(self, factor: float) -> "Estimate":
        """Return the estimate of ``factor``, which is above 0, times the quantity."""
        low, high = self.interval.low, self.interval.high
        interval = Interval(low=None if low is None else factor * low, high=None if high is None else factor * high)
        return Estimate(value=factor * self.value, interval=interval)


MISSING = "—"
"""Stands for a missing figure, which is never written as 0."""

TIMES = "\N{MULTIPLICATION SIGN}"

METRIC_WORDS: dict[LimitedMetric, str] = {
    "total_latency_ms": "total latency",
    "ttft_ms": "time to first token",
    "tpot_ms": "time per output token",
}


def figure(value: float | None) -> str:
    """Return ``value`` with three significant digits, whole from 1000 up; a dash for None."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"


def bounds(interval: Interval) -> str:
    """Return ``interval`` in words: "1.70 to 1.84", "at least 1.70", "too few for a range"."""
    if interval.low is None and interval.high is None:
        return "too few for a range"
    if interval.high is None:
        return f"at least {figure(interval.low)}"
    if interval.low is None:
        return f"at most {figure(interval.high)}"
    return f"{figure(interval.low)} to {figure(interval.high)}"


def ranged(estimate: Estimate | None, unit: str = "") -> str:
    """Return a value, its unit and its range: "172 tok/s (170 to 175)"."""
    if estimate is None:
        return MISSING
    return f"{figure(estimate.value)}{unit and ' ' + unit} ({bounds(estimate.interval)})"


def percent(share: float | None) -> str:
    """Return a share, 0 to 1, in percent; only a share of exactly 0 or 1 is written as 0 or 100 %."""
    if share is None:
        return MISSING
    value = 100 * share
    if 0 < share < 1:
        value = min(max(value, 0.01), 99.99)
    decimals = 2 if value > 99 or 0 < value < 1 else 1  # noqa: PLR2004 - the ends need the digit
    return f"{value:.{decimals}f} %".replace(".00 %", " %").replace(".0 %", " %")


def duration(seconds: float | None) -> str:
    """Return ``seconds`` as a person would say them: "40 s", "12 min", "3.5 h"."""
    if seconds is None:
        return MISSING
    if seconds < 90:  # noqa: PLR2004 - below it seconds read best
        return f"{seconds:.0f} s"
    if seconds < 5400:  # noqa: PLR2004 - below it minutes read best
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def usd(amount: float | None) -> str:
    """Return an amount of dollars with two decimals, four below a cent; a dash for None."""
    if amount is None:
        return MISSING
    return f"${amount:,.4f}" if 0 < amount < 0.01 else f"${amount:,.2f}"  # noqa: PLR2004 - a cent


def listed(names: typing.Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"; a dash for none."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else MISSING


def name_list(candidates: typing.Iterable[Candidate]) -> str:
    """Return "TP1", "TP1 and TP2-B4", "TP1, TP2 and TP4"."""
    return listed([candidate.name for candidate in candidates])


def degree_list(degrees: typing.Iterable[int]) -> str:
    """Return "TP1", "TP1 and TP2", "TP1, TP2 and TP4"."""
    return name_list(map(Candidate, degrees))


def plural(count: int, noun: str) -> str:
    """Return "1 block", "2 blocks"."""
    return quantity(count, noun, f"{noun}s")
