"""Which core the client runs on, and how the system schedules it there."""

import os
import pathlib

from optimal_tp.errors import CapacityError


def pin(core: int) -> None:
    """Keep this process on ``core``. Raises CapacityError where the system does not allow it."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        cores = ", ".join(map(str, sorted(allowed)))
        raise CapacityError(
            f"this process cannot be pinned to core {core}: {error.strerror}; allowed cores are {cores}: "
            "name one of them"
        ) from error


_SCHEDSTAT = pathlib.Path("/proc/thread-self/schedstat")


def core_wait_seconds() -> float | None:
    """Return how long this thread has been ready to run while its core had other work; None where no one counts it.

    Source: Linux's Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat, read 2026-11-24.
    """
    try:
        return int(_SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


_CLASSES = {os.SCHED_OTHER: "ordinary", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle", os.SCHED_FIFO: "real-time fifo"}
_CLASSES |= {os.SCHED_RR: "real-time round-robin"}


def take_precedence() -> None:
    """Let this process go before every ordinary one. Raises CapacityError where the system does not allow it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError as error:
        raise CapacityError(
            f"this process cannot have real-time priority: {error.strerror}; "
            f"it takes CAP_SYS_NICE or a limit rtprio of at least 1"
        ) from error


def scheduling() -> str:
    """Return how this process is scheduled, in words."""
    policy = os.sched_getscheduler(0)
    name = _CLASSES.get(policy, f"policy {policy}")
    if policy in {os.SCHED_FIFO, os.SCHED_RR}:
        return f"{name}, priority {os.sched_getparam(0).sched_priority}"
    return f"{name}, nice {os.getpriority(os.PRIO_PROCESS, 0)}"
