"""Say what the pending pods of a stack wait for: a node, an image, a volume; with the last events of each.

Exit status: 0 printed, 2 a bad stack, 5 kubectl is missing or the cluster refuses.
Example: optimal-tp why-pending
  optimal-tp why-pending --stack dev --json
"""

import argparse
import collections.abc
import dataclasses
import json
import pathlib
import sys
import typing

from optimal_tp.cli.stack.kubectl import kubectl_of
from optimal_tp.cli.terminal import output
from optimal_tp.cli.terminal.selection import STACK_HELP, selected_stack

_LAST_EVENTS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """An event that the cluster reported for a pod."""

    at: str
    """When it was last reported, ISO 8601 in UTC; empty if the cluster does not say."""
    by: str
    sentence: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pending:
    """A pod that does not run yet."""

    name: str
    created: str
    """ISO 8601 in UTC."""
    node: str | None
    """Its node; None while it waits for one."""
    waits_for: tuple[str, ...]
    """Reasons from its own state, the scheduler's first."""
    events: tuple[Event, ...]
    """Its last events, the newest last."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--stack", help=STACK_HELP)


def main(options: argparse.Namespace) -> int:
    """Print each pending pod with its reasons. Raises OptimalTpError."""
    stack = selected_stack(options.stack, pathlib.Path())
    with kubectl_of(stack) as kubectl:
        found = pending(kubectl.items("pods"), kubectl.items("events"))
    if output.is_json(options):
        told = {"stack": stack, "cluster": kubectl.name, "namespace": kubectl.namespace}
        told_pods = [dataclasses.asdict(each) for each in found]
        sys.stdout.write(json.dumps({**told, "pending": told_pods}, indent=1) + "\n")
        return 0
    if not found:
        sys.stdout.write(f"no pod is pending in namespace {kubectl.namespace} of cluster {kubectl.name}\n")
    for each in found:
        sys.stdout.write("\n".join(_lines(each)) + "\n")
    return 0


Objects = collections.abc.Iterable[collections.abc.Mapping[str, typing.Any]]


def pending(pods: Objects, events: Objects) -> list[Pending]:
    """Return the pending pods in ``pods``, by name, each with its ``events``; both as Kubernetes lists them."""
    of_pod: dict[str, list[Event]] = {}
    for each in events:
        about = each["involvedObject"]
        if about.get("kind") == "Pod":
            of_pod.setdefault(str(about.get("uid")), []).append(_event(each))
    found = []
    for pod in pods:
        meta, status = pod["metadata"], pod["status"]
        if status.get("phase") != "Pending":
            continue
        told = sorted(of_pod.get(meta["uid"], []), key=lambda event: event.at)
        found.append(
            Pending(
                name=meta["name"],
                created=meta["creationTimestamp"],
                node=pod["spec"].get("nodeName"),
                waits_for=tuple(dict.fromkeys(_reasons(status))),
                events=tuple(told[-_LAST_EVENTS:]),
            )
        )
    return sorted(found, key=lambda each: each.name)


def _reasons(status: collections.abc.Mapping[str, typing.Any]) -> collections.abc.Iterator[str]:
    """Yield the reasons in a pod's status: a condition that is not met, then waiting containers."""
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            yield _said(condition)
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        state = container.get("state", {})
        if "waiting" in state and state["waiting"].get("reason") != "PodInitializing":
            yield f"container {container['name']}: {_said(state['waiting'])}"
        if "running" in state:
            yield f"container {container['name']}: runs, so the containers after it wait"


def _said(of: collections.abc.Mapping[str, typing.Any]) -> str:
    return ": ".join(str(of[key]) for key in ("reason", "message") if of.get(key)) or "no reason is given"


def _event(each: collections.abc.Mapping[str, typing.Any]) -> Event:
    series = each.get("series") or {}
    times = (series.get("lastObservedTime"), each.get("lastTimestamp"), each.get("eventTime"))
    by = each.get("reportingComponent") or (each.get("source") or {}).get("component") or "the cluster"
    return Event(at=next((str(time) for time in times if time), ""), by=by, sentence=_said(each))


def _lines(of: Pending) -> collections.abc.Iterator[str]:
    place = "without a node" if of.node is None else f"on node {of.node}"
    yield f"{of.name}: pending since {of.created}, {place}"
    yield from (f"  {reason}" for reason in of.waits_for)
    yield from (f"  {event.at} {event.by}: {event.sentence}" for event in of.events)
