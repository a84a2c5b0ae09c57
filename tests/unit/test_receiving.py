"""Moments of arrival: the kernel's own where they can be trusted, that of the read where not; never too early."""

import socket
import struct

import pytest

from optimal_tp.loadgen.transport import SO_TIMESTAMPNS, KernelClock

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
