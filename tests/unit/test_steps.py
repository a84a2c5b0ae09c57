"""What each candidate did at each load: the bracket turn by turn, the blocks together."""

import pytest

from optimal_tp.verdict.evidence import examine
from optimal_tp.verdict.load_steps import LoadStep, load_steps
from tests.fakes_candidates import TP1, TP2
from tests.fakes_run import SEED_EXPERIMENT, parsed, planted_run, settings, total_limit

PAIR = SEED_EXPERIMENT[:2]


def steps(limit_ms: float | None = None, **plan: object) -> tuple[LoadStep, ...]:
    """Return the steps of a planted run of two candidates, on one and two cores."""
    section = settings(degrees=[1, 2])
    if limit_ms is not None:
        section["limits"] = total_limit(limit_ms, 75)
    record, samples = planted_run(PAIR, section, **plan)  # type: ignore[arg-type]
    return load_steps(examine(record, samples), parsed(section).limits.asked(), {TP1: 1, TP2: 2})


def test_the_bracket_is_a_step_a_turn_and_the_blocks_are_one() -> None:
    """By candidate, then by rate, the blocks last."""
    found = steps(310)

    assert [(step.candidate, step.stage) for step in found] == [
        *[(TP1, "rising")] * 2,
        (TP1, "block"),
        *[(TP2, "rising")] * 2,
        (TP2, "block"),
    ]
    assert found[0].rate_per_second_per_core is not None
    assert found[1].rate_per_second_per_core is not None
    assert found[0].rate_per_second_per_core < found[1].rate_per_second_per_core


def test_the_step_of_the_blocks_is_the_compared_point() -> None:
    """About the planted rate per core, about the asked share, the counted requests alone."""
    block = steps(310)[-1]

    assert block.rate_per_second_per_core == pytest.approx(0.98, rel=0.02)
    assert block.share_within == pytest.approx(0.75, abs=0.06)
    assert block.requests == 24 * 50
    assert block.tokens_per_second_per_core == pytest.approx(0.98 * 50, rel=0.02)
    assert block.latency_p50_ms == pytest.approx(256, abs=4)
    assert block.concurrency is None


def test_far_above_the_capacity_few_are_within() -> None:
    """The bracket shows it, and decides nothing."""
    low, high = steps(310)[:2]

    assert low.share_within is not None
    assert high.share_within is not None
    assert low.share_within > 0.95
    assert high.share_within < 0.1


def test_without_limits_a_step_is_a_number_in_flight() -> None:
    """Every one of the rising load, then that of the blocks."""
    found = [step for step in steps(rising=(1, 2)) if step.candidate == TP1]

    assert [(step.stage, step.concurrency) for step in found] == [("rising", 1), ("rising", 2), ("block", 1)]
    assert [step.rate_per_second_per_core for step in found] == [None] * 3
    assert found[-1].tokens_per_second_per_core == pytest.approx(50 / 0.29, rel=0.02)


def test_idle_requests_and_the_proof_are_no_steps() -> None:
    """One at a time is no load, and the proof comes after the choice."""
    assert {step.stage for step in steps(310)} == {"rising", "block"}
