"""The conductor's own process beside a real API server: ``python -m tests.engines.fakes_conductor PLACE``.

PLACE is a folder with the order, a service account as a pod has it, and ``servers.json``: the address of each
server by the name of its Deployment, since nobody answers to the names of Services here. Where it has a file
``kill``, the process kills itself after each change that no process before it has made.
"""

import asyncio
import contextlib
import functools
import json
import os
import pathlib
import signal
import sys
import typing

import boto3

from optimal_tp.cluster import accounting, assembly
from optimal_tp.cluster.assembly import Assembly, assembled
from optimal_tp.cluster.conductor import Conductor
from optimal_tp.cluster.memory import Memory, MemoryPlace
from optimal_tp.cluster.order import Order
from optimal_tp.pods.kubernetes import Namespace, own_namespace
from optimal_tp.report import files
from optimal_tp.settings.parser import parse
from optimal_tp.telemetry.console import Watcher

BUCKET, PREFIX = "results", "runs"


def _killing(place: pathlib.Path) -> None:
    """Have this process killed after each change of the cluster or of the memory, once for each."""
    made = place / "changes"
    asks, changes = Namespace._send, Memory._change

    def after(change: str) -> None:
        before = made.read_text(encoding="utf-8").splitlines() if made.exists() else []
        if change not in before:
            made.write_text("\n".join([*before, change]) + "\n", encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    def send(self: Namespace, doing: str, path: str, method: str, patch: typing.Any = None) -> str:
        found = asks(self, doing, path, method, patch)
        if method != "GET":
            after(f"{method} {path} {patch}")
        return found

    def change(self: Memory, content: typing.Any) -> None:
        changes(self, content)
        after(f"memory: {len(content.steps)} models, {sum(map(len, content.steps.values()))} steps, {content.finished}")

    Namespace._send = send  # type: ignore[method-assign]
    Memory._change = change  # type: ignore[method-assign]


def _remembered(_: Order, watcher: Watcher) -> Memory:
    place = MemoryPlace(
        store=boto3.client("s3"), bucket=BUCKET, prefix=PREFIX, pod="qwen-vllm-loadgen-7d9f-a", deadline="d"
    )
    return Memory.at(place, watcher)


async def _until_done(_: object) -> None:
    """Come back where a pod would stay, so that the test sees the end."""


def main(place: pathlib.Path) -> int:
    """Live the order's run."""
    servers = json.loads((place / "servers.json").read_text(encoding="utf-8"))
    names = {address: name for name, address in servers.items()}
    own = functools.partial(own_namespace, place / "account")
    for module in (assembly, accounting):
        module.own_namespace = own  # type: ignore[attr-defined]
    assembly.deployments = lambda urls: tuple(names[url] for url in urls)
    vars(assembly).update(until_signalled=_until_done, Conductor=functools.partial(Conductor, look_seconds=0.5))
    Memory.load = _remembered  # type: ignore[method-assign, assignment]
    files.plots = lambda _analysis: ()  # type: ignore[attr-defined, assignment]
    if (place / "kill").exists():
        _killing(place)
    text = (place / "order.json").read_text(encoding="utf-8")
    order = parse(Order, json.loads(text), where="", file="order.json")
    with contextlib.chdir(place):
        return asyncio.run(assembled(order, Assembly.run))


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
