"""The driver against a scripted server: what was planted is what is measured."""

import asyncio
import gc
import itertools
import json
import time
import typing
import urllib.request

import pytest

from optimal_tp.errors import StorageFailed
from optimal_tp.loadgen import pool
from optimal_tp.loadgen.driver import drive
from optimal_tp.loadgen.stretch import Drive, Stretch, Target
from optimal_tp.loadgen.transport import TcpTransport
from optimal_tp.measurement.audit import Expected, audit_turn
from optimal_tp.measurement.samples import Sample
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import Closed, Constant, Poisson, Rotation
from tests.fakes_samples import drive_once, endless_prompts, make_turn, run
from tests.fakes_server import Script, ScriptedServer, Truth


@pytest.fixture(scope="module")
def quick() -> typing.Iterator[ScriptedServer]:
    """Return a server that answers at once."""
    with ScriptedServer(Script()) as server:
        yield server


def test_tokens_are_counted_as_the_server_counts_them() -> None:
    """Three tokens a chunk: eight tokens are three chunks, and the count is eight."""
    with ScriptedServer(Script(tokens_per_chunk=3)) as server:
        _, samples = drive_once(server.url, requests=5, max_tokens=8)

    assert [(sample.prompt_tokens, sample.output_tokens, len(sample.token_seconds)) for sample in samples] == [
        (3, 8, 3)
    ] * 5


def test_a_greeting_is_not_the_first_token() -> None:
    """A server that greets at once and packs four tokens a chunk has its first output after 50 ms."""
    with ScriptedServer(Script(greeting=True, tokens_per_chunk=4, ttft_seconds=0.05, gap_seconds=0.001)) as server:
        _, samples = drive_once(server.url, requests=3, max_tokens=8)

    assert [(sample.output_tokens, len(sample.token_seconds)) for sample in samples] == [(8, 2)] * 3
    assert all((sample.ttft_ms or 0) >= 49.9 for sample in samples)


def test_planted_service_times_are_found() -> None:
    """20 ms to the first token, 5 ms a token: no latency is shorter, and no stamp lies before what it stamps."""
    origin = time.perf_counter()
    with ScriptedServer(Script(ttft_seconds=0.02, gap_seconds=0.005, stamped=True)) as server:
        _, samples = drive_once(server.url, requests=5, max_tokens=6, origin=origin)
        with urllib.request.urlopen(f"{server.url}/truth", timeout=5) as answer:  # noqa: S310 - loopback
            truth: dict[str, Truth] = json.loads(answer.read())["requests"]

    for sample in samples:
        assert sample.sent_seconds is not None
        known = truth[json.dumps([1, 2, sample.request])]
        assert known["arrived"] is not None
        assert origin + sample.sent_seconds <= known["arrived"] <= known["received"]
        assert known["first"][0] <= origin + sample.token_seconds[0]
        assert known["last"] <= origin + sample.end_seconds
        assert 1000 * (known["first"][0] - known["received"]) >= 19.9
        assert (sample.ttft_ms or 0) >= 19.9
        assert (sample.total_latency_ms or 0) >= 44.9


def test_every_field_of_the_stretch_reaches_the_samples(quick: ScriptedServer) -> None:
    """Stage, degree, block, load and numbers are those of the stretch."""
    _, samples = drive_once(quick.url, arrivals=Closed(concurrency=2), requests=3)

    assert {(s.stage, s.degree, s.block, s.concurrency, s.rate_per_second) for s in samples} == {
        ("block", 2, 3, 2, None)
    }
    assert [sample.request for sample in samples] == [0, 1, 2]
    assert {(sample.status, sample.http_status, sample.detail) for sample in samples} == {("ok", 200, None)}


def test_every_intended_request_has_exactly_one_sample(quick: ScriptedServer) -> None:
    """Poisson arrivals: as many samples as planned sends, each sent at or after its planned time."""
    arrivals = Poisson(rate_per_second=300, seed=5)
    planned = list(itertools.takewhile(lambda moment: moment < 0.3, arrivals.times()))
    done, samples = drive_once(quick.url, arrivals=arrivals, seconds=0.3)

    assert done.intended == done.sent == len(samples) == len(planned)
    assert [sample.intended_seconds for sample in samples] == pytest.approx(planned, abs=1e-6)
    assert all(sample.schedule_delay_ms is not None and sample.schedule_delay_ms >= 0 for sample in samples)


def test_a_closed_loop_keeps_its_concurrency() -> None:
    """Four slots of 10 ms: never more than four in flight, and about four on average."""
    with ScriptedServer(Script(ttft_seconds=0.01)) as server:
        done, samples = drive_once(server.url, arrivals=Closed(concurrency=4), seconds=0.3, max_tokens=1)
    busy = sum(sample.end_seconds - (sample.sent_seconds or 0) for sample in samples)
    moments = sorted([(s.sent_seconds or 0, 1) for s in samples] + [(s.end_seconds, -1) for s in samples])

    assert max(itertools.accumulate(step for _, step in moments)) == 4
    assert busy / done.end_seconds > 3


def test_requests_in_flight_at_the_end_are_finished() -> None:
    """The stretch's time ends sends, not answers."""
    with ScriptedServer(Script(ttft_seconds=0.15)) as server:
        done, samples = drive_once(server.url, arrivals=Closed(concurrency=3), seconds=0.1, max_tokens=1)

    assert [sample.status for sample in samples] == ["ok"] * 3
    assert done.in_flight_at_end == 3
    assert done.end_seconds > 0.14


def test_waiting_for_a_free_place_counts_in_latency() -> None:
    """One place, 30 ms of service, arrivals every 10 ms: each waits longer than the one before."""
    with ScriptedServer(Script(ttft_seconds=0.03)) as server:
        _, samples = drive_once(
            server.url, arrivals=Constant(rate_per_second=100), requests=4, max_in_flight=1, max_tokens=1
        )
    delays = [sample.schedule_delay_ms or 0 for sample in samples]
    served = [sample.latency_from_send_ms or 0 for sample in samples]

    assert all(delay >= least for delay, least in zip(delays, [0, 19.9, 39.9, 59.9], strict=True))
    assert all(latency >= 29.9 for latency in served)
    assert samples[3].total_latency_ms == pytest.approx(delays[3] + served[3])


def test_a_stall_is_in_the_headline_latency() -> None:
    """A pause of 0.3 s while one request is in flight: all that were due in it are late by what was left of it.

    Seen from the send, the pause touches one request; the plan shows it in a third of them.
    """
    script = Script(ttft_seconds=0.001, stall_every_seconds=0.6, stall_seconds=0.3)
    with ScriptedServer(script) as server:
        _, samples = drive_once(
            server.url, arrivals=Constant(rate_per_second=100), seconds=0.6, max_in_flight=1, max_tokens=1
        )
    headline = sorted(sample.total_latency_ms or 0 for sample in samples)
    from_send = sorted(sample.latency_from_send_ms or 0 for sample in samples)

    assert headline[-2] > 200
    assert sum(latency > 100 for latency in headline) > 10
    assert sum(latency > 100 for latency in from_send) <= 3


def test_replicas_take_turns() -> None:
    """Open arrivals go round; the slots of a closed loop keep to one server each."""
    with ScriptedServer() as one, ScriptedServer() as two:
        _, rounds = drive_once(one.url, two.url, arrivals=Constant(rate_per_second=1000), requests=6)
        _, slots = drive_once(one.url, two.url, arrivals=Closed(concurrency=4), requests=40)
        _, seed = drive_once(one.url, two.url, arrivals=Rotation(servers=2, sleep_seconds=0.01), requests=4)

    assert [sample.replica for sample in rounds] == [0, 1, 0, 1, 0, 1]
    assert {sample.replica for sample in slots} == {0, 1}
    assert [sample.replica for sample in seed] == [0, 1, 0, 1]


def test_a_prompts_own_length_is_asked_for(quick: ScriptedServer) -> None:
    """A trace's request asks for as many tokens as it recorded."""
    _, samples = drive_once(quick.url, prompts=iter([Prompt((1, 2), 2, 3), Prompt((1,), 1, 5)]))

    assert [(sample.prompt_tokens, sample.output_tokens) for sample in samples] == [(2, 3), (1, 5)]


def test_times_count_from_the_runs_origin(quick: ScriptedServer) -> None:
    """Several stretches of one run share a clock."""
    done, samples = drive_once(quick.url, requests=2, origin=time.perf_counter() - 50)

    assert 50 < done.start_seconds < 60
    assert samples[0].intended_seconds == done.start_seconds
    assert samples[-1].end_seconds == done.end_seconds


def test_a_stop_ends_sends_and_keeps_every_sample() -> None:
    """What is in flight ends within the grace time or is labelled."""
    with ScriptedServer(Script(ttft_seconds=0.05)) as server:
        done, samples = drive_once(
            server.url, arrivals=Closed(concurrency=2), seconds=None, stop_after_seconds=0.12, max_tokens=1
        )

    assert done.intended == len(samples)
    assert {sample.status for sample in samples} == {"ok"}
    assert done.end_seconds < 5


def test_what_outlasts_the_grace_time_is_cancelled() -> None:
    """Requests under way, waiting for a place or for a connection: each has a sample that says so."""
    with ScriptedServer(Script(fault="no_answer")) as server:
        done, samples = drive_once(
            server.url,
            arrivals=Constant(rate_per_second=1000),
            requests=5,
            max_in_flight=2,
            stop_after_seconds=0.3,
            grace_seconds=0.05,
        )

    assert [sample.status for sample in samples] == ["cancelled"] * 5
    assert [sample.sent_seconds is None for sample in samples] == [False, False, True, True, True]
    assert samples[0].detail == "the run was stopped and the grace time is over"
    assert samples[4].detail == "the run was stopped before it was sent"
    assert done.end_seconds < 5


def test_an_idle_connection_is_not_trusted_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that closes idle connections fails no request: older ones are not used again."""
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.02)
    connector = SlowConnector(TcpTransport(), 0)
    with ScriptedServer(Script(keep_alive_seconds=5)) as server:
        closed = Closed(concurrency=1, think_seconds=0.03)
        _, samples = drive_once(server.url, arrivals=closed, requests=4, seams={"transport": connector})

    assert [sample.status for sample in samples] == ["ok"] * 4
    assert connector.connections == 4


def test_what_the_samples_taker_raises_ends_the_stretch(quick: ScriptedServer) -> None:
    """A full disk stops the load and is told; it does not hang and is not swallowed."""

    def full(sample: Sample) -> None:
        raise StorageFailed(f"no room for request {sample.request}")

    async def work() -> None:
        stretch = Stretch(stage="block", degree=1, block=0, arrivals=Closed(concurrency=4), seconds=None, max_tokens=1)
        target = Target(urls=(quick.url,), model="scripted")
        await drive(target, stretch, endless_prompts(), on_sample=full)

    with pytest.raises(StorageFailed, match=r"^no room for request \d+$"):
        run(work())


def test_a_full_disk_is_handed_every_sample_that_is_left(quick: ScriptedServer) -> None:
    """Each request that was made is offered once to whoever keeps samples, so that none is lost uncounted."""
    offered: list[int] = []
    made = []

    def counted() -> typing.Iterator[Prompt]:
        for prompt in endless_prompts():
            made.append(prompt)
            yield prompt

    def full(sample: Sample) -> None:
        offered.append(sample.request)
        if len(offered) > 20:
            raise StorageFailed(f"{len(offered)} samples")

    async def work() -> None:
        stretch = Stretch(stage="block", degree=1, block=0, arrivals=Closed(concurrency=8), seconds=None, max_tokens=1)
        await drive(Target(urls=(quick.url,), model="scripted"), stretch, counted(), on_sample=full)

    with pytest.raises(StorageFailed, match=r"^\d+ samples$") as raised:
        run(work())

    assert sorted(offered) == list(range(len(made)))
    assert str(raised.value) == f"{len(made)} samples"


def test_a_cancelled_drive_hands_over_what_it_has() -> None:
    """Cancelling the task labels what is in flight; nothing is lost."""
    samples: list[Sample] = []

    async def work(url: str) -> None:
        stretch = Stretch(stage="block", degree=1, block=0, arrivals=Closed(concurrency=3), seconds=None, max_tokens=1)
        going = asyncio.create_task(
            drive(Target(urls=(url,), model="scripted"), stretch, endless_prompts(), on_sample=samples.append)
        )
        await asyncio.wait({going}, timeout=0.4)
        going.cancel()
        await asyncio.wait({going})

    with ScriptedServer(Script(fault="no_answer")) as server:
        run(work(server.url))

    assert [sample.status for sample in samples] == ["cancelled"] * 3


def test_a_broken_callback_ends_the_stretch_aloud(quick: ScriptedServer) -> None:
    """A fault in the client itself is raised, where the event loop would only log it and hang."""

    def broken() -> typing.Iterator[Prompt]:
        yield Prompt("one")
        raise ZeroDivisionError

    with pytest.raises((ZeroDivisionError, RuntimeError)):
        drive_once(quick.url, prompts=broken(), arrivals=Constant(rate_per_second=100))


def test_no_garbage_is_collected_while_a_load_is_under_way(quick: ScriptedServer) -> None:
    """A collection would stop everything for milliseconds; afterwards it is on again, also where the load broke."""
    collecting: list[bool] = []

    def watched(sample: Sample) -> None:
        collecting.append(gc.isenabled())
        if len(collecting) == 3:
            raise StorageFailed(f"no room for request {sample.request}")

    async def work() -> None:
        stretch = Stretch(stage="block", degree=1, block=0, arrivals=Closed(concurrency=1), seconds=None, max_tokens=1)
        await drive(Target(urls=(quick.url,), model="scripted"), stretch, endless_prompts(), on_sample=watched)

    with pytest.raises(StorageFailed):
        run(work())

    assert collecting[:3] == [False] * 3
    assert gc.isenabled()


def test_the_clients_clock_is_watched(quick: ScriptedServer) -> None:
    """A stretch knows how late its own clock ticked."""
    done, _ = drive_once(quick.url, arrivals=Closed(concurrency=1, think_seconds=0.01), seconds=0.05)

    assert done.lag_p99_ms is not None
    assert done.lag_max_ms is not None
    assert 0 <= done.lag_p99_ms <= done.lag_max_ms


def test_a_busy_client_is_found_out(quick: ScriptedServer) -> None:
    """A core that works 20 ms on something else with each sample: the clock lags and sends are late, so it is void."""

    def busy(sample: Sample) -> None:
        until = sample.end_seconds + origin + 0.02
        while time.perf_counter() < until:
            pass
        samples.append(sample)

    async def work() -> Drive:
        stretch = Stretch(
            stage="block",
            degree=1,
            block=0,
            arrivals=Constant(rate_per_second=40),
            seconds=0.5,
            max_tokens=4,
            origin=origin,
        )
        return await drive(Target(urls=(quick.url,), model="scripted"), stretch, endless_prompts(), on_sample=busy)

    samples: list[Sample] = []
    origin = time.perf_counter()
    done = run(work())
    turn = make_turn(
        concurrency=None,
        rate_per_second=40,
        start_seconds=done.start_seconds,
        end_seconds=done.end_seconds,
        requests=done.intended,
        send_lag_p99_ms=done.lag_p99_ms,
    )
    reasons = audit_turn(turn, samples, Expected(prompt_tokens=3, output_tokens=(4, 4), longest_lag_ms=done.lag_max_ms))

    assert len(samples) == 20
    assert any(reason.startswith("the client's own clock ticked ") for reason in reasons)


class SlowConnector:
    """A way to a server that takes its time, from the real one."""

    def __init__(self, real: typing.Any, seconds: float) -> None:
        """Wait ``seconds`` before each connection."""
        self.real = real
        self.seconds = seconds
        self.connections = 0

    async def connect(self, where: typing.Any, make: typing.Any) -> typing.Any:
        """Connect, later."""
        self.connections += 1
        await asyncio.sleep(self.seconds)
        return await self.real.connect(where, make)


def test_the_transport_is_an_argument(quick: ScriptedServer) -> None:
    """Another way to the server is used for every connection; connections are opened before the first send."""
    connector = SlowConnector(TcpTransport(), 0.02)
    origin = time.perf_counter()
    done, samples = drive_once(
        quick.url, arrivals=Closed(concurrency=2), requests=10, origin=origin, seams={"transport": connector}
    )

    assert connector.connections == 2
    assert {sample.status for sample in samples} == {"ok"}
    assert done.start_seconds >= 0.02
