"""A load's summary: percentiles in bounded memory, None where nothing is known."""

import random

import pytest

from optimal_tp.loadgen.command.summary import Distribution, Summary, as_text
from tests.fakes_samples import make_sample


def test_percentiles_are_off_by_less_than_their_class() -> None:
    """Over six orders of magnitude p50, p90 and p99 are at most 0.1 % too high; the maximum is exact."""
    draw = random.Random(1)
    drawn = [10 ** draw.uniform(-2, 4) for _ in range(20_000)]
    values = sorted(drawn)
    made = Distribution(unit_microseconds=1000)
    for start in range(0, len(drawn), 100):
        made.pending.extend(drawn[start : start + 100])
        made.settle()

    for percent in (50, 90, 99, 100):
        exact = values[max(round(percent / 100 * len(values)), 1) - 1]
        assert exact <= (made.percentile(percent) or 0) * (1 + 1e-9)
        assert made.percentile(percent) == pytest.approx(exact, rel=0.001)
    assert made.record()["max"] == round(values[-1], 3)
    assert made.record()["mean"] == pytest.approx(sum(values) / len(values), rel=1e-4)


def test_nothing_measured_is_none() -> None:
    """No data is None, never 0."""
    made = Distribution(unit_microseconds=1000)

    assert made.record() == {
        "count": 0,
        "mean": None,
        "p50": None,
        "p90": None,
        "p99": None,
        "max": None,
    }


def test_one_value_is_every_percentile() -> None:
    """Zero, between tokens of one read, is a value."""
    made = Distribution(unit_microseconds=1000)
    made.pending.append(0.0)

    assert made.record() == {"count": 1, "mean": 0, "p50": 0, "p90": 0, "p99": 0, "max": 0}


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    """Values from a microsecond to an hour: 25,000 are kept as they are, then classes of 0.1 % take their place."""
    made = Distribution(unit_microseconds=1000)
    value = 0.001
    while value < 3.6e6:
        made.pending.append(value)
        made.settle()
        value *= 1.0003

    assert len(made._counted) <= 25_000
    assert (made.record()["count"] or 0) > 70_000
    assert made.percentile(50) == pytest.approx((0.001 * value) ** 0.5, rel=0.0015)


def test_latencies_are_those_of_requests_that_succeeded() -> None:
    """Failures are counted by status; tokens are what the server counted; delays are of all that were sent."""
    made = Summary()
    made.add(make_sample())
    made.add(
        make_sample(
            intended_seconds=1.0,
            sent_seconds=1.5,
            end_seconds=9.0,
            status="timeout",
            detail="too late",
            output_tokens=None,
            prompt_tokens=None,
        )
    )
    record = made.record(intended=2, sent=2, planned_rate=2.0, seconds=10)

    assert record["requests"] == {"intended": 2, "sent": 2, "ok": 1, "failed": 1, "timeout": 1}
    assert record["rate_per_second"] == {"planned": 2.0, "sent": 0.2, "ok": 0.1}
    assert record["tokens"] == {"prompt": 30, "output": 2, "output_per_second": 0.2}
    assert made.first_failure == "too late"
    assert isinstance(record["total_latency_ms"], dict)
    assert record["total_latency_ms"]["max"] == 100
    assert isinstance(record["schedule_delay_ms"], dict)
    assert record["schedule_delay_ms"]["max"] == 500


def test_time_between_tokens_is_every_gap() -> None:
    """Three tokens have two gaps; their mean is the time per output token."""
    made = Summary()
    made.add(make_sample(token_seconds=(0.05, 0.06, 0.09), output_tokens=3))
    record = made.record(intended=1, sent=1, planned_rate=None, seconds=0.1)

    assert isinstance(record["inter_token_ms"], dict)
    assert record["inter_token_ms"]["count"] == 2
    assert record["inter_token_ms"]["max"] == pytest.approx(30)
    assert isinstance(record["tpot_ms"], dict)
    assert record["tpot_ms"]["max"] == pytest.approx(20)


def test_tokens_of_one_read_have_no_time_between_them() -> None:
    """Their gaps of 0 count like any other, alone and beside longer ones."""
    made = Summary()
    made.add(make_sample(token_seconds=(0.05,) * 5, output_tokens=5))
    alone = made.record(intended=1, sent=1, planned_rate=None, seconds=0.1)["inter_token_ms"]
    made.add(make_sample(token_seconds=(0.05, 0.05, 0.09), output_tokens=3))
    both = made.record(intended=2, sent=2, planned_rate=None, seconds=0.1)["inter_token_ms"]

    assert alone == {"count": 4, "mean": 0.0, "p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}
    assert isinstance(both, dict)
    assert (both["count"], both["p50"], both["mean"]) == (6, 0.0, pytest.approx(40 / 6, rel=1e-3))
    assert both["max"] == pytest.approx(40)


def test_first_tokens_that_came_with_the_next_are_told() -> None:
    """One stream in four has two tokens in its first read; whole answers, single tokens and failures are no such."""
    made = Summary()

    assert made.first_token_merged_share is None
    for tokens in ((0.05, 0.05, 0.09), (0.05, 0.09, 0.09), (0.05,), (0.05, 0.06), ()):
        made.add(make_sample(token_seconds=tokens))
    made.add(make_sample(token_seconds=(0.05, 0.05), status="timeout"))
    assert made.first_token_merged_share == 0.25


def test_a_load_of_no_length_has_no_rate() -> None:
    """Nothing is divided by nothing."""
    record = Summary().record(intended=0, sent=0, planned_rate=None, seconds=0)

    assert record["rate_per_second"] == {"planned": None, "sent": None, "ok": None}
    assert record["tokens"] == {"prompt": None, "output": None, "output_per_second": None}


def test_the_terminal_sees_what_is_known() -> None:
    """A dash stands for what is not."""
    made = Summary()
    made.add(make_sample(token_seconds=(), output_tokens=None))
    made.add(make_sample(status="refused", sent_seconds=None))
    text = as_text(made.record(intended=2, sent=1, planned_rate=None, seconds=2))

    assert text.splitlines() == [
        "requests   1 ok, 1 failed (1 refused) in 2.00 s",
        "rate       0.500 ok/s, 0.500 sent/s, planned -/s",
        "tokens     2 output, 1.000 output/s",
        "ms                             p50         p90         p99         max",
        "total latency              100.000     100.000     100.000     100.000",
        "latency from send          100.000     100.000     100.000     100.000",
        "schedule delay               0.000       0.000       0.000       0.000",
        "time to first token              -           -           -           -",
        "time per output token            -           -           -           -",
        "inter-token latency              -           -           -           -",
    ]
