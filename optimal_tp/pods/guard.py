"""The guard's program: at the deadline servers have no pod any more, compile Jobs are suspended, nodes go back.

Karpenter gives back an empty node by itself, but only one that was initialised once: a node that never was would bill
for ever. So each NodeClaim of our pool goes that is not initialised, or whose node holds no pod of ours any more. Pods
that wait for a node must be gone before: Karpenter would launch another one for them.

It needs nothing but the API server and the standard library: no metric, no load generator, no index of packages. It
knows the deadline as a date, so that a restart changes nothing, and does the same again at each call after it.
Exit status: 0 done or nothing to do, 1 something was not stopped.
"""

import argparse
import collections.abc
import dataclasses
import datetime as dt
import sys
import time
import typing

from optimal_tp.errors import Exit, ServerFailed, quantity
from optimal_tp.pods.container import say
from optimal_tp.pods.kubernetes import NODE_CLAIMS, Namespace, NotThere, own_namespace

_ENDED = ("Complete", "Failed")
_ENDED_PHASES = ("Succeeded", "Failed")
_PODS_GO_SECONDS = 30.0
"""Kubernetes deletes a pod that has no node at once; its controllers may take some seconds to say so."""
_LOOK_SECONDS = 1.0
Patch = dict[str, object]
"""Merged into an object; None where it is stopped already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guarded:
    """What is stopped and given back, where."""

    namespace: Namespace
    deployments: tuple[str, ...]
    jobs: tuple[str, ...]
    node_pool: str
    say: collections.abc.Callable[[str], object]

    def stop(self) -> list[str]:
        """Stop everything that is there and runs; returns a sentence for each thing that could not be stopped."""
        wanted = [
            *((f"suspend the Job {name}", "batch/v1", f"jobs/{name}", _suspended) for name in self.jobs),
            *((f"stop {name}", "apps/v1", f"deployments/{name}/scale", _without_pods) for name in self.deployments),
        ]
        failures = []
        for doing, group, path, change in wanted:
            try:
                patch = change(self.namespace.ask(doing, group, path))
                if patch is not None:
                    self.namespace.ask(doing, group, path, patch=patch)
                    self.say(doing)
            except NotThere:
                continue
            except ServerFailed as error:
                failures.append(str(error))
        return failures

    def _pods(self) -> list[dict[str, typing.Any]]:
        found = self.namespace.ask("list the pods", "v1", "pods").get("items") or ()
        return [pod for pod in found if pod.get("status", {}).get("phase") not in _ENDED_PHASES]

    def await_pods(self, sleep: collections.abc.Callable[[float], object]) -> None:
        """Wait until no pod of ours waits for a node, for half a minute at most; whatever fails is told by others."""
        for _ in range(round(_PODS_GO_SECONDS / _LOOK_SECONDS)):
            try:
                waits = any("nodeName" not in pod["spec"] for pod in self._pods())
            except ServerFailed:
                return
            if not waits:
                return
            sleep(_LOOK_SECONDS)

    def give_back(self) -> list[str]:
        """Delete the nodes of the pool that hold nothing of ours, or never could; returns as ``stop`` does."""
        try:
            claims = self.namespace.node_claims(self.node_pool)
            held = {pod["spec"].get("nodeName") for pod in self._pods()} if claims else set()
        except ServerFailed as error:
            return [str(error)]
        failures = []
        for claim in claims:
            name = claim["metadata"]["name"]
            is_held = _is_initialised(claim) and claim.get("status", {}).get("nodeName") in held
            if is_held or "deletionTimestamp" in claim["metadata"]:
                continue
            doing = f"give back the node {name}"
            try:
                self.namespace.remove_from_cluster(doing, f"{NODE_CLAIMS}/{name}")
                self.say(doing)
            except ServerFailed as error:
                failures.append(str(error))
        return failures


def _is_initialised(claim: dict[str, typing.Any]) -> bool:
    conditions = claim.get("status", {}).get("conditions", [])
    return any((each["type"], each["status"]) == ("Initialized", "True") for each in conditions)


def _without_pods(scale: dict[str, typing.Any]) -> Patch | None:
    # Kubernetes leaves a zero out.
    return {"spec": {"replicas": 0}} if scale.get("spec", {}).get("replicas", 0) else None


def _suspended(job: dict[str, typing.Any]) -> Patch | None:
    conditions = job.get("status", {}).get("conditions", [])
    ended = any(each.get("type") in _ENDED and each.get("status") == "True" for each in conditions)
    return None if ended or job.get("spec", {}).get("suspend") else {"spec": {"suspend": True}}


def keep(
    guard: Guarded,
    deadline: dt.datetime,
    *,
    period_seconds: float,
    now: collections.abc.Callable[[], dt.datetime],
    sleep: collections.abc.Callable[[float], object],
) -> int:
    """Stop everything and give nodes back if ``deadline`` is over, or comes before the next call.

    That is ``period_seconds`` away. Returns the exit status.
    """
    left_seconds = (deadline - now()).total_seconds()
    if left_seconds > period_seconds:
        left = quantity(round(left_seconds / 60), "minute", "minutes")
        guard.say(f"{left} left until {deadline.isoformat(timespec='seconds')}")
        return 0
    if left_seconds > 0:
        sleep(left_seconds)
    # Servers and Jobs first, so that nothing is launched for them again. Pods take their time to end: nodes that still
    # hold one are given back by the next call, if Karpenter has not done so.
    failures = guard.stop()
    guard.await_pods(sleep)
    failures += guard.give_back()
    for failure in failures:
        guard.say(failure)
    if not failures:
        guard.say(f"nothing runs after the deadline {deadline.isoformat(timespec='seconds')}")
    return Exit.WRONG if failures else Exit.GOOD


def _date(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no time zone; write it as 2026-07-01T12:00:00+00:00")
    return found


def main(words: collections.abc.Sequence[str]) -> int:
    """Do what ``words`` ask for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m optimal_tp.pods.guard", description=__doc__)
    parser.add_argument("--deadline", required=True, type=_date, help="ISO 8601 with a time zone")
    parser.add_argument("--period-seconds", required=True, type=float, help="time until the next call")
    parser.add_argument("--node-pool", required=True, help="NodePool of the nodes to remove")
    parser.add_argument("--deployment", action="append", default=[], metavar="NAME", help="a server to stop")
    parser.add_argument("--job", action="append", default=[], metavar="NAME", help="a Job to suspend")
    arguments = parser.parse_args(words)

    try:
        namespace = own_namespace()
    except ServerFailed as error:
        say(str(error))
        return Exit.WRONG
    guard = Guarded(
        namespace=namespace,
        deployments=tuple(arguments.deployment),
        jobs=tuple(arguments.job),
        node_pool=arguments.node_pool,
        say=say,
    )
    return keep(
        guard,
        arguments.deadline,
        period_seconds=arguments.period_seconds,
        now=lambda: dt.datetime.now(dt.UTC),
        sleep=time.sleep,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
