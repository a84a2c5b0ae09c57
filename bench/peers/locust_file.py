"""A locustfile for the same load: FastHttpUser, one process. The load comes as JSON in the variable BENCH_LOAD.

Latencies are locust's own. With streaming the time of each chunk is taken by hand, for locust takes none.
"""

import importlib
import json
import os
import pathlib
import time
import typing

locust: typing.Any = importlib.import_module("locust")  # in the peers' environment only
LOAD = json.loads(os.environ["BENCH_LOAD"])
RESULT: dict[str, typing.Any] = {
    "requests": 0,
    "chunks": 0,
    "number": 0,
    "slot_seconds": 0.0,
    "firsts": {},
    "latencies_ms": [],
}
PER_USER = None if not LOAD.get("rate") else LOAD["rate"] / LOAD["concurrency"]


class LoadUser(locust.FastHttpUser):  # type: ignore[misc]  # locust is in the peers' environment only
    """One slot."""

    host = LOAD["url"]
    wait_time = locust.constant(0) if PER_USER is None else locust.constant_throughput(PER_USER)

    def on_start(self) -> None:
        """Note the start."""
        self.before = time.perf_counter()

    @locust.task  # type: ignore[untyped-decorator]  # likewise
    def one(self) -> None:
        """Make one request."""
        number = RESULT["number"]
        RESULT["number"] = number + 1
        if LOAD.get("requests") and number >= LOAD["requests"]:
            self.environment.runner.quit()
            return
        body = {"model": "scripted", "prompt": str(number), "max_tokens": LOAD["max_tokens"]}
        sent = time.perf_counter()
        if not LOAD["stream"]:
            answer = self.client.post("/v1/completions", json=body)
            usage = json.loads(answer.content)["usage"]
        else:
            usage = self.stream(body, number, sent)
        now = time.perf_counter()
        RESULT["latencies_ms"].append(1000 * (now - sent))
        RESULT["slot_seconds"] += now - self.before
        self.before = now
        RESULT["requests"] += usage["completion_tokens"] > 0

    def stream(self, body: dict[str, typing.Any], number: int, sent: float) -> dict[str, int]:
        """Read a stream event by event; return its usage."""
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        answer = self.client.post("/v1/completions", json=body, stream=True)
        stamps: list[float] = []
        usage = b""
        while True:
            event = answer.stream.readline(b"\n\n")
            if not event:
                break
            if b'"text":"' in event:
                stamps.append(time.perf_counter())
            elif b'"usage":{' in event:
                usage = event
        RESULT["chunks"] += len(stamps)
        if LOAD.get("truth"):
            RESULT["firsts"][str(number)] = (sent, stamps[0])
        counts: dict[str, int] = json.loads(usage[6:])["usage"]
        return counts


@locust.events.test_start.add_listener  # type: ignore[untyped-decorator]  # likewise
def begin(**_: object) -> None:
    """Note the start."""
    RESULT["start"], RESULT["used"] = time.perf_counter(), time.process_time()


@locust.events.test_stop.add_listener  # type: ignore[untyped-decorator]  # likewise
def end(**_: object) -> None:
    """Write the result."""
    RESULT["seconds"] = time.perf_counter() - RESULT["start"]
    RESULT["cpu_seconds"] = time.process_time() - RESULT["used"]
    pathlib.Path(LOAD["output"]).write_text(json.dumps(RESULT), encoding="utf-8")
