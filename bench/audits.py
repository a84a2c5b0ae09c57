"""Whether the load generator knows a good run of its own from one that its machine spoilt, by the server's truth."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import typing

from bench.cases import PACED, first_tokens, truth_of
from bench.tools import CLIENT_CORE, SERVER_CORE, Load, Ours, percentile99
from optimal_tp.measurement.audit import LATENESS_FLOOR_MS
from tests.fakes_server import ScriptedServer

EIGHT, MANY = (
    Load(url="", concurrency=streams, seconds=2.5, stream=True, max_tokens=32, truth=True) for streams in (8, 64)
)
CLEAN = (
    Load(url="", concurrency=1, seconds=2, stream=True, max_tokens=8),
    dataclasses.replace(EIGHT, seconds=2),
    dataclasses.replace(MANY, seconds=2),
    Load(url="", concurrency=64, seconds=2, max_tokens=8),
    Load(url="", rate=50, seconds=2, stream=True, max_tokens=8),
    Load(url="", rate=200, seconds=2, stream=True, max_tokens=16, truth=True),
)
"""What is run twice on a machine that does nothing else."""
_PAUSE_AFTER_SECONDS, _PAUSE_SECONDS = 1.5, 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What one run said of itself, beside the truth."""

    words: str
    """What was done to it."""
    valid: bool
    reasons: tuple[str, ...]
    late_ms: float | None
    """Of sends against their plan, at the 99th percentile."""
    error_ms: float | None
    """Of TTFT against the server's truth, likewise; None where the run kept no first tokens."""
    core_wait_seconds: float | None
    """How long the client was ready to run while its core had other work."""
    must_be_void: bool = False

    @property
    def line(self) -> str:
        """All of it but the reasons."""
        verdict = f"{'valid' if self.valid else 'void'}, {'rightly' if self.right else 'WRONGLY'}"
        return f"{self.words}: {verdict}; {_worst([self])}"

    @property
    def right(self) -> bool:
        """True for a void run, and for a valid one that truly is as exact as the audit's bound says."""
        measured = [value for value in (self.late_ms, self.error_ms) if value is not None]
        return not self.valid or (not self.must_be_void and all(value <= LATENESS_FLOOR_MS for value in measured))


def audits(rounds: int = 2) -> typing.Iterator[Told]:
    """Run every clean load ``rounds`` times, then with lag planted: a busy core, and one that others go first on."""
    for load in CLEAN * rounds:
        yield _told("nothing", load, Ours())
    for load in (EIGHT, MANY):
        with _busy_loops():
            yield _told(f"three busy loops on its core, {load.concurrency} streams", load, Ours())
    for how, disturb in (("stopped", _stopped_for_a_while), ("three busy loops go first", _crowded_out_for_a_while)):
        words = f"{how} for {1000 * _PAUSE_SECONDS:.0f} ms, 8 streams"
        yield _told(words, EIGHT, Ours(on_start=disturb), void=True)


def _told(words: str, load: Load, ours: Ours, *, void: bool = False) -> Told:
    with ScriptedServer(PACED, process=True, core=SERVER_CORE) as server:
        result = ours.run(dataclasses.replace(load, url=server.url))
        truth = truth_of(server.url)["requests"]
    firsts = first_tokens(result, truth) if load.truth else []
    return Told(
        words=words,
        valid=bool(result.audit),
        reasons=result.reasons,
        late_ms=result.lateness_p99_ms,
        error_ms=percentile99([first.error_ms for first in firsts]),
        core_wait_seconds=result.core_wait_seconds,
        must_be_void=void,
    )


@contextlib.contextmanager
def _busy_loops() -> typing.Iterator[None]:
    burn = ["taskset", "-c", str(CLIENT_CORE), sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(burn) for _ in range(3)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _stopped_for_a_while(pid: int) -> None:
    """Stop the client by signal, once its load is under way, as a debugger or a freezer would."""

    def stop() -> None:
        """Stop the client now, and wake it after the pause."""
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(_PAUSE_SECONDS, os.kill, (pid, signal.SIGCONT)).start()

    threading.Timer(_PAUSE_AFTER_SECONDS, stop).start()


def _crowded_out_for_a_while(pid: int) -> None:
    """Let busy loops go before the client on its core, once its load is under way; it starts and ends undisturbed."""

    def crowd() -> None:
        """Let everything go before the client, and fill its core for the pause."""
        os.setpriority(os.PRIO_PROCESS, pid, 19)
        with _busy_loops():
            time.sleep(_PAUSE_SECONDS)

    threading.Timer(_PAUSE_AFTER_SECONDS, crowd).start()


def words(found: typing.Sequence[Told]) -> typing.Iterator[str]:
    """Yield what was found, a line each."""
    clean = [told for told in found if told.words == "nothing"]
    yield f"clean runs: {sum(told.valid for told in clean)} of {len(clean)} valid; at worst {_worst(clean)}"
    yield from (f"  void for: {reason}" for told in clean for reason in told.reasons)
    for told in found:
        if told.words != "nothing":
            yield told.line
            yield from (f"  {reason}" for reason in told.reasons)


def _worst(found: typing.Sequence[Told]) -> str:
    """Return the largest figures of ``found``."""
    errors = [told.error_ms for told in found if told.error_ms is not None]
    late = [told.late_ms for told in found if told.late_ms is not None]
    waits = [told.core_wait_seconds for told in found if told.core_wait_seconds is not None]
    return ", ".join(
        [
            f"sends {max(late, default=0):.2f} ms late at p99",
            f"TTFT {max(errors, default=0):.2f} ms off the server's truth at p99",
            f"{max(waits, default=0):.2f} s waiting for its core",
        ]
    )
