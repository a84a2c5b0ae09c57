"""The fit of latency over the degree."""

import pytest

from optimal_tp.verdict.analysis import split_latency


def test_a_planted_split_is_found() -> None:
    """120 ms divide by the degree and 60 ms do not: found exactly, and the next degree follows."""
    split = split_latency({1: 180.0, 2: 120.0, 4: 90.0})

    assert split is not None
    assert split.divided_ms == pytest.approx(120)
    assert split.kept_ms == pytest.approx(60)
    assert split.worst_residual_share == pytest.approx(0, abs=1e-9)
    assert split.next_degree == 8
    assert split.next_ms == pytest.approx(75)
    assert split.per_doubling_ms is None


def test_four_degrees_show_what_each_doubling_adds() -> None:
    """100 ms divide, 50 ms stay, and each doubling adds 8 ms of exchange."""
    split = split_latency({1: 150.0, 2: 108.0, 4: 91.0, 8: 86.5})

    assert split is not None
    assert split.per_doubling_ms == pytest.approx(8)
    assert split.next_ms == pytest.approx(100 / 16 + 50 + 4 * 8)


def test_two_degrees_fit_exactly_and_say_so() -> None:
    """As many terms as degrees: nothing tests the fit."""
    split = split_latency({1: 290.0, 2: 255.0})

    assert split is not None
    assert split.exact


def test_the_seeds_figure_leaves_residuals() -> None:
    """290, 255, 205 ms do not follow the law: the worst point is missed by 5 %."""
    split = split_latency({1: 290.0, 2: 255.0, 4: 205.0})

    assert split is not None
    assert split.worst_residual_share == pytest.approx(0.0546, abs=0.001)
    assert sum(split.residual_ms.values()) == pytest.approx(0, abs=1e-6)


def test_no_part_is_negative() -> None:
    """Latency that grows with the degree is not explained by a negative part that divides."""
    split = split_latency({1: 100.0, 2: 120.0, 4: 150.0})

    assert split is not None
    assert split.divided_ms == 0


@pytest.mark.parametrize("medians", [{}, {1: 290.0}], ids=["none", "one"])
def test_fewer_than_two_degrees_have_no_split(medians: dict[int, float]) -> None:
    """One point draws no line."""
    assert split_latency(medians) is None
