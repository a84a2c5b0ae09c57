"""How numbers are written."""

import pytest

from optimal_tp.measurement.estimate import (
    Estimate,
    Interval,
    bounds,
    degree_list,
    duration,
    figure,
    percent,
    plural,
    ranged,
    usd,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (0.0, "0"),
        (0.012345, "0.0123"),
        (0.98765, "0.988"),
        (9.876, "9.88"),
        (98.76, "98.8"),
        (987.6, "988"),
        (12345.6, "12,346"),
        (-1.5, "-1.50"),
    ],
)
def test_figure_has_three_telling_digits(value: float | None, expected: str) -> None:
    """Neither false precision nor lost digits; nothing is not 0."""
    assert figure(value) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (None, "—"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.99996, "99.99 %"),
        (0.00001, "0.01 %"),
        (0.995, "99.50 %"),
        (0.5, "50 %"),
        (0.123, "12.3 %"),
    ],
)
def test_percent_never_rounds_to_all_or_nothing(share: float | None, expected: str) -> None:
    """One failure in 100,000 is not 100 %."""
    assert percent(share) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.0, 2.0, "1.00 to 2.00"),
        (None, 2.0, "at most 2.00"),
        (1.0, None, "at least 1.00"),
        (None, None, "too few for a range"),
    ],
)
def test_bounds_say_an_open_end(low: float | None, high: float | None, expected: str) -> None:
    """An end that the data do not show is not given a number."""
    assert bounds(Interval(low=low, high=high)) == expected


def test_ranged_carries_its_unit() -> None:
    """Value, unit, range; a dash for nothing."""
    assert ranged(Estimate(value=172.4, interval=Interval(low=170.0, high=175.0)), "ms") == "172 ms (170 to 175)"
    assert ranged(None, "ms") == "—"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, "—"), (40.2, "40 s"), (119, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_duration_is_what_a_person_would_say(seconds: float | None, expected: str) -> None:
    """Seconds, minutes or hours."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("amount", "expected"), [(None, "—"), (0.00314, "$0.0031"), (0.0, "$0.00"), (1234.5, "$1,234.50")]
)
def test_dollars_below_a_cent_keep_their_digits(amount: float | None, expected: str) -> None:
    """A fraction of a cent is not free."""
    assert usd(amount) == expected


def test_lists_and_plurals_read_as_english() -> None:
    """One, two and three; one block and two blocks."""
    assert [degree_list(degrees) for degrees in ((1,), (1, 2), (1, 2, 4))] == ["TP1", "TP1 and TP2", "TP1, TP2 and TP4"]
    assert (plural(1, "block"), plural(1200, "block")) == ("1 block", "1,200 blocks")
