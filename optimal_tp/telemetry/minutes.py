"""Samples and turns as CloudWatch data: one set of values per metric, model and minute, however many requests."""

import dataclasses
import math
import threading
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.distribution import Histogram
from optimal_tp.measurement.metrics import METRICS, SECONDS, Metric, MinuteCounts, model_dimension
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import of

MOST_VALUES = 150
"""Values in one datum. Source: CloudWatch API reference, MetricDatum, read 2026-11-23."""
_FIRST_WIDTH = 0.005


class Datum(typing.TypedDict):
    """One entry of PutMetricData, with its time as seconds since 1970, so that it can wait on disk."""

    MetricName: str
    Dimensions: list[dict[str, str]]
    Timestamp: int
    Unit: str
    Values: list[float]
    Counts: list[float]


@dataclasses.dataclass(kw_only=True)
class _Minute:
    """What is known of one model in one minute."""

    values: dict[str, Histogram] = dataclasses.field(default_factory=dict)
    """By metric. A class of values stands for them by its mean, so a percentile is off by less than its class."""
    ended: dict[str, int] = dataclasses.field(default_factory=lambda: {"Success": 0, "Error": 0})
    offered: int = 0

    def add(self, metric: str, value: float | None) -> None:
        """Count ``value``, unless it is no finite number."""
        if value is not None and math.isfinite(value):
            if metric not in self.values:
                self.values[metric] = Histogram(most=MOST_VALUES, width=_FIRST_WIDTH)
            self.values[metric].add(value)


class Minutes:
    """Collects samples and turns, and gives back whole minutes.

    A minute is whole ``settle_seconds`` after its end: a request is known only when it has ended, and it was offered
    in an earlier minute. Samples may come from one thread while another takes the minutes.
    """

    def __init__(self, *, origin_epoch_seconds: float, settle_seconds: float, model_title: str = "") -> None:
        """``origin_epoch_seconds``: the wall clock, since 1970, at the run's origin; ``model_title``: in a sweep."""
        self.late = 0
        """Requests that ended after the minute they were offered in was given back; not in its OfferedRPS."""
        self._origin = origin_epoch_seconds
        self._settle = settle_seconds
        self._model_title = model_title
        self._open: dict[tuple[int, Candidate], _Minute] = {}
        self._given_to = -1
        self._lock = threading.Lock()

    def add(self, sample: Sample) -> None:
        """Count one request."""
        with self._lock:
            self._add(sample)

    def _add(self, sample: Sample) -> None:
        ended = self._at(of(sample), sample.end_seconds)
        ended.ended["Success" if sample.status == "ok" else "Error"] += 1
        for metric in METRICS if sample.status == "ok" else ():
            if metric.of_request is not None:
                ended.add(metric.name, metric.of_request(sample))
        if self._minute(sample.intended_seconds) <= self._given_to:
            self.late += 1
        else:
            self._at(of(sample), sample.intended_seconds).offered += 1

    def add_turn(self, candidate: Candidate, end_seconds: float, values: typing.Mapping[str, float | None]) -> None:
        """Count the values of one turn of ``candidate`` by metric name; None is no value.

        Raises KeyError for one that is not per turn.
        """
        known = {metric.name for metric in METRICS if metric.per == "turn"}
        for name, value in values.items():
            if name not in known:
                raise KeyError(f"must be a metric per turn: {', '.join(sorted(known))} (got {name})")
            if value is not None:
                with self._lock:
                    self._at(candidate, end_seconds).add(name, value)

    def _minute(self, seconds: float) -> int:
        return int((self._origin + seconds) // SECONDS)

    def _at(self, candidate: Candidate, seconds: float) -> _Minute:
        minute = max(self._minute(seconds), self._given_to + 1)
        return self._open.setdefault((minute, candidate), _Minute())

    def whole(self, epoch_seconds: float) -> list[Datum]:
        """Return the data of all minutes that are whole at ``epoch_seconds``, oldest first, each minute once."""
        return self._give(math.floor((epoch_seconds - self._settle) // SECONDS) - 1)

    def rest(self) -> list[Datum]:
        """Return the data of all minutes left, at the end of a run."""
        return self._give(None)

    def _give(self, last: int | None) -> list[Datum]:
        with self._lock:
            if last is None:
                last = max((minute for minute, _ in self._open), default=self._given_to)
            self._given_to = max(self._given_to, last)
            ready = [(key, self._open.pop(key)) for key in sorted(key for key in self._open if key[0] <= last)]
        return [
            datum
            for (minute, candidate), known in ready
            for datum in _data(minute, model_dimension(candidate, self._model_title), known)
        ]


def _data(minute: int, dimension: str, known: _Minute) -> typing.Iterator[Datum]:
    counts = MinuteCounts(ended=known.ended, offered=known.offered)
    for metric in METRICS:
        if metric.of_minute is not None:
            for status, rate in metric.of_minute(counts).items():
                yield _datum(metric, minute, dimension, [rate], [1.0], status)
        elif metric.name in known.values:
            values, numbers = zip(*known.values[metric.name].means(), strict=True)
            yield _datum(metric, minute, dimension, [*values], [*map(float, numbers)])


def _datum(
    metric: Metric, minute: int, dimension: str, values: list[float], counts: list[float], status: str | None = None
) -> Datum:
    dimensions = [{"Name": "Model", "Value": dimension}]
    if status is not None:
        dimensions.append({"Name": "Status", "Value": status})
    return Datum(
        MetricName=metric.name,
        Dimensions=dimensions,
        Timestamp=minute * SECONDS,
        Unit=metric.unit,
        Values=values,
        Counts=counts,
    )
