"""Run the whole experiment on this machine, from servers to verdict.

Exit status: 0 settled, 2 bad settings, 3 inconclusive, 4 void, 5 a server, port, disk or core failed, 130 interrupted.
Example: optimal-tp local --profile quick --open
"""

import argparse
import asyncio
import json
import pathlib
import sys
import typing

import uvloop

from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.verdicts import open_report, print_verdict
from optimal_tp.errors import Problem, SettingsError
from optimal_tp.experiment.turns import Halt, halting_on_signals
from optimal_tp.fleet.agreement import predicted
from optimal_tp.local.profile import Profile, read_profile
from optimal_tp.local.program import LocalRequest, run_locally, sweep_locally
from optimal_tp.local.weights import read_sizes
from optimal_tp.telemetry.console import watcher

VLLM_PYTHON: typing.Final = pathlib.Path(".venv-vllm/bin/python")
"""The interpreter for which ``make local`` installs vLLM, below the clone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--profile", default="quick", help="quick, full, sweep, or a YAML file (default %(default)s)")
    parser.add_argument("--model", metavar="FOLDER", help="a model's folder to serve instead of random weights")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("out"), metavar="FOLDER", help="folder for runs (default out)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--vllm-python", type=pathlib.Path, metavar="FILE", help=f"interpreter that has vLLM (default {VLLM_PYTHON})"
    )
    what.add_argument("--check", action="store_true", help="check the profile and the model's folder, and end")
    parser.add_argument("--open", action="store_true", help="open the report in the browser at the end")


def main(asked: argparse.Namespace) -> int:
    """Run the experiment; return the exit status. Raises OptimalTpError."""
    profiles, file = read_profile(asked.profile)
    if asked.check:
        if asked.model is not None:
            read_sizes(pathlib.Path(asked.model))
        if output.is_json(asked):
            sys.stdout.write(json.dumps({"file": file, "valid": True}) + "\n")
        else:
            sys.stdout.write(f"{file}: the form is right\n")
        return 0
    request = LocalRequest(
        profile=profiles[0],
        profile_name=asked.profile,
        model_directory=pathlib.Path(asked.model) if asked.model else None,
        out=asked.out,
        python=asked.vllm_python or _installed(),
        predict=predicted,
    )
    with output.beside_json(asked):
        status = uvloop.run(_run(request, profiles))
    if output.is_json(asked):
        print_verdict(asked.out / "last")
    if asked.open:
        open_report(asked.out / "last")
    return status


def _installed() -> pathlib.Path:
    if VLLM_PYTHON.is_file():
        return VLLM_PYTHON
    rule = f"must name an interpreter that has vLLM where {VLLM_PYTHON} is missing"
    remedy = "run `make local` in a clone, which installs it, or name your own"
    raise SettingsError([Problem(path="--vllm-python", value=None, rule=rule, remedy=remedy)])


async def _run(request: LocalRequest, profiles: tuple[Profile, ...]) -> int:
    halt = Halt(event=asyncio.Event())
    with watcher() as watching, halting_on_signals(halt):
        if len(profiles) > 1:
            return await sweep_locally(request, profiles, watcher=watching, halt=halt)
        return await run_locally(request, watcher=watching, halt=halt)
