"""Server-sent events: bytes in, cut anywhere; the data of whole events out."""

import json

import orjson

_MARK = b"\xef\xbb\xbf"  # a byte order mark, which may begin a stream and says nothing
DONE = b"[DONE]"
"""The data of the event that ends an OpenAI stream."""


class EventStream:
    """Collects a stream's bytes and gives back the data of each event once its blank line is there.

    Lines end with LF, CRLF or CR; comments and fields other than ``data`` are passed over; several ``data`` lines
    of one event are joined with LF. Source: HTML Living Standard, section 9.2.6, read 2026-11-23.
    """

    __slots__ = ("_cut_after_cr", "_data", "_line")

    def __init__(self) -> None:
        self._line = b""
        self._data: list[bytes] = []
        self._cut_after_cr = False

    @property
    def empty(self) -> bool:
        """True between events, when nothing is kept."""
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
        """Return what a stream left without its last blank line: nothing, or the data of one event."""
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


def parsed(data: bytes) -> object:
    """Return what the JSON in ``data`` says; None if it is nested too deeply. Raises ValueError where it is none.

    orjson takes a third of the json module's time, but refuses half a surrogate pair, which a server that cuts its
    text by UTF-16 units may send; what it refuses, the json module is asked.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        try:
            return json.loads(data.decode())
        except RecursionError:
            return None
