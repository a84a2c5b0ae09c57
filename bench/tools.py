"""The load generators under test: each runs a load in a process of its own and gives back the same kind of result."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import typing

from optimal_tp.results.source import samples_in

ROOT = pathlib.Path(__file__).parents[1]
CLIENT_CORE, SERVER_CORE = 0, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What a tool is asked to do."""

    url: str
    concurrency: int = 1
    seconds: float = 4
    requests: int | None = None
    max_tokens: int = 32
    stream: bool = False
    rate: float | None = None
    """Open arrivals at this rate; a closed loop without it."""
    max_in_flight: int | None = None
    truth: bool = False
    """Keep the first token's stamp of each request by its prompt, which is its number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came of it. None is: the tool does not say."""

    requests: int
    chunks: int
    seconds: float
    cpu_seconds: float
    """Processor time of the tool during the load."""
    slot_seconds: float
    """Time that all slots of a closed loop spent, from the start or a request's end to the next one's end, summed."""
    headline_p99_ms: float | None
    """What the tool calls latency, at its 99th percentile."""
    lateness_p99_ms: float | None
    """Of sends against their plan."""
    firsts: dict[str, tuple[float, float]]
    """Prompt to send and first token, by the machine's monotonic clock."""
    spawned: float
    """The machine's monotonic clock when the tool's process was started."""
    peak_mb: float
    """Peak memory of its process."""
    audit: bool | None = None
    """Whether the tool found its own run valid."""
    core_wait_seconds: float | None = None
    """How long it was ready to run while its core had other work."""
    reasons: tuple[str, ...] = ()
    """Why not."""


class Tool(typing.Protocol):
    """A load generator."""

    name: str

    def run(self, load: Load) -> Result:
        """Run ``load``. Raises RuntimeError if the tool failed."""


def percentile99(values: typing.Sequence[float]) -> float | None:
    """Return the 99th percentile of ``values``; None of none."""
    return sorted(values)[int(0.99 * (len(values) - 1))] if values else None


def _spawn(
    command: list[str], environment: dict[str, str], on_start: typing.Callable[[int], None] | None = None
) -> tuple[float, float]:
    """Run ``command`` on the client's core; return when it was started and its peak memory in MB.

    ``on_start`` is given its process id, which taskset keeps.
    """
    spawned = time.perf_counter()
    process = subprocess.Popen(
        ["taskset", "-c", str(CLIENT_CORE), *command],  # noqa: S607 - of util-linux
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | environment,
    )
    if on_start is not None:
        on_start(process.pid)
    errors = b"" if process.stderr is None else process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stderr is not None:
        process.stderr.close()
    if process.returncode not in {0, 4}:
        raise RuntimeError(f"{command[:4]} ended with {process.returncode}: {errors.decode()[-2000:]}")
    return spawned, usage.ru_maxrss / 1024


class Ours:
    """``optimal-tp load``, as anybody runs it: every sample on disk, audit and all."""

    name = "ours"

    def __init__(self, on_start: typing.Callable[[int], None] | None = None) -> None:
        """``on_start`` is given the process id of each run."""
        self._on_start = on_start

    def run(self, load: Load) -> Result:
        """Run ``load``."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            prompts, output = folder / "prompts.txt", folder / "r.json"
            prompts.write_text("\n".join(map(str, range(200_000 if load.truth else 1000))))
            words = ["load", load.url, "--model", "scripted", "--output", str(output)]
            words += ["--prompt", "file", "--prompt-file", str(prompts), "--max-tokens", str(load.max_tokens)]
            words += ["--stream"] if load.stream else []
            words += ["--mode", "constant", "--rate", str(load.rate)] if load.rate else []
            words += [] if load.rate else ["--concurrency", str(load.concurrency)]
            words += ["--seconds", str(load.seconds)] if load.requests is None else ["--requests", str(load.requests)]
            words += ["--max-in-flight", str(load.max_in_flight)] if load.max_in_flight else []
            spawned, peak = _spawn([sys.executable, "-m", "optimal_tp", *words], {}, self._on_start)
            record = json.loads(output.read_text())
            return self._result(record, folder / "r.samples.jsonl", load, spawned, peak)

    def _result(
        self, record: dict[str, typing.Any], samples: pathlib.Path, load: Load, spawned: float, peak: float
    ) -> Result:
        chunks, firsts = 0, {}
        origin = record["client"]["clock_origin_seconds"]
        for sample in samples_in(samples.read_text(), samples.name)[0] if load.stream else ():
            chunks += len(sample.token_seconds)
            if load.truth and sample.token_seconds and sample.sent_seconds is not None:
                firsts[str(sample.request)] = (origin + sample.sent_seconds, origin + sample.token_seconds[0])
        return Result(
            requests=record["requests"]["ok"],
            chunks=chunks,
            seconds=record["seconds"],
            cpu_seconds=record["client"]["cpu_seconds"],
            slot_seconds=record["total_latency_ms"]["mean"] * record["total_latency_ms"]["count"] / 1000,
            headline_p99_ms=record["total_latency_ms"]["p99"],
            lateness_p99_ms=record["schedule_delay_ms"]["p99"],
            firsts=firsts,
            spawned=spawned,
            peak_mb=peak,
            audit=record["audit"]["valid"],
            core_wait_seconds=record["client"]["core_wait_seconds"],
            reasons=tuple(record["audit"]["reasons"]),
        )


class Peer:
    """A peer, in the peers' environment."""

    def __init__(self, name: str, python: pathlib.Path) -> None:
        """``python`` is the interpreter of that environment."""
        self.name = name
        self._python = python

    def run(self, load: Load) -> Result:
        """Run ``load``."""
        with tempfile.TemporaryDirectory() as name:
            output = pathlib.Path(name) / "r.json"
            more = {"output": str(output), "tuned": self.name == "aiohttp tuned"}
            asked = json.dumps(dataclasses.asdict(load) | more)
            spawned, peak = _spawn(self._command(load, asked), {"BENCH_LOAD": asked})
            record = json.loads(output.read_text())
        return Result(
            requests=record["requests"],
            chunks=record["chunks"],
            seconds=record["seconds"],
            cpu_seconds=record["cpu_seconds"],
            slot_seconds=record["slot_seconds"],
            headline_p99_ms=percentile99(record["latencies_ms"]),
            lateness_p99_ms=percentile99(record.get("lateness_ms", [])),
            firsts={key: (sent, first) for key, (sent, first) in record["firsts"].items()},
            spawned=spawned,
            peak_mb=peak,
        )

    def _command(self, load: Load, asked: str) -> list[str]:
        if self.name.startswith("aiohttp"):
            return [str(self._python), "bench/peers/aiohttp_loop.py", asked]
        users = load.max_in_flight if load.rate else load.concurrency
        words = ["-f", "bench/peers/locust_file.py", "--headless", "--only-summary", "-u", str(users), "-r", "10000"]
        until = [] if load.requests is not None else ["-t", f"{load.seconds:g}s"]
        return [str(self._python), "-m", "locust", *words, *until, "--loglevel", "ERROR", "--exit-code-on-error", "0"]
