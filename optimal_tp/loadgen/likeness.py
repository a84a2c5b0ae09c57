"""What the events of one stream have in common, so that later ones are counted without a look at each."""

import typing

_QUOTE = b'"'
_KEY = b'"text":"'
_LINE_END = b"\n"


class Likeness(typing.NamedTuple):
    """How the events with text of one stream begin, up to their text, and how they end.

    Quotes and line ends within JSON strings are escaped, so keys are keys and events end where they seem to.
    """

    start: bytes
    end: bytes
    between: bytes
    """An end and the next start."""
    silent: bytes
    """A start whose text ends at once."""

    def fits(self, event: bytes) -> bool:
        """Tell if ``event``, at most one event long, begins and ends as its stream's do and has a text."""
        size = len(self.start)
        return (
            event.startswith(self.start)
            and event.endswith(self.end)
            and event[size : size + 1] != _QUOTE
            and len(event) < 2 * size  # only one event has room
        )

    def run(self, data: bytes) -> tuple[int, int]:
        """Return how many events at the start of ``data`` are alike, all with text, and how many bytes they take.

        It is all up to the last that ends alike, or none.
        """
        size = data.rfind(self.end) + len(self.end)
        if size < len(self.end) or not data.startswith(self.start):
            return 0, 0
        events = data.count(self.between, 0, size) + 1
        if data.count(_LINE_END, 0, size) != 2 * events or data.find(self.silent, 0, size) >= 0:
            return 0, 0
        return events, size


def likeness(event: bytes) -> Likeness | None:
    """Return what later events must have in common with ``event`` to be known for the same; None if it has no text.

    ``event`` is one whole event with LF as its line end, or something else, which gives None.
    """
    text = event.find(_KEY)
    whole = event.find(_LINE_END) == len(event) - 2 and event.endswith(_LINE_END) and event.startswith(b"data: {")
    size = text + len(_KEY)
    if not whole or text < 0 or event[size : size + 1] == _QUOTE or b'"usage":{' in event:
        return None
    close = event.rfind(b"}]")
    if close < size or b'"usage"' in event[size:close]:  # a usage could hide where nothing is compared
        return None
    return Likeness(event[:size], event[close:], event[close:] + event[:size], event[:size] + _QUOTE)
