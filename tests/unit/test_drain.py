"""A server that is going is waited for until it has answered everything."""

import collections.abc
import http.server
import threading

import pytest

from optimal_tp.pods import drain

PAGE = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
vllm:num_requests_running{{engine="1",model_name="m"}} 1.0
vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting}
vllm:num_requests_waiting_by_reason{{engine="0",model_name="m",reason="capacity"}} 7.0
vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} 0.5
"""


def test_both_gauges_of_every_engine_count() -> None:
    """And nothing else does: 0.32 counts what waits a second time, by reason."""
    found = drain.requests_in_flight(PAGE.format(running="2.0", waiting="3.0"))

    assert found == 6


@pytest.fixture
def server(request: pytest.FixtureRequest) -> collections.abc.Iterator[tuple[str, list[float]]]:
    """Serve one reading after the other, then close; return the address and what is left to read."""
    left: list[float] = list(request.param)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the next reading."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"vllm:num_requests_running {left.pop(0)}\n".encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    running = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/metrics", left
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.mark.parametrize("server", [[2, 1, 0, 1, 0, 0, 5]], indirect=True)
def test_one_quiet_reading_is_not_the_end(server: tuple[str, list[float]]) -> None:
    """Between two requests of one client nothing is in flight for a moment."""
    url, left = server

    assert drain.drained(url, 0, 0)
    assert left == [5]


@pytest.mark.parametrize("server", [[1, 0, 0]], indirect=True)
def test_a_server_is_asked_past_a_proxy(server: tuple[str, list[float]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would count as gone, and lose its requests."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    assert drain.drained(server[0], 0, 0)
    assert server[1] == []


def test_a_server_that_is_gone_is_not_waited_for() -> None:
    """It crashed, or was never up: its pod must not hold cores for the whole grace period."""
    assert not drain.drained("http://127.0.0.1:9/metrics", 0, 0)
