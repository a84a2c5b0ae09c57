"""Schedules: exact where they are exact, distributions where they are drawn."""

import itertools
import statistics
import typing

import pytest

from optimal_tp.measurement.shares import Share
from optimal_tp.plan.schedule import (
    Closed,
    Constant,
    OpenArrivals,
    Poisson,
    Recorded,
    Replay,
    Rising,
    Rotation,
    Slice,
    Stream,
    opening,
    planned,
    read_trace,
)
from tests.fakes_samples import whole


def first(arrivals: OpenArrivals, count: int) -> list[float]:
    """Return the first intended sends."""
    return list(itertools.islice(arrivals.times(), count))


def test_constant_arrivals_are_multiples_of_the_gap() -> None:
    """Times are absolute: request n is at n / rate, without summing up errors."""
    times = first(Constant(rate_per_second=3), 300_001)

    assert [times[0], times[3], times[300_000]] == [0, 1, 100_000]


def test_poisson_arrivals_repeat_with_their_seed() -> None:
    """The same seed gives the same times, another one others; seed 0 is a seed."""
    times = first(Poisson(rate_per_second=5, seed=0), 50)

    assert times == first(Poisson(rate_per_second=5, seed=0), 50)
    assert times != first(Poisson(rate_per_second=5, seed=1), 50)


def test_poisson_gaps_are_exponential() -> None:
    """Gaps have mean and standard deviation 1 / rate, and e^-1 of them exceed the mean."""
    times = first(Poisson(rate_per_second=4, seed=7), 20_000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]

    assert statistics.mean(gaps) == pytest.approx(0.25, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.25, rel=0.03)
    assert sum(gap > 0.25 for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.01)


def test_a_stream_opens_with_requests_at_once_and_goes_on_as_poisson() -> None:
    """The opening is at 0, and what follows are the arrivals of the same rate and seed without one."""
    stream = Stream(rate_per_second=5, seed=3, opening=4)

    assert first(stream, 4) == [0, 0, 0, 0]
    assert first(stream, 54)[4:] == first(Poisson(rate_per_second=5, seed=3), 50)
    assert first(Stream(rate_per_second=5, seed=3, opening=0), 50) == first(Poisson(rate_per_second=5, seed=3), 50)


def test_a_share_of_a_stream_knows_the_opening_of_the_whole() -> None:
    """Openings are known by their numbers in the whole, so a share of a stream says how many those are."""
    stream = Stream(rate_per_second=5, seed=3, opening=4)

    assert [opening(stream), opening(Slice(arrivals=stream, share=Share(index=1, count=3)))] == [4, 4]
    assert [opening(Poisson(rate_per_second=5, seed=3)), opening(Closed(concurrency=2))] == [0, 0]


def test_rising_arrivals_change_rate_at_each_step() -> None:
    """Each step starts on its own boundary and ends before the next; the schedule then ends."""
    rising = Rising(rates_per_second=(2, 4), step_seconds=1)

    assert list(rising.times()) == [0, 0.5, 1, 1.25, 1.5, 1.75]
    assert rising.rate_per_second == 3


def test_a_stretch_bounds_an_endless_schedule() -> None:
    """A send at the end of the stretch is outside it; the number of requests bounds it as well."""
    constant = Constant(rate_per_second=10)

    assert list(planned(constant, seconds=0.3, requests=None)) == [0, 0.1, 0.2]
    assert list(planned(constant, seconds=None, requests=2)) == [0, 0.1]
    assert list(planned(constant, seconds=0.3, requests=0)) == []


def test_a_closed_loop_thinks_after_every_request() -> None:
    """Think time follows each request alike."""
    closed = Closed(concurrency=2, think_seconds=0.5)

    assert [closed.pause_seconds(request) for request in range(3)] == [0.5, 0.5, 0.5]


def test_the_seeds_pattern_sleeps_after_each_round() -> None:
    """One request at a time, three servers in turn, then the sleep."""
    seed = Rotation(servers=3)

    assert seed.concurrency == 1
    assert [seed.pause_seconds(request) for request in range(6)] == [0, 0, 10, 0, 0, 10]


def test_a_trace_is_replayed_at_its_own_times() -> None:
    """Times, prompt lengths and output lengths come from the trace; blank lines do not matter."""
    lines = [
        '{"seconds": 0, "prompt_tokens": 3, "output_tokens": 4}',
        "",
        '{"seconds": 2.5, "prompt_tokens": 5, "output_tokens": 6}',
    ]
    replay = read_trace(lines)

    assert replay.requests[1] == Recorded(seconds=2.5, prompt_tokens=5, output_tokens=6)
    assert list(replay.times()) == [0, 2.5]
    assert replay.rate_per_second == 0.8


RULE = "a line is one JSON object with exactly seconds (0 or more), prompt_tokens and output_tokens (1 or more)"


@pytest.mark.parametrize(
    "line",
    [
        '{"seconds": 0, "prompt_tokens": 3}',
        '{"seconds": -1, "prompt_tokens": 3, "output_tokens": 4}',
        '{"seconds": NaN, "prompt_tokens": 3, "output_tokens": 4}',
        '{"seconds": true, "prompt_tokens": 3, "output_tokens": 4}',
        '{"seconds": 0, "prompt_tokens": 0, "output_tokens": 4}',
        '{"seconds": 0, "prompt_tokens": 3, "output_tokens": 4.5}',
        '{"seconds": 0, "prompt_tokens": 3',
        "[0, 3, 4]",
    ],
)
def test_a_bad_line_of_a_trace_is_named(line: str) -> None:
    """The sentence has the line's number, its text and the rule."""
    good = '{"seconds": 0, "prompt_tokens": 3, "output_tokens": 4}'
    with pytest.raises(ValueError, match=whole(f"trace line 2 is {line!r}; {RULE}")):
        read_trace([good, line])


def test_a_trace_in_disorder_is_refused() -> None:
    """Times only rise; the sentence names the first that does not."""
    lines = [
        '{"seconds": 2, "prompt_tokens": 3, "output_tokens": 4}',
        '{"seconds": 1, "prompt_tokens": 3, "output_tokens": 4}',
    ]
    with pytest.raises(
        ValueError, match=whole("trace request 2 is at 1.0 s, after 2.0 s; times are in ascending order")
    ):
        read_trace(lines)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Closed(concurrency=0), "concurrency is 0; it is a finite number above 0"),
        (lambda: Closed(concurrency=1, think_seconds=-1), "think_seconds is -1; it is a finite number of at least 0"),
        (lambda: Rotation(servers=0), "servers is 0; it is a finite number above 0"),
        (lambda: Constant(rate_per_second=0), "rate_per_second is 0; it is a finite number above 0"),
        (lambda: Constant(rate_per_second=float("inf")), "rate_per_second is inf; it is a finite number above 0"),
        (lambda: Poisson(rate_per_second=-1, seed=1), "rate_per_second is -1; it is a finite number above 0"),
        (
            lambda: Rising(rates_per_second=(), step_seconds=1),
            "rates_per_second is empty; a rising schedule has at least one rate",
        ),
        (
            lambda: Rising(rates_per_second=(1, 0), step_seconds=1),
            "rates_per_second is 0; it is a finite number above 0",
        ),
        (lambda: Replay(requests=()), "the trace is empty; it has at least one request"),
    ],
)
def test_an_impossible_schedule_is_refused(make: typing.Callable[[], object], sentence: str) -> None:
    """The sentence has the name, the value and the rule."""
    with pytest.raises(ValueError, match=whole(sentence)):
        make()
