"""A real connection whose bytes have the kernel's moments: a busy client, a full socket, an end and a break."""

import asyncio
import collections.abc
import socket
import struct
import time
import typing

import uvloop

from optimal_tp.loadgen.transport import KernelClock, StampedTransport


class Receiver:
    """Keeps what it is told."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.data = b""
        self.moments: list[float] = []
        self.came = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Do nothing."""

    def received(self, data: bytes, moment: float) -> None:
        """Keep both."""
        self.data += data
        self.moments.append(moment)
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep why."""
        self.lost.set_result(exc)


Scene = typing.Callable[
    [Receiver, StampedTransport, socket.socket], collections.abc.Coroutine[typing.Any, typing.Any, None]
]


def play(scene: Scene) -> None:
    """Run ``scene`` with both ends of a connection on loopback."""

    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        near.setblocking(False)  # noqa: FBT003 - its only argument
        receiver = Receiver()
        with far:
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = StampedTransport(asyncio.get_running_loop(), near, receiver, KernelClock())
            await scene(receiver, transport, far)
            transport.abort()
            await receiver.lost

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work(), 10))


def test_a_busy_client_does_not_stamp_late() -> None:
    """Bytes that came while the client was at something else have a moment from before it could look.

    Where this process is stopped between two readings of the clock, the read counts: one try in ten must do.
    """

    async def scene(receiver: Receiver, transport: StampedTransport, far: socket.socket) -> None:  # noqa: ARG001 - seam
        tries = []
        for _ in range(10):
            receiver.came.clear()
            before = time.perf_counter()
            far.send(b"token")
            free = time.perf_counter() + 0.03
            while time.perf_counter() < free:
                pass
            await receiver.came.wait()
            assert before <= receiver.moments[-1]
            tries.append(receiver.moments[-1] < free)

        assert any(tries)

    play(scene)


def test_what_the_socket_does_not_take_at_once_follows() -> None:
    """A request of 8 MB arrives whole and in order."""

    async def scene(receiver: Receiver, transport: StampedTransport, far: socket.socket) -> None:  # noqa: ARG001 - seam
        asked = bytes(range(256)) * 32_768
        transport.write(asked[:5])
        transport.write(asked[5:])
        far.setblocking(False)  # noqa: FBT003 - its only argument
        got = bytearray()
        while len(got) < len(asked):
            got += await asyncio.get_running_loop().sock_recv(far, 1 << 20)

        assert bytes(got) == asked
        assert transport.get_write_buffer_size() == 0

    play(scene)


def test_the_end_and_a_break_are_told_apart() -> None:
    """A server that closes leaves no error; one that resets the connection leaves one. Each is told once."""

    async def closed(receiver: Receiver, transport: StampedTransport, far: socket.socket) -> None:  # noqa: ARG001 - seam
        far.shutdown(socket.SHUT_WR)
        assert await asyncio.shield(receiver.lost) is None

    async def reset(receiver: Receiver, transport: StampedTransport, far: socket.socket) -> None:  # noqa: ARG001 - seam
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        assert isinstance(await asyncio.shield(receiver.lost), ConnectionResetError)

    play(closed)
    play(reset)
