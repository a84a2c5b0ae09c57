"""``make local``: the whole experiment on this machine, from servers to verdict.

Exit status: 0 settled, 2 bad settings, 3 inconclusive, 4 void, 5 a server, port, disk or core failed, 130 interrupted.
"""

import argparse
import asyncio
import pathlib
import sys

import uvloop

from optimal_tp.errors import OptimalTpError
from optimal_tp.experiment.session import halting_on_signals
from optimal_tp.experiment.turns import Halt
from optimal_tp.local.profile import Profile, read_profile
from optimal_tp.local.program import Request, run_locally
from optimal_tp.local.sweep import sweep_locally
from optimal_tp.telemetry.console import watcher


def main(words: list[str]) -> int:
    """Run with the command line's ``words``; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m optimal_tp.cli.local", description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="quick", help="quick, full, or a YAML file")
    parser.add_argument("--model", help="a model directory to serve instead of random weights")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"), help="folder for runs")
    parser.add_argument("--vllm-python", type=pathlib.Path, required=True, help="interpreter that has vLLM")
    asked = parser.parse_args(words)
    try:
        profiles, _ = read_profile(asked.profile)
        request = Request(
            profile=profiles[0],
            model_directory=pathlib.Path(asked.model) if asked.model else None,
            out=asked.out,
            python=asked.vllm_python,
        )
        return uvloop.run(_run(request, profiles))
    except OptimalTpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status


async def _run(request: Request, profiles: tuple[Profile, ...]) -> int:
    halt = Halt(event=asyncio.Event())
    with watcher() as watching, halting_on_signals(halt):
        if len(profiles) > 1:
            return await sweep_locally(request, profiles, watcher=watching, halt=halt)
        return await run_locally(request, watcher=watching, halt=halt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
