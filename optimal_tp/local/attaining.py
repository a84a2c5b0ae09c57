"""Measure what one core of this machine attains when it reads and computes. The servers' Python runs this program.

Reading is a bitwise OR over a whole buffer. It writes nothing, as a decode step writes next to nothing; the traffic of
a copy would depend on how the cache treats overwritten lines. The buffer has as many bytes as a server's core reads in
a step, and every page was written before. The same loop must be twice as fast on a buffer that fits a core's own cache;
otherwise the loop was timed, not memory. Computing is a matrix product in the servers' number format and in float32,
which can stand in for any format; the faster of the two counts.
"""

import contextlib
import functools
import importlib
import json
import os
import statistics
import sys
import time
import typing

CACHED_BYTES = 512 * 1024
LEAST_SPEED_UP = 2.0
SIDE = 1024
"""Rows and columns of the matrices."""


def best_seconds(work: typing.Callable[[], object], budget_seconds: float) -> list[float]:
    """Return the seconds of each pass: at least one pass, and every pass that begins within the budget."""
    found: list[float] = []
    end = time.perf_counter() + budget_seconds
    while not found or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return found


def read(count: int, budget_seconds: float) -> dict[str, float]:
    """Return bytes per second of the best and of the median pass over ``count`` bytes, and of a cached buffer."""
    numpy = importlib.import_module("numpy")
    buffer = numpy.ones(count // 8, dtype=numpy.uint64)
    small = numpy.ones(CACHED_BYTES // 8, dtype=numpy.uint64)
    passes = best_seconds(lambda: numpy.bitwise_or.reduce(buffer), 0.8 * budget_seconds)
    cached = best_seconds(lambda: numpy.bitwise_or.reduce(small), 0.2 * budget_seconds)
    return {
        "best": buffer.nbytes / min(passes),
        "median": buffer.nbytes / statistics.median(passes),
        "cached": small.nbytes / min(cached),
    }


def compute(dtypes: list[str], budget_seconds: float) -> dict[str, float]:
    """Return the operations per second of the best product, by number format; empty without torch."""
    found: dict[str, float] = {}
    with contextlib.suppress(ImportError):
        torch = importlib.import_module("torch")
        torch.set_num_threads(1)
        for name in dtypes:
            matrix = torch.ones(SIDE, SIDE, dtype=getattr(torch, name))
            passes = best_seconds(functools.partial(torch.mm, matrix, matrix), budget_seconds / len(dtypes))
            found[name] = 2 * SIDE**3 / min(passes)
    return found


def main() -> None:
    """Import everything, print "ready", and measure when a line arrives on standard input.

    Arguments: number of the core, bytes of the buffer, seconds in all, number formats.
    """
    core, count, seconds, *dtypes = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")
    importlib.import_module("numpy")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    half = float(seconds) / 2
    found = {"read": read(int(count), half), "compute": compute(dtypes, half)}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
