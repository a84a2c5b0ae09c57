"""A goal of the bench is met, missed, or silent where nothing was measured."""

import pytest

from bench.goals import GOALS, Goal, judged, observed

RATE = GOALS[0]


def test_a_ratio_is_to_the_best_of_the_peers() -> None:
    """Tools that are shown but are no peers do not count, nor do those without a figure."""
    row = {"ours": 30.0, "locust": 5.0, "aiohttp loop": 10.0, "aiohttp tuned": 20.0, "other": None}

    assert observed(RATE, {RATE.row: row}, {"locust", "aiohttp loop", "other"}) == 3.0


@pytest.mark.parametrize("row", [{}, {"ours": None}, {"ours": 30.0}, {"ours": 30.0, "locust": None}])
def test_what_was_not_measured_is_not_judged(row: dict[str, float | None]) -> None:
    """Neither without ours nor without a peer is there a ratio, and no line claims one."""
    assert observed(RATE, {RATE.row: row}, {"locust"}) is None
    assert list(judged({RATE.row: row}, {"locust"})) == []


@pytest.mark.parametrize(
    ("value", "word"), [(98.9, "**not met**"), (99.0, "met"), (100.0, "met")], ids=["below", "at", "above"]
)
def test_a_bound_is_met_by_its_own_value(value: float, word: str) -> None:
    """At least 99 is met by 99."""
    (goal,) = (goal for goal in GOALS if goal.bound == 99)

    assert list(judged({goal.row: {"ours": value}}, set())) == [f"| {goal.words} | {word} | {value:.3g} |"]


@pytest.mark.parametrize(("value", "word"), [(1.01, "**not met**"), (1.0, "met"), (0.0, "met")])
def test_where_less_is_better_the_bound_is_from_above(value: float, word: str) -> None:
    """At most 1 ms is met by 1 ms."""
    goal = Goal(words="late", row="64 streams: error of TTFT p99, ms", bound=1)
    (line,) = judged({goal.row: {"ours": value}}, set())

    assert f"| {word} |" in line
