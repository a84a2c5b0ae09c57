"""Samples as CloudWatch data."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimal_tp.measurement.metrics import METRICS
from optimal_tp.telemetry.minutes import MOST_VALUES, Datum, Minutes, Values
from tests.fakes_samples import make_sample, whole

MINUTE = 1_800_000_000 // 60 * 60


def minutes(settle: float = 60) -> Minutes:
    """Return minutes whose run began with a minute of the wall clock."""
    return Minutes(origin_epoch_seconds=MINUTE, settle_seconds=settle)


def named(data: list[Datum], name: str) -> list[Datum]:
    """Return the data of one metric."""
    return [datum for datum in data if datum["MetricName"] == name]


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=400))
def test_arrays_keep_count_sum_least_and_greatest(values: list[float]) -> None:
    """However many values: at most 150 stand for them, ascending, and CloudWatch's own statistics stay exact."""
    kept = Values()
    for value in values:
        kept.add(value)
    arrays, counts = kept.arrays()

    assert len(arrays) == len(counts) <= MOST_VALUES == 150
    assert sum(counts) == len(values)
    assert math.fsum(a * c for a, c in zip(arrays, counts, strict=True)) == pytest.approx(math.fsum(values), abs=1e-6)
    assert arrays == sorted(arrays)
    assert (arrays[0], arrays[-1]) == (min(values), max(values))


def test_there_are_never_more_values_than_cloudwatch_takes() -> None:
    """Also while classes fill up, with several values in the first and the last."""
    kept = Values()
    for step in range(400):
        kept.add(1.006**step)
        kept.add(1.006**step * 1.001)

        assert len(kept.arrays()[0]) <= MOST_VALUES


def test_percentiles_survive_the_classes() -> None:
    """100,000 latencies between 100 ms and 1 s: p50 and p99 are within 2 %."""
    draw = random.Random(3)
    values = sorted(draw.uniform(100, 1000) for _ in range(100_000))
    kept = Values()
    for value in values:
        kept.add(value)
    arrays, counts = kept.arrays()
    for share in (0.5, 0.99):
        seen = 0.0
        found = next(a for a, c in zip(arrays, counts, strict=True) if (seen := seen + c) >= share * len(values))

        assert found == pytest.approx(values[int(share * len(values)) - 1], rel=0.02)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_value(value: float) -> None:
    """CloudWatch refuses a request with one of them."""
    kept = Values()
    kept.add(value)

    assert kept.arrays() == ([], [])


def test_every_metric_of_the_table_is_published() -> None:
    """Names, units and dimensions come from the metric table, and nothing there is left out."""
    made = minutes()
    made.add(make_sample(degree=4))
    per_turn = {metric.name: 1.0 for metric in METRICS if metric.per == "turn"}
    made.add_turn(4, 0.5, per_turn)
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
    made.add_turn(1, 5, {"Goodput": None})

    assert made.rest() == []
    names = "Goodput, OutputTokensPerSecond, OutputTokensPerSecondPerCore, RunValid"
    with pytest.raises(KeyError, match=whole(f"'RPS is no metric per turn; these are: {names}'")):
        made.add_turn(1, 5, {"RPS": 1.0})
