"""Counted requests: nothing is over before each has been sent and has ended or missed its limit for certain."""

import pytest

from optimal_tp.loadgen.counted import READ_SECONDS, Counted, Tally
from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.measurement.shares import WHOLE, Share
from tests.fakes_samples import whole


def sent(tally: Tally, *numbers: int) -> list[Exchange]:
    """Let ``tally`` see requests with these numbers, intended 0.1 s apart, and return them."""
    exchanges = [Exchange(number, 0, 0, 10 + 0.1 * number, b"") for number in numbers]
    for exchange in exchanges:
        tally.sent(exchange)
    return exchanges


def end(tally: Tally, exchange: Exchange, moment: float) -> None:
    """End ``exchange`` at ``moment``."""
    exchange.end = moment
    tally.ended(exchange)


def test_a_turn_is_open_until_every_counted_request_was_sent() -> None:
    """Those before and after it do not matter; the last end is that of a counted one."""
    tally = Tally(Counted(first=1, count=2), WHOLE)
    before, first = sent(tally, 0, 1)
    end(tally, first, 12)
    assert not tally.known(100)

    last, after = sent(tally, 2, 3)
    assert not tally.known(100)
    end(tally, last, 11)
    assert tally.known(100)
    end(tally, before, 50)
    end(tally, after, 60)
    assert tally.last_end == 12


def test_a_request_has_missed_when_its_limit_is_over_and_what_came_is_read() -> None:
    """At its limit it has not: an answer that came in time may still wait in the kernel."""
    tally = Tally(Counted(first=0, count=1, total_ms=500), WHOLE)
    (request,) = sent(tally, 0)
    over = 10 + 0.5 + READ_SECONDS

    assert [tally.known(over - 0.001), tally.known(over + 0.001)] == [False, True]
    assert tally.miss(request, over + 0.001) == (
        "cancelled after missing its limit: no end within 500 ms of its planned send"
    )


def test_a_late_first_output_is_a_miss_though_it_came() -> None:
    """Output within the limit keeps a request; without any, or with one too late, it has missed."""
    tally = Tally(Counted(first=0, count=3, ttft_ms=200), WHOLE)
    early, late, silent = sent(tally, 0, 1, 2)
    early.tokens, late.tokens = [10.2], [10.31]

    assert tally.miss(early, 99) is None
    assert tally.miss(late, 10.32) == ("cancelled after missing its limit: no output within 200 ms of its planned send")
    assert [tally.miss(silent, now) is None for now in (10.41, 10.43)] == [True, False]


def test_a_share_knows_the_end_of_its_own_part() -> None:
    """Of requests 2 to 5, number 2 and 5 are this share's; one that has none of them waits for none."""
    tally = Tally(Counted(first=2, count=4), Share(index=2, count=3))
    first, last = sent(tally, 2, 5)
    end(tally, first, 11)
    assert not tally.known(99)
    end(tally, last, 11)
    assert tally.known(99)

    without = Tally(Counted(first=2, count=1), Share(index=0, count=3))
    sent(without, 0)
    assert without.known(99)
    assert without.last_end is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"first": -1, "count": 1}, "first must be at least 0 and count at least 1 (got -1 and 1)"),
        ({"first": 0, "count": 0}, "first must be at least 0 and count at least 1 (got 0 and 0)"),
        ({"first": 0, "count": 1, "ttft_ms": 0}, "a limit must be a finite number of ms above 0 (got 0)"),
    ],
)
def test_what_cannot_be_counted_is_refused(values: dict[str, int], sentence: str) -> None:
    """The sentence has the value and the rule."""
    with pytest.raises(ValueError, match=whole(sentence)):
        Counted(**values)
