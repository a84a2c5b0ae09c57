"""The ``load`` command: one load on one server; a JSON result, every sample on disk, a summary on the terminal."""

import argparse
import asyncio
import dataclasses
import datetime as dt
import json
import pathlib
import platform
import signal
import ssl
import sys
import typing
from importlib.metadata import version

import uvloop

from infra.errors import ServerFailed, SettingsError, StorageFailed
from workloads.loadgen import audit, options, prompts, summary
from workloads.loadgen.calls import Server
from workloads.loadgen.client import Drive, Stretch, Target, drive
from workloads.loadgen.cores import pin
from workloads.loadgen.network import Network
from workloads.loadgen.options import Options
from workloads.loadgen.schedule import Closed, Replay
from workloads.loadgen.spool import Spool
from workloads.run import Turn
from workloads.samples import Sample

SCHEMA_VERSION = 1
VOID = 4
INTERRUPTED = 130

configure = options.configure


def main(arguments: argparse.Namespace) -> int:
    """Run the load; return the exit status: 0, 4 for a void one, 130 after SIGINT; SIGTERM ends it with 0.

    Raises SettingsError, ServerFailed (also if no request succeeded) and StorageFailed.
    """
    asked = options.checked(arguments)
    if asked.core is not None:
        pin(asked.core)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_load(asked))


async def _load(asked: Options) -> int:
    stop, received = asyncio.Event(), list[signal.Signals]()

    def note(number: signal.Signals) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, note, number)
    network = Network(_trust(asked.ca_file))
    server = Server(url=asked.urls[0], headers=asked.headers, transport=network)
    model = asked.model or (await server.models())[0].name
    source = await _prompts(asked, server, model)
    started = dt.datetime.now(dt.UTC)
    counted, kept = summary.Summary(), list[Sample]()
    with Spool(asked.samples) as spool:

        def take(sample: Sample) -> None:
            spool.add(sample)
            counted.add(sample)
            kept.append(dataclasses.replace(sample, token_seconds=(), detail=None))

        target = Target(urls=asked.urls, model=model, headers=asked.headers)
        done = await drive(target, _stretch(asked), source.each, on_sample=take, transport=network, stop=stop)
    record = {
        "schema_version": SCHEMA_VERSION,
        "started": started.isoformat(timespec="milliseconds"),
        "stopped_by": received[0].name if received else None,
        "load": _asked_record(asked, model, source),
        **counted.record(
            intended=done.intended,
            sent=done.sent,
            planned_rate=asked.arrivals.rate_per_second,
            seconds=done.end_seconds - done.start_seconds,
        ),
        "audit": _audit(asked, done, kept, source),
        "client": {"python": platform.python_version(), **{name: version(name) for name in ("uvloop", "httptools")}},
    }
    _write(asked.output, record)
    _tell(record, asked)
    return _status(record, received, counted)


def _audit(asked: Options, done: Drive, samples: typing.Sequence[Sample], source: prompts.Prompts) -> dict[str, object]:
    turn = Turn(
        stage="load",
        degree=1,
        block=None,
        concurrency=asked.arrivals.concurrency,
        rate_per_second=asked.arrivals.rate_per_second,
        start_seconds=done.start_seconds,
        end_seconds=done.end_seconds,
        requests=done.intended,
        send_lag_p99_ms=done.lag_p99_ms,
        foreign_cpu_share=None,
    )
    expected = audit.Expected(
        prompt_tokens=source.tokens,
        output_tokens=asked.max_tokens if asked.ignore_eos and not isinstance(asked.arrivals, Replay) else None,
        limit_ms=asked.limit_ms,
        max_in_flight=asked.max_in_flight,
        think_seconds=asked.arrivals.think_seconds if isinstance(asked.arrivals, Closed) else 0,
        longest_lag_ms=done.lag_max_ms,
    )
    reasons = audit.audit_turn(turn, samples, expected)
    return {
        "valid": not reasons,
        "reasons": list(reasons),
        "clock_lag_p99_ms": done.lag_p99_ms,
        "clock_lag_max_ms": done.lag_max_ms,
        "in_flight_at_end": done.in_flight_at_end,
    }


def _asked_record(asked: Options, model: str, source: prompts.Prompts) -> dict[str, object]:
    arrivals = dataclasses.asdict(asked.arrivals)
    if isinstance(asked.arrivals, Replay):
        arrivals = {"requests": len(asked.arrivals.requests)}
    return {
        "urls": list(asked.urls),
        "model": model,
        "arrivals": {"kind": type(asked.arrivals).__name__.lower(), **arrivals},
        "seconds": asked.seconds,
        "requests": asked.requests,
        "stream": asked.stream,
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "ignore_eos": asked.ignore_eos,
        "prompts": {"what": source.words, "unique": source.unique},
        "seed": asked.seed,
        "request_timeout_seconds": asked.request_timeout_seconds,
        "max_in_flight": asked.max_in_flight,
        "limit_ms": asked.limit_ms,
        "samples": str(asked.samples),
    }


def _write(path: pathlib.Path, record: dict[str, typing.Any]) -> None:
    try:
        path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"the result cannot be written to {path}: {error.strerror}; name another file") from error


def _tell(record: dict[str, typing.Any], asked: Options) -> None:
    reasons = record["audit"]["reasons"]
    lines = [summary.as_text(record), f"prompts    {record['load']['prompts']['what']}"]
    if not record["load"]["prompts"]["unique"]:
        lines.append("           they repeat: a prefix cache may have answered for the model")
    lines += [f"VOID       {reason}" for reason in reasons] or ["audit      passed"]
    lines.append(f"written    {asked.output}, {asked.samples}")
    sys.stdout.write("\n".join(lines) + "\n")


def _status(record: dict[str, typing.Any], received: list[signal.Signals], counted: summary.Summary) -> int:
    if received:
        return 0 if received[0] == signal.SIGTERM else INTERRUPTED
    if counted.ok == 0:
        failed = record["requests"]["failed"]
        raise ServerFailed(f"no request succeeded, {failed} failed; the first: {counted.first_failure}")
    return 0 if record["audit"]["valid"] else VOID


def _trust(ca_file: pathlib.Path | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        problem = options.problem("ca_file", str(ca_file), f"it is a PEM file of certificates ({error})")
        raise SettingsError([problem]) from error


async def _prompts(asked: Options, server: Server, model: str) -> prompts.Prompts:
    if asked.prompt == "seed":
        return prompts.repeated()
    if asked.prompt_file is not None:
        return options.prompt_lines(asked.prompt_file)
    ids = await server.tokens(model, " ".join(prompts.WORDS))
    if isinstance(asked.arrivals, Replay):
        return prompts.for_trace(ids, asked.arrivals.requests, seed=asked.seed)
    return prompts.synthetic(ids, asked.prompt_tokens, seed=asked.seed)


def _stretch(asked: Options) -> Stretch:
    return Stretch(
        stage="load",
        degree=1,
        block=None,
        arrivals=asked.arrivals,
        seconds=asked.seconds,
        requests=asked.requests,
        max_tokens=asked.max_tokens,
        stream=asked.stream,
        temperature=asked.temperature,
        ignore_eos=asked.ignore_eos,
        request_timeout_seconds=asked.request_timeout_seconds,
        max_in_flight=asked.max_in_flight,
        grace_seconds=asked.grace_seconds,
    )
