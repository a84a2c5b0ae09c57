"""Samples as CloudWatch data."""

import math

import pytest

from optimal_tp.measurement.metrics import METRICS
from optimal_tp.telemetry.minutes import MOST_VALUES, Datum, Minutes
from tests.fakes_candidates import TP1, TP4
from tests.fakes_samples import make_sample, whole

MINUTE = 1_800_000_000 // 60 * 60


def minutes(settle: float = 60) -> Minutes:
    """Return minutes whose run began with a minute of the wall clock."""
    return Minutes(origin_epoch_seconds=MINUTE, settle_seconds=settle)


def named(data: list[Datum], name: str) -> list[Datum]:
    """Return the data of one metric."""
    return [datum for datum in data if datum["MetricName"] == name]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_value(value: float) -> None:
    """CloudWatch refuses a request with one of them."""
    made = minutes()
    made.add_turn(TP1, 5, {"WithinLimits": value})

    assert named(made.rest(), "WithinLimits") == []


def test_many_values_are_at_most_as_many_as_cloudwatch_takes() -> None:
    """Their counts go with them."""
    made = minutes()
    for number in range(400):
        made.add(make_sample(intended_seconds=0.0, end_seconds=1.01**number))
    (datum,) = named(made.rest()[:1], "TotalLatency_ms")

    assert len(datum["Values"]) == len(datum["Counts"]) <= MOST_VALUES == 150
    assert sum(datum["Counts"]) == 400


def test_every_metric_of_the_table_is_published() -> None:
    """Names, units and dimensions come from the metric table, and nothing there is left out."""
    made = minutes()
    made.add(make_sample(degree=4))
    per_turn = {metric.name: 1.0 for metric in METRICS if metric.per == "turn"}
    made.add_turn(TP4, 0.5, per_turn)
    data = made.rest()

    assert {datum["MetricName"] for datum in data} == {metric.name for metric in METRICS}
    for metric in METRICS:
        for datum in named(data, metric.name):
            assert datum["Unit"] == metric.unit
            assert tuple(dimension["Name"] for dimension in datum["Dimensions"]) == metric.dimensions
            assert datum["Dimensions"][0]["Value"] == "TP4"


def test_rates_are_per_second_and_by_status() -> None:
    """30 good and 6 failed requests in a minute are 0.5 and 0.1 a second; failures have no latency."""
    made = minutes()
    for number in range(36):
        made.add(make_sample(intended_seconds=number, status="ok" if number < 30 else "timeout"))
    data = made.rest()
    rates = {datum["Dimensions"][1]["Value"]: datum["Values"] for datum in named(data, "RPS")}

    assert rates == {"Success": [0.5], "Error": [0.1]}
    assert named(data, "OfferedRPS")[0]["Values"] == [0.6]
    assert sum(named(data, "TotalLatency_ms")[0]["Counts"]) == 30


def test_a_silent_degree_has_no_data() -> None:
    """No request in a minute is no datum, never a rate of 0."""
    made = minutes()
    made.add(make_sample(degree=1))

    assert {datum["Dimensions"][0]["Value"] for datum in made.rest()} == {"TP1"}


def test_a_request_counts_where_it_ended_and_was_offered_where_it_was_intended() -> None:
    """One that crosses the minute is in both."""
    made = minutes()
    made.add(make_sample(intended_seconds=59.0, end_seconds=61.0))
    data = made.rest()

    assert [datum["Timestamp"] - MINUTE for datum in named(data, "OfferedRPS")] == [0]
    assert [datum["Timestamp"] - MINUTE for datum in named(data, "RPS")] == [60, 60]


def test_a_minute_is_given_once_and_only_when_it_has_settled() -> None:
    """It waits for requests that may still end, then it is whole."""
    made = minutes(settle=30)
    made.add(make_sample(intended_seconds=10))

    assert made.whole(MINUTE + 89.9) == []
    assert named(made.whole(MINUTE + 90), "RPS") != []
    assert made.whole(MINUTE + 300) == []


def test_a_request_that_ends_too_late_is_counted_as_such() -> None:
    """Its minute is gone: it is not in OfferedRPS, and that is known."""
    made = minutes(settle=0)
    made.whole(MINUTE + 120)
    made.add(make_sample(intended_seconds=10, end_seconds=130))
    data = made.rest()

    assert made.late == 1
    assert named(data, "OfferedRPS") == []
    assert named(data, "RPS")[0]["Timestamp"] - MINUTE == 120


def test_a_turns_missing_value_is_no_value() -> None:
    """None is not known; a metric that is not per turn is refused."""
    made = minutes()
    made.add_turn(TP1, 5, {"WithinLimits": None})

    assert made.rest() == []
    names = "Goodput, OutputTokensPerSecond, OutputTokensPerSecondPerCore, RunValid, WithinLimits"
    with pytest.raises(KeyError, match=whole(f"'must be a metric per turn: {names} (got RPS)'")):
        made.add_turn(TP1, 5, {"RPS": 1.0})
