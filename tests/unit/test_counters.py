"""What servers counted in a turn is held against what was sent to them."""

import dataclasses
import typing

import pytest

from optimal_tp.measurement.counters.reading import CounterReading, Gauges, ServerCounts, Totals, between, of_all
from optimal_tp.measurement.counters.token_ledger import Most, counter_reasons
from tests.fakes_samples import make_sample as sample

MOST = Most(prompt_tokens=10, output_tokens=4)


def counts(**totals: typing.Any) -> ServerCounts:
    """Return what a server says of a turn of ten seconds."""
    return ServerCounts(seconds=10.0, counted=Totals(**totals), before=Gauges(), after=Gauges())


def at(seconds: float, *, started: float | None = 1.0, **totals: typing.Any) -> CounterReading:
    """Return a reading."""
    return CounterReading(
        epoch_seconds=seconds, started_epoch_seconds=started, totals=Totals(**totals), gauges=Gauges(running=1)
    )


def test_a_turn_has_the_difference_of_two_readings() -> None:
    """What neither says stays unknown; what the first lacks had not happened yet."""
    found = between(at(100, prompt_tokens=5), at(110.5, prompt_tokens=9, preemptions=2))

    assert found.counted == Totals(prompt_tokens=4, preemptions=2)
    assert (found.seconds, found.began_anew) == (10.5, False)


@pytest.mark.parametrize(
    "after",
    [at(110, prompt_tokens=4), at(110, started=105.0, prompt_tokens=9)],
    ids=["a counter fell", "another process"],
)
def test_counters_that_begin_anew_say_nothing(after: CounterReading) -> None:
    """A restart in the turn voids it: its counts are those of two processes."""
    found = between(at(100, prompt_tokens=5), after)

    assert (found.began_anew, found.counted) == (True, Totals())
    assert list(counter_reasons([found], [sample()], MOST)) == [
        (
            "the server reset its counters during the turn: it restarted or several servers share its address; read "
            "its log and give the address of each server"
        )
    ]


def asked() -> list[typing.Any]:
    """Return two answered requests, one that was given up, and one that was never sent."""
    good = dataclasses.replace(sample(), prompt_tokens=10, output_tokens=4)
    given_up = dataclasses.replace(good, status="cancelled", prompt_tokens=None, output_tokens=None)
    return [good, good, given_up, dataclasses.replace(given_up, sent_seconds=None)]


@pytest.mark.parametrize("tokens", [(20, 8, 2), (30, 12, 3), (20, 9, 2)], ids=["least", "most", "between"])
def test_what_was_given_up_counts_for_anything_up_to_its_most(tokens: tuple[int, int, int]) -> None:
    """A request that the client gave up may have cost the server nothing or all of it."""
    prompt, output, requests = tokens
    found = counts(prompt_tokens=prompt, generation_tokens=output, requests=requests)

    assert list(counter_reasons([found], asked(), MOST)) == []


def test_other_traffic_voids_the_turn() -> None:
    """One token more than the requests can account for is somebody else's."""
    found = counts(prompt_tokens=31, generation_tokens=1300, requests=4)

    assert list(counter_reasons([found], asked(), MOST)) == [
        (
            "the server counted 31 prompt tokens, but the requests of this turn account for 20 to 30; another client "
            "uses it or it still works on cancelled requests: let only this measurement use it"
        ),
        (
            "the server counted 1,300 output tokens, but the requests of this turn account for 8 to 12; another client "
            "uses it or it still works on cancelled requests: let only this measurement use it"
        ),
        (
            "the server counted 4 requests, but the requests of this turn account for 2 to 3; another client uses it "
            "or it still works on cancelled requests: let only this measurement use it"
        ),
    ]


def test_fewer_tokens_than_the_answers_name_void_the_turn() -> None:
    """Then another server answered than the one that was read."""
    assert list(counter_reasons([None, counts(generation_tokens=3)], [_of_second(4), _of_second(1)], MOST)) == [
        (
            "server 2 of 2 counted 3 output tokens, but its answers name 5; the two must be equal: give the address of "
            "each server if several share one"
        )
    ]


def _of_second(tokens: int) -> typing.Any:
    return dataclasses.replace(sample(), replica=1, output_tokens=tokens)


def test_each_server_is_held_against_its_own_requests() -> None:
    """What one server did not count, another cannot make up for."""
    samples = [_of_second(4), dataclasses.replace(sample(), output_tokens=2)]

    assert list(counter_reasons([counts(generation_tokens=2), counts(generation_tokens=4)], samples, MOST)) == []
    assert len(list(counter_reasons([counts(generation_tokens=4), counts(generation_tokens=2)], samples, MOST))) == 2


def test_a_server_without_counters_voids_nothing() -> None:
    """Neither one that tells nothing, nor one that does not tell this."""
    assert list(counter_reasons([], asked(), MOST)) == []
    assert list(counter_reasons([None, counts(preemptions=3)], asked(), MOST)) == []


def test_a_request_without_a_bound_opens_the_upper_end() -> None:
    """A client that does not know how long prompts may be, holds its least against the server."""
    nothing = Most(prompt_tokens=None, output_tokens=None)

    assert list(counter_reasons([counts(prompt_tokens=9_000, generation_tokens=12)], asked(), nothing)) == []
    assert len(list(counter_reasons([counts(prompt_tokens=9_000)], asked()[:2], nothing))) == 1


def test_prompts_computed_again_may_count_again() -> None:
    """An older engine counts the tokens of a preempted request's prompt once more."""
    assert list(counter_reasons([counts(prompt_tokens=50, preemptions=3)], asked(), MOST)) == []
    assert len(list(counter_reasons([counts(prompt_tokens=50, preemptions=0)], asked(), MOST))) == 1


def test_of_several_clients_the_one_that_ended_last_saw_all() -> None:
    """Everybody reads before the first request; one that could not read makes it unknown."""
    first, last = counts(prompt_tokens=5), dataclasses.replace(counts(prompt_tokens=9, preemptions=1), seconds=11.0)

    assert of_all([last, first]) == last
    assert of_all([first, None]) is None


def test_cpu_of_the_answering_process_is_told_in_cores() -> None:
    """CPU seconds of a turn by its seconds."""
    assert counts(process_cpu_seconds=9.5).process_cores == 0.95
    assert counts().process_cores is None
