"""The latency gate alone: turns whose requests resemble each other, and requests that never ended."""

import pytest

from optimal_tp.settings.workload import Limit
from optimal_tp.verdict.latency import Turns, latency_percentile, limit_finding
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


@pytest.mark.parametrize(
    ("hits", "word", "effect"), [([16] * 20, "holds", 1.0), ([20] * 16 + [0] * 4, "inconclusive", 21.05)]
)
def test_turns_that_hold_as_a_whole_tell_less(hits: list[int], word: str, effect: float) -> None:
    """80 % of 400 requests hold either way; where whole turns hold or miss, they tell as much as 19 would."""
    found = limit_finding(turns(hits), "total_latency_ms", LIMIT, alpha=0.05, display_alpha=0.05)

    assert (found.hits, found.requests, found.word) == (320, 400, word)
    assert found.design_effect == pytest.approx(effect, abs=0.01)


def test_a_percentile_among_failures_is_none() -> None:
    """Nine of ten requests failed: the median never came, and p10 is the one that did."""
    failed = tuple(make_sample(request=number, status="timeout") for number in range(9))
    run = [(make_turn(), (*failed, make_sample(request=9)))]
    slowest = latency_percentile(run, "total_latency_ms", 10, alpha=0.05)

    assert latency_percentile(run, "total_latency_ms", 50, alpha=0.05) is None
    assert slowest is not None
    assert slowest.value == pytest.approx(100)
