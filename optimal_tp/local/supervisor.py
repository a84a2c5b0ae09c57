"""Run one program, and end it with its children on request or when the process that started this one is gone.

``python -m optimal_tp.local.supervisor SECONDS CORES COMMAND...`` binds itself to CORES ("0,1"), starts COMMAND as the
leader of a process group of its own, prints the group's id, and waits. Standard input ends when the starting process
closes it or dies, even by SIGKILL. Then the group is resumed, as it may be paused, asked to end with SIGTERM, and
killed after SECONDS. Exits with the command's status, or 128 + signal if a signal ended it.
"""

import contextlib
import os
import pathlib
import selectors
import signal
import subprocess
import sys

NICE = 10
"""Niceness of a server, 0 to 19: it still gets every core that no other process asks for."""
_ARGUMENTS = 4


def keep(grace_seconds: float, command: list[str]) -> int:
    """Run ``command`` until it ends or standard input does. Returns its exit status as a shell would give it."""
    # Ctrl-C in a terminal reaches the whole session; the runner decides what it means.
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
    _yield_to_the_client(program.pid)
    print(program.pid, flush=True)  # noqa: T201 - the protocol with the starter
    watched = selectors.DefaultSelector()
    ended = os.pidfd_open(program.pid)
    watched.register(ended, selectors.EVENT_READ)
    watched.register(sys.stdin, selectors.EVENT_READ)
    watched.select()
    _end(program, grace_seconds)
    os.close(ended)
    return program.returncode if program.returncode >= 0 else 128 - program.returncode


def _yield_to_the_client(leader: int) -> None:
    """Let the load generator run first where a server holds every core.

    A server's workers spin while they wait for each other, and a client that waits for a core would measure its own
    wait. Tried with TP2 on 2 cores, 2026-11: the client's clock was up to 24 ms late before and 2 ms after. Both the
    process and its session get the value: some kernels weigh sessions against each other, others processes.
    """
    os.setpriority(os.PRIO_PROCESS, leader, NICE)
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{leader}/autogroup").write_text(str(NICE), encoding="ascii")


def _end(program: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    _signal_group(program.pid, signal.SIGCONT)
    _signal_group(program.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(grace_seconds)
    # The leader may be gone before its children are.
    _signal_group(program.pid, signal.SIGKILL)
    program.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    if len(sys.argv) < _ARGUMENTS:
        sys.exit("usage: python -m optimal_tp.local.supervisor SECONDS CORES COMMAND...")
    os.sched_setaffinity(0, {int(core) for core in sys.argv[2].split(",")})
    sys.exit(keep(float(sys.argv[1]), sys.argv[3:]))
