"""A stretch against a scripted server: the length of each output, and an end once it is known what becomes of it."""

import collections
import itertools
import time

import pytest

from optimal_tp.loadgen.counted import Counted
from optimal_tp.measurement.audit import Expected, audit_turn
from optimal_tp.measurement.samples import Sample
from optimal_tp.plan.lengths import output_lengths
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import Closed, Constant, Stream
from tests.fakes_samples import drive_once, make_turn
from tests.fakes_server import Script, ScriptedServer


def test_outputs_have_the_drawn_lengths() -> None:
    """Request n asks for the n-th length of the seed, in place of ``max_tokens``; a prompt's own number goes first."""
    wanted = list(itertools.islice(output_lengths(2, 6, seed=3) or (), 30))
    prompts = (Prompt((1, 2, number), 3, 9 if number == 4 else None) for number in range(30))
    with ScriptedServer(Script()) as server:
        _, samples = drive_once(server.url, prompts=prompts, output_range=(2, 6), seed=3)
        _, same = drive_once(server.url, requests=30, arrivals=Constant(rate_per_second=500))

    assert [sample.output_tokens for sample in samples] == [*wanted[:4], 9, *wanted[5:]]
    assert [sample.output_tokens for sample in same] == [4] * 30


def replicas(routing: str) -> collections.Counter[int]:
    """Return how many of 60 requests went to a replica of 2 ms, and to one of 40 ms, of one request at a time."""
    with (
        ScriptedServer(Script(ttft_seconds=0.002, slots=1)) as quick,
        ScriptedServer(Script(ttft_seconds=0.04, slots=1)) as slow,
    ):
        arrivals = Constant(rate_per_second=100)
        _, samples = drive_once(quick.url, slow.url, arrivals=arrivals, requests=60, max_tokens=1, routing=routing)
    assert {sample.status for sample in samples} == {"ok"}
    return collections.Counter(sample.replica for sample in samples)


def test_open_arrivals_go_where_the_fewest_are_in_flight() -> None:
    """A replica that is slower gets less; going round and at random do not look."""
    assert replicas("least-in-flight")[0] >= 42
    assert replicas("round-robin") == {0: 30, 1: 30}
    assert 10 <= replicas("random")[0] <= 50


def test_the_opening_of_a_stream_asks_for_parts() -> None:
    """Requests at the start stand for such as are under way, so they ask for a part of the one length."""
    stream = Stream(rate_per_second=500, seed=2, opening=40)
    with ScriptedServer(Script()) as server:
        _, samples = drive_once(server.url, arrivals=stream, requests=60)

    assert {sample.output_tokens for sample in samples[:40]} == {1, 2, 3, 4}
    assert {sample.output_tokens for sample in samples[40:]} == {4}
    assert {sample.intended_seconds for sample in samples[:40]} == {samples[0].intended_seconds}


def test_a_turn_ends_with_its_last_counted_request() -> None:
    """Arrivals go on until request 29 has ended; the turn's end is the end of the last of requests 10 to 29."""
    with ScriptedServer(Script(ttft_seconds=0.03, gap_seconds=0.001)) as server:
        done, samples = drive_once(
            server.url,
            arrivals=Constant(rate_per_second=200),
            seconds=None,
            counted=Counted(first=10, count=20, total_ms=1000, ttft_ms=500),
        )
    counted, later = samples[10:30], samples[30:]

    assert done.whole
    assert done.intended == len(samples)
    assert {sample.status for sample in counted} == {"ok"}
    assert done.end_seconds == pytest.approx(max(sample.end_seconds for sample in counted), abs=1e-6)
    assert 3 <= len(later) <= 25  # 33 ms at 200/s are six or seven
    assert all(sample.end_seconds >= done.end_seconds for sample in later if sample.status == "cancelled")
    assert {sample.detail for sample in later} <= {None, "ended with its turn: the requests that count had ended"}
    assert later[-1].status == "cancelled"


def overloaded(**limits: float) -> tuple[float, list[Sample], tuple[str, ...]]:
    """Return how long a turn took of 100 requests/s at a server that takes 20, its samples, and its audit's reasons."""
    begun = time.perf_counter()
    with ScriptedServer(Script(ttft_seconds=0.01, gap_seconds=0.04, slots=1)) as server:
        done, samples = drive_once(
            server.url,
            arrivals=Constant(rate_per_second=100),
            seconds=None,
            max_tokens=2,
            counted=Counted(first=2, count=20, **limits),
        )
    turn = make_turn(
        concurrency=None,
        rate_per_second=100,
        start_seconds=done.start_seconds,
        end_seconds=done.end_seconds,
        requests=done.intended,
        uncounted=2,
        counted=20,
        cut_short=not done.whole,
    )
    reasons = audit_turn(turn, samples, Expected(output_tokens=(2, 2), limit_ms=10_000))
    # A send that is 2 ms late is 1 % of so short a turn, on a machine that does other work beside it.
    return time.perf_counter() - begun, samples, tuple(reason for reason in reasons if not reason.startswith("sent "))


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"total_ms": 120}, "no end within 120 ms"), ({"ttft_ms": 80, "total_ms": 60_000}, "no output within 80 ms")],
    ids=["total", "first output"],
)
def test_an_overloaded_turn_costs_no_drain(limits: dict[str, float], words: str) -> None:
    """22 requests of 50 ms would take over a second; what has missed its limit for certain is given up, and kept."""
    seconds, samples, reasons = overloaded(**limits)
    counted = samples[2:22]
    given_up = [sample for sample in counted if sample.status == "cancelled"]

    assert seconds < 0.9
    assert {sample.status for sample in counted} == {"ok", "cancelled"}
    assert given_up
    assert {sample.detail for sample in given_up} == {f"cancelled after missing its limit: {words} of its planned send"}
    assert all(sample.end_seconds - sample.intended_seconds >= min(limits.values()) / 1000 for sample in given_up)
    assert [sample.request for sample in samples] == list(range(len(samples)))
    assert reasons == ()


def test_an_overloaded_turn_without_limits_waits_for_its_counted_requests() -> None:
    """Nothing is missed where nothing is asked, so every counted request ends by itself."""
    seconds, samples, reasons = overloaded()

    assert seconds > 1
    assert {sample.status for sample in samples[2:22]} == {"ok"}
    assert samples[-1].status == "cancelled"
    assert reasons == ()


def test_a_stop_cuts_a_turn_short() -> None:
    """A signal ends it as ever, and its caller knows that what counts is not whole; so does the audit."""
    with ScriptedServer(Script()) as server:
        done, samples = drive_once(
            server.url,
            arrivals=Constant(rate_per_second=100),
            seconds=None,
            counted=Counted(first=0, count=1000),
            stop_after_seconds=0.1,
        )
        whole, _ = drive_once(server.url, arrivals=Closed(concurrency=2), requests=4)
    turn = make_turn(concurrency=None, rate_per_second=100, requests=done.intended, counted=1000, cut_short=True)

    assert (done.whole, whole.whole) == (False, True)
    assert 5 < len(samples) < 30
    assert audit_turn(turn, samples, Expected())[0] == (
        "the turn ended before its 1,000 counted requests did; the finished ones do not represent the rest"
    )
