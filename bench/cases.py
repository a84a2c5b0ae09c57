"""What is measured: each case puts the same load on every tool and reads one or more figures from its result."""

import contextlib
import dataclasses
import json
import subprocess
import sys
import typing
import urllib.request

from bench.tools import ROOT, SERVER_CORE, Load, Result, Tool, percentile99
from tests.fakes_server import Script, ScriptedServer, Truth

Figures = dict[str, float | None]
"""Row of the table to value; None where the tool has no such figure."""


@contextlib.contextmanager
def flood() -> typing.Iterator[str]:
    """Serve fixed answers as fast as they are asked for; yield the URL."""
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "bench.flood"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            yield f"http://127.0.0.1:{int(line)}"
        finally:
            process.kill()


def truth_of(url: str) -> dict[str, typing.Any]:
    """Return what the scripted server at ``url`` knows of its requests."""
    with urllib.request.urlopen(f"{url}/truth", timeout=30) as answer:  # noqa: S310 - loopback
        truth: dict[str, typing.Any] = json.loads(answer.read())
        return truth


def _share(values: typing.Sequence[bool]) -> float | None:
    return 100 * sum(values) / len(values) if values else None


def requests_per_second(tool: Tool) -> Figures:
    """Put 64 in flight, without streaming, against a server that answers at once."""
    with flood() as url:
        result = tool.run(Load(url=url, concurrency=64))
    return {
        "requests/s, 64 in flight": result.requests / result.seconds,
        "requests per second of the client's processor": result.requests / result.cpu_seconds,
    }


def chunks_per_second(tool: Tool) -> Figures:
    """Put 64 in flight, 32 tokens streamed each, against a server that answers at once."""
    with flood() as url:
        result = tool.run(Load(url=url, concurrency=64, stream=True))
    return {
        "streamed chunks/s, 64 in flight": result.chunks / result.seconds,
        "chunks per second of the client's processor": result.chunks / result.cpu_seconds,
    }


PACED = Script(stamped=True, ttft_seconds=0.02, spread_seconds=0.02, gap_seconds=0.005)
PACED_SECONDS = 0.02 + 31 * 0.005
_BEGINNING_SECONDS = 1


def paced(tool: Tool, streams: int) -> Figures:
    """Run streams of 10 to 30 ms + 31 x 5 ms each.

    The share of the schedule held is planned by actual time from one end of a slot's request to the next.
    """
    with ScriptedServer(PACED, process=True, core=SERVER_CORE) as server:
        result = tool.run(Load(url=server.url, concurrency=streams, stream=True, truth=True))
        truth = truth_of(server.url)["requests"]
    firsts = first_tokens(result, truth)
    held = result.requests * PACED_SECONDS / result.slot_seconds
    return {
        f"{streams} streams: share of the schedule held, %": 100 * held,
        f"{streams} streams: chunks per second of the client's processor": result.chunks / result.cpu_seconds,
        f"{streams} streams: error of TTFT p99, ms": percentile99([first.error_ms for first in firsts]),
        f"{streams} streams: first token stamped late by, p99, ms": percentile99(
            [first.stamp_error_ms for first in firsts]
        ),
        f"{streams} streams: first tokens stamped before they left, %": _share([first.early for first in firsts]),
        f"{streams} streams: request in the server's kernel after its stamp, p99, ms": percentile99(
            [first.sent_error_ms for first in firsts]
        ),
        f"{streams} streams: request read by the server after that, p99, ms": percentile99(
            [first.unread_ms for first in firsts]
        ),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class First:
    """One request's first token, as the tool saw it beside what is true."""

    error_ms: float
    """TTFT by the tool less TTFT on the wire: first token given to the kernel less request taken in by the kernel."""
    stamp_error_ms: float
    """The token's stamp less the moment at which it left."""
    early: bool
    """The stamp lies before the server gave the token to the kernel."""
    sent_error_ms: float
    """The moment at which the server's kernel took in the request less the tool's stamp of its send."""
    unread_ms: float
    """How long the request then lay unread: the server's doing."""


def first_tokens(result: Result, truth: dict[str, Truth]) -> list[First]:
    """Hold the tool's stamps against the truth, the beginning left out: all start at once, and are read after some ms.

    A token leaves between two readings of the server's clock; a stamp between them has no error.
    """
    found = []
    begun = min((sent for sent, _ in result.firsts.values()), default=0.0) + _BEGINNING_SECONDS
    for number, (sent, first) in result.firsts.items():
        known = truth.get(json.dumps(number))
        if known is None or sent <= begun:
            continue
        arrived = known["arrived"]
        if arrived is None:
            raise RuntimeError("this kernel does not stamp what arrives; the truth about TTFT cannot be told here")
        before, after = known["first"]
        stamp_error = first - min(max(first, before), after)
        found.append(
            First(
                error_ms=1000 * abs(stamp_error + arrived - sent),
                stamp_error_ms=1000 * abs(stamp_error),
                early=first < before,
                sent_error_ms=1000 * abs(arrived - sent),
                unread_ms=1000 * (known["received"] - arrived),
            )
        )
    return found


def lateness(tool: Tool) -> Figures:
    """1,000 arrivals a second: how late requests are sent."""
    name = "1,000/s: lateness of sends p99, ms"
    if tool.name == "locust":  # its users wait, it has no schedule
        return {name: None}
    with ScriptedServer(process=True, core=SERVER_CORE) as server:
        result = tool.run(Load(url=server.url, rate=1000, stream=True, max_tokens=4))
    return {name: result.lateness_p99_ms}


def stall(tool: Tool) -> Figures:
    """100 arrivals a second, at most 4 in flight, a server that stands still 1 s in every 10: the headline p99."""
    script = Script(ttft_seconds=0.002, stall_every_seconds=10, stall_seconds=1)
    with ScriptedServer(script, process=True, core=SERVER_CORE) as server:
        result = tool.run(
            Load(url=server.url, rate=100, seconds=20, concurrency=4, max_in_flight=4, stream=True, max_tokens=1)
        )
    return {"1 s stall in 10 s: headline p99, ms (truth about 900)": result.headline_p99_ms}


def start(tool: Tool) -> Figures:
    """From the command to the first request at the server."""
    with ScriptedServer(process=True, core=SERVER_CORE) as server:
        result = tool.run(Load(url=server.url, seconds=3, stream=True, max_tokens=4))
        first = truth_of(server.url)["first"]
    return {"start to first request, s": first - result.spawned}


def memory(tool: Tool) -> Figures:
    """Peak memory over 100,000 requests of 32 tokens each."""
    with flood() as url:
        result = tool.run(Load(url=url, concurrency=64, requests=100_000, seconds=600, stream=True))
    return {"peak memory, 100,000 x 32 tokens, MB": result.peak_mb, "requests in that": float(result.requests)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One measurement, repeated ``repeats`` times unless the command says otherwise."""

    name: str
    run: typing.Callable[[Tool], Figures]
    repeated: bool = True
    """False for one that is long and hardly varies."""
    by_piece: bool = False
    """True where reading streams by the piece makes a difference, so that the tuned aiohttp loop runs as well."""


CASES = (
    Case(name="requests", run=requests_per_second),
    Case(name="chunks", run=chunks_per_second, by_piece=True),
    Case(name="paced64", run=lambda tool: paced(tool, 64), by_piece=True),
    Case(name="paced256", run=lambda tool: paced(tool, 256), by_piece=True),
    Case(name="lateness", run=lateness),
    Case(name="start", run=start),
    Case(name="stall", run=stall, repeated=False),
    Case(name="memory", run=memory, repeated=False, by_piece=True),
)
