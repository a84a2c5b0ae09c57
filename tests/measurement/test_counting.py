"""A turn knows what its servers counted: exactly its own requests, and whoever else was served meanwhile."""

import asyncio
import collections.abc
import dataclasses
import time
import typing

import pytest

from optimal_tp.experiment.turns import Halt, OpenArena, Turns
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.calls import Server
from optimal_tp.loadgen.counted import Counted
from optimal_tp.loadgen.counting import Counting, countings
from optimal_tp.loadgen.stretch import Stretch, Target
from optimal_tp.measurement.counters.reading import of_all
from optimal_tp.measurement.run_audit import turn_reasons
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.shares import Share
from optimal_tp.measurement.turns import Turn, own_turn
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import Arrivals, Closed, Stream
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_samples import endless_prompts, run
from tests.fakes_server import Script, ScriptedServer

SETTINGS = parse_workloads({"load": {"output_tokens": 3, "output_spread": 0}}, file="test")
CANDIDATE = Candidate(1)


def taken(
    urls: tuple[str, ...],
    arrivals: Arrivals,
    *,
    meanwhile: collections.abc.Awaitable[None] | None = None,
    **more: typing.Any,
) -> tuple[Turn, list[Sample]]:
    """Take one turn."""

    async def work() -> tuple[Turn, list[Sample]]:
        other = None if meanwhile is None else asyncio.ensure_future(meanwhile)
        found = await _a_turn(urls, arrivals, **more)
        if other is not None:
            await other
        return found

    return run(work())


async def _a_turn(urls: tuple[str, ...], arrivals: Arrivals, **more: typing.Any) -> tuple[Turn, list[Sample]]:
    samples: list[Sample] = []
    turns = Turns(
        targets={CANDIDATE: Target(urls=urls, model="scripted")},
        prompts={CANDIDATE: lambda _: endless_prompts()},
        arena=OpenArena(),
        halt=Halt(event=asyncio.Event()),
        pause_seconds=0,
        clock=time.perf_counter,
        origin=time.perf_counter(),
        on_sample=samples.append,
        countings={CANDIDATE: countings(urls, lambda url: Server(url=url))},
    )
    asked: dict[str, typing.Any] = {"stage": "block", "degree": 1, "block": 1, "seconds": None, "max_tokens": 3}
    turn = await turns.take(Stretch(**(asked | {"arrivals": arrivals} | more)))
    assert turn is not None
    return turn, samples


def of_counters(turn: Turn, samples: list[Sample]) -> list[str]:
    """Return what the servers' counters have against the turn; this machine may be busy with others."""
    without = dataclasses.replace(turn, servers=())
    others = turn_reasons(without, samples, SETTINGS, {})
    return [reason for reason in turn_reasons(turn, samples, SETTINGS, {}) if reason not in others]


@pytest.mark.parametrize("names", ["new", "old"])
def test_the_servers_count_what_was_answered(names: typing.Literal["new", "old"]) -> None:
    """Tokens and requests are equal to the last one, on each of several servers, and nothing voids the turn."""
    script = Script(metrics=names, gap_seconds=0.002, preempted_every=5)
    with ScriptedServer(script) as first, ScriptedServer(script) as second:
        turn, samples = taken((first.url, second.url), Closed(concurrency=4), requests=20)

    found = [counts.counted for counts in turn.servers if counts is not None]
    assert [one.requests for one in found] == [sum(sample.replica == index for sample in samples) for index in (0, 1)]
    assert sum(one.prompt_tokens or 0 for one in found) == sum(sample.prompt_tokens or 0 for sample in samples)
    assert sum(one.generation_tokens or 0 for one in found) == 60
    assert [one.preemptions for one in found] == [(one.requests or 0) // 5 for one in found]
    assert of_counters(turn, samples) == []


def test_requests_that_are_given_up_void_nothing() -> None:
    """Those in flight when the counted ones had ended cost the server something between nothing and all."""
    with ScriptedServer(Script(metrics="new", ttft_seconds=0.02, gap_seconds=0.02)) as server:
        counted = Counted(first=4, count=12)
        turn, samples = taken((server.url,), Stream(rate_per_second=200, seed=1, opening=4), counted=counted)

    assert any(sample.status == "cancelled" for sample in samples)
    assert [counts is not None for counts in turn.servers] == [True]
    assert of_counters(turn, samples) == []


def test_several_clients_of_one_server_are_held_against_it_together() -> None:
    """Each reads before the common start; one alone accounts for a part, all together for everything."""
    with ScriptedServer(Script(metrics="new", gap_seconds=0.002)) as server:
        begin = time.perf_counter() + 1.0
        shares = [Share(index=index, count=2) for index in (0, 1)]
        clients = [
            _a_turn((server.url,), Closed(concurrency=4), begin=begin, share=each, requests=15) for each in shares
        ]

        async def work() -> list[tuple[Turn, list[Sample]]]:
            return await asyncio.gather(*clients)

        parts = run(work())

    samples = [sample for _, own in parts for sample in own]
    whole = dataclasses.replace(
        parts[0][0],
        requests=len(samples),
        servers=tuple(map(of_all, zip(*(turn.servers for turn, _ in parts), strict=True))),
    )
    assert of_counters(whole, samples) == []
    assert whole.servers[0] is not None
    assert whole.servers[0].counted.requests == len(samples) == 15
    assert [own_turn(turn, share).servers for (turn, _), share in zip(parts, shares, strict=True)] == [(), ()]


def test_another_client_voids_the_turn() -> None:
    """One request of somebody else's is seen, however small."""
    with ScriptedServer(Script(metrics="new", gap_seconds=0.01)) as server:

        async def ask() -> None:
            await asyncio.sleep(0.6)
            shared = {"model": "scripted", "stream": True, "stream_options": {"include_usage": True}}
            await Server(url=server.url).complete(shared, Prompt("one word"), max_tokens=1)

        turn, samples = taken((server.url,), Closed(concurrency=2), requests=60, meanwhile=ask())

    assert of_counters(turn, samples)[-1] == (
        "the server counted 61 requests, but the requests of this turn account for 60; another client uses it or it "
        "still works on cancelled requests: let only this measurement use it"
    )


def test_a_server_without_counters_is_asked_once() -> None:
    """It answers 404: nothing is known, nothing is void, and no turn asks again."""
    with ScriptedServer(Script()) as server:
        turn, samples = taken((server.url,), Closed(concurrency=2), requests=6)

    assert turn.servers == ()
    assert of_counters(turn, samples) == []


class Told:
    """Answers with what was planned, one after the other; the last for ever."""

    def __init__(self, *texts: str | None) -> None:
        self.asked = 0
        self._texts = texts

    async def exposition(self) -> str | None:
        """Return the next."""
        self.asked += 1
        return self._texts[min(self.asked, len(self._texts)) - 1]


def told(tokens: int, started: float | None = 1.0) -> str:
    """Return an exposition."""
    start = "" if started is None else f"process_start_time_seconds {started}\n"
    return f"{start}vllm:prompt_tokens_total {tokens}\n"


@pytest.mark.parametrize(
    ("texts", "is_silent"),
    [
        ([told(4, 1.0), told(9, 2.0)], True),
        ([told(4, None), told(9, None), told(5, None)], True),
        ([told(4, None), told(4, None)], False),
        ([""], True),
        ([None], False),
    ],
    ids=["two processes by their starts", "two by their counts", "one", "no such path", "a failure"],
)
def test_an_address_of_several_processes_is_not_read(texts: list[str | None], *, is_silent: bool) -> None:
    """Counters of one now and another then would void turns that are sound."""
    counting = Counting(Told(*texts))

    run(counting.begin(0))

    assert counting.is_silent == is_silent


def test_a_failed_reading_is_tried_again_at_the_next_turn() -> None:
    """A time-out is no proof that there are no counters."""
    counting = Counting(Told(None, None, told(4)))

    async def work() -> list[bool]:
        found = []
        for _ in range(3):
            await counting.begin(0)
            found.append(await counting.end(0) is not None)
        return found

    assert run(work()) == [False, False, True]


def test_what_still_counts_is_waited_for() -> None:
    """A token is counted up to some milliseconds after it was sent."""
    counting = Counting(Told(*[told(4)] * 4, told(4), told(5), told(7), told(8), told(8), told(9)))

    async def work() -> int | None:
        await counting.begin(0)
        counts = await counting.end(5)
        return None if counts is None else counts.counted.prompt_tokens

    assert run(work()) == 4
