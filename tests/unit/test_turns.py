"""Throughput of one turn, and the share of its requests within limits."""

import dataclasses
import typing

import pytest

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import (
    Turn,
    counted,
    is_given_up,
    output_tokens_per_second,
    samples_by_turn,
    share_within,
    window_seconds,
)
from optimal_tp.settings.workload import Limit, LimitedMetric
from tests.fakes_run import Planted, Recorder
from tests.fakes_samples import make_sample

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
    turn, samples = turn_of(STEADY, requests=21)
    half = [
        dataclasses.replace(sample, status="timeout", output_tokens=None) if sample.request % 2 else sample
        for sample in samples
    ]

    assert output_tokens_per_second(turn, half) == pytest.approx(100, rel=1e-4)


def loop_of(*requests: tuple[float, float], slots: int = 2) -> tuple[Turn, list[Sample]]:
    """Return a closed loop of requests of 50 tokens that were sent and had their last token when ``requests`` say.

    Tokens come evenly from the send on.
    """
    turn, samples = turn_of(STEADY, requests=len(requests), concurrency=slots)
    made = [
        dataclasses.replace(
            sample, intended_seconds=sent, sent_seconds=sent, token_seconds=(sent, end), end_seconds=end
        )
        for sample, (sent, end) in zip(samples, requests, strict=True)
    ]
    return turn, made


@pytest.mark.parametrize("slots", [1, 2, 4, 10])
def test_a_queue_before_one_place_has_the_throughput_of_the_place(slots: int) -> None:
    """Requests wait for one another, 250 ms each: neither the first nor the last ones count."""
    sent = [0.0] * slots
    requests = []
    for number in range(40):
        end = 0.25 * (number + 1)
        requests.append((sent.pop(0), end))
        sent.append(end)
    turn, samples = loop_of(*requests, slots=slots)
    served = [
        dataclasses.replace(sample, token_seconds=(sample.end_seconds - 0.25, sample.end_seconds)) for sample in samples
    ]

    assert output_tokens_per_second(turn, served) == pytest.approx(200, rel=1e-9)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_part_of_a_request_in_the_window_gives_a_part_of_its_tokens(streamed: bool) -> None:  # noqa: FBT001
    """Both slots had ended their first request at 2 s, and one was idle at 3 s: half of each second one."""
    turn, samples = loop_of((0, 1), (0, 2), (1, 3), (2, 4))
    if not streamed:
        samples = [dataclasses.replace(sample, token_seconds=()) for sample in samples]

    assert window_seconds(2, samples) == (2, 3)
    assert output_tokens_per_second(turn, samples) == pytest.approx(50, rel=1e-9)


def test_a_pause_after_a_failure_is_in_the_window() -> None:
    """A slot that waits after a refusal makes nothing meanwhile, and that is the server's doing."""
    turn, samples = loop_of((0, 1), (1, 1), (11, 12), (12, 13), slots=1)
    samples[1] = dataclasses.replace(samples[1], status="refused", output_tokens=None, token_seconds=())

    assert output_tokens_per_second(turn, samples) == pytest.approx(100 / 12, rel=1e-9)


def test_what_was_cancelled_ends_the_window() -> None:
    """A request that was given up made tokens that nobody counted, so the time from its begin on is left out."""
    turn, samples = loop_of((0, 1), (0, 1), (1, 2), (1, 3), (2, 5), (3, 5))
    samples[4:] = [
        dataclasses.replace(sample, status="cancelled", output_tokens=None, token_seconds=()) for sample in samples[4:]
    ]

    assert window_seconds(2, samples) == (1, 2)
    assert output_tokens_per_second(turn, samples) == pytest.approx(50 + 25, rel=1e-9)


@pytest.mark.parametrize("requests", [((0.0, 1.0),), ((0.0, 1.0), (0.0, 1.0)), ((0.0, 1.0), (0.0, 3.0), (1.0, 2.0))])
def test_slots_without_a_second_request_have_no_throughput(requests: tuple[tuple[float, float], ...]) -> None:
    """There is no moment at which every slot had begun its second request: no figure, not another one in its place."""
    turn, samples = loop_of(*requests)

    assert output_tokens_per_second(turn, samples) is None


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


def test_the_share_within_counts_failures_and_limit_misses_alike() -> None:
    """One failure and one slow request of ten leave 80 %."""
    _, samples = turn_of(STEADY, requests=10)
    samples[0] = dataclasses.replace(samples[0], status="timeout")
    samples[1] = dataclasses.replace(samples[1], end_seconds=samples[1].end_seconds + 1)

    assert share_within(samples, {"total_latency_ms": Limit(percentile=90, at_most_ms=251)}) == 0.8
    assert share_within([], {}) is None


LATE: dict[str, typing.Any] = {
    "status": "cancelled",
    "end_seconds": 0.43,
    "token_seconds": (0.1, 0.2),
    "output_tokens": None,
}
"""A request that was cancelled 430 ms after it was meant to be sent."""


@pytest.mark.parametrize(
    ("values", "limited", "expected"),
    [
        (LATE, {"total_latency_ms": 400}, True),
        (LATE, {"total_latency_ms": 500}, False),
        (LATE, {"ttft_ms": 90}, True),
        (LATE, {"ttft_ms": 110}, False),
        (LATE | {"token_seconds": ()}, {"ttft_ms": 110}, True),
        (LATE | {"status": "timeout"}, {"total_latency_ms": 400}, False),
        (LATE, {}, False),
    ],
    ids=["too long", "not yet", "late token", "token in time", "no token", "timed out", "no limit"],
)
def test_only_who_was_cancelled_after_missing_a_limit_was_given_up(
    values: dict[str, typing.Any],
    limited: dict[LimitedMetric, float],
    expected: bool,  # noqa: FBT001
) -> None:
    """A server that refuses or breaks off failed; one that was only too slow did not."""
    limits = {metric: Limit(percentile=90, at_most_ms=at_most) for metric, at_most in limited.items()}

    assert is_given_up(make_sample(**values), limits) == expected


def test_the_counted_requests_are_those_after_the_warm_in() -> None:
    """A number fixed before the turn; without one, every request after the warm-in."""
    turn, samples = turn_of(STEADY, requests=10)
    fixed = dataclasses.replace(turn, uncounted=3, counted=4)
    open_ended = dataclasses.replace(turn, uncounted=3)

    assert [sample.request for sample in counted(fixed, samples)] == [3, 4, 5, 6]
    assert [sample.request for sample in counted(open_ended, samples)] == [3, 4, 5, 6, 7, 8, 9]
    assert counted(turn, samples) == samples


def test_samples_find_their_turn_by_stage_degree_block_and_load() -> None:
    """Two blocks of one degree are two groups."""
    recorder = Recorder()
    recorder.blocks([STEADY], 2, requests=3)

    assert [len(group) for group in samples_by_turn(recorder.samples).values()] == [3, 3]
