"""An API server of a few objects on loopback: what a guard and a load generator ask, and what they are refused."""

import collections.abc
import contextlib
import dataclasses
import json
import pathlib
import typing

from optimal_tp.cluster.scaling import Deployments
from optimal_tp.errors import ServerFailed
from optimal_tp.pods.kubernetes import Namespace
from tests.fakes_http import Answering, listening

NO_API = Namespace(url="http://127.0.0.1:1", namespace="optimal-tp", token_file=pathlib.Path("token"), certificate=None)
"""For doubles that ask nobody."""


class FakeDeployments(Deployments):
    """Keeps every order; the Deployments in ``refused`` are not scaled."""

    def __init__(self, *refused: str) -> None:
        super().__init__(namespace=NO_API)
        self.refused = refused
        self.orders: list[tuple[str, int]] = []

    def scale(self, name: str, replicas: int) -> None:
        """Keep the order, or refuse."""
        if name in self.refused:
            raise ServerFailed(f"no right to {name}")
        self.orders.append((name, replicas))


@dataclasses.dataclass(kw_only=True)
class FakeCluster:
    """Objects by path; a PATCH merges into them, a DELETE takes them away, a path in ``refused`` answers 403."""

    objects: dict[str, typing.Any]
    """A text is a log."""
    refused: set[str] = dataclasses.field(default_factory=set)
    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Method and path, in order."""

    def answer(self, method: str, path: str, patch: object) -> tuple[int, object]:
        """Return status and body."""
        self.asked.append((method, path))
        if path in self.refused:
            return 403, {"message": "forbidden"}
        if path not in self.objects:
            return 404, {"message": "not found"}
        if method == "DELETE":
            return 200, self.objects.pop(path)
        if method == "PATCH":
            _merge(self.objects[path], typing.cast("dict[str, typing.Any]", patch))
        return 200, self.objects[path]

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
