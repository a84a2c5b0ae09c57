"""When requests are sent, by a clock moved by hand."""

import pytest

from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.loadgen.pacing import Pace, pace
from optimal_tp.measurement.shares import WHOLE
from optimal_tp.plan.schedule import Arrivals, Closed, Constant, Rotation


class Sent:
    """Keeps what was launched; has ``left`` prompts."""

    def __init__(self, left: int = 1000) -> None:
        """Nothing is launched yet."""
        self.launched: list[tuple[float, int]] = []
        self.left = left

    def launch(self, intended: float, slot: int) -> bool:
        """Keep one request."""
        if self.left == 0:
            return False
        self.left -= 1
        self.launched.append((intended, slot))
        return True


def begun(
    arrivals: Arrivals, *, seconds: float | None = 10, requests: int | None = None, left: int = 1000
) -> tuple[Pace, Sent]:
    """Return a pace that has begun at 100."""
    sent = Sent(left)
    made = pace(arrivals, WHOLE, seconds, requests, launch=sent.launch)
    made.begin(100.0)
    return made, sent


def ended(
    end: float, slot: int = 0, *, number: int = 0, status: str = "ok", retry_after: float | None = None
) -> Exchange:
    """Return an exchange that has ended."""
    exchange = Exchange(number, slot, 0, 0.0, b"")
    exchange.end, exchange.retry_after = end, retry_after
    exchange.status = "ok" if status == "ok" else "http_error"
    return exchange


def test_a_closed_loop_starts_every_slot_at_the_start() -> None:
    """All first requests are intended at the start, even if the client comes to them later."""
    made, sent = begun(Closed(concurrency=3))

    assert made.due(100.2) is None
    assert sent.launched == [(100, 0), (100, 1), (100, 2)]


def test_a_slots_next_request_is_intended_at_the_end_of_its_last() -> None:
    """A client that comes late to it does not move the intended send."""
    made, sent = begun(Closed(concurrency=1))
    made.due(100)
    made.ended(ended(101.5))
    made.due(101.9)

    assert sent.launched == [(100, 0), (101.5, 0)]


def test_think_time_moves_the_intended_send() -> None:
    """The pace says when to wake up, and launches nothing before."""
    made, sent = begun(Closed(concurrency=1, think_seconds=2))
    made.due(100)
    made.ended(ended(101))

    assert made.due(102) == 103
    assert made.due(103) is None
    assert sent.launched[1:] == [(103, 0)]


def test_the_seeds_pattern_sleeps_between_rounds_only() -> None:
    """Two servers: the second follows at once, the third request after the sleep."""
    made, sent = begun(Rotation(servers=2, sleep_seconds=5), seconds=60)
    made.due(100)
    made.ended(ended(101, number=0))
    made.due(101)
    made.ended(ended(102, number=1))
    made.due(107)

    assert [moment for moment, _ in sent.launched] == [100, 101, 107]


def test_a_closed_loop_ends_with_its_time() -> None:
    """A send that would be intended at the end is not made; the pace is over when the last slot has ended."""
    made, sent = begun(Closed(concurrency=2), seconds=10)
    made.due(100)
    made.ended(ended(110, 0))

    assert not made.over
    made.ended(ended(109.9, 1))
    made.due(110.5)
    assert sent.launched[2:] == [(109.9, 1)]
    made.ended(ended(111, 1))
    assert made.over


def test_a_closed_loop_ends_with_its_requests() -> None:
    """Slots beyond the number of requests never start."""
    made, sent = begun(Closed(concurrency=3), requests=2)
    made.due(100)

    assert len(sent.launched) == 2
    assert made.over


def test_open_arrivals_do_not_wait_for_answers() -> None:
    """Everything planned by now is launched with its own intended time."""
    made, sent = begun(Constant(rate_per_second=2))

    assert made.due(101) == 101.5
    assert sent.launched == [(100, 0), (100.5, 0), (101, 0)]


def test_open_arrivals_end_with_the_plan() -> None:
    """After the last planned time nothing is left to launch."""
    made, sent = begun(Constant(rate_per_second=2), seconds=1)

    assert made.due(200) is None
    assert len(sent.launched) == 2
    assert made.over


@pytest.mark.parametrize("arrivals", [Constant(rate_per_second=2), Closed(concurrency=3)], ids=["open", "closed"])
def test_prompts_that_run_out_end_the_sends(arrivals: Arrivals) -> None:
    """A trace or an iterator with an end is an end."""
    made, sent = begun(arrivals, left=1)
    made.due(105)

    assert len(sent.launched) == 1
    assert made.over


@pytest.mark.parametrize("arrivals", [Constant(rate_per_second=2), Closed(concurrency=3)], ids=["open", "closed"])
def test_a_stop_ends_the_sends(arrivals: Arrivals) -> None:
    """Nothing is launched after it, whatever ends."""
    made, sent = begun(arrivals)
    made.due(100)
    before = len(sent.launched)
    made.stop()
    made.ended(ended(101))

    assert made.due(105) is None
    assert len(sent.launched) == before
    assert made.over


def test_a_failing_server_is_not_hammered() -> None:
    """Pauses after failures in a row double from 50 ms to 1 s; a success starts again."""
    made, _ = begun(Closed(concurrency=1), seconds=None)
    pauses = []
    now = 100.0
    for status in ["http_error"] * 7 + ["ok", "http_error"]:
        made.due(now)
        made.ended(ended(now, status=status))
        wake = made.due(now - 1e-9)
        pauses.append(None if wake is None else round(wake - now, 6))
        now = wake or now

    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 0, 0.05]


def test_retry_after_is_obeyed_within_bounds() -> None:
    """The server's word replaces the back-off, up to 30 s."""
    made, _ = begun(Closed(concurrency=2), seconds=None)
    made.due(100)
    made.ended(ended(101, 0, status="http_error", retry_after=7))

    assert made.due(101) == 108
    made.ended(ended(101, 1, status="http_error", retry_after=3600))
    assert made.due(108) == 131
