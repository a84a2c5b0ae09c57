"""The connections of one stretch: sends each exchange on a free connection and returns it when it has ended."""

import asyncio
import collections
import dataclasses
import errno
import itertools
import socket
import typing

from optimal_tp.loadgen.connection import Connection
from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.loadgen.transport import Connector
from optimal_tp.loadgen.wire import Address
from optimal_tp.measurement.samples import Status

_OWN_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
"""Errors that mean that this machine, not the server, lacks something for a connection: files, ports, memory."""
IDLE_SECONDS = 4.0
"""A connection idle for longer is not used again: uvicorn, vLLM's server, closes it after 5 s, and a request sent at
that moment would fail for no fault of the server's. Source: uvicorn's settings, timeout_keep_alive, read 2026-11-23."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits of every exchange."""

    timeout_seconds: float
    max_in_flight: int | None
    """None: no bound."""
    chunks: int
    """Token chunks of one stream."""


class Pool:
    """Keeps connections alive between exchanges, newest first; opens one when none is free.

    With ``max_in_flight`` an exchange waits while that many are in flight. While it waits its time-out runs from its
    intended send, afterwards from the send. Every exchange is returned through ``on_end``, once.
    """

    def __init__(
        self,
        transport: Connector,
        addresses: typing.Sequence[Address],
        clock: typing.Callable[[], float],
        on_end: typing.Callable[[Exchange], None],
        bounds: Bounds,
    ) -> None:
        """Open nothing yet; ``addresses`` are the replicas'."""
        self.sent = 0
        """Exchanges of which at least one byte was written."""
        self.in_flight = 0
        self._transport = transport
        self._addresses = addresses
        self._clock = clock
        self._on_end = on_end
        self._timeout_seconds = bounds.timeout_seconds
        self._max_in_flight = bounds.max_in_flight
        self._most_chunks = bounds.chunks
        self._idle: list[list[Connection]] = [[] for _ in addresses]
        self._all: set[Connection] = set()
        self._opening: dict[asyncio.Task[None], Exchange] = {}
        self._waiting: collections.deque[Exchange] = collections.deque()
        self._cutoff: float | None = None
        self._empty = asyncio.Event()

    async def warm(self, connections: int) -> None:
        """Open ``connections`` in advance, over all replicas in turn; a failure is left for a request to report."""
        replicas = itertools.islice(itertools.cycle(range(len(self._addresses))), connections)
        await asyncio.gather(*(self._warm_one(replica) for replica in replicas))

    async def _warm_one(self, replica: int) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                connection = await self._connect(replica)
        except OSError:
            return
        connection.idle_since = self._clock()
        self._idle[replica].append(connection)

    def submit(self, exchange: Exchange) -> None:
        """Send ``exchange`` as soon as allowed."""
        if self._max_in_flight is not None and self.in_flight >= self._max_in_flight:
            exchange.deadline = exchange.intended + self._timeout_seconds
            self._waiting.append(exchange)
        else:
            self._send(exchange)

    def _send(self, exchange: Exchange) -> None:
        now = self._clock()
        self.in_flight += 1
        exchange.deadline = now + self._timeout_seconds
        idle = self._idle[exchange.replica]
        while idle:
            connection = idle.pop()
            if connection.usable and now - connection.idle_since < IDLE_SECONDS:
                self._write(connection, exchange, now)
                return
            connection.close()
        task = asyncio.get_running_loop().create_task(self._open(exchange))
        self._opening[task] = exchange
        task.add_done_callback(self._opened)

    def _write(self, connection: Connection, exchange: Exchange, now: float) -> None:
        self.sent += 1
        connection.send(exchange, now)

    async def _open(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(max(exchange.deadline - self._clock(), 0)):
                connection = await self._connect(exchange.replica)
        except TimeoutError:
            self._end(exchange, "timeout", f"no connection within {self._timeout_seconds:g} s")
        except OSError as error:
            where = self._addresses[exchange.replica].authority
            status: Status = "no_socket" if error.errno in _OWN_SHORTAGES else "refused"
            self._end(exchange, status, f"no connection to {where}: {error}")
        else:
            self._write(connection, exchange, self._clock())

    def _opened(self, task: asyncio.Task[None]) -> None:
        exchange = self._opening.pop(task)
        if task.cancelled():
            self._end(exchange, "cancelled", "the run was stopped before a connection was open")

    async def _connect(self, replica: int) -> Connection:
        def make(sock: socket.socket | None) -> Connection:
            """Return the protocol of one connection."""
            return Connection(self, self._clock, replica=replica, most_chunks=self._most_chunks, sock=sock)

        connection = await self._transport.connect(self._addresses[replica], make)
        if not connection.usable:
            raise ConnectionResetError("the server closed it at once")
        self._all.add(connection)
        return connection

    def finished(self, connection: Connection, exchange: Exchange) -> None:
        """Take back a connection and its exchange."""
        if connection.usable:
            self._idle[connection.replica].append(connection)
        self._settle(exchange)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._all.discard(connection)
        if not self._all:
            self._empty.set()

    def _end(self, exchange: Exchange, status: Status, detail: str) -> None:
        exchange.end = self._clock()
        exchange.status, exchange.detail = status, detail
        self._settle(exchange)

    def _settle(self, exchange: Exchange) -> None:
        self.in_flight -= 1
        if self._waiting and self._cutoff is None:
            self._send(self._waiting.popleft())
        self._on_end(exchange)

    @property
    def busy(self) -> bool:
        """True while an exchange has not come back."""
        return self.in_flight > 0 or bool(self._waiting)

    def sweep(self) -> None:
        """End overdue exchanges: those in flight, and those that have waited too long."""
        now = self._clock()
        for connection in [connection for connection in self._all if connection.overdue(now)]:
            if self._cutoff is not None and now > self._cutoff:
                connection.expire(now, "cancelled", "the run was stopped and the grace time is over")
            else:
                connection.expire(now, "timeout", f"no complete response within {self._timeout_seconds:g} s")
        while self._waiting and now > self._waiting[0].deadline:
            self._drop("timeout", f"not sent within {self._timeout_seconds:g} s: every place was taken")

    def _drop(self, status: Status, detail: str) -> None:
        exchange = self._waiting.popleft()
        self.in_flight += 1  # as if it had been in flight: settling subtracts it again
        self._end(exchange, status, detail)

    def stop(self, grace_seconds: float) -> None:
        """Send nothing more; exchanges still in flight after ``grace_seconds`` end as cancelled."""
        self._cutoff = self._clock() + grace_seconds
        while self._waiting:
            self._drop("cancelled", "the run was stopped before it was sent")
        for task in list(self._opening):
            task.cancel()
        for connection in self._all:
            connection.hasten(self._cutoff)

    async def close(self) -> None:
        """Close every connection and wait until the event loop has released them."""
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._all):
            connection.close()
        if self._all:
            self._empty.clear()
            await self._empty.wait()
