"""One HTTP/1.1 connection: sends a request, stamps the response, and hands the exchange over when it has ended."""

import asyncio
import math
import socket
import typing

import httptools

from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.loadgen.stream import TokenStream
from optimal_tp.measurement.samples import Status

HEAD_BYTES = 65_536
"""Largest head of a response: twice the limit of common servers."""
BODY_BYTES = 64 * 1024 * 1024
"""Largest body of a response."""
EVENT_BYTES = 4 * 1024 * 1024
"""Largest event of a stream."""
_OK = 200
_EVENT_STARTS = (b"data:", b"event:", b": ")


class Owner(typing.Protocol):
    """Receives the events of a connection."""

    def finished(self, connection: "Connection", exchange: Exchange) -> None:
        """Take over an exchange that has succeeded or failed; check ``connection.usable`` before the next one."""

    def lost(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""


class Connection(asyncio.Protocol):
    """A connection for one exchange at a time. httptools calls the ``on_`` methods.

    ``sock`` is the socket of a plain connection, None with TLS. ``send`` writes a request to it by one system call, so
    that the stamp is the moment it left; the event loop would write it only at the end of its turn.
    """

    def __init__(
        self,
        owner: Owner,
        clock: typing.Callable[[], float],
        *,
        replica: int,
        most_chunks: int,
        sock: socket.socket | None = None,
    ) -> None:
        """``most_chunks`` bounds a stream: more token chunks cannot be the answer to the request."""
        self.replica = replica
        self.usable = False
        self.idle_since = 0.0
        self._owner = owner
        self._clock = clock
        self._most_chunks = most_chunks
        self._socket = sock
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._now = 0.0
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # httptools calls it for each chunk, in C without a Python frame
        self._parser = httptools.HttpResponseParser(self)
        self._stream = TokenStream()
        self._expect()

    def _expect(self) -> None:
        """Be ready for the next response."""
        self._stream.begin()
        self._in_head = True
        self._complete = False
        self._streaming = False
        self._encoding: str | None = None
        self._bytes = 0
        self._own_pieces = 0
        self._until_close = True

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Become usable."""
        self._transport = typing.cast("asyncio.Transport", transport)
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the current exchange, unless its body ends with the connection."""
        self.usable = False
        exchange = self._exchange
        self._owner.lost(self)
        if exchange is None:
            return
        self._now = self._clock()
        if exc is None and not self._in_head and self._until_close and not self._complete:
            self._finish(exchange)
        else:
            reason = "reset" if exc is not None else "closed"
            self._fail("closed_early", f"the server {reason} the connection before the response was complete")

    def eof_received(self) -> None:
        """Let asyncio close the connection."""

    def data_received(self, data: bytes) -> None:
        """Stamp and parse what arrived."""
        self.received(data, self._clock())

    def received(self, data: bytes, moment: float) -> None:
        """Parse the data that arrived at ``moment``; moments never go back."""
        if moment > self._now:  # noqa: PLR1730 - a call of max takes twice as long
            self._now = moment
        exchange = self._exchange
        if exchange is None:  # no request was sent
            self.close()
            return
        self._bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("bad_response", "the server asked for another protocol")
        except httptools.HttpParserError as error:
            if not self._complete:
                self._fail("bad_response", f"the response is not HTTP/1.1: {error}")
                return
            self.usable = False  # the answer is complete; the bytes after it are not ours
        if self._pieces:
            if self._complete:
                del self._pieces[self._own_pieces :]
            self._read_body(exchange)
        if self._complete:
            self._finish(exchange)
        else:
            self._hold_bounds(exchange)

    def _hold_bounds(self, exchange: Exchange) -> None:
        if self._in_head:
            if self._bytes > HEAD_BYTES:
                self._fail("bad_response", f"the response's head takes more than {HEAD_BYTES} bytes")
        elif len(exchange.tokens) > self._most_chunks:
            self._fail("bad_response", f"the stream did not end after {self._most_chunks} chunks")
        elif self._bytes > BODY_BYTES:
            self._fail("bad_response", f"the response takes more than {BODY_BYTES} bytes")
        elif self._stream.kept_bytes > EVENT_BYTES:
            self._fail("bad_response", f"one event of the stream takes more than {EVENT_BYTES} bytes")

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Note that bytes follow the end of the answer."""
        if self._complete:
            self.usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers that decide how to read the body."""
        size = len(name)
        if size == 12 and name.lower() == b"content-type":  # noqa: PLR2004 - cheaper than lowering every name
            self._streaming = value.lower().startswith(b"text/event-stream")
        elif size in {14, 17} and name.lower() in {b"content-length", b"transfer-encoding"}:
            self._until_close = False
        elif size == 16 and name.lower() == b"content-encoding" and value.lower() != b"identity":  # noqa: PLR2004 - likewise
            self._encoding = value.decode(errors="replace")
        elif size == 11 and name.lower() == b"retry-after" and self._exchange is not None:  # noqa: PLR2004 - likewise
            self._exchange.retry_after = _seconds(value)

    def on_headers_complete(self) -> None:
        """Decide by the status how the body is read."""
        exchange = self._exchange
        if exchange is None or self._complete:
            return
        exchange.http_status = self._parser.get_status_code()
        if exchange.http_status < _OK:  # 1xx: the answer is still to come
            return
        self._in_head = False
        self._streaming = self._streaming and exchange.http_status == _OK and self._encoding is None
        if not self._streaming:
            exchange.body = []

    def on_message_complete(self) -> None:
        """Note the end; the exchange is handed over once everything that arrived with it is parsed."""
        if self._in_head:  # of a 1xx
            return
        if not self._complete:
            self._complete = True
            self._own_pieces = len(self._pieces)
            self.usable = self.usable and self._parser.should_keep_alive()

    # What the client calls.

    def send(self, exchange: Exchange, now: float) -> None:
        """Send ``exchange``'s request; it fails if no answer is complete by ``exchange.deadline``."""
        self._exchange = exchange
        exchange.sent = now
        data = exchange.request
        exchange.request = b""
        sent = 0
        if self._socket is not None:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                pass
            except OSError:  # connection_lost follows and tells
                return
        if sent < len(data) and self._transport is not None:
            self._transport.write(data[sent:])

    def overdue(self, now: float) -> bool:
        """Return whether the current exchange should have ended before ``now``."""
        exchange = self._exchange
        return exchange is not None and now > exchange.deadline

    def hasten(self, deadline: float) -> None:
        """End the current exchange by ``deadline`` at the latest."""
        if self._exchange is not None:
            self._exchange.deadline = min(self._exchange.deadline, deadline)

    def expire(self, now: float, status: Status, detail: str) -> None:
        """End the current exchange with ``status``; close the connection, because an answer may still come."""
        self._now = now
        self._fail(status, detail)

    def close(self) -> None:
        """Close; the current exchange must have ended before."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # Within.

    def _read_body(self, exchange: Exchange) -> None:
        if exchange.body == [] and exchange.http_status == _OK and self._pieces[0].startswith(_EVENT_STARTS):
            self._streaming, exchange.body = True, None  # a stream, whatever its content type
        if exchange.body is None:
            self._stream.take(exchange, self._pieces, self._now)
        else:
            exchange.body.extend(self._pieces)
        self._pieces.clear()

    def _finish(self, exchange: Exchange) -> None:
        if self._streaming:
            self._stream.finish(exchange, self._now)
        if exchange.http_status != _OK:
            exchange.status = "http_error"
            exchange.detail = f"HTTP status {exchange.http_status}"
            if exchange.retry_after is not None:
                exchange.detail += f", retry after {exchange.retry_after:g} s"
        elif self._encoding is not None:
            exchange.status = "bad_response"
            exchange.detail = f"the answer is compressed although no compression was requested ({self._encoding})"
        elif exchange.status is None and self._streaming and not (exchange.done or exchange.finished):
            exchange.status = "closed_early"
            exchange.detail = "the stream ended without data: [DONE]"
        elif exchange.status is None:
            exchange.status = "ok"
        self.usable = self.usable and self._complete
        self._hand_over(exchange)

    def _fail(self, status: Status, detail: str) -> None:
        exchange = self._exchange
        self.close()
        if exchange is not None:
            exchange.status, exchange.detail = status, detail
            self._hand_over(exchange)

    def _hand_over(self, exchange: Exchange) -> None:
        exchange.end = self.idle_since = self._now
        self._exchange = None
        self._expect()
        if not self.usable:
            self.close()
        self._owner.finished(self, exchange)


def _seconds(value: bytes) -> float | None:
    try:
        seconds = float(value)
    except ValueError:  # a date, by another clock than ours
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
