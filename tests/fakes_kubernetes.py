"""An API server of a few objects on loopback: what a guard and a load generator ask, and what they are refused."""

import collections.abc
import contextlib
import dataclasses
import datetime as dt
import json
import pathlib
import typing

from optimal_tp.cluster.controls import Controls
from optimal_tp.errors import ServerFailed
from optimal_tp.pods.kubernetes import Namespace
from tests.fakes_http import Answering, listening

NO_API = Namespace(url="http://127.0.0.1:1", namespace="optimal-tp", token_file=pathlib.Path("token"), certificate=None)
"""For doubles that ask nobody."""


class FakeControls(Controls):
    """Keeps every order; what is ``refused`` is not scaled or suspended, so many times."""

    def __init__(self, *refused: str, times: int = 1_000) -> None:
        super().__init__(namespace=NO_API)
        object.__setattr__(self, "refused", dict.fromkeys(refused, times))
        object.__setattr__(self, "orders", [])

    refused: dict[str, int]
    orders: list[tuple[str, int]]

    def scale(self, name: str, replicas: int) -> None:
        """Keep the order, or refuse."""
        if self.refused.get(name, 0):
            self.refused[name] -= 1
            raise ServerFailed(f"no right to {name}")
        self.orders.append((name, replicas))

    def suspend(self, name: str) -> None:
        """Keep the order, or refuse."""
        self.scale(f"job {name}", 0)


_PODS = "/api/v1/namespaces/optimal-tp/pods?labelSelector=app%3D"


@dataclasses.dataclass(kw_only=True)
class FakeCluster:
    """Objects by path; a PATCH merges into them, a DELETE takes them away, a path in ``refused`` answers 403.

    A server whose scale is there and above 0 has a pod that runs since it was asked for.
    """

    objects: dict[str, typing.Any]
    """A text is a log."""
    refused: set[str] = dataclasses.field(default_factory=set)
    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Method and path, in order."""
    since: dict[str, str] = dataclasses.field(default_factory=dict)
    """When each scale was changed the last time."""

    def answer(self, method: str, path: str, patch: object) -> tuple[int, object]:
        """Return status and body."""
        self.asked.append((method, path))
        if path in self.refused:
            return 403, {"message": "forbidden"}
        if path.startswith(_PODS):
            return 200, {"items": self._pods(path.removeprefix(_PODS))}
        if path not in self.objects:
            return 404, {"message": "not found"}
        if method == "DELETE":
            return 200, self.objects.pop(path)
        if method == "PATCH":
            _merge(self.objects[path], typing.cast("dict[str, typing.Any]", patch))
            self.since[path] = dt.datetime.now(dt.UTC).isoformat()
        return 200, self.objects[path]

    def _pods(self, server: str) -> list[dict[str, typing.Any]]:
        path = f"/apis/apps/v1/namespaces/optimal-tp/deployments/{server}/scale"
        if not self.objects.get(path, {}).get("spec", {}).get("replicas"):
            return []
        since = self.since.get(path, "2026-07-01T09:00:00Z")
        return [
            {
                "metadata": {"name": f"{server}-a", "creationTimestamp": since},
                "spec": {"nodeName": "node"},
                "status": {
                    "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": since}],
                    "containerStatuses": [{"restartCount": 0, "state": {"running": {"startedAt": since}}}],
                },
            }
        ]

    @property
    def changed(self) -> list[str]:
        """The paths that were patched, in order."""
        return [path for method, path in self.asked if method == "PATCH"]


def _merge(target: dict[str, typing.Any], patch: dict[str, typing.Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


@contextlib.contextmanager
def served(cluster: FakeCluster, folder: pathlib.Path) -> collections.abc.Iterator[Namespace]:
    """Serve ``cluster`` on a port of loopback, and yield its namespace ``optimal-tp`` with the token in ``folder``."""

    class Handler(Answering):
        def answer(self, method: str) -> None:
            patch = json.loads(self.content()) if method == "PATCH" else None
            status, found = cluster.answer(method, self.path, patch)
            self.tell(status, (found if isinstance(found, str) else json.dumps(found)).encode())

    (folder / "token").write_text("secret\n")
    with listening(Handler) as url:
        yield Namespace(url=url, namespace="optimal-tp", token_file=folder / "token", certificate=None)
