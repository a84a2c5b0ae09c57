"""Tell whether this machine's clock can be compared with another's, by the kernel's bound on its error."""

import ctypes
import pathlib
import uuid

_BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")
_UNSYNCHRONISED = 0x40
_CLOCK_ERROR = 5


class _Timex(ctypes.Structure):
    """The start of Linux's ``struct timex``, and room for the rest (adjtimex(2), read 2026-11-24)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clock_error_ms() -> float | None:
    """Return the kernel's bound on the error of its clock; None if no time service sets it, or it cannot be read.

    NTP's daemons keep this bound up to date: half the round trip to the source plus the possible drift since then.
    """
    try:
        library = ctypes.CDLL(None, use_errno=True)
        timex = _Timex()
        state = library.adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state < 0 or state == _CLOCK_ERROR or timex.status & _UNSYNCHRONISED:
        return None
    return float(timex.maxerror) / 1000


def machine() -> str:
    """Return the boot id of this machine; a unique one if the kernel has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())
