"""The result of the ``load`` command: JSON as in docs/reference/load-json.md, and the same for a terminal."""

import dataclasses
import datetime as dt
import json
import pathlib
import platform
import typing
from importlib.metadata import version

from optimal_tp.errors import StorageFailed
from optimal_tp.loadgen.command import summary
from optimal_tp.loadgen.command.options import Options
from optimal_tp.loadgen.stretch import Drive
from optimal_tp.measurement import audit
from optimal_tp.measurement.counters.reading import ServerCounts
from optimal_tp.measurement.counters.remarks import remarks
from optimal_tp.measurement.counters.token_ledger import Most, counter_reasons
from optimal_tp.measurement.turns import Turn
from optimal_tp.plan.prompts import Prompts
from optimal_tp.plan.schedule import Closed, Replay
from optimal_tp.plan.traces import Trace

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndedLoad:
    """A load that has ended."""

    asked: Options
    model: str
    source: Prompts
    started: dt.datetime
    origin_seconds: float
    """The monotonic clock at second 0 of the samples."""
    cpu_seconds: float
    """Processor time of the client."""
    core_wait_seconds: float | None
    """How long the client was ready to run while its core had other work; None if the system does not count it."""
    kernel_stamped_share: float | None
    """Share of the reads with the kernel's time stamp; None if the kernel was not asked."""
    scheduling: str
    """How the system scheduled the client."""
    drive: Drive
    counted: summary.Summary
    rows: typing.Sequence[audit.AuditRow]
    """One per request."""
    servers: tuple[ServerCounts | None, ...] = ()
    """The counts of each server during the load; empty if none tells."""
    stopped_by: str | None = None
    """Name of the signal that ended it."""


def record(ended: EndedLoad) -> dict[str, typing.Any]:
    """Return the result as docs/reference/load-json.md describes it."""
    drive = ended.drive
    return {
        "schema_version": SCHEMA_VERSION,
        "started": ended.started.isoformat(timespec="milliseconds"),
        "stopped_by": ended.stopped_by,
        "load": _asked_record(ended.asked, ended.model, ended.source, drive.intended),
        "first_failure": ended.counted.first_failure,
        **ended.counted.record(
            intended=drive.intended,
            sent=drive.sent,
            planned_rate=ended.asked.arrivals.rate_per_second,
            seconds=drive.end_seconds - drive.start_seconds,
        ),
        "audit": _audit(ended),
        "servers": [None if counts is None else dataclasses.asdict(counts) for counts in ended.servers],
        "server_remarks": list(_server_remarks(ended)),
        "client": {
            "cpu_seconds": round(ended.cpu_seconds, 4),
            "core_wait_seconds": None if ended.core_wait_seconds is None else round(ended.core_wait_seconds, 4),
            "scheduling": ended.scheduling,
            "kernel_stamped_share": ended.kernel_stamped_share,
            "first_token_merged_share": ended.counted.first_token_merged_share,
            "clock_origin_seconds": ended.origin_seconds,
            "python": platform.python_version(),
            **{name: version(name) for name in ("uvloop", "httptools", "orjson")},
        },
    }


def _audit(ended: EndedLoad) -> dict[str, object]:
    asked, done = ended.asked, ended.drive
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
        prompt_tokens=ended.source.tokens,
        output_tokens=(asked.max_tokens, asked.max_tokens) if _has_one_length(asked) else None,
        limit_ms=asked.limit_ms,
        max_in_flight=asked.max_in_flight,
        think_seconds=asked.arrivals.think_seconds if isinstance(asked.arrivals, Closed) else 0,
        longest_lag_ms=done.lag_max_ms,
    )
    reasons = (*audit.audit_turn(turn, ended.rows, expected), *_not_streamed(ended))
    return {
        "valid": not reasons,
        "reasons": list(reasons),
        "clock_lag_p99_ms": done.lag_p99_ms,
        "clock_lag_max_ms": done.lag_max_ms,
        "in_flight_at_end": done.in_flight_at_end,
    }


def _server_remarks(ended: EndedLoad) -> typing.Iterator[str]:
    """Yield remarks on the servers' counters. Other clients do not void a load: they may be intended."""
    asked = ended.asked
    longest = asked.max_tokens if asked.trace is None else None
    yield from counter_reasons(
        ended.servers, ended.rows, Most(prompt_tokens=ended.source.tokens, output_tokens=longest)
    )
    for replica, counts in enumerate(ended.servers):
        if counts is not None:
            name = "the server" if len(ended.servers) == 1 else f"server {replica + 1} of {len(ended.servers)}"
            yield from (
                f"{name} {remark}"
                for remark in remarks([counts], are_prompts_alike=not ended.source.unique, is_chat=asked.api == "chat")
            )


def _not_streamed(ended: EndedLoad) -> typing.Iterator[str]:
    """Yield why the times of tokens are not known although they were requested."""
    whole = ended.counted.ok - ended.counted.streams if ended.asked.stream else 0
    if whole:
        yield (
            f"{whole} of {ended.counted.ok} answers brought no token in a stream, which --stream asked for, so nothing "
            "is known of their first token; does the server stream?"
        )


def _has_one_length(asked: Options) -> bool:
    return asked.ignore_eos and asked.trace is None


def _asked_record(asked: Options, model: str, source: Prompts, intended: int) -> dict[str, object]:
    if isinstance(asked.arrivals, Replay):
        stretched = asked.arrivals.stretched_to_per_second
        arrivals = {"requests": len(asked.arrivals.recorded), "stretched_to_per_second": stretched}
    else:
        arrivals = dataclasses.asdict(asked.arrivals)
    return {
        "urls": list(asked.urls),
        "model": model,
        "api": asked.api,
        "trace": None if asked.trace is None else _trace_record(asked.trace),
        "arrivals": {"kind": type(asked.arrivals).__name__.lower(), **arrivals},
        "seconds": asked.seconds,
        "requests": asked.requests,
        "stream": asked.stream,
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "ignore_eos": asked.ignore_eos,
        "prompts": _prompts_record(source, intended),
        "seed": asked.seed,
        "request_timeout_seconds": asked.request_timeout_seconds,
        "max_in_flight": asked.max_in_flight,
        "limit_ms": asked.limit_ms,
        "samples": str(asked.samples),
    }


def _trace_record(trace: Trace) -> dict[str, object]:
    return {
        "file": trace.path,
        "form": trace.form,
        "sha256": trace.digest,
        "read": trace.read,
        "whole_file": not trace.is_cut,
        "fitting": len(trace.shapes),
        "too_long": trace.too_long,
        "without_tokens": trace.without_tokens,
    }


def _prompts_record(source: Prompts, intended: int) -> dict[str, object]:
    if source.different is None or intended > source.different:
        return {"what": source.words, "unique": source.unique}
    return {"what": f"{intended} of the {source.different} prompts of a file", "unique": True}


def begin(path: pathlib.Path) -> None:
    """Check that ``path`` can be written, before anything is sent. Raises StorageFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    except OSError as error:
        raise _failed(path, error) from error


def write(path: pathlib.Path, content: dict[str, typing.Any]) -> None:
    """Write the result to ``path``. Raises StorageFailed."""
    try:
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: pathlib.Path, error: OSError) -> StorageFailed:
    return StorageFailed(f"the result cannot be written to {path}: {error.strerror}; name another file with --output")


def as_text(content: dict[str, typing.Any]) -> str:
    """Return the result for a terminal."""
    asked_prompts, reasons = content["load"]["prompts"], content["audit"]["reasons"]
    lines = [summary.as_text(content), f"prompts    {asked_prompts['what']}"]
    if content["load"]["trace"] is not None:
        lines.append(f"trace      {_covered(content['load']['trace'])}")
    if content["first_failure"] is not None:
        lines.append(f"failed     the first: {content['first_failure']}")
    merged = content["client"]["first_token_merged_share"]
    if merged:
        late = "came in one read with the next: their TTFT is exact or late"
        lines.append(f"merged     {100 * merged:.3g} % of first tokens {late}")
    if not asked_prompts["unique"]:
        lines.append("           they repeat: a prefix cache may have answered for the model")
    lines += [f"server     {remark}" for remark in content["server_remarks"]]
    lines += [f"VOID       {reason}" for reason in reasons] or ["audit      passed"]
    return "\n".join(lines)


def _covered(trace: dict[str, typing.Any]) -> str:
    """Return, in words, how much of its trace a load could send."""
    left = [
        f"{trace[name]:,} {words}"
        for name, words in (("too_long", "longer than the server's model length"), ("without_tokens", "without tokens"))
        if trace[name]
    ]
    share = f"{trace['fitting']:,} of {trace['read']:,} requests ({100 * trace['fitting'] / trace['read']:.3g} %)"
    return f"{share} can be sent" + (f"; left out: {', '.join(left)}" if left else "")
