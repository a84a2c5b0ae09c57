"""Connections over TCP and TLS; whoever has another way to a server passes its own connector."""

import asyncio
import socket
import ssl
import time
import typing

from optimal_tp.loadgen.connection import Connection
from optimal_tp.loadgen.receiving import KernelClock, StampedTransport, ask_for_stamps
from optimal_tp.loadgen.wire import Address

MakeConnection = typing.Callable[[socket.socket | None], Connection]
"""Makes the protocol; gets the socket where bytes may be written to it directly."""


_Target = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


class Connector(typing.Protocol):
    """A way to a server: the load generator's transport."""

    async def connect(self, where: Address, make: MakeConnection) -> Connection:
        """Return an open connection. Raises OSError (ssl.SSLError and TimeoutError among them) where there is none."""


class Network:
    """TCP, and TLS where the address asks for it. Names are resolved until one of their addresses is good, then kept.

    Streams over a plain connection have the moments at which the kernel took in their bytes; whole answers, whose one
    moment is the end, and TLS have those of the reads (docs/decisions/0025).
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        clock: typing.Callable[[], float] = time.perf_counter,
        *,
        stamped: bool = False,
    ) -> None:
        """``tls`` replaces the system's trust; ``clock`` is the client's; ``stamped`` asks for the kernel's moments."""
        self.clock = KernelClock(clock) if stamped else None
        if stamped:
            ask_for_stamps()
        self._tls = tls
        self._known: dict[tuple[str, int], tuple[socket.AddressFamily, _Target]] = {}

    async def connect(self, where: Address, make: MakeConnection) -> Connection:
        """Return an open connection. Raises OSError where there is none."""
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
        """Return a socket connected to the address that was good before, else to the first that is.

        ``localhost`` is ::1 as well, where a server that listens on 0.0.0.0 does not answer.
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
