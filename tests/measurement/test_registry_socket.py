"""One request to a registry over a real socket: answers, silence, and what does not speak HTTP."""

import socket
import threading

import pytest

from optimal_tp.account import registry
from optimal_tp.account.registry import fetch
from tests.fakes_http import Answering, listening


class _Handler(Answering):
    def answer(self, method: str) -> None:
        self.send_response(404 if "absent" in self.path else 200)
        self.send_header("Docker-Content-Digest", "sha256:1")
        self.end_headers()
        if method == "GET":
            self.wfile.write(b"x" * 100_000)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_status_headers_and_no_more_than_a_tokens_bytes_are_read() -> None:
    """Header names come in lower case, an error is an answer, and a long body is cut."""
    with listening(_Handler) as url:
        assert fetch("HEAD", f"{url}/v2/a", {}).headers["docker-content-digest"] == "sha256:1"
        assert fetch("HEAD", f"{url}/v2/absent", {}).status == 404
        assert len(fetch("GET", url, {}).body) == 65536


def test_a_registry_that_says_nothing_is_left_after_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts and is silent: the wait is bounded."""
    monkeypatch.setattr(registry, "TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OSError, match=r"^timed out$"):
        fetch("HEAD", f"http://127.0.0.1:{silent.getsockname()[1]}/", {})


def test_what_does_not_speak_http_is_no_answer() -> None:
    """Another service on that port is told as unreachable, not with a trace."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def babble() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"220 mail\r\n")

        threading.Thread(target=babble, daemon=True).start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}/"

        with pytest.raises(ConnectionError, match=rf"^{url} does not speak HTTP$"):
            fetch("HEAD", url, {})
