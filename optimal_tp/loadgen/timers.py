"""A finer timer than the event loop's: libuv and asyncio round to milliseconds, a timerfd wakes within microseconds."""

import asyncio
import ctypes
import os
import typing

from optimal_tp.measurement.distribution import Histogram

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000


class _Timespec(ctypes.Structure):
    _fields_: typing.ClassVar = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_: typing.ClassVar = [("interval", _Timespec), ("value", _Timespec)]


def _libc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None
    return libc if hasattr(libc, "timerfd_create") else None


class Alarm:
    """Calls ``ring`` once, ``seconds`` after ``set``; setting it again replaces the earlier time.

    Uses Linux's timerfd if there is one, else the loop's own timer. Python offers timerfd only from 3.13 on, so it is
    called through ctypes. Close the alarm to free its file descriptor.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: typing.Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._libc = _libc()
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1
        if self._libc is not None:
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd >= 0:
            loop.add_reader(self._fd, self._read)

    def set(self, seconds: float) -> None:
        """Ring ``seconds`` from now; at once, but not from within this call, if that is 0 or less."""
        if self._fd < 0 or self._libc is None:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._loop.call_later(max(seconds, 0), self._ring)
            return
        whole, rest = divmod(max(int(seconds * 1e9), 1), 1_000_000_000)  # 0 would disarm it
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(whole, rest))
        self._libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None)

    def _read(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # the alarm was set again between the wake-up and this call
            return
        self._ring()

    def close(self) -> None:
        """Never ring again."""
        if self._handle is not None:
            self._handle.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


PERIOD_SECONDS = 0.005


class Ticker:
    """Ticks at absolute times and records how late each planned tick was, in ms to the microsecond.

    A pause delays every tick planned within it, each by the rest of the pause. So a pause has the same share of the
    ticks as of the time.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: typing.Callable[[], float], on_tick: typing.Callable[[], None]
    ) -> None:
        """Call ``on_tick`` at each tick that occurs, for work that waits for a quiet moment."""
        self._loop = loop
        self._clock = clock
        self._on_tick = on_tick
        self._planned = 0.0
        self._late = Histogram(most=10_000, width=0.001)
        self._handle: asyncio.TimerHandle | None = None
        self.ticks = 0

    def start(self) -> None:
        """Begin; the first tick is one period from now."""
        self._planned = self._clock() + PERIOD_SECONDS
        self._handle = self._loop.call_later(PERIOD_SECONDS, self._tick)

    def stop(self) -> None:
        """End; an overdue tick is counted with its present lateness."""
        if self._handle is not None:
            self._handle.cancel()
            self._count(self._clock())

    def _tick(self) -> None:
        self._count(self._clock())
        self._on_tick()
        self._handle = self._loop.call_later(max(self._planned - self._clock(), 0), self._tick)

    def _count(self, now: float) -> None:
        while self._planned <= now:
            self._late.add(round(1000 * (now - self._planned), 3))
            self.ticks += 1
            self._planned += PERIOD_SECONDS

    @property
    def max_ms(self) -> float | None:
        """The largest lateness of a tick; None without a tick."""
        return self._late.greatest

    def p99_ms(self) -> float | None:
        """Return the 99th percentile of lateness, at most 0.1 % too high; None without a tick."""
        return self._late.percentile(99)
