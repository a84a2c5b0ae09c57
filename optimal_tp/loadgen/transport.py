"""Connections over TCP and TLS. Pass another connector to reach a server in another way."""

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
import sys
import time
import typing

from optimal_tp.loadgen.connection import Connection
from optimal_tp.loadgen.wire import Address

SO_TIMESTAMPNS = 35
"""Socket option that reports when the kernel received the last byte of a read; docs/decisions/0025. Python 3.11 has no
name for it; the number is that of x86-64 and arm64 (asm-generic/socket.h of Linux, read 2026-11-24)."""
READ_BYTES = 65_536
STEP_NS = 100_000
"""The wall clock and the client's clock differ by a constant; if the difference changes by more, the former was set."""
_STAMP = struct.Struct("@ll")
_ROOM = socket.CMSG_SPACE(_STAMP.size)
_NS = 1_000_000_000


@functools.cache
def ask_for_stamps() -> None:
    """Ask for stamps before the first connection does, once per process.

    Linux begins to stamp a moment after the first socket asks (from a work queue), so the first reads would have none.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    _ask(sock)
    sock.detach()


def _ask(sock: socket.socket) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # without this option no read has a stamp, and the result says so
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


class Receiver(typing.Protocol):
    """Receives the bytes of a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""

    def received(self, data: bytes, moment: float) -> None:
        """Take ``data``, whose last byte arrived at ``moment`` of the clock."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End: the other side closed (None) or broke the connection."""


class KernelClock:
    """Turns the kernel's stamps, which are times of the wall clock, into readings of the client's clock.

    The age of a stamp at the read gives its moment. A stamp from before the wall clock was set is not used, because its
    age would be wrong by the change of the clock. A moment is never earlier than the arrival of the bytes.
    """

    def __init__(
        self,
        clock: typing.Callable[[], float] = time.perf_counter,
        wall_ns: typing.Callable[[], int] = time.time_ns,
    ) -> None:
        """``clock`` is the client's, in seconds; ``wall_ns`` the wall clock, in nanoseconds."""
        self.stamped = 0
        """Reads whose moment is the kernel's."""
        self.unstamped = 0
        """Reads whose moment is that of the read itself."""
        self._clock = clock
        self._wall_ns = wall_ns
        # A pause between the two readings would falsify their difference, and the first stamps would not be trusted.
        self._apart_ns = max(wall_ns() - clock() * _NS for _ in range(3))
        self._trusted_from_ns = wall_ns()

    @property
    def stamped_share(self) -> float | None:
        """The share of reads whose moment is the kernel's; None without a read."""
        reads = self.stamped + self.unstamped
        return self.stamped / reads if reads else None

    def _readings(self) -> tuple[int, float]:
        """Read the wall clock, then the client's clock: a pause between them makes a moment late, never early."""
        return self._wall_ns(), self._clock()

    def moment(self, ancillary: typing.Sequence[tuple[int, int, bytes]]) -> float:
        """Return when the bytes of the present read arrived, from the read's ancillary data."""
        wall_ns, now = self._readings()
        if abs(wall_ns - now * _NS - self._apart_ns) > STEP_NS:
            wall_ns, now = self._readings()  # read again: a pause is over now, but a clock that was set stays set
            if abs(wall_ns - now * _NS - self._apart_ns) > STEP_NS:
                self._apart_ns, self._trusted_from_ns = wall_ns - now * _NS, wall_ns
        if ancillary:
            seconds, rest_ns = _STAMP.unpack(ancillary[0][2])
            stamp_ns: int = seconds * _NS + rest_ns
            if self._trusted_from_ns <= stamp_ns <= wall_ns:
                self.stamped += 1
                return now - (wall_ns - stamp_ns) / _NS
        self.unstamped += 1
        return now


class StampedTransport(asyncio.Transport):
    """A connected socket read with the kernel's stamps."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, receiver: Receiver, clock: KernelClock
    ) -> None:
        """Take over ``sock``, connected and not blocking, and start to read for ``receiver``."""
        super().__init__({"socket": sock})
        self._loop = loop
        self._socket = sock
        self._receiver = receiver
        self._clock = clock
        self._unsent = b""
        self._open = True
        _ask(sock)
        receiver.connection_made(self)
        loop.add_reader(sock.fileno(), self._read)

    def _read(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, _ROOM)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._receiver.received(data, self._clock.moment(ancillary))
        else:
            self._end(None)

    def write(self, data: "bytes | bytearray | memoryview[typing.Any]") -> None:
        """Send ``data`` as soon as the socket takes it."""
        if self._open:
            if not self._unsent:
                self._loop.add_writer(self._socket.fileno(), self._write)
            self._unsent += bytes(data)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the socket has not taken yet."""
        return len(self._unsent)

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    def abort(self) -> None:
        """Close at once."""
        self._end(None)

    def _end(self, error: OSError | None) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._loop.call_soon(self._lose, error)

    def _lose(self, error: OSError | None) -> None:
        self._socket.close()
        self._receiver.connection_lost(error)


MakeConnection = typing.Callable[[socket.socket | None], Connection]
"""Creates the protocol; receives the socket if bytes may be written to it directly."""


_Target = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


class Connector(typing.Protocol):
    """Connects to a server: the load generator's transport."""

    async def connect(self, where: Address, make: MakeConnection) -> Connection:
        """Return an open connection. Raises OSError (such as ssl.SSLError or TimeoutError) if that fails."""


class TcpTransport:
    """TCP, with TLS if the address asks for it. A name is resolved until one of its addresses works, which is kept.

    Streams over a plain connection have the moments when the kernel received their bytes. TLS connections and whole
    answers, for which only the end counts, have the moments of the reads (docs/decisions/0025).
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        clock: typing.Callable[[], float] = time.perf_counter,
        *,
        stamped: bool = False,
    ) -> None:
        """``tls`` replaces the system's trust; ``clock`` is the client's; ``stamped`` asks for the kernel's stamps."""
        self.clock = KernelClock(clock) if stamped else None
        if stamped:
            ask_for_stamps()
        self._tls = tls
        self._known: dict[tuple[str, int], tuple[socket.AddressFamily, _Target]] = {}

    async def connect(self, where: Address, make: MakeConnection) -> Connection:
        """Return an open connection. Raises OSError if that fails."""
        loop = asyncio.get_running_loop()
        sock = await self._connected(loop, where)
        try:
            if not where.tls and self.clock is not None:
                stamped = make(sock)
                StampedTransport(loop, sock, stamped, self.clock)
                return stamped
            if not where.tls:
                _, plain = await loop.create_connection(lambda: make(sock), sock=sock)
                return plain
            context = self._tls or ssl.create_default_context()
            _, secure = await loop.create_connection(
                lambda: make(None), sock=sock, ssl=context, server_hostname=where.host
            )
        except BaseException:
            sock.close()
            raise
        return secure

    async def _connected(self, loop: asyncio.AbstractEventLoop, where: Address) -> socket.socket:
        """Return a socket connected to the address that worked before, else to the first that works.

        ``localhost`` also means ::1, where a server that listens on 0.0.0.0 does not answer.
        """
        known = self._known.get((where.host, where.port))
        if known is not None:
            return await _open(loop, *known)
        found = await loop.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        failures: list[OSError] = []
        for family, _, _, _, target in found:
            try:
                sock = await _open(loop, family, target)
            except OSError as error:
                failures.append(error)
                continue
            self._known[where.host, where.port] = family, target
            return sock
        raise failures[0]


async def _open(loop: asyncio.AbstractEventLoop, family: socket.AddressFamily, target: _Target) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - its only argument
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock
