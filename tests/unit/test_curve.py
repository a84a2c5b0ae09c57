"""The load curve and the operating point, on planted queues."""

import pytest

from optimal_tp.settings.workload import Limit
from optimal_tp.verdict.curve import Limits, LoadCurve, load_curves, operating_point
from tests.fakes_run import Planted, Recorder

ONE_AT_A_TIME = Planted(degree=1, latency_ms=200, noise=0, jitter=0)
SHARING = Planted(degree=2, latency_ms=200, noise=0, jitter=0, queueing=0.25)
"""Takes requests together: each one more costs a quarter of the first."""


def risen(truth: Planted, steps: tuple[int, ...] = (1, 2, 4, 8)) -> Recorder:
    """Return what a rising load over ``steps`` recorded."""
    recorder = Recorder()
    for concurrency in steps:
        recorder.turn(truth, "rising", requests=10 * concurrency, concurrency=concurrency)
    return recorder


def limited(at_most_ms: float) -> Limits:
    """Return a limit on the 90th percentile of total latency."""
    return {"total_latency_ms": Limit(percentile=90, at_most_ms=at_most_ms)}


def curve_of(truth: Planted, limits: Limits) -> LoadCurve:
    """Return the curve of one degree."""
    recorder = risen(truth)
    (curve,) = load_curves(recorder.turns, recorder.samples, limits, {truth.degree: truth.degree})
    return curve


@pytest.mark.parametrize(
    ("at_most_ms", "expected"),
    [(10_000, 8), (360, 4), (260, 2), (210, 1), (100, 1)],
    ids=["no pressure", "four fit", "two fit", "one fits", "none fits"],
)
def test_the_operating_point_is_the_highest_throughput_within_the_limit(at_most_ms: float, expected: int) -> None:
    """More in flight gives more, until the limit stops it; the lowest step where nothing holds."""
    recorder = risen(SHARING)

    assert operating_point(recorder.turns, recorder.samples, limited(at_most_ms)) == {2: expected}


def test_a_plateau_is_entered_no_further_than_it_pays() -> None:
    """A server that takes one request at a time gains nothing from a queue: concurrency 1."""
    recorder = risen(ONE_AT_A_TIME)

    assert operating_point(recorder.turns, recorder.samples, {}) == {1: 1}


def test_a_step_without_successes_is_no_operating_point() -> None:
    """All requests of the higher step fail; without limits it would otherwise count as holding them."""
    recorder = risen(SHARING, (1,))
    failing = Planted(degree=2, latency_ms=1, noise=0, jitter=0, failing=1)
    recorder.turn(failing, "rising", requests=10, concurrency=2)

    assert operating_point(recorder.turns, recorder.samples, {}) == {2: 1}


def test_degrees_without_rising_turns_are_absent() -> None:
    """Nothing measured, nothing chosen."""
    assert operating_point([], [], {}) == {}


def test_the_curve_has_throughput_and_latency_of_every_step() -> None:
    """At 4 in flight each request takes 200 * 1.75 ms, so 4 * 50 tokens come every 350 ms, from 2 cores."""
    step = curve_of(SHARING, {}).steps[2]

    assert step.tokens_per_second == pytest.approx(4 * 50 / 0.350, rel=1e-4)
    assert step.tokens_per_second_per_core == pytest.approx(2 * 50 / 0.350, rel=1e-4)
    assert step.latency_p50_ms is not None
    assert step.latency_p50_ms.value == pytest.approx(350, rel=1e-4)


def test_saturation_knee_and_capacity_differ() -> None:
    """Throughput still rises at 8; power peaks where waiting begins to cost more; the limit allows 2."""
    curve = curve_of(SHARING, limited(260))

    assert curve.saturation.concurrency == 8
    assert curve.knee is not None
    assert curve.knee.concurrency == 4
    assert curve.at_limit is not None
    assert curve.at_limit.concurrency == 2


def test_no_capacity_where_no_step_holds() -> None:
    """None, not 0."""
    assert curve_of(SHARING, limited(100)).at_limit is None


def test_the_pareto_set_leaves_out_steps_that_only_wait() -> None:
    """Of a queue's plateau only the first step is worth having; of a shared server every step is."""
    assert [step.pareto for step in curve_of(ONE_AT_A_TIME, {}).steps] == [True, False, False, False]
    assert [step.pareto for step in curve_of(SHARING, {}).steps] == [True, True, True, True]


def test_pareto_looks_across_degrees() -> None:
    """A degree that is slower and gives less per core has no step in the set."""
    recorder = risen(ONE_AT_A_TIME, (1, 2))
    worse = Planted(degree=2, latency_ms=300, noise=0, jitter=0)
    for concurrency in (1, 2):
        recorder.turn(worse, "rising", requests=10, concurrency=concurrency)
    curves = load_curves(recorder.turns, recorder.samples, {}, {1: 1, 2: 2})

    assert [any(step.pareto for step in curve.steps) for curve in curves] == [True, False]


def test_block_turns_add_to_their_step() -> None:
    """Blocks at concurrency 1 are more requests of that step."""
    recorder = risen(ONE_AT_A_TIME, (1, 2))
    recorder.blocks([ONE_AT_A_TIME], 3, requests=10)
    (curve,) = load_curves(recorder.turns, recorder.samples, {}, {1: 1})

    assert [step.requests for step in curve.steps] == [40, 20]
