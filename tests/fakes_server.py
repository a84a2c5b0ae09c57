"""A scripted server: OpenAI completions over real HTTP on 127.0.0.1, with planted service times and faults.

Run as ``python -m tests.fakes_server '{"ttft_seconds": 0.02}'`` it prints its port and serves until it is ended.
Its times are absolute: token k of a request whose service starts at s leaves at ``s + ttft + k * gap``.
"""

import asyncio
import collections
import contextlib
import dataclasses
import functools
import heapq
import itertools
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import types
import typing

import uvloop

from optimal_tp.loadgen.timers import Alarm
from optimal_tp.loadgen.transport import KernelClock, StampedTransport

Fault = typing.Literal[
    "close_at_once",  # reads the request, closes
    "close_early",  # closes after half of the tokens
    "no_answer",  # reads the request, says nothing
    "slow_head",  # its head comes one byte at a time
    "http_429",
    "http_500",
    "endless",  # never stops sending chunks
    "big_head",  # a head that never ends
    "no_done",  # ends the body without data: [DONE]
    "garbage",  # an event that is no JSON
    "stream_error",  # an error in the stream, as vLLM reports one
    "not_http",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Script:
    """What a server does. Times are seconds."""

    model: str = "scripted"
    max_model_len: int | None = 4096
    ttft_seconds: float = 0.0
    """From the start of service to the first token."""
    spread_seconds: float = 0.0
    """Width of an even spread around ``ttft_seconds``, in a fixed order, so that streams do not march in step."""
    gap_seconds: float = 0.0
    """Between tokens."""
    tokens_per_chunk: int = 1
    slots: int | None = None
    """Requests served at a time, the others queue; None serves all."""
    stall_every_seconds: float | None = None
    """Every so often, counted from the first request, ..."""
    stall_seconds: float = 1.0
    """... nothing leaves for this long, at the end of each period."""
    fault: Fault | None = None
    fault_every: int = 1
    """The fault strikes requests number n, 2n, ... from 1."""
    retry_after_seconds: float | None = 1
    usage: bool = True
    output_tokens: int | None = None
    """Tokens it makes whatever was asked; None makes what was asked."""
    text: str = " tok"
    greeting: bool = False
    """True sends a chunk without text at once, as no token."""
    silent: int = 0
    """So many tokens at the start have no text yet, as halves of a character do."""
    tokenizer: bool = True
    line_end: str = "\n"
    keep_alive_seconds: float | None = None
    """Closes idle connections after this."""
    certificate: str | None = None
    """Path of a PEM file with key and certificate: serves TLS."""
    refused_key: str | None = None
    """Answers 400 to a request with this key, by name."""
    chat_only: bool = False
    """Answers 404 to every completion."""
    reasoning: int = 0
    """So many tokens at the start of a chat's answer are reasoning, under ``reasoning_key``."""
    reasoning_key: str = "reasoning"
    health: bool = True
    """False answers 404 to /health."""
    key: str | None = None
    """Answers 401 to whoever does not bring it as a bearer token."""
    content_type: str = "text/event-stream; charset=utf-8"
    """Of streams."""
    done: bool = True
    """False ends streams without data: [DONE]."""
    streams: bool = True
    """False answers with one JSON where a stream was asked for."""
    metrics: typing.Literal["new", "old"] | None = None
    """Tells on /metrics what it has counted, under vLLM's names of today or those of its 0.9; None has no such path."""
    preempted_every: int | None = None
    """Requests number n, 2n, ... lose their memory once."""
    prefix_hits: int = 0
    """Prompt tokens of each request that a prefix cache had."""
    port: int = 0
    stamped: bool = False
    """Notes when the kernel took in each request, by the kernel's own stamp; without TLS and faults."""


class Truth(typing.TypedDict):
    """What the server knows of one request; moments of time.perf_counter()."""

    arrived: float | None
    """Its last byte, as the kernel stamped it; None unless the script is ``stamped``."""
    received: float
    """The server had read it."""
    first: tuple[float, float]
    """Before and after the first token was given to the kernel: it left somewhere between."""
    last: float
    """Before the last token was."""


class _Request(typing.NamedTuple):
    number: int
    connection: "_Connection"
    body: dict[str, typing.Any]
    received: float
    arrived: float | None


TEMPLATE_TOKENS = 7
"""What the scripted chat template adds to a message."""


@functools.cache
def _chunk(script: Script, text: str, finish: str | None, kind: str = "text") -> bytes:
    choice: dict[str, object] = {"index": 0, "logprobs": None, "finish_reason": finish}
    if kind == "text":
        choice["text"] = text
    else:
        choice["delta"] = {"role": "assistant", "content": ""} if kind == "role" else {kind: text}
    return _event(script, {**_ENVELOPE, "model": script.model, "choices": [choice], "usage": None})


_ENVELOPE: typing.Final = {"id": "cmpl-0123456789abcdef", "object": "text_completion", "created": 1767225600}


def _event(script: Script, content: object) -> bytes:
    data = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))
    return _framed(f"data: {data}{script.line_end * 2}".encode())


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: uvicorn\r\n"
    b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST = b"0\r\n\r\n"


def _stream_head(script: Script) -> bytes:
    return _STREAM_HEAD.replace(b"text/event-stream; charset=utf-8", script.content_type.encode())


@functools.cache
def _chunks(script: Script, count: int, *, chat: bool = False) -> tuple[bytes, ...]:
    """Return the chunks of an answer of ``count`` tokens; the last one ends with the reason."""
    sizes = [min(script.tokens_per_chunk, count - start) for start in range(0, count, script.tokens_per_chunk)]
    made = 0
    chunks = []
    for size in sizes:
        made += size
        text = "" if made <= script.silent else script.text * size
        kind = "text" if not chat else script.reasoning_key if made <= script.reasoning else "content"
        chunks.append(_chunk(script, text, "length" if made == count else None, kind))
    return tuple(chunks)


def _greeting(script: Script, body: typing.Mapping[str, typing.Any]) -> bytes:
    """Return the chunk before the first token: a chat begins with its role, as vLLM's do."""
    if "messages" in body:
        return _chunk(script, "", None, "role")
    return _chunk(script, "", None) if script.greeting else b""


def _prompt_tokens(prompt: object) -> int:
    return len(prompt.split()) if isinstance(prompt, str) else len(typing.cast("list[int]", prompt))


def _plain(status: str, body: bytes, *headers: bytes, kind: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status.encode(), b"content-type: " + kind, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


_GOLDEN = 0.6180339887498949  # its multiples, less their whole parts, fill 0 to 1 evenly


class _Engine:
    """The queue and the clock behind all connections."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.truth: dict[str, Truth] = {}
        """By prompt, as JSON."""
        self._numbers = itertools.count(1)
        self._events: list[tuple[float, int, typing.Callable[[float], None]]] = []
        self._order = itertools.count()
        self._alarm = Alarm(asyncio.get_running_loop(), self._ring)
        self._queue: collections.deque[_Request] = collections.deque()
        self._busy = 0
        self.first: float | None = None
        """When the first request was read."""
        self.counts: collections.Counter[str] = collections.Counter()
        """What /metrics tells."""
        self._began = time.time()

    def count(self, request: _Request, tokens: int, *, first: bool, last: bool) -> None:
        """Count ``tokens`` that leave, as vLLM does: the prompt with the first of them, the request with the last."""
        self.counts["generation"] += tokens
        if first:
            prompt = _usage(request, 0)["prompt_tokens"]
            self.counts.update(prompt=prompt, hits=min(self.script.prefix_hits, prompt))
        if last:
            every = self.script.preempted_every
            self.counts.update(ended=1, preempted=int(every is not None and request.number % every == 0))

    def exposition(self) -> str:
        """Return what vLLM's /metrics would say."""
        counts, labels = self.counts, f'engine="0",model_name="{self.script.model}"'
        old = "gpu_" if self.script.metrics == "old" else ""
        lines = [
            "# HELP vllm:prompt_tokens_total Number of prefill tokens processed.",
            "# TYPE vllm:prompt_tokens_total counter",
            f"vllm:prompt_tokens_total{{{labels}}} {counts['prompt']:.1f}",
            f"vllm:generation_tokens_total{{{labels}}} {counts['generation']:.1f}",
            f'vllm:request_success_total{{{labels},finished_reason="length"}} {counts["ended"]:.1f}',
            f'vllm:request_success_total{{{labels},finished_reason="abort"}} 7.0',
            f"vllm:num_preemptions_total{{{labels}}} {counts['preempted']:.1f}",
            f"vllm:num_requests_running{{{labels}}} {self._busy:.1f}",
            f"vllm:num_requests_waiting{{{labels}}} {len(self._queue):.1f}",
            f"vllm:{old or 'kv_'}cache_usage_perc{{{labels}}} 0.25",
            f"vllm:{old}prefix_cache_queries_total{{{labels}}} {counts['prompt']:.1f}",
            f"vllm:{old}prefix_cache_hits_total{{{labels}}} {counts['hits']:.1f}",
            f"process_start_time_seconds {self._began:.2f}",
            f"process_cpu_seconds_total {time.process_time():.2f}",
        ]
        return "\n".join(lines) + "\n"

    def at(self, moment: float, call: typing.Callable[[float], None]) -> None:
        """Call ``call`` with ``moment``, then; stalls put it off."""
        heapq.heappush(self._events, (moment, next(self._order), call))
        if self._events[0][0] == moment:
            self._alarm.set(moment - time.perf_counter())

    def _ring(self) -> None:
        now = time.perf_counter()
        wake = self._stalled_until(now)
        while wake is None and self._events and self._events[0][0] <= now:
            moment, _, call = heapq.heappop(self._events)
            call(moment)
        if self._events:
            self._alarm.set((wake or self._events[0][0]) - time.perf_counter())

    def _stalled_until(self, now: float) -> float | None:
        every = self.script.stall_every_seconds
        if every is None or self.first is None:
            return None
        into = (now - self.first) % every
        return None if into < every - self.script.stall_seconds else now + every - into

    def close(self) -> None:
        """Stop the clock."""
        self._alarm.close()

    def take(self, connection: "_Connection", body: dict[str, typing.Any]) -> None:
        """Serve or queue one completion."""
        now = time.perf_counter()
        self.first = now if self.first is None else self.first
        request = _Request(next(self._numbers), connection, body, now, connection.arrived)
        if self.script.slots is not None and self._busy >= self.script.slots:
            self._queue.append(request)
        else:
            self._serve(request, now)

    def _serve(self, request: _Request, start: float) -> None:
        self._busy += 1
        script = self.script
        if script.fault is not None and request.number % script.fault_every == 0:
            request.connection.fail(script.fault, self)
            self._free(start)
            return
        count = script.output_tokens or int(request.body.get("max_tokens", 16))
        stalls = script.stall_every_seconds is not None
        if script.ttft_seconds == script.gap_seconds == 0 and not stalls:
            self._answer_at_once(request, count)
        elif request.body.get("stream"):
            request.connection.write(_stream_head(script) + _greeting(script, request.body))
            stream = _Stream(self, request, count)
            spread = script.spread_seconds * (request.number * _GOLDEN % 1 - 0.5)
            self.at(start + script.ttft_seconds + spread, stream.step)
        else:
            seconds = script.ttft_seconds + (count - 1) * script.gap_seconds
            self.at(start + seconds, lambda moment: self._answer_plain(request, count, moment))

    def _free(self, moment: float) -> None:
        self._busy -= 1
        while self._queue:
            request = self._queue.popleft()
            if not request.connection.gone:  # a client that gave up is not served, as vLLM aborts its request
                self._serve(request, self.moment(moment))
                return

    def moment(self, planned: float) -> float:
        """Return when what follows ``planned`` counts from: that moment, or now where a stall may have passed."""
        return planned if self.script.stall_every_seconds is None else time.perf_counter()

    def _answer_at_once(self, request: _Request, count: int) -> None:
        if request.body.get("stream"):
            greeting = _stream_head(self.script) + _greeting(self.script, request.body)
            tokens = b"".join(_chunks(self.script, count, chat="messages" in request.body))
            self.count(request, count, first=True, last=True)
            request.connection.write(greeting + tokens + self.farewell(request, count))
            self._free(request.received)
        else:
            self._answer_plain(request, count, request.received)

    def _answer_plain(self, request: _Request, count: int, moment: float) -> None:
        text = self.script.text * count
        said: dict[str, object] = {"message": {"content": text}} if "messages" in request.body else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": "length"}
        answer: dict[str, object] = {**_ENVELOPE, "model": self.script.model, "choices": [choice]}
        if self.script.usage:
            answer["usage"] = _usage(request, count)
        self.count(request, count, first=True, last=True)
        before = time.perf_counter()
        request.connection.write(_plain("200 OK", json.dumps(answer).encode()))
        self.note(request, (before, time.perf_counter()), before)
        self._free(moment)

    def farewell(self, request: _Request, count: int) -> bytes:
        """Return the end of a stream."""
        script = self.script
        asked = (request.body.get("stream_options") or {}).get("include_usage")
        content = {**_ENVELOPE, "model": script.model, "choices": [], "usage": _usage(request, count)}
        usage = _event(script, content) if script.usage and asked else b""
        return usage + (_event(script, "[DONE]") if script.done else b"") + _LAST

    def ended(self, moment: float) -> None:
        """Give the slot of a stream free."""
        self._free(moment)

    def note(self, request: _Request, first: tuple[float, float], last: float) -> None:
        """Keep the truth about one request."""
        known = Truth(arrived=request.arrived, received=request.received, first=first, last=last)
        self.truth[json.dumps(_prompt(request.body))] = known


def fixed_answers(script: Script, count: int) -> tuple[bytes, bytes]:
    """Return whole answers of ``count`` tokens, plain and streamed, for a server that looks at no request."""
    usage = {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": 1 + count}
    choice = {"index": 0, "text": script.text * count, "logprobs": None, "finish_reason": "length"}
    answer = {**_ENVELOPE, "model": script.model, "choices": [choice], "usage": usage}
    last = _event(script, {**_ENVELOPE, "model": script.model, "choices": [], "usage": usage})
    stream = _STREAM_HEAD + b"".join(_chunks(script, count)) + last + _event(script, "[DONE]") + _LAST
    return _plain("200 OK", json.dumps(answer).encode()), stream


def _prompt(body: typing.Mapping[str, typing.Any]) -> object:
    return body["messages"][0]["content"] if "messages" in body else body.get("prompt", "")


def _usage(request: _Request, count: int) -> dict[str, int]:
    prompt = _prompt_tokens(_prompt(request.body)) + (TEMPLATE_TOKENS if "messages" in request.body else 0)
    return {"prompt_tokens": prompt, "completion_tokens": count, "total_tokens": prompt + count}


class _Stream:
    """One answer under way."""

    def __init__(self, engine: _Engine, request: _Request, count: int) -> None:
        self._engine = engine
        self._request = request
        self._count = count
        self._chunks = _chunks(engine.script, count, chat="messages" in request.body)
        self._index = 0
        self._first = (0.0, 0.0)

    def step(self, moment: float) -> None:
        """Send the chunk that is due at ``moment``; where the client has gone, end as vLLM aborts a request."""
        script, request = self._engine.script, self._request
        if request.connection.gone:
            self._engine.ended(moment)
            return
        self._index += 1
        last = self._index == len(self._chunks)
        made = min(script.tokens_per_chunk, self._count - (self._index - 1) * script.tokens_per_chunk)
        self._engine.count(request, made, first=self._index == 1, last=last)
        before = time.perf_counter()
        request.connection.write(
            self._chunks[self._index - 1] + (self._engine.farewell(request, self._count) if last else b"")
        )
        if self._index == 1:
            self._first = before, time.perf_counter()
        if not last:
            self._engine.at(self._engine.moment(moment) + script.gap_seconds * script.tokens_per_chunk, self.step)
            return
        self._engine.note(request, self._first, before)
        self._engine.ended(moment)


class _Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, engine: _Engine) -> None:
        self.arrived: float | None = None
        self._engine = engine
        self._buffer = b""
        self._fd = -1
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = typing.cast("asyncio.Transport", transport)
        if self._engine.script.certificate is None:
            self._fd = transport.get_extra_info("socket").fileno()
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None

    @property
    def gone(self) -> bool:
        """Whether the client has closed it."""
        return self._transport is None

    def _rest(self) -> None:
        seconds = self._engine.script.keep_alive_seconds
        if seconds is not None:
            self._idle = asyncio.get_running_loop().call_later(seconds, self.close)

    def write(self, data: bytes) -> None:
        """Write at once where that is possible: the event loop would wait for the end of its turn."""
        if self._transport is None:
            return
        sent = 0
        if self._fd >= 0 and not self._transport.get_write_buffer_size():
            with contextlib.suppress(OSError):
                sent = os.write(self._fd, data)
        if sent < len(data):
            self._transport.write(data[sent:])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def received(self, data: bytes, moment: float) -> None:
        """Take what the kernel took in at ``moment``."""
        self.arrived = moment
        self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            key = self._engine.script.key
            if key is not None and f"authorization: bearer {key}".lower().encode() not in head:
                self.write(_plain("401 Unauthorized", b'{"error":"Unauthorized"}'))
            else:
                self._route(head.split(b" ", 2)[1].decode(), body)

    def _route(self, path: str, body: bytes) -> None:
        script = self._engine.script
        if path == "/v1/chat/completions" or (path == "/v1/completions" and not script.chat_only):
            asked = json.loads(body)
            if not script.streams:
                asked.pop("stream", None)
            if script.refused_key in asked:
                refusal = {"object": "error", "message": f"Unrecognized request argument: {script.refused_key}"}
                self.write(_plain("400 Bad Request", json.dumps(refusal).encode()))
                return
            if asked.get("model") != script.model:
                error = {"error": {"message": f"The model `{asked.get('model')}` does not exist.", "code": 404}}
                self.write(_plain("404 Not Found", json.dumps(error).encode()))
            else:
                self._engine.take(self, asked)
        elif path == "/health" and script.health:
            self.write(_plain("200 OK", b""))
        elif path == "/v1/models":
            entry = {"id": script.model, "object": "model", "max_model_len": script.max_model_len}
            self.write(_plain("200 OK", json.dumps({"object": "list", "data": [entry]}).encode()))
        elif path == "/tokenize" and script.tokenizer:
            asked = json.loads(body)
            ids = [sum(map(ord, word)) % 50_000 for word in str(_prompt(asked)).split()]
            ids += [1] * TEMPLATE_TOKENS if "messages" in asked else []
            answer = {"count": len(ids), "max_model_len": script.max_model_len, "tokens": ids}
            self.write(_plain("200 OK", json.dumps(answer).encode()))
        elif path == "/metrics" and script.metrics is not None:
            text = self._engine.exposition().encode()
            self.write(_plain("200 OK", text, kind=b"text/plain; version=0.0.4; charset=utf-8"))
        elif path == "/truth":
            truth = {"first": self._engine.first, "requests": self._engine.truth}
            self.write(_plain("200 OK", json.dumps(truth).encode()))
        else:
            self.write(_plain("404 Not Found", b'{"detail":"Not Found"}'))

    def fail(self, fault: Fault, engine: _Engine) -> None:
        """Do what ``fault`` says in place of an answer."""
        script = engine.script
        tokens = _STREAM_HEAD + b"".join(_chunks(script, 4)[:2])
        if fault == "http_429":
            wait = script.retry_after_seconds
            headers = () if wait is None else (b"retry-after: %g" % wait,)
            self.write(_plain("429 Too Many Requests", b'{"error":{"message":"slow down"}}', *headers))
        elif fault == "http_500":
            self.write(_plain("500 Internal Server Error", b'{"error":{"message":"boom"}}'))
        elif fault == "garbage":
            self.write(_STREAM_HEAD + _framed(b"data: {broken\n\n") + _event(script, "[DONE]") + _LAST)
        elif fault == "stream_error":
            self.write(
                tokens + _event(script, {"error": {"message": "engine died"}}) + _event(script, "[DONE]") + _LAST
            )
        elif fault == "no_done":
            self.write(tokens + _LAST)
        elif fault == "not_http":
            self.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        elif fault in {"close_at_once", "close_early"}:
            self.write(tokens if fault == "close_early" else b"")
            self.close()
        elif fault != "no_answer":
            self._trickle(fault, 0)

    def _trickle(self, fault: Fault, step: int) -> None:
        """Send a little of what never ends, again and again."""
        pieces = {
            "slow_head": b"HTTP/1.1 200 OK\r\n"[step : step + 1] or b"x",
            "endless": (b"" if step else _STREAM_HEAD) + _chunk(self._engine.script, self._engine.script.text, None),
            "big_head": (b"" if step else b"HTTP/1.1 200 OK\r\n") + b"x-filler: " + b"f" * 8000 + b"\r\n",
        }
        if self._transport is not None:
            self.write(pieces[fault])
            asyncio.get_running_loop().call_later(0.001, self._trickle, fault, step + 1)


@contextlib.contextmanager
def _listening_with_stamps(engine: _Engine, port: int) -> typing.Iterator[int]:
    """Accept connections that are read with the kernel's stamps; yield the port."""
    loop, clock = asyncio.get_running_loop(), KernelClock()

    def accept() -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = listener.accept()
                sock.setblocking(False)  # noqa: FBT003 - its only argument
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                StampedTransport(loop, sock, _Connection(engine), clock)

    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        listener.setblocking(False)  # noqa: FBT003 - its only argument
        loop.add_reader(listener.fileno(), accept)
        yield listener.getsockname()[1]
        loop.remove_reader(listener.fileno())


async def _serve(script: Script, ready: typing.Callable[[int], None], stop: asyncio.Event) -> None:
    engine = _Engine(script)
    if script.stamped:
        with _listening_with_stamps(engine, script.port) as port:
            ready(port)
            await stop.wait()
        engine.close()
        return
    context = None
    if script.certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(script.certificate)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(engine), "127.0.0.1", script.port, ssl=context, backlog=1024
    )
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()
    engine.close()


class ScriptedServer:
    """Serves ``script`` while the block runs; ``url`` is where.

    In a thread of this process by default: up within milliseconds, but it shares the interpreter with the client. With
    ``process`` it has a process of its own, on ``core`` where given, ended by its id.
    """

    def __init__(self, script: Script | None = None, *, process: bool = False, core: int | None = None) -> None:
        """Start nothing yet."""
        self._script = script or Script()
        self._in_process = process
        self._core = core
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Base URL."""
        return f"{'http' if self._script.certificate is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Id of its own process."""
        if self._process is None:
            raise RuntimeError("this server runs in a thread")
        return self._process.pid

    def __enter__(self) -> typing.Self:
        if self._in_process:
            self._start_process()
        else:
            self._start_thread()
        return self

    def _start_process(self) -> None:
        values = {key: value for key, value in dataclasses.asdict(self._script).items() if value is not None}
        command = [sys.executable, "-m", "tests.fakes_server", json.dumps(values)]
        if self._core is not None:
            command = ["taskset", "-c", str(self._core), *command]
        root = pathlib.Path(__file__).parents[1]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        self.port = int(line)

    def _start_thread(self) -> None:
        started = threading.Event()

        def ready(port: int) -> None:
            self.port = port
            started.set()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            await _serve(self._script, ready, self._stop)

        def run() -> None:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the scripted server did not start within 10 s")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End it; a second call does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            if self._process.stdout is not None:
                self._process.stdout.close()
        elif self._thread is not None and self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)


def _announce(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


def _main() -> None:
    script = Script(**json.loads(sys.argv[1]))

    async def serve() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await _serve(script, _announce, stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    _main()
