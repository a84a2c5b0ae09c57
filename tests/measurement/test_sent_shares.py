"""The driver with a share of a stretch: together the shares send the whole, from one moment on."""

import time

import pytest

from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.shares import Share
from optimal_tp.plan.schedule import Closed, Constant
from tests.fakes_samples import drive_once
from tests.fakes_server import Script, ScriptedServer


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_shares_of_open_arrivals_are_the_whole(replicas: int) -> None:
    """Numbers, intended moments, replicas and rate of two shares are those of one process with everything."""
    begin = time.perf_counter() + 0.05
    arrivals = Constant(rate_per_second=200)

    def plan(samples: list[Sample]) -> list[tuple[int, int, float, float | None]]:
        return sorted(
            (sample.request, sample.replica, round(sample.intended_seconds, 9), sample.rate_per_second)
            for sample in samples
        )

    with ScriptedServer(Script()) as server:
        urls = (server.url,) * replicas
        whole, halves = (
            [
                drive_once(*urls, arrivals=arrivals, seconds=0.1, begin=begin, origin=begin, share=share)[1]
                for share in shares
            ]
            for shares in ([Share(index=0, count=1)], [Share(index=index, count=2) for index in range(2)])
        )

    assert plan([*halves[0], *halves[1]]) == plan(whole[0])
    assert len(whole[0]) == 20
    assert [len(half) for half in halves] == [10, 10]


def test_shares_of_slots_keep_their_replicas() -> None:
    """Three slots on two replicas: the first share has slots 0 and 2, both on replica 0, the other slot 1."""
    with ScriptedServer(Script()) as server:
        first, second = (
            drive_once(
                server.url,
                server.url,
                arrivals=Closed(concurrency=3),
                seconds=10,
                requests=9,
                share=Share(index=index, count=2),
            )[1]
            for index in range(2)
        )

    assert {sample.replica for sample in first} == {0}
    assert {sample.replica for sample in second} == {1}
    assert sorted(sample.request for sample in (*first, *second)) == list(range(9))
    assert {sample.concurrency for sample in (*first, *second)} == {3}


def test_nothing_is_sent_before_the_beginning() -> None:
    """A stretch that begins later waits with its connections open: nothing is sent early, and late is a delay."""
    begin = time.perf_counter() + 0.08
    with ScriptedServer(Script()) as server:
        driven, samples = drive_once(server.url, seconds=0.05, begin=begin, origin=begin)
        late, tardy = drive_once(server.url, requests=2, begin=begin, origin=begin)

    assert driven.start_seconds == 0
    assert samples[0].intended_seconds == 0
    assert samples[0].sent_seconds is not None
    assert 0 <= samples[0].sent_seconds < 0.04
    assert late.start_seconds == 0
    assert (tardy[0].schedule_delay_ms or 0) > 30


def test_a_stop_before_the_beginning_sends_nothing() -> None:
    """Whoever is stopped while it waits for its beginning ends at once, with no request."""
    begin = time.perf_counter() + 30
    with ScriptedServer(Script()) as server:
        driven, samples = drive_once(server.url, seconds=1, begin=begin, origin=begin, stop_after_seconds=0.02)

    assert samples == []
    assert driven.intended == 0
