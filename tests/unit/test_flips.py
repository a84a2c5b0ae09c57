"""Where the choice changes: by the latency limit and by the price of a core."""

import pytest

from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.verdict.analysis import analyse
from optimal_tp.verdict.curve import Step
from optimal_tp.verdict.flips import limit_ranges
from optimal_tp.verdict.rule import decide
from tests.fakes_run import SEED_EXPERIMENT, Planted, planted_run, settings


def step(degree: int, latency_ms: float, per_core: float, concurrency: int = 1) -> Step:
    """Return one point of a load curve."""
    latency = Estimate(value=latency_ms, interval=Interval(low=latency_ms - 5, high=latency_ms + 5))
    return Step(
        degree=degree,
        concurrency=concurrency,
        requests=100,
        tokens_per_second=per_core * degree,
        tokens_per_second_per_core=per_core,
        latency_p50_ms=latency,
        latency_ms=latency,
        goodput=1.0,
        within_limits=True,
        pareto=False,
    )


def test_the_seeds_choice_by_limit() -> None:
    """None below 205 ms, TP4 from there, TP2 from 255, TP1 from 290; each end with its band."""
    ranges = limit_ranges([step(1, 290, 172), step(2, 255, 98), step(4, 205, 61)])

    assert [(one.degree, one.to_ms) for one in ranges] == [(None, 205), (4, 255), (2, 290), (1, None)]
    assert ranges[3].from_ms == Estimate(value=290, interval=Interval(low=285, high=295))


def test_a_slower_and_poorer_degree_is_never_the_choice() -> None:
    """TP4 answers later than TP2 and gives less per core: no limit picks it."""
    ranges = limit_ranges([step(2, 200, 98), step(4, 220, 61)])

    assert [one.degree for one in ranges] == [None, 2]


def test_within_the_margin_the_smaller_degree_is_taken() -> None:
    """TP2 gives 1 % more per core, which does not pay for a second core a server."""
    ranges = limit_ranges([step(2, 200, 101), step(1, 250, 100)])

    assert [one.degree for one in ranges] == [None, 2, 1]


def test_a_tighter_limit_may_be_held_at_a_lower_concurrency() -> None:
    """TP1 holds 300 ms with one in flight and gives more with four: one range, from the first."""
    ranges = limit_ranges([step(1, 300, 100, 1), step(1, 800, 150, 4), step(2, 200, 80)])

    assert [(one.degree, one.concurrency) for one in ranges] == [(None, None), (2, 1), (1, 1)]


def test_nothing_measured_has_no_ranges() -> None:
    """No step, no choice."""
    assert limit_ranges([]) == ()


def test_an_invalid_degree_is_no_option() -> None:
    """A degree that does not serve appears at no limit."""
    truths = (Planted(degree=1, latency_ms=290, failing=1), *SEED_EXPERIMENT[1:])
    record, samples = planted_run(truths)
    flips = analyse(record, samples, decide(record, samples)).flips

    assert {one.degree for one in flips.ranges} == {None, 2, 4}


def test_the_price_at_which_a_degree_would_match_is_its_throughput_ratio() -> None:
    """TP2 at 0.57 of TP1's throughput per core breaks even at 0.57 of its core price."""
    record, samples = planted_run(SEED_EXPERIMENT, settings())
    flips = analyse(record, samples, decide(record, samples)).flips

    assert [(flip.degree, flip.against) for flip in flips.prices] == [(2, 1), (4, 1)]
    assert flips.prices[0].core_price_ratio.value == pytest.approx(290 / 255 / 2, rel=0.02)
