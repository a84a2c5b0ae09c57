"""How a run gets its name and comes to its end: by a signal, by a failure, or well."""

import asyncio
import collections.abc
import contextlib
import datetime as dt
import secrets
import signal

from optimal_tp.errors import Interrupted, ServerFailed
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.run import RunRecord


def run_name(now: dt.datetime) -> str:
    """Return a name for a run that starts ``now``: UTC time and four characters, so that no two collide."""
    return f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def failure_of(record: RunRecord) -> Interrupted | ServerFailed | None:
    """Return what ended a run early, a signal or a failure; None for any other end."""
    if record.ending == "interrupted":
        return Interrupted(str(record.ending_detail))
    if record.ending == "failed":
        return ServerFailed(str(record.ending_detail))
    return None


def raise_ending(record: RunRecord) -> None:
    """Raise Interrupted or ServerFailed for a run that was ended by a signal or a failure."""
    failure = failure_of(record)
    if failure is not None:
        raise failure


@contextlib.contextmanager
def halting_on_signals(halt: Halt) -> collections.abc.Iterator[None]:
    """Set ``halt`` on SIGINT and SIGTERM while inside. A second signal does nothing more: ending takes seconds."""
    loop = asyncio.get_running_loop()
    words = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
    for number, word in words.items():
        loop.add_signal_handler(number, halt.set, "interrupted", f"{word} ended the run; the samples so far are kept")
    try:
        yield
    finally:
        for number in words:
            loop.remove_signal_handler(number)
