"""Moments of arrival: the kernel's own where they can be trusted, that of the read where not; never too early."""

import asyncio
import collections.abc
import socket
import struct
import time
import typing

import pytest
import uvloop

from optimal_tp.loadgen.transport import SO_TIMESTAMPNS, KernelClock, StampedTransport

WALL = 1_790_000_000 * 1_000_000_000


class Clocks:
    """A client's clock and a wall clock, moved by hand."""

    def __init__(self) -> None:
        """Start at second 100 of the client's clock."""
        self.now = 100.0
        self.set_by = 0.0
        self.pause = 0.0
        """Passes once, before the client's clock is read."""
        self.kernel = KernelClock(self.client, self.wall_ns)

    def client(self) -> float:
        """Return the client's clock."""
        self.now, self.pause = self.now + self.pause, 0.0
        return self.now

    def wall_ns(self) -> int:
        """Return the wall clock."""
        return WALL + round((self.now + self.set_by) * 1e9)

    def stamp(self, seconds_ago: float) -> list[tuple[int, int, bytes]]:
        """Return what the kernel puts beside bytes that arrived so long ago, by the wall clock as it is now."""
        moment = self.wall_ns() - round(seconds_ago * 1e9)
        return [(socket.SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("@ll", *divmod(moment, 1_000_000_000)))]


@pytest.fixture
def clocks() -> Clocks:
    """Return clocks that have run for a while."""
    made = Clocks()
    made.now += 10
    return made


def test_a_moment_is_that_of_the_arrival_not_of_the_read(clocks: Clocks) -> None:
    """Bytes that lay for 30 ms arrived 30 ms ago."""
    assert clocks.kernel.moment(clocks.stamp(0.03)) == pytest.approx(clocks.now - 0.03, abs=1e-6)
    assert (clocks.kernel.stamped, clocks.kernel.unstamped) == (1, 0)


def test_without_a_stamp_the_moment_is_that_of_the_read(clocks: Clocks) -> None:
    """Where the kernel says nothing the read is the first that is known of the bytes."""
    assert clocks.kernel.moment([]) == clocks.now
    assert (clocks.kernel.stamped, clocks.kernel.unstamped) == (0, 1)


def test_a_stamp_from_the_future_is_not_used(clocks: Clocks) -> None:
    """No byte is read before it arrives."""
    assert clocks.kernel.moment(clocks.stamp(-0.01)) == clocks.now


@pytest.mark.parametrize("step", [3600.0, 0.002, -0.002, -3600.0])
def test_a_wall_clock_that_was_set_moves_no_moment(clocks: Clocks, step: float) -> None:
    """A stamp from before the setting has an age that is wrong by as much, so the read counts; later ones are used."""
    before = clocks.stamp(0.001)
    clocks.set_by = step
    at_the_read = clocks.kernel.moment(before)
    late = clocks.kernel.moment(before)
    clocks.now += 1

    assert at_the_read == late == clocks.now - 1
    assert clocks.kernel.moment(clocks.stamp(0.03)) == pytest.approx(clocks.now - 0.03, abs=1e-6)


@pytest.mark.parametrize("pause", [0.0005, 0.2])
def test_a_pause_between_the_two_readings_costs_no_stamp(clocks: Clocks, pause: float) -> None:
    """A client that was stopped just there looks at both clocks again: no clock was set, so the stamp counts."""
    arrived = clocks.now - 0.03
    stamp = clocks.stamp(0.03)
    clocks.pause = pause

    assert clocks.kernel.moment(stamp) == pytest.approx(arrived, abs=1e-6)
    assert clocks.kernel.moment(clocks.stamp(0)) == pytest.approx(clocks.now, abs=1e-6)
    assert (clocks.kernel.stamped, clocks.kernel.unstamped) == (2, 0)


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
