"""The driver: sends a stretch of load as its schedule says and hands over one sample per request."""

import asyncio
import dataclasses
import functools
import gc
import time
import typing

from optimal_tp.errors import StorageFailed
from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen import exchange as exchanges
from optimal_tp.loadgen import wire
from optimal_tp.loadgen.exchange import Exchange, HandOver, OnSample
from optimal_tp.loadgen.pacing import pace
from optimal_tp.loadgen.pool import Bounds, Pool
from optimal_tp.loadgen.timers import Alarm, Ticker
from optimal_tp.loadgen.transport import Connector, Network
from optimal_tp.measurement.samples import Stage
from optimal_tp.measurement.shares import WHOLE, Share
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import Arrivals


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """The servers of one candidate."""

    urls: tuple[str, ...]
    """One per replica; with more than one, requests go round, or each slot of a closed loop keeps to one."""
    model: str
    """The name that requests carry."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """One stretch of load on one target."""

    stage: Stage
    candidate: Candidate
    block: int | None
    arrivals: Arrivals
    seconds: float | None
    """Sends are intended before this, from the stretch's start; None is no bound."""
    requests: int | None = None
    """Most requests; None is no bound."""
    max_tokens: int
    stream: bool = True
    temperature: float | None = 1.0
    """None leaves it to the server."""
    ignore_eos: bool = False
    """Ask vLLM for exactly ``max_tokens``; other servers may refuse the key."""
    request_timeout_seconds: float = 60
    """From the send; and for an open arrival that waits for a free place, from its intended send."""
    max_in_flight: int | None = None
    """Bound for open arrivals: the next one waits, and its latency runs from when it was intended."""
    grace_seconds: float = 5
    """After a stop, requests in flight have this long before they are labelled ``cancelled``."""
    origin: float | None = None
    """The clock at the run's origin; None takes the stretch's start."""
    begin: float | None = None
    """The clock at the stretch's start; None takes the moment at which the client is ready."""
    share: Share = WHOLE
    """What of it is sent from here, as ``schedule.own_share`` says; samples carry the load and numbers of the whole."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drive:
    """What a stretch came to, beside its samples. Times are seconds from the run's origin."""

    intended: int
    """Requests that the schedule wanted; each has one sample."""
    sent: int
    """Requests of which a byte was written."""
    start_seconds: float
    """First intended send."""
    end_seconds: float
    """Last byte of the last request; the start if there was none."""
    in_flight_at_end: int
    """Requests that ended after the time for sends was over."""
    lag_p99_ms: float | None
    """Lateness of the client's own clock beside the load; None if it never ticked."""
    lag_max_ms: float | None


_SWEEP_TICKS = 4  # time-outs are looked at every 20 ms
_WARM = 16  # connections opened before an open schedule starts
_CHUNKS_PER_TOKEN = 4  # a server may split a token's text; one that sends more than this does not stop
_MORE_CHUNKS = 64


async def drive(  # noqa: PLR0913 - the last four are seams
    target: Target,
    stretch: Stretch,
    prompts: typing.Iterator[Prompt],
    *,
    on_sample: OnSample,
    transport: Connector | None = None,
    clock: typing.Callable[[], float] = time.perf_counter,
    stop: asyncio.Event | None = None,
) -> Drive:
    """Send ``stretch`` to ``target``; return when every request has ended and its sample was handed over.

    A failed request is a labelled sample, never an exception. Sends end with the schedule, with ``prompts``, or with
    ``stop``. Whatever ``on_sample`` raises ends the stretch and is raised here; after a StorageFailed the samples that
    are left are handed over all the same, so that whoever refuses them can count them, and the last one is raised.
    Garbage collection is off meanwhile: nothing on the way of a request is cyclic. Raises ValueError for a URL that is
    none.
    """
    run = _Run(target, stretch, prompts, on_sample, transport or Network(clock=clock, stamped=stretch.stream), clock)
    collected = gc.isenabled()
    gc.disable()
    try:
        return await run.go(stop)
    finally:
        if collected:
            gc.enable()


class _Run:
    """One drive under way."""

    def __init__(
        self,
        target: Target,
        stretch: Stretch,
        prompts: typing.Iterator[Prompt],
        on_sample: OnSample,
        transport: Connector,
        clock: typing.Callable[[], float],
    ) -> None:
        self._stretch = stretch
        self._prompts = prompts
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        addresses = [wire.address(url) for url in target.urls]
        body = wire.shared_body(
            target.model, stream=stretch.stream, temperature=stretch.temperature, ignore_eos=stretch.ignore_eos
        )
        self._writers = [
            wire.CompletionWriter(where, body, max_tokens=stretch.max_tokens, headers=target.headers)
            for where in addresses
        ]
        self._pool = Pool(
            transport,
            addresses,
            clock,
            self._take_back,
            Bounds(
                timeout_seconds=stretch.request_timeout_seconds,
                max_in_flight=stretch.max_in_flight,
                chunks=_CHUNKS_PER_TOKEN * stretch.max_tokens + _MORE_CHUNKS,
            ),
        )
        self._pace = pace(stretch.arrivals, stretch.share, stretch.seconds, stretch.requests, launch=self._launch)
        slots = stretch.arrivals.concurrency
        self._per_slot = slots is not None and slots >= len(addresses)
        self._alarm = Alarm(self._loop, self._advance)
        self._armed: float | None = None
        self._ticker = Ticker(self._loop, clock, self._tick)
        self._hand_over = HandOver(on_sample, lambda: self._origin)
        self._launched = 0
        self._share, self._shares = stretch.share.index, stretch.share.count
        self._start = self._last_end = 0.0
        self._late = 0
        self._stopped = False

    async def go(self, stop: asyncio.Event | None) -> Drive:
        """Run it to its end."""
        handler = self._loop.get_exception_handler()
        self._loop.set_exception_handler(self._broken)
        aside = [self._loop.create_task(self._hand_over.keep_up())]
        if stop is not None:
            aside.append(self._loop.create_task(self._watch(stop)))
        try:
            await self._pool.warm(self._connections())
            self._start = self._last_end = self._clock() if self._stretch.begin is None else self._stretch.begin
            self._ticker.start()
            if not self._stopped:
                self._pace.begin(self._start)
            self._advance()
            await asyncio.wait({self._over, aside[0]}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._loop.set_exception_handler(handler)
            await self._clean_up(aside)
        return self._result()

    def _connections(self) -> int:
        """Return how many connections the first sends need."""
        slots = self._stretch.share.of(self._stretch.arrivals.concurrency or _WARM)
        return slots if self._stretch.requests is None else min(slots, self._stretch.requests)

    async def _clean_up(self, aside: list[asyncio.Task[None]]) -> None:
        """Leave nothing behind, whatever ended the stretch; what is still under way becomes a cancelled sample."""
        self._ticker.stop()
        self._end(grace_seconds=0)
        self._pool.sweep()
        await self._pool.close()
        self._alarm.close()
        for pending in (self._over, *aside):
            pending.cancel()
        failure: StorageFailed | None = None
        for result in await asyncio.gather(self._over, *aside, return_exceptions=True):
            if isinstance(result, StorageFailed):
                failure = result
            elif isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result
        self._hand_over.rest(failure)

    def _result(self) -> Drive:
        origin = self._origin.seconds
        return Drive(
            intended=self._launched,
            sent=self._pool.sent,
            start_seconds=self._start - origin,
            end_seconds=self._last_end - origin,
            in_flight_at_end=self._late,
            lag_p99_ms=self._ticker.p99_ms(),
            lag_max_ms=self._ticker.max_ms,
        )

    # The hot path.

    def _launch(self, intended: float, slot: int) -> bool:
        prompt = next(self._prompts, None)
        if prompt is None:
            return False
        number = self._launched * self._shares + self._share
        self._launched += 1
        replica = (slot * self._shares + self._share if self._per_slot else number) % len(self._writers)
        self._pool.submit(Exchange(number, slot, replica, intended, self._writers[replica].request(prompt)))
        return True

    def _take_back(self, exchange: Exchange) -> None:
        self._hand_over.add(exchange)
        end = exchange.end
        self._last_end = end
        seconds = self._stretch.seconds
        if seconds is not None and end > self._start + seconds:
            self._late += 1
        self._pace.ended(exchange)
        self._advance()

    def _advance(self) -> None:
        """Send what is due, and wake up for what is next."""
        moment = self._pace.due(self._clock())
        if moment is None:
            if self._pace.over and not self._pool.busy and not self._over.done():
                self._over.set_result(None)
        elif moment != self._armed:
            self._armed = moment
            self._alarm.set(moment - self._clock())

    # Beside it.

    def _tick(self) -> None:
        if self._ticker.ticks % _SWEEP_TICKS == 0:
            self._pool.sweep()

    @functools.cached_property
    def _origin(self) -> exchanges.Origin:
        """What all samples share; known once the stretch has started."""
        stretch = self._stretch
        return exchanges.Origin(
            stage=stretch.stage,
            candidate=stretch.candidate,
            block=stretch.block,
            concurrency=stretch.arrivals.concurrency,
            rate_per_second=stretch.arrivals.rate_per_second,
            seconds=self._start if stretch.origin is None else stretch.origin,
        )

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopped = True
        self._end(grace_seconds=self._stretch.grace_seconds)
        self._advance()

    def _end(self, *, grace_seconds: float) -> None:
        self._pace.stop()
        self._pool.stop(grace_seconds)

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, typing.Any]) -> None:
        """End the stretch with what broke in a callback, which asyncio would only log."""
        error = context.get("exception")
        if error is None or self._over.done():
            loop.default_exception_handler(context)
        else:
            self._over.set_exception(error)
