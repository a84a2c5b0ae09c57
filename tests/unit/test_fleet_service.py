"""Service times are taken out of what clients saw, and concurrencies that were not measured are put together."""

import numpy as np
import pytest

from optimal_tp.fleet.simulation.service import Served, served
from optimal_tp.fleet.simulation.times import ServiceTimes, service_times
from optimal_tp.measurement.samples import Sample
from optimal_tp.plan.lengths import Shape
from tests.fakes_samples import make_sample, make_turn


def _sample(request: int, sent: float, end: float, **values: object) -> Sample:
    return make_sample(
        request=request,
        intended_seconds=sent,
        sent_seconds=sent,
        token_seconds=(end - 0.05, end),
        end_seconds=end,
        **values,
    )


def _served(level: int, seconds: float, turn: str = "a", tokens: int = 50) -> Served:
    return Served(
        turn=turn,
        prompt_tokens=30,
        output_tokens=tokens,
        level=level,
        total_seconds=seconds,
        first_seconds=seconds / 10,
    )


def test_waiting_is_not_service() -> None:
    """Of two requests sent at once to a server with one slot, the second starts when the first ends."""
    samples = [_sample(0, 0.0, 0.3), _sample(1, 0.0, 0.6)]
    found = served([(make_turn(concurrency=2), samples)], 1)

    assert [one.total_seconds for one in found] == pytest.approx([0.3, 0.3])
    assert [one.level for one in found] == [1, 1]
    assert found[1].first_seconds == pytest.approx(0.25)


def test_two_slots_serve_side_by_side() -> None:
    """With two slots both start at once, and each had one beside it."""
    samples = [_sample(0, 0.0, 0.3), _sample(1, 0.0, 0.3)]
    found = served([(make_turn(concurrency=2), samples)], 2)

    assert [(one.total_seconds, one.level) for one in found] == [(0.3, 2), (0.3, 2)]


def test_each_replica_has_a_queue_of_its_own() -> None:
    """Requests at another server are not beside it."""
    samples = [_sample(0, 0.0, 0.3, replica=0), _sample(1, 0.0, 0.3, replica=1)]
    found = served([(make_turn(concurrency=2), samples)], 1)

    assert [one.total_seconds for one in found] == [0.3, 0.3]


def test_a_failed_request_holds_its_slot_and_gives_no_time() -> None:
    """A timeout keeps the next one waiting; it is no service time itself."""
    failed = make_sample(
        request=0, sent_seconds=0.0, end_seconds=1.0, token_seconds=(), status="timeout", output_tokens=None
    )
    found = served([(make_turn(concurrency=2), [failed, _sample(1, 0.0, 1.4)])], 1)

    assert [one.total_seconds for one in found] == pytest.approx([0.4])


def test_an_open_stream_is_taken_apart_too() -> None:
    """One that arrives into an idle server starts at once; one that arrives into a busy one waits for it."""
    samples = [_sample(0, 0.0, 0.4), _sample(1, 0.3, 0.9), _sample(2, 2.0, 2.5)]
    found = served([(make_turn(concurrency=None, rate_per_second=1.0), samples)], 1)

    assert [one.total_seconds for one in found] == pytest.approx([0.4, 0.5, 0.5])


def _times(levels: dict[int, float], slots: int) -> ServiceTimes:
    found = service_times([_served(level, seconds) for level, seconds in levels.items() for _ in range(5)], slots)
    assert found is not None
    return found


def _at(times: ServiceTimes, level: int) -> float:
    return times.plain.mean_seconds(level)


def test_measured_concurrencies_are_used_as_they_are() -> None:
    """Nothing is fitted where something was measured."""
    times = _times({1: 1.0, 2: 1.1, 4: 2.0}, 4)

    assert [_at(times, level) for level in (1, 2, 4)] == pytest.approx([1.0, 1.1, 2.0])
    assert [bool(flag) for flag in times.plain.measured] == [True, True, True, False, True]
    assert times.plain.capacity_per_second == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("levels", "level", "expected"),
    [
        ({1: 1.0, 2: 1.1, 4: 2.0}, 3, 1.55),
        ({1: 1.0, 2: 1.5}, 4, 2.5),
        ({1: 1.0, 2: 0.9}, 4, 0.9),
        ({1: 1.0}, 3, 3.0),
        ({4: 2.0}, 2, 2.0),
    ],
    ids=["between", "above, along the line", "above, never falling", "above one alone", "below"],
)
def test_unmeasured_concurrencies_lie_on_the_line(levels: dict[int, float], level: int, expected: float) -> None:
    """And they are marked."""
    times = _times(levels, 4)

    assert _at(times, level) == pytest.approx(expected)
    assert not times.plain.measured[level]


def test_a_concurrency_with_two_values_is_not_measured() -> None:
    """Two values are no distribution; three are the fewest."""
    found = service_times([_served(1, 1.0)] * 5 + [_served(2, 9.0)] * 2, 2)

    assert found is not None
    assert found.levels == (1,)
    assert service_times([_served(1, 1.0)] * 2, 1) is None


def test_lengths_are_kept_apart_and_drawn_by_their_shares() -> None:
    """Long answers are long, and as frequent as they were."""
    found = service_times([_served(1, 1.0)] * 30 + [_served(1, 4.0, tokens=200)] * 10, 1)

    assert found is not None
    assert found.shares == {(30, 50): 0.75, (30, 200): 0.25}
    assert found.plain.mean_seconds(1) == pytest.approx(1.75)
    assert found.plain.mean_output_tokens == pytest.approx(87.5)


def test_lengths_are_drawn_as_often_as_they_were_asked_for() -> None:
    """Half of the requests were long, and most of them were given up: the few that ended tell how long they take."""
    served_ones = [_served(1, 1.0)] * 30 + [_served(1, 4.0, tokens=200)] * 10
    found = service_times(served_ones, 1, [Shape(30, 50)] * 40 + [Shape(30, 200)] * 40)

    assert found is not None
    assert found.shares == {(30, 50): 0.5, (30, 200): 0.5}
    assert found.plain.mean_seconds(1) == pytest.approx(2.5)
    assert found.plain.mean_output_tokens == pytest.approx(125)


def test_many_asked_lengths_are_pooled_with_those_that_ended() -> None:
    """One that never ended has the times of its neighbours."""
    found = service_times(
        [_served(1, 1.0, tokens=tokens) for tokens in range(50, 80)],
        1,
        [Shape(30, tokens) for tokens in range(50, 90)],
    )

    assert found is not None
    assert found.shares == {(32, 64): 1.0}


def test_many_lengths_are_pooled_by_powers_of_two() -> None:
    """A trace has hundreds of lengths; each alone would be no distribution."""
    found = service_times([_served(1, 1.0, tokens=tokens) for tokens in range(50, 80)], 1)

    assert found is not None
    assert set(found.shares) == {(32, 64)}


def test_the_bootstrap_draws_whole_turns() -> None:
    """Where turns differ, samples of turns differ by far more than samples of requests would."""
    requests = [_served(1, 1.0 + turn, turn=str(turn)) for turn in range(4) for _ in range(100)]
    found = service_times(requests, 1)
    assert found is not None
    generator = np.random.default_rng(1)
    means = [found.table(generator).mean_seconds(1) for _ in range(300)]

    assert np.std(means) == pytest.approx(np.std([1, 2, 3, 4]) / np.sqrt(4), rel=0.15)
    assert found.least_capacity_per_second < 0.9 * found.plain.capacity_per_second
