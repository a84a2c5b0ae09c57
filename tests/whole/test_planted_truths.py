"""The race, its bets and the race without limits against planted truths: a small part of `python -m bench.race`."""

import pytest

from bench.race import gates, saturated
from bench.race.__main__ import Experiment, courses_of
from bench.race.truths import truths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXPERIMENTS = 60
FIRST_SEED = 40_000_000
"""Of no table."""
PROMISED = 0.05
"""Share of experiments that may err, in either way."""
ROWS = (
    ("quiet, p90, two candidates", 1.0),
    ("quiet, p90, two candidates", 1.1),
    ("prefill first, memory in blocks, p90 of total latency", 1.3),
    ("one slot, 290/255/205 ms, p99 at most 400 ms", None),
    ("1 of 10 turns 3x slower, p75", 1.1),
    ("quick, p75, quiet", 1.0),
    ("quick, p75, quiet", 1.3),
)


@pytest.mark.parametrize(("name", "ratio"), ROWS, ids=[f"{name}, {ratio}" for name, ratio in ROWS])
def test_a_planted_truth_is_found(name: str, ratio: float | None) -> None:
    """Nothing is called better that is not, no choice is too low, and nearly all experiments reach one."""
    (truth,) = (one for one in truths() if (one.name, one.ratio) == (name, ratio))
    courses = courses_of(truth)
    found = [Experiment(truth, courses, FIRST_SEED + number).run() for number in range(EXPERIMENTS)]

    assert sum(one.false_better for one in found) <= PROMISED * EXPERIMENTS
    assert sum(one.too_low for one in found) <= PROMISED * EXPERIMENTS
    assert sum(one.safe is not None for one in found) >= 0.9 * EXPERIMENTS


@pytest.mark.parametrize("truth", saturated.ROWS, ids=[f"{row.name}, {row.ratio:g}" for row in saturated.ROWS])
def test_a_planted_throughput_is_found(truth: saturated.Saturated) -> None:
    """However turns resemble each other, drift or stall."""
    found = [saturated.outcome(truth, FIRST_SEED + number) for number in range(EXPERIMENTS)]

    assert sum(false_better for false_better, *_ in found) <= PROMISED * EXPERIMENTS
    assert sum(too_low for _, too_low, *_ in found) <= PROMISED * EXPERIMENTS


@pytest.mark.parametrize("truth", gates.ROWS, ids=[row.name for row in gates.ROWS])
def test_what_misses_is_hardly_ever_proven_to_hold(truth: gates.Gate) -> None:
    """Whatever happens within a turn; the planted share is what it says."""
    shares = [share for number in range(200) for share in truth.shares(FIRST_SEED + number)]
    wrong = sum(gates.outcome(truth, FIRST_SEED + number)[0] for number in range(400))

    assert sum(shares) / len(shares) == pytest.approx(truth.mean * (1 - truth.slow_share), abs=0.01)
    assert sum(shares) / len(shares) < truth.asked
    assert wrong <= PROMISED / 2 * 400
