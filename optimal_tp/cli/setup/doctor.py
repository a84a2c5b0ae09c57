"""Check what this machine has for local runs and for AWS. It asks nothing of AWS and prints no secret.

Exit status: 0 nothing is wrong, 1 something is, 3 something is unknown.
Example: optimal-tp doctor --json
"""

import argparse
import collections.abc
import dataclasses
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import sys

import rich.console

from optimal_tp.account.preflight.rows import Row, exit_status
from optimal_tp.account.stack_outputs import INSTALL
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.argument_parser import version
from optimal_tp.cli.terminal.check_list import print_blocks

_LEAST_PYTHON = (3, 11)
_LEAST_CORES = 2
_VLLM_GIB = 6
"""Disk space of vLLM for CPUs (requirements/vllm.txt, 5.8 GB)."""
_LEAST_FREE_GIB = 12
"""Disk space of vLLM, random weights and runs."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add nothing: there is nothing to choose."""
    parser.set_defaults()


def main(options: argparse.Namespace) -> int:
    """Print one block a check and return the status."""
    found = checks(pathlib.Path.cwd(), os.environ)
    if output.is_json(options):
        told = {"exit_status": exit_status(found), "rows": [dataclasses.asdict(row) for row in found]}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        print_blocks(found, rich.console.Console(highlight=False))
    return exit_status(found)


def checks(folder: pathlib.Path, environment: collections.abc.Mapping[str, str]) -> list[Row]:
    """Return a row for each check of this machine."""
    return [
        _python(),
        _cores(),
        _disk(folder),
        _vllm(folder),
        _extra(),
        _tool("pulumi", "pulumi up, preview and destroy", f"install it: {INSTALL}"),
        _tool("kubectl", "looking into the cluster", "install it: https://kubernetes.io/docs/tasks/tools"),
        _tool("aws", "the kubeconfig's token and the commands that the stack prints", "install the AWS CLI, version 2"),
        _credentials(environment),
        _image(environment),
    ]


def _python() -> Row:
    least = ".".join(map(str, _LEAST_PYTHON))
    state = "fine" if sys.version_info >= _LEAST_PYTHON else "wrong"
    remedy = "" if state == "fine" else f"install Python {least} or newer"
    found = f"{platform.python_version()} ({sys.executable})"
    return Row(check="Python", state=state, found=found, required=f"at least {least}", remedy=remedy)  # type: ignore[arg-type]


def _cores() -> Row:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    enough = cores >= _LEAST_CORES
    remedy = "" if enough else "use a machine with more cores: each degree takes as many"
    return Row(
        check="CPU cores for local runs", state="fine" if enough else "warning", found=f"{cores}",
        required=f"at least {_LEAST_CORES}, one a degree's logical core", remedy=remedy,
    )  # fmt: skip


def _disk(folder: pathlib.Path) -> Row:
    free = shutil.disk_usage(folder).free / 2**30
    enough = free >= _LEAST_FREE_GIB
    return Row(
        check="free disk for local runs", state="fine" if enough else "warning", found=f"{free:.0f} GiB in {folder}",
        required=f"at least {_LEAST_FREE_GIB} GiB (vLLM takes {_VLLM_GIB})",
        remedy="" if enough else "free space, or clone to another disk",
    )  # fmt: skip


def _vllm(folder: pathlib.Path) -> Row:
    found = next(iter(folder.glob(".venv-vllm*/bin/python")), None)
    return Row(
        check="vLLM's environment", state="fine" if found else "warning",
        found=str(found.relative_to(folder)) if found else "not here",
        required="an environment with vLLM for local runs",
        remedy="" if found else "run make local, which installs it once",
    )  # fmt: skip


def _extra() -> Row:
    missing = [name for name in ("moto", "psutil", "tokenizers") if importlib.util.find_spec(name) is None]
    return Row(
        check="libraries for local runs", state="warning" if missing else "fine",
        found=f"missing: {', '.join(missing)}" if missing else "installed", required="the extra local",
        remedy="in the clone, pip install '.[local]'" if missing else "",
    )  # fmt: skip


def _tool(name: str, use: str, remedy: str) -> Row:
    path = shutil.which(name)
    return Row(
        check=f"{name} command", state="fine" if path else "warning", found=path or "not on PATH",
        required=f"for {use}", remedy="" if path else remedy,
    )  # fmt: skip


_SOURCES = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


def _credentials(environment: collections.abc.Mapping[str, str]) -> Row:
    """Return the source of AWS credentials, without reading them."""
    named = [name for name in _SOURCES if environment.get(name)]
    home = pathlib.Path(environment.get("HOME", "~")).expanduser() / ".aws"
    files = [f"~/.aws/{name}" for name in ("credentials", "config") if (home / name).is_file()]
    found = ", ".join([*named, *files])
    return Row(
        check="AWS credentials", state="fine" if found else "warning", found=found or "none in environment or ~/.aws",
        required="a source of credentials; preflight checks that AWS accepts them",
        remedy="" if found else "aws configure sso, or set AWS_PROFILE",
    )  # fmt: skip


def _image(environment: collections.abc.Mapping[str, str]) -> Row:
    """Return the environment of this command itself."""
    where = environment.get("VIRTUAL_ENV") or sys.prefix
    kind = "a virtual environment" if sys.prefix != sys.base_prefix else "the system's Python"
    return Row(
        check="environment", state="fine", found=f"optimal-tp {version()} in {kind} ({where})",
        required="an environment of its own",
    )  # fmt: skip
