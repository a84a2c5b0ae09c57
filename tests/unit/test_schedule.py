"""Schedules: exact where they are exact, distributions where they are drawn."""

import itertools
import random
import statistics
import typing

import pytest

from optimal_tp.measurement.shares import Share
from optimal_tp.plan.schedule import (
    Closed,
    Constant,
    OpenArrivals,
    Poisson,
    Replay,
    Rising,
    Rotation,
    Slice,
    Stream,
    opening,
    planned,
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


def test_recorded_times_are_sent_again() -> None:
    """A trace ends with its last request; its rate is that between its first and its last one."""
    replay = Replay(recorded=(0.0, 2.5))

    assert list(replay.times()) == [0, 2.5]
    assert replay.rate_per_second == 0.4


def test_recorded_times_are_stretched_to_a_rate() -> None:
    """Every distance grows by the same factor, so that a burst stays a burst."""
    replay = Replay(recorded=(0.0, 0.25, 0.5, 6.0), stretched_to_per_second=0.25)

    assert list(replay.times()) == [0, 0.5, 1, 12]
    assert replay.rate_per_second == 0.25


def test_a_replay_begins_anywhere_and_goes_round() -> None:
    """After the opening come the distances as recorded; from the last request to the first it is a mean one."""
    replay = Replay(recorded=(0.0, 1.0, 3.0), stretched_to_per_second=1 / 1.5, first=1, opening=1, again=True)

    assert list(itertools.islice(replay.times(), 6)) == [0, 2, 3.5, 4.5, 6.5, 8]
    assert opening(replay) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_that_goes_round_has_the_rate_that_was_asked(seed: int) -> None:
    """Over many rounds, whatever the record's own rate and bursts."""
    draw = random.Random(seed)
    recorded = tuple(itertools.accumulate((draw.expovariate(1) ** 3 for _ in range(50)), initial=0.0))
    replay = Replay(recorded=recorded, stretched_to_per_second=4, first=7, again=True)
    *_, last = itertools.islice(replay.times(), 51 * 20)

    assert 51 * 20 / last == pytest.approx(4)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Closed(concurrency=0), "concurrency must be a finite number above 0 (got 0)"),
        (
            lambda: Closed(concurrency=1, think_seconds=-1),
            "think_seconds must be a finite number of at least 0 (got -1)",
        ),
        (lambda: Rotation(servers=0), "servers must be a finite number above 0 (got 0)"),
        (lambda: Constant(rate_per_second=0), "rate_per_second must be a finite number above 0 (got 0)"),
        (lambda: Constant(rate_per_second=float("inf")), "rate_per_second must be a finite number above 0 (got inf)"),
        (lambda: Poisson(rate_per_second=-1, seed=1), "rate_per_second must be a finite number above 0 (got -1)"),
        (
            lambda: Rising(rates_per_second=(), step_seconds=1),
            "rates_per_second must have at least one rate",
        ),
        (
            lambda: Rising(rates_per_second=(1, 0), step_seconds=1),
            "rates_per_second must be a finite number above 0 (got 0)",
        ),
        (lambda: Replay(recorded=()), "the trace must have at least one request"),
        (lambda: Replay(recorded=(1.0, 0.5)), "the requests of the trace must be in order of time"),
        (
            lambda: Replay(recorded=(0.0, 0.0), stretched_to_per_second=1),
            "the requests of the trace must not all have the same time: they give no rate",
        ),
    ],
)
def test_an_impossible_schedule_is_refused(make: typing.Callable[[], object], sentence: str) -> None:
    """The sentence has the name, the value and the rule."""
    with pytest.raises(ValueError, match=whole(sentence)):
        make()
