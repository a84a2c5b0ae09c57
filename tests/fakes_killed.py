"""A load generator as a process of its own, for tests that kill it: ``python -m tests.fakes_killed ORDER``.

It is the program's own ``run``, with a memory as a pod has it and without plots.
"""

import asyncio
import json
import pathlib
import sys

import boto3

from optimal_tp.cluster.assembly import Assembly, assembled
from optimal_tp.cluster.memory import Memory, MemoryPlace
from optimal_tp.cluster.order import Order
from optimal_tp.report import files
from optimal_tp.settings.parser import parse
from optimal_tp.telemetry.console import Watcher

BUCKET, PREFIX = "results", "runs"


def _remembered(_: Order, watcher: Watcher) -> Memory:
    place = MemoryPlace(store=boto3.client("s3"), bucket=BUCKET, prefix=PREFIX, pod="loadgen-7d9f-a", deadline="d")
    return Memory.at(place, watcher)


def main() -> int:
    """Live the order's run."""
    Memory.load = _remembered  # type: ignore[method-assign, assignment]
    files.plots = lambda _analysis: ()  # type: ignore[attr-defined, assignment]
    order = parse(Order, json.loads(pathlib.Path(sys.argv[1]).read_text()), where="", file=sys.argv[1])
    return asyncio.run(assembled(order, Assembly.run))


if __name__ == "__main__":
    sys.exit(main())
