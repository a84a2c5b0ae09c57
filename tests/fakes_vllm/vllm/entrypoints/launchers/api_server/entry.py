"""Stands in for vLLM's server in tests of the local run: the same command line, planted service times.

``PLANTED_STEP_SECONDS`` in the environment has the time of one token by degree as JSON, ``PLANTED_DEATH_SECONDS`` when
the server of degree 2 ends by itself.
"""

import argparse
import asyncio
import json
import os
import sys

import uvloop

from tests.fakes_server import Script, _serve


def _script() -> tuple[Script, int]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name", nargs="+", required=True)
    parser.add_argument("--tensor-parallel-size", type=int, required=True)
    known, _ = parser.parse_known_args()
    degree = known.tensor_parallel_size
    seconds = json.loads(os.environ["PLANTED_STEP_SECONDS"])[str(degree)]
    name = known.served_model_name[0]
    return Script(model=name, port=known.port, ttft_seconds=seconds, gap_seconds=seconds, slots=1), degree


async def _main() -> None:
    script, degree = _script()
    death = os.environ.get("PLANTED_DEATH_SECONDS")
    if death is not None and degree == 2:
        asyncio.get_running_loop().call_later(float(death), _die)
    await _serve(script, lambda _: None, asyncio.Event())


def _die() -> None:
    sys.stderr.write("RuntimeError: planted death\n")
    sys.stderr.flush()
    os._exit(3)


if __name__ == "__main__":
    uvloop.run(_main())
