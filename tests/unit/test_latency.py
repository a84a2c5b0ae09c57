"""Latencies for display: turns whose requests resemble each other, and requests that never ended."""

import dataclasses

import pytest

from optimal_tp.settings.workload import Limit
from optimal_tp.verdict.latency import Turns, is_beyond, latency_percentile, limit_finding
from tests.fakes_samples import make_sample, make_turn

LIMIT = Limit(percentile=70, at_most_ms=150)


def turns(hits: list[int], requests: int = 20) -> Turns:
    """Return a turn for each of ``hits``, of which so many requests take 100 ms and the others 200."""
    return [
        (
            make_turn(block=block, requests=requests),
            tuple(
                make_sample(block=block, request=number, end_seconds=0.1 if number < good else 0.2)
                for number in range(requests)
            ),
        )
        for block, good in enumerate(hits)
    ]


def test_a_limit_is_described_by_its_hits() -> None:
    """80 % of 400 requests hold it: in part of every turn or in most turns as a whole, the count is the same."""
    mixed, split = (
        limit_finding(turns(hits), "total_latency_ms", LIMIT, alpha=0.05) for hits in ([16] * 20, [20] * 16 + [0] * 4)
    )

    assert (mixed.hits, mixed.requests) == (split.hits, split.requests) == (320, 400)


def test_turns_that_hold_as_a_whole_widen_the_bounds() -> None:
    """85 % of the requests take 100 ms: where whole turns do, the 80th percentile may be that of the slow ones."""
    mixed, split = (
        latency_percentile(turns(hits), "total_latency_ms", 80, alpha=0.05) for hits in ([17] * 20, [20] * 17 + [0] * 3)
    )

    assert mixed is not None
    assert split is not None
    assert mixed.value == split.value == pytest.approx(100)
    assert mixed.interval.high == pytest.approx(100)
    assert split.interval.high == pytest.approx(200)


def test_a_figure_that_no_request_has_is_asked_of_none() -> None:
    """Without streaming there is no time to first token: no requests, not misses."""
    plain = [(turn, tuple(dataclasses.replace(one, token_seconds=()) for one in own)) for turn, own in turns([20])]
    found = limit_finding(plain, "ttft_ms", LIMIT, alpha=0.05)

    assert (found.hits, found.requests, found.latency_ms) == (0, 0, None)


def test_a_percentile_among_failures_is_none() -> None:
    """Nine of ten requests failed: the median never came, and p10 is the one that did."""
    failed = tuple(make_sample(request=number, status="timeout") for number in range(9))
    run = [(make_turn(), (*failed, make_sample(request=9)))]
    slowest = latency_percentile(run, "total_latency_ms", 10, alpha=0.05)

    assert latency_percentile(run, "total_latency_ms", 50, alpha=0.05) is None
    assert slowest is not None
    assert slowest.value == pytest.approx(100)


def test_a_percentile_is_beyond_its_limit_with_its_whole_range() -> None:
    """12 of 20 within may be 70 % by chance, 200 of 400 not; requests that failed count as late."""
    many, few, chance = (turns(hits) for hits in ([16] * 20, [10] * 20, [12]))
    failed = [(turn, tuple(dataclasses.replace(one, status="timeout") for one in own)) for turn, own in many]

    assert [is_beyond(own, "total_latency_ms", LIMIT, alpha=0.05) for own in (many, few, chance, failed)] == [
        False,
        True,
        False,
        True,
    ]
