"""The stream of one answer: which of its events are tokens, and what its last ones say."""

import json
import typing

from optimal_tp.loadgen.events import DONE, EventStream, parsed
from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.loadgen.likeness import Likeness, likeness


class TokenStream:
    """Reads the pieces of one answer after another. Whole events with text and no usage, nearly all, are not parsed."""

    __slots__ = ("_between_events", "_events", "_like")

    def __init__(self) -> None:
        self._events = EventStream()
        self._between_events = True
        self._like: Likeness | None = None

    def begin(self) -> None:
        """Be ready for the next answer."""
        if not self._between_events:
            self._events = EventStream()
            self._between_events = True
        self._like = None

    @property
    def kept_bytes(self) -> int:
        """Bytes of the event that is not whole yet."""
        return 0 if self._between_events else self._events.kept_bytes

    def take(self, exchange: Exchange, pieces: typing.Sequence[bytes], now: float) -> None:
        """Take ``pieces`` of the body, which all came at ``now``, into ``exchange``."""
        tried = False
        for index, piece in enumerate(pieces):
            if self._between_events:
                like = self._like
                if like is not None and not tried and index < len(pieces) - 1:
                    tried = True  # once a read: one that is not alike is looked at piece by piece
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
        """Take what a stream left without its last blank line."""
        for event in self._events.finish():
            _note(exchange, event, now)

    def _parse(self, exchange: Exchange, piece: bytes, now: float) -> None:
        """Take the events that end in ``piece``; whole ones of one line, most, without a search for line ends."""
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
    """Keep what ``event`` says of its answer."""
    if event == DONE:
        exchange.done = True
        return
    try:
        content = parsed(event)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        exchange.status = "bad_response"
        exchange.detail = f"an event of the stream is no JSON object: {event[:100]!r}"
        return
    if content.get("error") is not None:
        exchange.status = "bad_response"
        exchange.detail = f"the stream reported an error: {json.dumps(content['error'])[:200]}"
    if isinstance(content.get("usage"), dict):
        exchange.usage = content["usage"]
    choices = content.get("choices")
    if isinstance(choices, list) and choices:
        if not any(isinstance(choice, dict) and choice.get("text") for choice in choices):
            exchange.empty_at = [*(exchange.empty_at or ()), len(exchange.tokens)]
        exchange.tokens.append(now)
