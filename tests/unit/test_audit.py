"""The client's audit of itself: clean turns pass, each planted fault is named with its number."""

import dataclasses
import typing

import pytest

from optimal_tp.measurement.audit import Expected, audit_turn, lateness_bound_ms, mean_in_flight, own_delays_ms, row
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from tests.fakes_samples import make_sample, make_turn


def closed(slots: int = 2, rounds: int = 20, service: float = 0.1, gap: float = 0.0) -> tuple[Turn, list[Sample]]:
    """Return a closed loop whose slots each make ``rounds`` requests, with ``gap`` between end and next send."""
    samples = []
    for number in range(slots * rounds):
        start = (number // slots) * (service + gap)
        samples.append(
            make_sample(
                request=number,
                concurrency=slots,
                intended_seconds=start,
                sent_seconds=start + gap,
                end_seconds=start + gap + service,
            )
        )
    turn = make_turn(concurrency=slots, requests=len(samples), end_seconds=samples[-1].end_seconds)
    return turn, samples


def opened(rate: float = 50, count: int = 100, late: float = 0.0, service: float = 0.05) -> tuple[Turn, list[Sample]]:
    """Return constant arrivals, each sent ``late`` seconds after its plan."""
    samples = [
        make_sample(
            request=number,
            concurrency=None,
            rate_per_second=rate,
            intended_seconds=number / rate,
            sent_seconds=number / rate + late,
            end_seconds=number / rate + late + service,
        )
        for number in range(count)
    ]
    end = samples[-1].end_seconds
    return make_turn(concurrency=None, rate_per_second=rate, requests=count, end_seconds=end), samples


PLAN = Expected(prompt_tokens=30, output_tokens=(2, 2), limit_ms=500, longest_lag_ms=3)


@pytest.mark.parametrize("make", [closed, opened, lambda: closed(1, 5), lambda: opened(late=0.0049)])
def test_a_clean_turn_is_valid(make: typing.Callable[[], tuple[Turn, list[Sample]]]) -> None:
    """Closed and open, short and a little late: nothing to say."""
    assert audit_turn(*make(), PLAN) == ()


def test_a_lost_sample_is_named() -> None:
    """Every request has exactly one sample."""
    turn, samples = closed()

    assert audit_turn(turn, samples[:-1], PLAN)[0] == (
        "40 requests were made but 39 samples kept; each request must have one sample"
    )
    assert audit_turn(turn, [*samples[:-1], samples[0]], PLAN)[0] == (
        "40 requests were made but 40 samples kept; each request must have one sample"
    )


def test_a_client_without_sockets_is_named() -> None:
    """A machine that lets the client open no more connections is none of the server's failures."""
    turn, samples = closed()
    samples[5] = dataclasses.replace(samples[5], sent_seconds=None, status="no_socket")

    assert audit_turn(turn, samples, PLAN) == (
        (
            "1 request was not sent because this machine ran out of sockets; raise its limit of open files (ulimit "
            "-n) or send fewer requests at a time"
        ),
    )


def test_a_rate_that_was_not_achieved_is_named() -> None:
    """A client that falls behind by 2 % of the schedule's length is found out."""
    turn, samples = opened()
    slow = [
        dataclasses.replace(s, sent_seconds=s.intended_seconds * 1.02, end_seconds=s.end_seconds + 0.1) for s in samples
    ]
    turn = dataclasses.replace(turn, end_seconds=slow[-1].end_seconds)

    assert audit_turn(turn, slow, dataclasses.replace(PLAN, limit_ms=10_000))[0] == (
        "sent 49.02 requests/s of the 50.00 planned (98.0 %); a valid turn sends at least 99 %"
    )


def test_requests_that_were_never_sent_were_not_achieved() -> None:
    """Two of a hundred that found no place are more than 1 %."""
    turn, samples = opened()
    samples[40:42] = [dataclasses.replace(s, sent_seconds=None, status="timeout") for s in samples[40:42]]

    assert audit_turn(turn, samples, PLAN)[0] == (
        "sent 48.99 requests/s of the 50.00 planned (98.0 %); a valid turn sends at least 99 %"
    )


def test_late_sends_are_named() -> None:
    """6 ms late at the 99th percentile is too late under a limit of 500 ms, and fine under one of 601 ms."""
    turn, samples = opened(late=0.006)

    assert audit_turn(turn, samples, PLAN) == (
        ("the client sent requests 6.0 ms late at the 99th percentile; a valid turn has at most 5 ms"),
    )
    assert audit_turn(turn, samples, dataclasses.replace(PLAN, limit_ms=601)) == ()


def test_one_late_send_in_two_hundred_is_no_reason() -> None:
    """The rule is about the 99th percentile."""
    turn, samples = opened(count=200)
    samples[50] = dataclasses.replace(samples[50], sent_seconds=samples[50].intended_seconds + 0.02)

    assert audit_turn(turn, samples, PLAN) == ()


def test_waiting_for_a_free_place_is_not_the_clients_doing() -> None:
    """One place and slow servers: requests wait long, but are sent the moment the place is free."""
    samples = [
        make_sample(request=n, intended_seconds=n * 0.01, sent_seconds=n * 0.1, end_seconds=(n + 1) * 0.1)
        for n in range(10)
    ]

    assert max(own_delays_ms(samples, None)) == pytest.approx(810)
    assert max(own_delays_ms(samples, 1)) == pytest.approx(0, abs=1e-6)


def test_a_place_that_was_free_is_no_excuse() -> None:
    """Sent 50 ms after the place became free: that is the client's."""
    samples = [
        make_sample(request=0, intended_seconds=0, sent_seconds=0, end_seconds=0.1),
        make_sample(request=1, intended_seconds=0.01, sent_seconds=0.15, end_seconds=0.2),
    ]

    assert own_delays_ms(samples, 1) == pytest.approx([0, 50])


def test_a_client_whose_clock_lags_is_named() -> None:
    """The limit's 1 % is the bound where it is more than 5 ms."""
    turn, samples = closed()
    turn = dataclasses.replace(turn, send_lag_p99_ms=34.25)

    assert audit_turn(turn, samples, PLAN) == (
        (
            "the client's own clock ticked 34.2 ms late at the 99th percentile; a valid turn has at most 5 ms; "
            "give the client a core of its own"
        ),
    )
    assert audit_turn(turn, samples, dataclasses.replace(PLAN, limit_ms=4000)) == ()


def test_a_clock_that_was_not_watched_is_no_reason() -> None:
    """None is not known, not 0 and not late."""
    turn, samples = closed()

    assert audit_turn(dataclasses.replace(turn, send_lag_p99_ms=None), samples, PLAN) == ()


def test_one_long_pause_is_named() -> None:
    """Too short to move the 99th percentile, too long to trust the requests it fell on."""
    turn, samples = closed()

    assert audit_turn(turn, samples, dataclasses.replace(PLAN, longest_lag_ms=51)) == (
        "the client paused for 51 ms; a valid turn has no pause of more than 50 ms",
    )


def test_tokens_other_than_planned_are_named() -> None:
    """The server's count is the truth about what was asked and what came."""
    turn, samples = closed()
    samples[3] = dataclasses.replace(samples[3], prompt_tokens=1, output_tokens=1)
    samples[4] = dataclasses.replace(samples[4], prompt_tokens=31)

    assert audit_turn(turn, samples, PLAN) == (
        "30 prompt tokens were planned, but for 2 of 40 requests the server counted 1 to 31",
        "2 output tokens were planned, but for 1 of 40 requests the server counted 1",
    )
    assert audit_turn(turn, samples, Expected(limit_ms=500)) == ()


def test_outputs_of_several_lengths_stay_within_their_range() -> None:
    """Counts at both ends of the range are as planned, those beyond them are not."""
    turn, samples = closed()
    plan = dataclasses.replace(PLAN, output_tokens=(2, 6))
    inside = [dataclasses.replace(sample, output_tokens=2 + 4 * (sample.request % 2)) for sample in samples]
    outside = [dataclasses.replace(sample, output_tokens=1 + 6 * (sample.request % 2)) for sample in samples[:4]]

    assert audit_turn(turn, inside, plan) == ()
    assert audit_turn(turn, outside + inside[4:], plan) == (
        "2 to 6 output tokens were planned, but for 4 of 40 requests the server counted 1 to 7",
    )


def test_only_the_uncounted_requests_may_have_parts_of_a_length() -> None:
    """An opening asks for parts of lengths: fewer tokens than the least are planned there, and nowhere else."""
    turn, samples = closed()
    plan = dataclasses.replace(PLAN, output_tokens=(2, 6))
    parts = [dataclasses.replace(sample, output_tokens=1 if sample.request < 3 else 2) for sample in samples]

    assert audit_turn(dataclasses.replace(turn, uncounted=3), parts, plan) == ()
    assert audit_turn(dataclasses.replace(turn, uncounted=2), parts, plan) == (
        "2 to 6 output tokens were planned, but for 1 of 40 requests the server counted 1",
    )


def test_a_stream_with_more_chunks_than_tokens_is_named() -> None:
    """One is enough: where the count and the times contradict each other neither is to be believed."""
    turn, samples = closed()
    samples[7] = dataclasses.replace(samples[7], detail="3 chunks brought output where the server counted 2 tokens")

    assert audit_turn(turn, [row(sample) for sample in samples], PLAN) == (
        (
            "1 of 40 streams had more chunks with output than the server counted tokens, so its count or its token "
            "times are wrong; the first: 3 chunks brought output where the server counted 2 tokens"
        ),
    )


def counted_turn() -> tuple[Turn, list[Sample]]:
    """Return an open turn of 100 requests of which 10 to 89 count; the later ones end with it, some never sent."""
    turn, samples = opened()
    end = samples[89].end_seconds
    for number in range(90, 100):
        unsent = None if number >= 95 else samples[number].sent_seconds
        samples[number] = dataclasses.replace(
            samples[number],
            sent_seconds=unsent,
            end_seconds=max(end, samples[number].intended_seconds) + 0.01,
            status="cancelled",
        )
    return dataclasses.replace(turn, end_seconds=end, uncounted=10, counted=80), samples


def test_what_ends_with_its_turn_is_no_fault() -> None:
    """Requests after the counted ones are ended at once, also such as were not sent yet."""
    assert audit_turn(*counted_turn(), PLAN) == ()


def test_a_rate_that_was_not_achieved_among_the_counted_is_named() -> None:
    """Two of the ninety up to the last counted one that were never sent are more than 1 %."""
    turn, samples = counted_turn()
    samples[40:42] = [dataclasses.replace(s, sent_seconds=None, status="timeout") for s in samples[40:42]]

    assert audit_turn(turn, samples, PLAN)[0] == (
        "sent 48.88 requests/s of the 50.00 planned (97.8 %); a valid turn sends at least 99 %"
    )


def test_a_server_that_counts_nothing_cannot_be_checked() -> None:
    """A plan without a count beside it is a reason; failed requests have no count and are none."""
    turn, samples = closed()
    samples[0] = dataclasses.replace(samples[0], output_tokens=None)
    samples[1] = dataclasses.replace(samples[1], output_tokens=None, status="http_error")

    assert audit_turn(turn, samples, PLAN) == (
        "the server counted no output tokens for 1 of 39 requests; 2 were planned",
    )


def test_slots_that_stood_idle_are_named() -> None:
    """A client that takes 20 ms to turn round between requests of 100 ms does not keep two in flight."""
    reasons = audit_turn(*closed(gap=0.02), dataclasses.replace(PLAN, limit_ms=10_000))

    assert reasons == (
        (
            "1.67 requests were in flight on average, but the closed loop should keep 2.00; "
            "a valid turn differs by at most 5 %"
        ),
    )


def test_think_time_is_no_idleness() -> None:
    """Slots that were to pause 20 ms did so."""
    turn, samples = closed(gap=0.02)
    samples = [dataclasses.replace(s, intended_seconds=s.sent_seconds or 0) for s in samples]

    assert audit_turn(turn, samples, dataclasses.replace(PLAN, think_seconds=0.02)) == ()


def test_littles_law_finds_misdated_samples() -> None:
    """Ends outside the turn cannot be right: the sweep and rate x latency disagree."""
    turn, samples = opened()
    turn = dataclasses.replace(turn, end_seconds=turn.end_seconds - 0.5)

    assert audit_turn(turn, samples, PLAN) == (
        (
            "2.477 requests were in flight on average, but rate x latency gives 3.268 (Little's law); "
            "a valid turn differs by at most 1 %"
        ),
    )


@pytest.mark.parametrize(("limit", "bound"), [(None, 5), (100, 5), (500, 5), (501, 5.01), (8000, 80)])
def test_the_lateness_bound_follows_the_limit(limit: float | None, bound: float) -> None:
    """5 ms or 1 % of the limit, whichever is more."""
    assert lateness_bound_ms(limit) == pytest.approx(bound)


def test_mean_in_flight_is_a_time_average() -> None:
    """One request for the whole second and one for half of it; what was never sent was never in flight."""
    samples = [
        make_sample(sent_seconds=-1.0, end_seconds=5),
        make_sample(sent_seconds=0.25, end_seconds=0.75),
        make_sample(sent_seconds=None, end_seconds=0.75),
    ]

    assert mean_in_flight(samples, 0, 1) == pytest.approx(1.5)
    assert mean_in_flight(samples, 1, 1) is None
