"""Throughput and goodput of one turn."""

import dataclasses

import pytest

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, goodput, output_tokens_per_second, samples_by_turn
from optimal_tp.settings.workload import Limit
from tests.fakes_run import Planted, Recorder

STEADY = Planted(degree=2, latency_ms=250, noise=0, jitter=0)


def turn_of(truth: Planted, *, requests: int, concurrency: int = 1) -> tuple[Turn, list[Sample]]:
    """Return one planted block turn."""
    recorder = Recorder()
    recorder.turn(truth, "block", requests=requests, block=0, concurrency=concurrency)
    return recorder.turns[0], recorder.samples


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_closed_loop_throughput_is_exact_at_any_turn_length(concurrency: int) -> None:
    """A server of one request in 250 ms gives 200 tokens/s, whatever the concurrency, without an edge effect."""
    turn, samples = turn_of(STEADY, requests=20, concurrency=concurrency)

    assert output_tokens_per_second(turn, samples) == pytest.approx(200, rel=1e-4)


def test_failed_requests_cost_time_and_give_no_tokens() -> None:
    """Where half of the requests fail after as long, half of the throughput is left."""
    turn, samples = turn_of(STEADY, requests=20)
    half = [
        dataclasses.replace(sample, status="timeout", output_tokens=None) if sample.request % 2 else sample
        for sample in samples
    ]

    assert output_tokens_per_second(turn, half) == pytest.approx(100, rel=1e-4)


def test_open_arrivals_divide_by_the_turns_length() -> None:
    """With a planned rate the tokens are divided by the time from first send to last byte."""
    turn, samples = turn_of(STEADY, requests=20)
    turn = dataclasses.replace(turn, concurrency=None, rate_per_second=3.0, start_seconds=0.0, end_seconds=10.0)

    assert output_tokens_per_second(turn, samples) == 20 * 50 / 10


def test_a_server_that_does_not_count_has_no_throughput() -> None:
    """Tokens are never guessed: one success without a count leaves the turn without a figure."""
    turn, samples = turn_of(STEADY, requests=3)
    samples[1] = dataclasses.replace(samples[1], output_tokens=None)

    assert output_tokens_per_second(turn, samples) is None


def test_nothing_sent_is_none_and_nothing_served_is_zero() -> None:
    """No requests: no figure. Requests that all failed: truly 0 tokens a second."""
    turn, samples = turn_of(STEADY, requests=3)
    failed = [dataclasses.replace(sample, status="refused", output_tokens=None) for sample in samples]

    assert output_tokens_per_second(turn, []) is None
    assert output_tokens_per_second(turn, failed) == 0


def test_a_turn_without_length_has_no_throughput() -> None:
    """A clock that stood still divides nothing."""
    turn, samples = turn_of(STEADY, requests=1)
    still = dataclasses.replace(samples[0], end_seconds=samples[0].intended_seconds)

    assert output_tokens_per_second(turn, [still]) is None


def test_goodput_counts_failures_and_limit_misses_alike() -> None:
    """One failure and one slow request of ten leave 80 %."""
    _, samples = turn_of(STEADY, requests=10)
    samples[0] = dataclasses.replace(samples[0], status="timeout")
    samples[1] = dataclasses.replace(samples[1], end_seconds=samples[1].end_seconds + 1)

    assert goodput(samples, {"total_latency_ms": Limit(percentile=90, at_most_ms=251)}) == 0.8
    assert goodput([], {}) is None


def test_samples_find_their_turn_by_stage_degree_block_and_load() -> None:
    """Two blocks of one degree are two groups."""
    recorder = Recorder()
    recorder.blocks([STEADY], 2, requests=3)

    assert [len(group) for group in samples_by_turn(recorder.samples).values()] == [3, 3]
