"""The supervisor: no server outlives the run that started it, not even a stopped one."""

import os
import pathlib
import signal
import subprocess
import sys
import typing

import psutil
import pytest

from optimal_tp.local.supervisor import NICE

ROOT = pathlib.Path(__file__).parents[2]
CORE = str(min(os.sched_getaffinity(0)))
# A leader with a child, as vLLM has workers; it says when both are there.
FAMILY = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print('family', child.pid, file=sys.stderr, flush=True); child.wait()"
)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def _keep(program: str, *, grace: str = "5") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "optimal_tp.local.supervisor", grace, CORE, sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def _line(stream: typing.IO[str] | None) -> str:
    if stream is None:
        pytest.fail("no pipe")
    return stream.readline().strip()


def _gone(identity: int) -> bool:
    try:
        return psutil.Process(identity).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_ends_the_whole_family_even_when_it_is_stopped() -> None:
    """A stopped group cannot hear SIGTERM: it is woken first, and the worker goes with its leader."""
    with _keep(FAMILY) as supervisor:
        leader = int(_line(supervisor.stdout))
        child = int(_line(supervisor.stderr).split()[1])
        os.killpg(leader, signal.SIGSTOP)
        supervisor.communicate(timeout=20)

    assert (_gone(leader), _gone(child)) == (True, True)


def test_ends_the_family_when_the_starter_is_killed() -> None:
    """SIGKILL gives the starter no chance to clean up: the end of the pipe does it."""
    starter = (
        "import subprocess, sys; own = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, "
        "stdout=subprocess.PIPE, text=True); print(own.pid, own.stdout.readline(), flush=True); own.wait()"
    )
    command = [sys.executable, "-m", "optimal_tp.local.supervisor", "5", CORE, sys.executable, "-c", FAMILY]
    with subprocess.Popen(
        [sys.executable, "-c", starter, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as process:
        supervisor, leader = map(int, _line(process.stdout).split())
        family = [psutil.Process(supervisor), psutil.Process(leader)]
        process.kill()
        _, alive = psutil.wait_procs(family, timeout=20)

    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_kills_what_ignores_a_request_to_end() -> None:
    """After the time of grace, SIGKILL."""
    with _keep(STUBBORN, grace="0.1") as supervisor:
        leader = int(_line(supervisor.stdout))
        _line(supervisor.stderr)
        supervisor.communicate(timeout=20)

    assert _gone(leader)
    assert supervisor.returncode == 128 + signal.SIGKILL


def test_passes_on_the_programs_own_end() -> None:
    """A program that ends by itself is told apart from one that was ended."""
    with _keep("import sys; sys.exit(7)") as supervisor:
        status = supervisor.wait(20)

    assert status == 7


def test_binds_the_program_to_its_cores() -> None:
    """Every thread that the server will ever start is on its own cores."""
    with _keep("import os; print(sorted(os.sched_getaffinity(0)), file=__import__('sys').stderr)") as supervisor:
        bound = _line(supervisor.stderr)
        supervisor.wait(20)

    assert bound == f"[{CORE}]"


def test_the_program_steps_back_for_its_client() -> None:
    """A client that waits for a core would measure itself."""
    patient = (
        "import os, sys, time; end = time.monotonic() + 10\n"
        "while os.nice(0) == 0 and time.monotonic() < end: pass\n"
        "print(os.nice(0), file=sys.stderr)"
    )
    with _keep(patient) as supervisor:
        nice = _line(supervisor.stderr)
        supervisor.wait(20)

    assert nice == str(NICE)
