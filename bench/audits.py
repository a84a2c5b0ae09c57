"""Whether the load generator knows a good run of its own from one that its machine spoilt."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import typing

from bench.tools import CLIENT_CORE, SERVER_CORE, Load, Ours, Result
from tests.fakes_server import Script, ScriptedServer

SCRIPT = Script(ttft_seconds=0.02, spread_seconds=0.02, gap_seconds=0.005)
CLEAN = (
    Load(url="", concurrency=1, seconds=2, stream=True, max_tokens=8),
    Load(url="", concurrency=8, seconds=2, stream=True, max_tokens=32),
    Load(url="", concurrency=64, seconds=2, stream=True, max_tokens=32),
    Load(url="", concurrency=64, seconds=2, max_tokens=8),
    Load(url="", rate=50, seconds=2, stream=True, max_tokens=8),
    Load(url="", rate=200, seconds=2, stream=True, max_tokens=16),
)
"""What is run twice on a machine that does nothing else."""
_PAUSE_AFTER_SECONDS, _PAUSE_SECONDS = 1.5, 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audits:
    """What the audits said."""

    clean: int
    """Runs that nothing disturbed."""
    clean_valid: int
    voids: tuple[str, ...]
    """The reasons of those that were void all the same."""
    busy_core_is_void: bool
    pause_is_void: bool


def audits(rounds: int = 2) -> Audits:
    """Run every clean load ``rounds`` times, one beside busy loops on its core, and one that is stopped for a while."""
    with ScriptedServer(SCRIPT, process=True, core=SERVER_CORE) as server:
        loads = [dataclasses.replace(load, url=server.url) for load in CLEAN] * rounds
        clean = [Ours().run(load) for load in loads]
        return Audits(
            clean=len(clean),
            clean_valid=sum(bool(result.audit) for result in clean),
            voids=tuple(reason for result in clean for reason in result.reasons),
            busy_core_is_void=not _beside_busy_loops(loads[1]).audit,
            pause_is_void=not _stopped_for_a_while(loads[1]).audit,
        )


def _beside_busy_loops(load: Load) -> Result:
    burn = ["taskset", "-c", str(CLIENT_CORE), sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(burn) for _ in range(3)]
    try:
        return Ours().run(load)
    finally:
        for other in others:
            other.kill()
            other.wait()


def _stopped_for_a_while(load: Load) -> Result:
    """Stop the client by signal, as a debugger or a freezer would."""

    def stop(pid: int) -> None:
        def go_on() -> None:
            os.kill(pid, signal.SIGCONT)

        os.kill(pid, signal.SIGSTOP)
        threading.Timer(_PAUSE_SECONDS, go_on).start()

    def started(pid: int) -> None:
        threading.Timer(_PAUSE_AFTER_SECONDS, stop, (pid,)).start()

    return Ours(on_start=started).run(load)


def words(found: Audits) -> typing.Iterator[str]:
    """Yield what was found, a line each."""
    yield f"clean runs: {found.clean_valid} of {found.clean} valid"
    yield from (f"  void for: {reason}" for reason in found.voids)
    yield f"three busy loops on the client's core: {'void' if found.busy_core_is_void else 'VALID'}"
    yield f"the client stopped for {1000 * _PAUSE_SECONDS:.0f} ms: {'void' if found.pause_is_void else 'VALID'}"
