"""Which core the client runs on."""

import os

from infra.errors import CapacityError


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
