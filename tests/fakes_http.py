"""HTTP servers on a port of loopback, for programs that ask one."""

import collections.abc
import contextlib
import http.server
import threading


class Answering(http.server.BaseHTTPRequestHandler):
    """Has one place for every method, answers in one call, and writes no log."""

    def answer(self, method: str) -> None:
        """Answer a request of ``method`` to ``self.path``."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer."""
        self.answer("GET")

    def do_HEAD(self) -> None:
        """Answer."""
        self.answer("HEAD")

    def do_PATCH(self) -> None:
        """Answer."""
        self.answer("PATCH")

    def do_DELETE(self) -> None:
        """Answer."""
        self.answer("DELETE")

    def content(self) -> bytes:
        """Return the request's body."""
        return self.rfile.read(int(self.headers["content-length"]))

    def tell(self, status: int, body: bytes = b"") -> None:
        """Answer with ``status`` and ``body``."""
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def listening(handler: type[http.server.BaseHTTPRequestHandler]) -> collections.abc.Iterator[str]:
    """Let ``handler`` answer on a free port until the end; yields its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
