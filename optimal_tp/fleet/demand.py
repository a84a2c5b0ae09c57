"""The demand on a fleet, as people write it: a rate, latency limits, a forecast by hour."""

import csv
import dataclasses
import datetime as dt
import itertools
import math
import re
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.fleet.simulation.answers import Percentile
from optimal_tp.measurement.estimate import METRIC_WORDS
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS, PROMPT_TOKENS, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted
from optimal_tp.plan.lengths import Shape, output_lengths
from optimal_tp.plan.timetable import lengths_seed
from optimal_tp.settings.workload import LimitedMetric

_RATE = re.compile(r"([0-9.eE+_]+)/(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_NUMBER = re.compile(r"\d[\d.]*(?:[eE][+]?\d+)?")
_PERCENT = re.compile(r"p(\d{1,2}(?:\.\d+)?)(?![\d.])")
_AT_MOST = re.compile(r"(?:^|[=<: ])([\d.]+(?:e\d+)?) *(ms|s)?$")
_UNIT_WORDS = {
    ("m", "min", "mins", "minute", "per minute", "rpm"): "min",
    ("h", "hour", "hours", "per hour", "rph"): "h",
}
"""Spellings of the units other than a second, each with ours."""
_LIMIT = re.compile(r"p(\d{1,2}(?:\.\d+)?)_(total|ttft|tpot)_ms=([0-9.eE+]+)")
_METRICS: dict[str, LimitedMetric] = {"total": "total_latency_ms", "ttft": "ttft_ms", "tpot": "tpot_ms"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyLimit:
    """A percentile of the latency that a fleet must hold."""

    metric: LimitedMetric
    percent: float
    at_most_ms: float

    @property
    def percentile(self) -> Percentile:
        """The percentile to simulate for this limit."""
        return self.metric, self.percent

    @property
    def measure(self) -> str:
        """Return what is limited: "p99 of total latency"."""
        return f"p{self.percent:g} of {METRIC_WORDS[self.metric]}"

    @property
    def words(self) -> str:
        """Return the limit as part of a sentence: "p99 of total latency at most 400 ms"."""
        return f"{self.measure} at most {self.at_most_ms:g} ms"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hour:
    """One line of a forecast."""

    time: dt.datetime
    rate_per_second: float


def parse_rate(text: str) -> float:
    """Return requests per second in ``text``: "500/s", "30/min", "2e6/h". Raises SettingsError."""
    match = _RATE.fullmatch(text.strip())
    value = _number(match[1]) if match else None
    if match is None or value is None or value <= 0:
        rule = "must be a number above 0 with its unit: /s, /min or /h"
        raise SettingsError([Problem(path="--rate", value=text, rule=rule, remedy=f"write it as {_rate_like(text)}")])
    return value / _SECONDS[match[2]]


def _rate_like(text: str) -> str:
    """Return the rate that ``text`` most likely means, ready to type: its own number, per second."""
    text = text.replace(",", "").replace("_", "")
    found = _NUMBER.search(text)
    value = _number(found[0]) if found else None
    if found is None or value is None or value <= 0 or text.strip().startswith("-"):
        return "500/s"
    rest = text[found.end() :].strip(" /").lower()
    unit = next((unit for words, unit in _UNIT_WORDS.items() if rest in words), "s")
    return f"{found[0]}/{unit}"


def parse_limit(text: str) -> LatencyLimit:
    """Return the limit in ``text``: "p99_total_ms=400". Raises SettingsError."""
    match = _LIMIT.fullmatch(text.strip())
    value = _number(match[3]) if match else None
    if match is None or value is None or value <= 0 or not 0 < float(match[1]) < 100:  # noqa: PLR2004 - percent
        rule = "must be a percentile, a metric (total, ttft or tpot) and a limit above 0 in ms"
        raise SettingsError([Problem(path="--limit", value=text, rule=rule, remedy=f"write it as {_limit_like(text)}")])
    return LatencyLimit(metric=_METRICS[match[2]], percent=float(match[1]), at_most_ms=value)


def _limit_like(text: str) -> str:
    """Return the limit that ``text`` most likely means, ready to type; missing parts come from the example."""
    said = text.strip().lower()
    percent = _PERCENT.search(said)
    asked = percent[1] if percent is not None and float(percent[1]) > 0 else "99"
    metric = next((name for name in _METRICS if name in said), "total")
    own = _AT_MOST.search(said)
    value = _number(own[1]) if own else None
    if own is None or value is None or value <= 0:
        return f"p{asked}_{metric}_ms=400"
    in_seconds = own[2] == "s" or said[: own.start()].endswith("_s")
    return f"p{asked}_{metric}_ms={1000 * value if in_seconds else value:g}"


def parse_forecast(text: str, *, name: str) -> tuple[Hour, ...]:
    """Return the hours in the CSV ``text``: columns time (ISO 8601) and rate (requests per second), an hour apart.

    Raises SettingsError with every line that breaks a rule.
    """
    rows = list(csv.reader(text.splitlines()))
    if not rows or [cell.strip() for cell in rows[0]] != ["time", "rate"]:
        rule = "must be CSV whose first line is time,rate"
        raise SettingsError([Problem(path="--forecast", value=name, rule=rule, remedy="name another file")])
    hours: list[Hour] = []
    problems: list[Problem] = []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        where = f"--forecast {name}, line {number}"
        hour = _hour(row)
        if isinstance(hour, str):
            problems.append(Problem(path=where, value=",".join(row), rule=hour, remedy="correct the line"))
            continue
        if hours and hour.time - hours[-1].time != dt.timedelta(hours=1):
            rule = f"must be one hour after the line before, {hours[-1].time.isoformat()}"
            remedy = "add the missing hours" if hour.time > hours[-1].time else "put the lines in order"
            problems.append(Problem(path=where, value=hour.time.isoformat(), rule=rule, remedy=remedy))
        hours.append(hour)
    if not hours and not problems:
        rule = "must have at least one hour"
        problems.append(Problem(path="--forecast", value=name, rule=rule, remedy="name another file"))
    if problems:
        raise SettingsError(problems)
    if not any(hour.rate_per_second > 0 for hour in hours):
        rule = "must have at least one hour with a rate above 0"
        raise SettingsError([Problem(path="--forecast", value=name, rule=rule, remedy="name another file")])
    return tuple(hours)


def _hour(row: typing.Sequence[str]) -> Hour | str:
    if len(row) != 2:  # noqa: PLR2004 - time and rate
        return "a line is a time and a rate"
    try:
        time = dt.datetime.fromisoformat(row[0].strip())
    except ValueError:
        return "a time is ISO 8601, as 2026-07-01T13:00"
    rate = _number(row[1].strip())
    if rate is None or rate < 0:
        return "a rate is a number of requests per second, at least 0"
    return Hour(time=time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC), rate_per_second=rate)


def output_tokens_asked(record: RunRecord, samples: typing.Iterable[Sample]) -> float | None:
    """Return what the mean request of the run asked for, or where servers may end sooner what the mean answer had.

    It is the same for every candidate: the requests that a slow one lost were its longest. None where nobody counted.
    """
    load = record.settings.load
    if load.trace is None and record.pins.get(OUTPUT_TOKENS) == EXACT:
        return sum(load.output_range) / 2
    counts = [one.output_tokens for one in samples if one.status == "ok" and one.output_tokens is not None]
    return sum(counts) / len(counts) if counts else None


def are_lengths_planned(record: RunRecord) -> bool:
    """Whether requests and answers have the lengths that the settings draw."""
    pins = {record.pins.get(PROMPT_TOKENS), record.pins.get(OUTPUT_TOKENS)}
    return record.settings.load.trace is None and pins == {EXACT}


def lengths_asked(record: RunRecord, turns: typing.Iterable[tuple[Turn, typing.Sequence[Sample]]]) -> tuple[Shape, ...]:
    """Return the lengths that the counted requests of ``turns`` asked for, whatever became of them.

    The longest are given up first, so those that succeeded are too short. Lengths are drawn again from the run's seed.
    Empty where they are not planned, and where an answer has another length.
    """
    if not are_lengths_planned(record):
        return ()
    load = record.settings.load
    least, most = load.output_range
    found: list[Shape] = []
    for turn, samples in turns:
        lengths = output_lengths(least, most, seed=lengths_seed(load.seed, turn.stage, turn.block))
        own = {sample.request: sample for sample in counted(turn, samples)}
        drawn = itertools.islice(lengths or itertools.repeat(most), max(own, default=-1) + 1)
        for request, length in enumerate(drawn):
            if request not in own:
                continue
            if own[request].status == "ok" and own[request].output_tokens != length:
                return ()
            found.append(Shape(load.prompt_tokens, length))
    return tuple(found)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
