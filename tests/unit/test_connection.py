"""One connection fed by hand: any split of a response's bytes gives the same sample."""

import asyncio
import json
import typing

import pytest

from optimal_tp.loadgen import connection as connections
from optimal_tp.loadgen.connection import Connection
from optimal_tp.loadgen.exchange import Exchange, Origin, sample
from optimal_tp.measurement.samples import Sample

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
ORIGIN = Origin(stage="block", degree=1, block=0, concurrency=1, rate_per_second=None, seconds=0.0)


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        """Start open."""
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: "bytes | bytearray | memoryview[typing.Any]") -> None:
        """Keep what was written."""
        self.written += bytes(data)

    def abort(self) -> None:
        """Note it."""
        self.aborted = True


class Owner:
    """Keeps what a connection tells."""

    def __init__(self) -> None:
        """Nothing has ended yet."""
        self.ended: list[Exchange] = []

    def finished(self, connection: Connection, exchange: Exchange) -> None:  # noqa: ARG002 - the seam's signature
        """Keep the exchange."""
        self.ended.append(exchange)

    def lost(self, connection: Connection) -> None:
        """Do nothing."""


class Scene:
    """A connection with a request under way and a clock that moves one second per read."""

    def __init__(self, *, most_chunks: int = 100) -> None:
        """Send one request at second 1."""
        self.now = 0.0
        self.owner = Owner()
        self.wire = Wire()
        self.connection = Connection(self.owner, self.tick, replica=0, most_chunks=most_chunks)
        self.connection.connection_made(self.wire)
        self.ask()

    def tick(self) -> float:
        """Return the next second."""
        self.now += 1
        return self.now

    def ask(self) -> None:
        """Send a request."""
        exchange = Exchange(0, 0, 0, self.now, b"POST")
        exchange.deadline = 1e9
        self.connection.send(exchange, self.now)

    def feed(self, *pieces: bytes) -> Sample:
        """Receive ``pieces``; return the sample of the exchange that has ended."""
        for piece in pieces:
            if piece:
                self.connection.data_received(piece)
        (ended,) = self.owner.ended
        return sample(ended, ORIGIN)


def framed(data: bytes) -> bytes:
    """Return one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str | None, *, end: str = "\n", usage: object = None, compact: bool = True) -> bytes:
    """Return one event of a completion; None has no choices."""
    choices = [] if text is None else [{"index": 0, "text": text, "logprobs": None, "finish_reason": None}]
    content = {"id": "cmpl-1", "model": "m", "choices": choices, "usage": usage}
    separators = (",", ":") if compact else (", ", ": ")
    return f"data: {json.dumps(content, ensure_ascii=False, separators=separators)}{end}{end}".encode()


def stream(texts: typing.Sequence[str], *, end: str = "\n", tokens: int | None = None, compact: bool = True) -> bytes:
    """Return the body of a whole stream, as events without framing."""
    usage = {"prompt_tokens": 7, "completion_tokens": len(texts) if tokens is None else tokens}
    parts = [event(text, end=end, compact=compact) for text in texts]
    return b"".join([*parts, event(None, end=end, usage=usage, compact=compact), f"data: [DONE]{end}{end}".encode()])


def test_every_token_has_the_time_of_its_own_arrival() -> None:
    """The stamp is that of the read which completed the chunk, not of the one which began it."""
    one, two = framed(event("a")), framed(event("b"))
    result = Scene().feed(HEAD + one[:5], one[5:], two + framed(stream([], tokens=2)) + b"0\r\n\r\n")

    assert result.sent_seconds == 0
    assert result.token_seconds == (2, 3)
    assert result.end_seconds == 3


def test_half_a_character_is_a_token() -> None:
    """A server that cuts its text by UTF-16 units sends half a surrogate pair, which strict parsers of JSON refuse."""
    half = b'data: {"choices": [{"text": "\\ud83d"}]}\n\n'
    result = Scene().feed(HEAD + framed(half) + framed(stream([], tokens=1)) + b"0\r\n\r\n")

    assert (result.status, len(result.token_seconds)) == ("ok", 1)


def test_no_moment_lies_before_an_earlier_one() -> None:
    """What is read later arrived no earlier, whatever the kernel's stamp says."""
    scene = Scene()
    scene.connection.received(HEAD + framed(event("a")), 5.0)
    scene.connection.received(framed(event("b")), 4.0)
    scene.connection.received(framed(stream([], tokens=2)) + b"0\r\n\r\n", 6.0)

    assert scene.feed().token_seconds == (5.0, 5.0)


def test_tokens_of_one_read_are_counted_one_by_one_where_they_differ() -> None:
    """An event without text, or with a usage of its own, in the midst of a read changes no count and hides none."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    pieces = [event("a"), event("b"), event(""), event("c"), event("d", usage=usage), event("e")]
    result = Scene().feed(HEAD + b"".join(map(framed, pieces)) + framed(stream([], tokens=6)) + b"0\r\n\r\n")

    assert result.token_seconds == (1,) * 5


def test_text_that_looks_like_protocol_is_text() -> None:
    """Quoted keys, event endings and [DONE] within a token do not mislead the short cut."""
    texts = ['"usage":{', '"text":""', "data: [DONE]\n\n", '{"error":1}']
    result = Scene().feed(
        HEAD + b"".join(framed(event(text)) for text in texts) + framed(stream([], tokens=4)) + b"0\r\n\r\n"
    )

    assert result.status == "ok"
    assert len(result.token_seconds) == 4


@pytest.mark.parametrize(
    ("texts", "tokens", "expected"),
    [
        (["", "a", "b"], 2, (2, 3)),
        (["", "a", "b"], 8, (2, 3)),
        (["a", "", "b"], 3, (1, 3)),
        (["a", "b", ""], 3, (1, 2)),
        (["", ""], 2, ()),
    ],
    ids=["a greeting", "a greeting, several tokens a chunk", "one that does not print", "a farewell", "nothing prints"],
)
def test_a_chunk_without_output_is_no_token(texts: list[str], tokens: int, expected: tuple[float, ...]) -> None:
    """It is neither the first nor a later one, whatever the server counted; several tokens a chunk are fine."""
    scene = Scene()
    scene.connection.data_received(HEAD)
    scene.now = 0.0
    result = scene.feed(*[framed(event(text)) for text in texts], framed(stream([], tokens=tokens)) + b"0\r\n\r\n")

    assert result.token_seconds == expected
    assert (result.status, result.output_tokens, result.detail) == ("ok", tokens, None)


def test_a_chunk_of_a_role_alone_is_no_token() -> None:
    """A choice may have other keys than a text, and a stream events without any choice."""
    greeting = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}\n\ndata: {"choices": []}\n\n'
    result = Scene().feed(HEAD + framed(greeting) + framed(stream(["a"], tokens=1)) + b"0\r\n\r\n")

    assert (result.status, len(result.token_seconds)) == ("ok", 1)


def test_more_chunks_than_tokens_are_told() -> None:
    """The request has succeeded, but its count or the times of its tokens are wrong."""
    result = Scene().feed(HEAD + framed(stream(["a", "b", "c"], tokens=2)) + b"0\r\n\r\n")

    assert (result.status, result.output_tokens, len(result.token_seconds)) == ("ok", 2, 3)
    assert result.detail == "3 chunks brought output where the server counted 2 tokens"


def test_a_server_that_counts_nothing_leaves_none() -> None:
    """No usage is None, never a count of chunks and never 0."""
    result = Scene().feed(HEAD + framed(event("a")) + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    assert result.status == "ok"
    assert (result.prompt_tokens, result.output_tokens) == (None, None)


def test_an_answer_without_streaming_is_counted() -> None:
    """Counts come from the body's usage; there are no token times."""
    body = b'{"choices":[{"text":"x"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
    result = Scene().feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    assert (result.status, result.prompt_tokens, result.output_tokens) == ("ok", 3, 4)
    assert result.token_seconds == ()
    assert result.ttft_ms is None


def test_an_answer_that_ends_with_the_connection_is_whole() -> None:
    """HTTP/1.0 servers give no length."""
    scene = Scene()
    scene.connection.data_received(b'HTTP/1.0 200 OK\r\n\r\n{"choices":[{"text":"x"}]}')
    scene.connection.connection_lost(None)
    result = scene.feed()

    assert result.status == "ok"


def test_a_100_continue_is_no_answer() -> None:
    """The answer comes after it."""
    result = Scene().feed(b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + framed(stream(["a"])) + b"0\r\n\r\n")

    assert (result.status, result.http_status) == ("ok", 200)


def failure(*pieces: bytes, lost: bool = False, most_chunks: int = 100) -> tuple[str, str | None, int | None]:
    """Return status, detail and HTTP status of a response of ``pieces``."""
    scene = Scene(most_chunks=most_chunks)
    for piece in pieces:
        if not scene.owner.ended:
            scene.connection.data_received(piece)
    if lost:
        scene.connection.connection_lost(None)
    result = scene.feed()
    return result.status, result.detail, result.http_status


def test_an_error_status_is_labelled_with_what_the_server_said() -> None:
    """429 with retry-after is a failed sample that says so."""
    answer = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nslow down"

    assert failure(answer) == ("http_error", "HTTP status 429, retry after 7 s: slow down", 429)


@pytest.mark.parametrize("value", [b"nan", b"inf", b"-inf", b"Tue, 24 Nov 2026 16:00:00 GMT", b"soon"])
def test_a_retry_after_that_is_no_number_of_seconds_is_none(value: bytes) -> None:
    """A slot that waits for nan would never send again; an infinite pause is none that was asked for."""
    scene = Scene()
    result = scene.feed(b"HTTP/1.1 503 Busy\r\nRetry-After: " + value + b"\r\nContent-Length: 0\r\n\r\n")

    assert (result.status, result.detail) == ("http_error", "HTTP status 503")
    assert scene.owner.ended[0].retry_after is None


def test_json_nested_too_deeply_is_labelled() -> None:
    """An event that no parser follows is one bad answer."""
    deep = b"[" * 50_000 + b"]" * 50_000

    assert failure(HEAD + framed(b"data: " + deep + b"\n\n") + b"0\r\n\r\n") == (
        "bad_response",
        f"an event of the stream is not a JSON object: {deep[:100]!r}",
        200,
    )


def test_a_connection_closed_early_is_labelled() -> None:
    """Half a stream is no answer."""
    detail = "the server closed the connection before the response was complete"

    assert failure(HEAD + framed(event("a")), lost=True) == ("closed_early", detail, 200)
    assert failure(lost=True) == ("closed_early", detail, None)


def test_a_stream_without_done_is_labelled() -> None:
    """A clean end of the body is not the end of the stream."""
    assert failure(HEAD + framed(event("a")) + b"0\r\n\r\n") == (
        "closed_early",
        "the stream ended without data: [DONE]",
        200,
    )


def test_a_broken_event_is_labelled() -> None:
    """What is no JSON object is named."""
    status = failure(HEAD + framed(b"data: {oops\n\n") + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    assert status == ("bad_response", "an event of the stream is not a JSON object: b'{oops'", 200)


def test_an_error_within_the_stream_is_labelled() -> None:
    """So does vLLM report its engine's death, in a stream whose status was 200."""
    error = b'data: {"error": {"message": "engine died"}}\n\n'
    status = failure(HEAD + framed(error) + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    assert status == ("bad_response", 'the stream reported an error: {"message": "engine died"}', 200)


def test_what_is_no_http_is_labelled() -> None:
    """A server of another kind is a bad response, not an exception."""
    status, detail, http_status = failure(b"SSH-2.0-OpenSSH_9.6\r\n")

    assert (status, http_status) == ("bad_response", None)
    assert detail is not None
    assert detail.startswith("the response is not HTTP/1.1: ")


def test_a_body_that_is_no_completion_is_labelled() -> None:
    """A proxy's page with status 200 is no answer."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"

    assert failure(answer) == ("bad_response", "the body is not a JSON object of a completion", 200)


def test_an_endless_stream_is_bounded() -> None:
    """More chunks than the request could ask for end it."""
    pieces = [HEAD, *[framed(event("a"))] * 6]

    assert failure(*pieces, most_chunks=5) == ("bad_response", "the stream did not end after 5 chunks", 200)


def test_an_endless_head_is_bounded() -> None:
    """64 KiB of head end it."""
    pieces = [b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"f" * 8000 + b"\r\n"] * 9]

    assert failure(*pieces) == ("bad_response", "the response's head takes more than 65536 bytes", None)


def test_an_endless_event_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that never ends does not fill the memory."""
    monkeypatch.setattr(connections, "EVENT_BYTES", 1000)
    pieces = [HEAD, *[framed(b"data: " + b"f" * 300)] * 5]

    assert failure(*pieces) == ("bad_response", "one event of the stream takes more than 1000 bytes", 200)


def test_an_endless_body_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that never ends, comments for one, does not either."""
    monkeypatch.setattr(connections, "BODY_BYTES", 1000)
    pieces = [HEAD, *[framed(b": " + b"f" * 300 + b"\n\n")] * 5]

    assert failure(*pieces) == ("bad_response", "the response takes more than 1000 bytes", 200)


def test_a_connection_serves_one_answer_after_another() -> None:
    """Keep-alive: what one response left behind does not touch the next."""
    scene = Scene()
    whole = HEAD + framed(stream(["a"])) + b"0\r\n\r\n"
    scene.connection.data_received(whole)
    scene.ask()
    scene.connection.data_received(whole)

    assert [exchange.status for exchange in scene.owner.ended] == ["ok", "ok"]
    assert scene.connection.usable


@pytest.mark.parametrize(
    "tail",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"garbage"],
    ids=["another answer", "garbage"],
)
def test_bytes_after_the_answer_end_the_connection_not_the_sample(tail: bytes) -> None:
    """The answer was whole; its connection cannot be trusted with the next request."""
    scene = Scene()
    result = scene.feed(HEAD + framed(stream(["a"])) + b"0\r\n\r\n" + tail)

    assert result.status == "ok"
    assert not scene.connection.usable
    assert scene.wire.aborted


def test_a_server_that_wants_to_close_is_not_asked_again() -> None:
    """Connection: close makes the connection unusable."""
    scene = Scene()
    scene.feed(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 14\r\n\r\n{"choices":[]}')

    assert not scene.connection.usable


def test_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    """A 408 on an idle connection belongs to no request."""
    scene = Scene()
    scene.feed(HEAD + framed(stream(["a"])) + b"0\r\n\r\n")
    scene.connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")

    assert not scene.connection.usable
    assert len(scene.owner.ended) == 1


def test_a_compressed_answer_is_named() -> None:
    """No client asked for it, so none reads it; the sentence says why."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n"
    detail = "the answer is compressed although no compression was requested (gzip)"

    assert failure(head + b"\x1f\x8b\x08") == ("bad_response", detail, 200)


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/x-ndjson", "TEXT/EVENT-STREAM"])
def test_a_stream_is_known_by_its_events(kind: str) -> None:
    """Some servers stream under another content type."""
    head = HEAD.replace(b"text/event-stream", kind.encode())
    result = Scene().feed(head, framed(event("a")), framed(event("b")), framed(stream([], tokens=2)) + b"0\r\n\r\n")

    assert head.count(kind.encode()) == 1
    assert (result.status, result.token_seconds, result.output_tokens) == ("ok", (2, 3), 2)


@pytest.mark.parametrize("usage", [True, False], ids=["usage", "finish reason"])
def test_a_stream_that_says_it_is_whole_needs_no_done(usage: bool) -> None:  # noqa: FBT001 - a parameter
    """Some servers end without data: [DONE]; why the output ended, or what it took, says that nothing is missing."""
    last = event("b").replace(b'"finish_reason":null', b'"finish_reason":"length"')
    end = event(None, usage={"prompt_tokens": 7, "completion_tokens": 2}) if usage else b""
    pieces = [event("a"), event("b") if usage else last, end]
    result = Scene().feed(HEAD, *(framed(piece) for piece in pieces if piece), b"0\r\n\r\n")

    assert (result.status, len(result.token_seconds)) == ("ok", 2)
