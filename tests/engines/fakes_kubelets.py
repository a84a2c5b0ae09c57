"""Nodes that have room for every pod, and their kubelets, played: pods of Jobs succeed at once, all others run."""

import collections.abc
import contextlib
import http
import threading
import time
import typing

from tests.engines.fakes_api_server import ControlPlane

NODE: typing.Final = "node-of-this-test"
_MERGE = "application/merge-patch+json"
_LOOK_SECONDS = 0.5
_CHANGED = {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT}
"""Somebody was faster; the next look sees what is left to do."""


@contextlib.contextmanager
def kubelets(plane: ControlPlane, namespace: str) -> collections.abc.Iterator[None]:
    """Bind and run the pods of ``namespace`` meanwhile, and end those that are deleted; fails with what failed."""
    stop = threading.Event()
    failures: list[Exception] = []

    def play() -> None:
        try:
            while not stop.wait(_LOOK_SECONDS):
                _look(plane, f"/api/v1/namespaces/{namespace}/pods")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test that waits for pods is told
            failures.append(error)

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert failures == []


def _look(plane: ControlPlane, pods: str) -> None:
    for pod in plane.ask("GET", pods)[1]["items"]:
        path = f"{pods}/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            _do(plane, "DELETE", path, {"gracePeriodSeconds": 0})
        elif "nodeName" not in pod["spec"]:
            binding = {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": NODE}}
            _do(plane, "POST", f"{path}/binding", {"apiVersion": "v1", "kind": "Binding", **binding})
        elif pod["status"]["phase"] == "Pending":
            _do(plane, "PATCH", f"{path}/status", {"status": _status(pod)})


def _do(plane: ControlPlane, method: str, path: str, body: object) -> None:
    status, answer = plane.ask(method, path, body, kind=_MERGE if method == "PATCH" else "application/json")
    if status >= http.HTTPStatus.BAD_REQUEST and status not in _CHANGED:
        raise ValueError(f"{method} {path}: {status} {answer.get('message')}")


def _status(pod: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Return what kubelet writes of a pod whose containers have begun, and of a Job's have ended."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    succeeds = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", ()))
    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}
    first = {
        "name": pod["spec"]["containers"][0]["name"],
        "image": pod["spec"]["containers"][0]["image"],
        "imageID": "",
        "ready": not succeeds,
        "restartCount": 0,
        "state": ended if succeeds else {"running": {"startedAt": now}},
    }
    kinds = ("PodScheduled", "Initialized") if succeeds else ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Succeeded" if succeeds else "Running",
        "startTime": now,
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds],
        "containerStatuses": [first],
    }
