"""What a turn says in the race's terms, and which turns say nothing."""

import dataclasses
import math
import typing

import pytest

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.settings.workload import Limit
from optimal_tp.verdict.readings import Limits, is_shown_to_miss, limits_by_share, reading, throughput
from tests.fakes_candidates import TP1
from tests.fakes_samples import make_sample, make_turn

LIMITS: Limits = {"total_latency_ms": Limit(percentile=90, at_most_ms=150)}


def opened(late: typing.Collection[int] = (), **changes: typing.Any) -> tuple[Turn, list[Sample]]:
    """Return an open turn of two uncounted and eight counted requests; those of ``late`` take 200 ms, others 100."""
    values = {"concurrency": None, "rate_per_second": 4.0, "requests": 10, "uncounted": 2, "counted": 8, **changes}
    samples = [
        make_sample(concurrency=None, rate_per_second=4.0, request=number, end_seconds=0.2 if number in late else 0.1)
        for number in range(10)
    ]
    return make_turn(**values), samples


def test_an_open_turn_says_how_many_held_at_its_rate_per_core() -> None:
    """Two of eight were late; the uncounted ones, late as well, do not count."""
    found = reading(*opened(late=(0, 1, 4, 9)), LIMITS, 2)

    assert found is not None
    assert (found.candidate, found.block, found.hits, found.counted) == (TP1, 0, 6, 8)
    assert found.log_rate == pytest.approx(math.log(2.0))
    assert found.share == 0.75


def test_a_failure_misses() -> None:
    """However fast it failed."""
    turn, samples = opened()
    samples[5] = dataclasses.replace(samples[5], status="refused")
    found = reading(turn, samples, LIMITS, 1)

    assert found is not None
    assert found.hits == 7


def test_a_request_must_hold_every_limit() -> None:
    """100 ms in all, 50 of them to the first token: that misses a first token within 40."""
    both: Limits = {**LIMITS, "ttft_ms": Limit(percentile=90, at_most_ms=40)}
    found = reading(*opened(), both, 1)

    assert found is not None
    assert found.hits == 0


@pytest.mark.parametrize(
    ("turn", "samples"),
    [
        (make_turn(), [make_sample()]),
        (opened()[0], opened()[1][:9]),
        (opened(uncounted=10, counted=None)[0], opened()[1]),
    ],
    ids=["closed loop", "cut short", "nothing counted"],
)
def test_what_is_no_whole_open_turn_says_nothing(turn: Turn, samples: list[Sample]) -> None:
    """None, not a share of 0."""
    assert reading(turn, samples, LIMITS, 1) is None


def test_each_percentile_is_asked_of_its_own_limits() -> None:
    """75 % for the whole and 99 % for the first token: two shares of the same requests, the highest first."""
    limits: Limits = {**LIMITS, "ttft_ms": Limit(percentile=99, at_most_ms=1e-9)}
    assert list(limits_by_share(limits)) == [0.99, LIMITS["total_latency_ms"].percentile / 100]

    turn, samples = opened()
    alone, found = reading(turn, samples, LIMITS, 1), reading(turn, samples, limits, 1)
    assert alone is not None
    assert found is not None
    assert (found.asked, found.hits) == (0.99, 0)
    assert found.others == (alone,)


def test_a_miss_is_shown_by_any_percentile() -> None:
    """All hold the tail's limit and a fifth that of the median: beyond doubt after 40 turns, not after two."""
    turns = [{0.99: 1.0, 0.5: 0.2}] * 40

    assert is_shown_to_miss(turns, alpha=0.05)
    assert not is_shown_to_miss(turns[:2], alpha=0.05)
    assert not is_shown_to_miss([], alpha=0.05)


def closed(requests: int = 12) -> tuple[Turn, list[Sample]]:
    """Return a closed loop of one slot, 20 tokens/s."""
    samples = [make_sample(request=number, intended_seconds=number / 10) for number in range(requests)]
    return make_turn(requests=requests, end_seconds=requests / 10), samples


def test_a_closed_turn_says_its_throughput_per_core() -> None:
    """Two tokens in each tenth of a second, on four cores."""
    found = throughput(*closed(), 4)

    assert found is not None
    assert math.exp(found.log_rate) == pytest.approx(20 / 4)


def test_a_turn_without_throughput_says_nothing() -> None:
    """Open arrivals, a count that is missing, and nothing served."""
    turn, samples = closed()
    uncounted = [dataclasses.replace(sample, output_tokens=None) for sample in samples]
    failed = [dataclasses.replace(sample, status="timeout", output_tokens=None) for sample in samples]

    assert throughput(*opened(), 1) is None
    assert throughput(turn, uncounted, 1) is None
    assert throughput(turn, failed, 1) is None
