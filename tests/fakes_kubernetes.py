"""An API server of a few objects on loopback: what a guard and a load generator ask, and what they are refused."""

import collections.abc
import contextlib
import dataclasses
import http.server
import json
import pathlib
import threading
import typing

from optimal_tp.cluster.scaling import Deployments
from optimal_tp.errors import ServerFailed
from optimal_tp.pods.kubernetes import Namespace

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
    """Objects by path; a PATCH merges into them, a path in ``refused`` answers 403."""

    objects: dict[str, dict[str, typing.Any]]
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

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", None)

        def do_PATCH(self) -> None:
            self._answer("PATCH", json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, method: str, patch: object) -> None:
            status, found = cluster.answer(method, self.path, patch)
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: typing.Any) -> None:  # noqa: A002 - the standard library's name
            """Say nothing."""

    (folder / "token").write_text("secret\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield Namespace(url=url, namespace="optimal-tp", token_file=folder / "token", certificate=None)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
