"""Read the stream of one answer: the times of its tokens, and the usage and finish reason at its end."""

import json
import typing

from optimal_tp.loadgen.exchange import Exchange, parsed

_QUOTE = b'"'
_DELTA = b'"delta":{'
_COMPLETION_KEYS = (b'"text":"',)
# vLLM's `reasoning` was called `reasoning_content`, as it still is in SGLang; both are read (checked 2026-11-27).
_CHAT_KEYS = (b'"content":"', b'"reasoning":"', b'"reasoning_content":"')
_LINE_END = b"\n"
_FINISH = b'"finish_reason":"'


class Likeness(typing.NamedTuple):
    """The common start, up to the text, and the common end of a stream's events with text.

    Quotes and line ends within JSON strings are escaped, so no text can be mistaken for a key or for an event's end.
    """

    start: bytes
    end: bytes
    between: bytes
    """An end and the next start."""
    silent: bytes
    """A start with an empty text."""

    def fits(self, event: bytes) -> bool:
        """Return whether ``event``, at most one event long, has this start, this end, and a text."""
        size = len(self.start)
        return (
            event.startswith(self.start)
            and event.endswith(self.end)
            and event[size : size + 1] != _QUOTE
            and len(event) < 2 * size  # only one event has room
        )

    def run(self, data: bytes) -> tuple[int, int]:
        """Return how many events at the start of ``data`` are alike, all with text, and how many bytes they take.

        The count is either all events up to the last with this end, or 0.
        """
        size = data.rfind(self.end) + len(self.end)
        if size < len(self.end) or not data.startswith(self.start):
            return 0, 0
        events = data.count(self.between, 0, size) + 1
        if data.count(_LINE_END, 0, size) != 2 * events or data.find(self.silent, 0, size) >= 0:
            return 0, 0
        return events, size


def likeness(event: bytes) -> Likeness | None:
    """Return the start and end by which later events are recognized as similar to ``event``; None if it has no text.

    Also None if ``event`` is not one whole event with LF as its line end.
    """
    size = _text_at(event)
    whole = event.find(_LINE_END) == len(event) - 2 and event.endswith(_LINE_END) and event.startswith(b"data: {")
    if not whole or size is None or event[size : size + 1] == _QUOTE or b'"usage":{' in event:
        return None
    close = event.rfind(b"}]")
    if close < size or b'"usage"' in event[size:close]:  # this part is not compared, so a usage could go unnoticed
        return None
    return Likeness(event[:size], event[close:], event[close:] + event[:size], event[:size] + _QUOTE)


def _text_at(event: bytes) -> int | None:
    """Return where the text of ``event`` begins: a completion's, or the first text in a chat's delta."""
    delta = event.find(_DELTA)
    keys, start = (_COMPLETION_KEYS, 0) if delta < 0 else (_CHAT_KEYS, delta)
    found = [at + len(key) for key in keys if (at := event.find(key, start)) >= 0]
    return min(found, default=None)


_MARK = b"\xef\xbb\xbf"  # a byte order mark, which may begin a stream and has no meaning
DONE = b"[DONE]"
"""The data of the event that ends an OpenAI stream."""


class EventStream:
    """Collects a stream's bytes and gives back the data of each event once its blank line is there.

    Lines end with LF, CRLF or CR; comments and fields other than ``data`` are skipped; several ``data`` lines of one
    event are joined with LF. Source: HTML Living Standard, section 9.2.6, read 2026-11-23.
    """

    __slots__ = ("_cut_after_cr", "_data", "_line")

    def __init__(self) -> None:
        self._line = b""
        self._data: list[bytes] = []
        self._cut_after_cr = False

    @property
    def empty(self) -> bool:
        """True between events, when no bytes are kept."""
        return not self._line and not self._data and not self._cut_after_cr

    @property
    def kept_bytes(self) -> int:
        """Bytes of the event that is not whole yet."""
        return len(self._line) + sum(map(len, self._data))

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next ``piece`` of the stream; return the data of the events that it completes, in order."""
        if not piece:
            return []
        if self._cut_after_cr:
            self._cut_after_cr = False
            piece = piece[1:] if piece[:1] == b"\n" else piece
        text = self._line + piece
        lines = text.splitlines(keepends=True)
        self._line = b""
        if lines and lines[-1][-1:] not in (b"\n", b"\r"):
            self._line = lines.pop()
        self._cut_after_cr = piece[-1:] == b"\r"
        events = []
        for line in lines:
            event = self._take(line.rstrip(b"\r\n"))
            if event is not None:
                events.append(event)
        return events

    def finish(self) -> list[bytes]:
        """Return the data of a last event without its blank line, if there is one."""
        if self._line:
            self._take(self._line)
            self._line = b""
        event = self._take(b"")
        return [] if event is None else [event]

    def _take(self, line: bytes) -> bytes | None:
        if line:
            name, _, value = line.removeprefix(_MARK).partition(b":")
            if name == b"data":
                self._data.append(value[1:] if value[:1] == b" " else value)
            return None
        if not self._data:
            return None
        event = b"\n".join(self._data)
        self._data = []
        return event


class TokenStream:
    """Reads the pieces of one answer after another. Most events, those with text and no usage, need no parsing."""

    __slots__ = ("_between_events", "_events", "_last", "_like")

    def __init__(self) -> None:
        self._events = EventStream()
        self._between_events = True
        self._last = b""
        self._like: Likeness | None = None

    def begin(self) -> None:
        """Be ready for the next answer."""
        if not self._between_events:
            self._events = EventStream()
            self._between_events = True
        self._last = b""
        self._like = None

    @property
    def kept_bytes(self) -> int:
        """Bytes of the event that is not whole yet."""
        return 0 if self._between_events else self._events.kept_bytes

    def take(self, exchange: Exchange, pieces: typing.Sequence[bytes], now: float) -> None:
        """Take ``pieces`` of the body, which all came at ``now``, into ``exchange``."""
        tried = False
        self._last = pieces[-1]
        for index, piece in enumerate(pieces):
            if self._between_events:
                like = self._like
                if like is not None and not tried and index < len(pieces) - 1:
                    tried = True  # once per read: data without similar events is read piece by piece
                    data = b"".join(pieces[index:])
                    count, size = like.run(data)
                    if count:
                        exchange.tokens += [now] * count
                        self._parse(exchange, data[size:], now)
                        return
                if like is None or not like.fits(piece):
                    like = likeness(piece)
                if like is not None:
                    self._like = like
                    exchange.tokens.append(now)
                    continue
            self._parse(exchange, piece, now)

    def finish(self, exchange: Exchange, now: float) -> None:
        """Take a last event without its blank line."""
        for event in self._events.finish():
            _note(exchange, event, now)
        if _FINISH in self._last:  # in an event that was recognized by its likeness, and so was not parsed
            exchange.finished = True

    def _parse(self, exchange: Exchange, piece: bytes, now: float) -> None:
        """Take the events that end in ``piece``; most are whole and have one line, so no line ends are searched."""
        at = 0
        while self._between_events:
            end = piece.find(b"\n\n", at)
            if end < 0 or not piece.startswith(b"data: ", at) or piece.find(b"\n", at, end) >= 0:
                break
            event = piece[at + 6 : end]
            if b"\r" in event:
                break
            _note(exchange, event, now)
            at = end + 2
        if at < len(piece):
            for event in self._events.feed(piece[at:]):
                _note(exchange, event, now)
            self._between_events = self._events.empty


def _note(exchange: Exchange, event: bytes, now: float) -> None:
    """Record the content of ``event`` in its exchange."""
    if event == DONE:
        exchange.done = True
        return
    try:
        content = parsed(event)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        exchange.status = "bad_response"
        exchange.detail = f"an event of the stream is not a JSON object: {event[:100]!r}"
        return
    if content.get("error") is not None:
        exchange.status = "bad_response"
        exchange.detail = f"the stream reported an error: {json.dumps(content['error'])[:200]}"
    if isinstance(content.get("usage"), dict):
        exchange.usage = content["usage"]
    choices = content.get("choices")
    several = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    if any(map(_brings_output, several)):
        exchange.tokens.append(now)
    if (exchange.usage is not None and not several) or any(choice.get("finish_reason") for choice in several):
        exchange.finished = True


def _brings_output(choice: dict[str, typing.Any]) -> bool:
    """Return whether ``choice`` has text, or its delta has text, reasoning or part of a call; a role does not count."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return bool(choice.get("text"))
    if delta.get("content") or delta.get("reasoning") or delta.get("reasoning_content"):
        return True
    calls = delta.get("tool_calls")
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return any(isinstance(each, dict) and (each.get("name") or each.get("arguments")) for each in functions)
