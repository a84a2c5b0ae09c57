"""The driver: sends a stretch of load by its schedule and hands over one sample per request."""

import asyncio
import functools
import gc
import time
import typing

from optimal_tp.errors import StorageFailed
from optimal_tp.loadgen import exchange as exchanges
from optimal_tp.loadgen import wire
from optimal_tp.loadgen.counted import Tally
from optimal_tp.loadgen.exchange import Exchange, HandOver, OnSample
from optimal_tp.loadgen.pacing import pace
from optimal_tp.loadgen.pool import Bounds, Pool
from optimal_tp.loadgen.routing import router
from optimal_tp.loadgen.stretch import Drive, Stretch, Target
from optimal_tp.loadgen.timers import Alarm, Ticker
from optimal_tp.loadgen.transport import Connector, TcpTransport
from optimal_tp.plan.lengths import output_lengths
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import opening

_SWEEP_TICKS = 4  # time-outs are checked every 20 ms
_WARM = 16  # connections opened before an open schedule starts
_CHUNKS_PER_TOKEN = 4  # a server may split a token's text; a stream with more chunks than this would never stop
_MORE_CHUNKS = 64
_WITH_ITS_TURN = "ended with its turn: the requests that count had ended"


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
    ``stop``. Any exception of ``on_sample`` ends the stretch and is raised here; after a StorageFailed the remaining
    samples are still handed over, so that ``on_sample`` can count them, and its last exception is raised. Garbage
    collection is off during the stretch, because no object in the path of a request is cyclic. Raises ValueError for an
    invalid URL.
    """
    run = _Drive(
        target, stretch, prompts, on_sample, transport or TcpTransport(clock=clock, stamped=stretch.stream), clock
    )
    collected = gc.isenabled()
    gc.disable()
    try:
        return await run.go(stop)
    finally:
        if collected:
            gc.enable()


class _Drive:
    """One stretch being sent."""

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
        least, most = stretch.output_range or (stretch.max_tokens, stretch.max_tokens)
        self._lengths = output_lengths(
            least, most, seed=stretch.seed, opening=opening(stretch.arrivals), share=stretch.share
        )
        self._writers = [
            wire.RequestWriter(where, body, max_tokens=most, headers=target.headers, api=stretch.api)
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
                chunks=_CHUNKS_PER_TOKEN * most + _MORE_CHUNKS,
            ),
        )
        self._pace = pace(stretch.arrivals, stretch.share, stretch.seconds, stretch.requests, launch=self._launch)
        slots = stretch.arrivals.concurrency
        self._per_slot = slots is not None and slots >= len(addresses)
        # A closed loop with fewer slots than replicas uses the replicas in turn.
        routing = stretch.routing if slots is None else "round-robin"
        self._router = router(routing, len(addresses), seed=stretch.seed, share=stretch.share)
        self._alarm = Alarm(self._loop, self._advance)
        self._armed: float | None = None
        self._ticker = Ticker(self._loop, clock, self._tick)
        self._hand_over = HandOver(on_sample, lambda: self._origin)
        self._tally = None if stretch.counted is None else Tally(stretch.counted, stretch.share)
        self._known = False
        self._launched = 0
        self._share, self._shares = stretch.share.index, stretch.share.count
        self._start = self._last_end = 0.0
        self._late = 0
        self._stopped = False

    async def go(self, stop: asyncio.Event | None) -> Drive:
        """Send the stretch to its end."""
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
        """Clean up, whatever ended the stretch; requests still in flight become cancelled samples."""
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
        last = None if self._tally is None else self._tally.last_end
        return Drive(
            intended=self._launched,
            sent=self._pool.sent,
            start_seconds=self._start - origin,
            end_seconds=(self._last_end if last is None else last) - origin,
            whole=not self._stopped if self._tally is None else self._known,
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
        own_replica = (slot * self._shares + self._share) % len(self._writers)
        replica = own_replica if self._per_slot else self._router.choose()
        length = None if self._lengths is None else next(self._lengths)
        exchange = Exchange(number, slot, replica, intended, self._writers[replica].request(prompt, length))
        if self._tally is not None:
            self._tally.sent(exchange)
        self._pool.submit(exchange)
        return True

    def _take_back(self, exchange: Exchange) -> None:
        if self._tally is not None:
            self._note_end(self._tally, exchange)
        self._hand_over.add(exchange)
        self._router.ended(exchange.replica)
        end = exchange.end
        self._last_end = end
        seconds = self._stretch.seconds
        if seconds is not None and end > self._start + seconds:
            self._late += 1
        self._pace.ended(exchange)
        self._end_if_known()
        self._advance()

    def _advance(self) -> None:
        """Send the requests that are due, and set the timer for the next one."""
        moment = self._pace.due(self._clock())
        if moment is None:
            if self._pace.over and not self._pool.busy and not self._over.done():
                self._over.set_result(None)
        elif moment != self._armed:
            self._armed = moment
            self._alarm.set(moment - self._clock())

    # Beside the hot path.

    def _tick(self) -> None:
        if self._ticker.ticks % _SWEEP_TICKS == 0:
            self._pool.sweep()
        self._end_if_known()

    def _note_end(self, tally: Tally, exchange: Exchange) -> None:
        if exchange.status == "cancelled" and self._known:
            exchange.detail = tally.miss(exchange, exchange.end) or _WITH_ITS_TURN
        tally.ended(exchange)

    def _end_if_known(self) -> None:
        """End the stretch, with all requests in flight, once the outcome of its counted requests is certain."""
        if self._tally is None or self._known or not self._tally.known(self._clock()):
            return
        self._known = True
        self._pace.stop()
        self._pool.stop(0)
        self._pool.sweep()
        self._advance()

    @functools.cached_property
    def _origin(self) -> exchanges.Origin:
        """The data that all samples share; known once the stretch has started."""
        stretch = self._stretch
        return exchanges.Origin(
            stage=stretch.stage,
            degree=stretch.degree,
            max_num_seqs=stretch.max_num_seqs,
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
        """End the stretch with an exception from a callback, which asyncio would only log."""
        error = context.get("exception")
        if error is None or self._over.done():
            loop.default_exception_handler(context)
        else:
            self._over.set_exception(error)
