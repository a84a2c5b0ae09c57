"""Server-sent events survive any split of their bytes."""

import typing

import pytest

from optimal_tp.loadgen.exchange import parsed
from optimal_tp.loadgen.stream import EventStream


def read(pieces: typing.Iterable[bytes]) -> list[bytes]:
    """Return the events in ``pieces``."""
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)] + stream.finish()


def test_several_data_lines_are_one_event() -> None:
    """They are joined with LF, as the standard says; the space after the colon is optional."""
    assert read([b"data: a\ndata:b\n\n"]) == [b"a\nb"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_event_of_several_lines_survives_any_split(end: str) -> None:
    """A CRLF cut in its middle ends one line, not two: two would end the event."""
    data = f"data: a{end}data: b{end}{end}".encode()

    assert all(read([data[:cut], data[cut:]]) == [b"a\nb"] for cut in range(len(data) + 1))
    assert read([data[cut : cut + 1] for cut in range(len(data))]) == [b"a\nb"]


def test_an_event_without_its_last_blank_line_is_kept() -> None:
    """Some servers end with data: [DONE] and nothing after it."""
    assert read([b"data: 1\n\ndata: [DO", b"NE]"]) == [b"1", b"[DONE]"]


def test_a_byte_order_mark_before_the_stream_hides_no_event() -> None:
    """The standard lets a stream begin with one."""
    mark = b"\xef\xbb\xbf"

    assert read([mark, b"data: 1\n\n"]) == read([mark[:1], mark[1:] + b"data: 1\n\n"]) == [b"1"]


def test_json_that_is_nested_too_deeply_is_none_and_breaks_nothing() -> None:
    """What no parser follows is a bad answer of the server's, not the end of the load."""
    assert parsed(b"[" * 100_000 + b"]" * 100_000) is None


def test_comments_alone_are_no_events() -> None:
    """Keep-alive comments carry nothing."""
    assert read([b": ping\n\n", b":\n\n\n\n"]) == []


@pytest.mark.parametrize(("pieces", "empty"), [([b"data: 1\n\n"], True), ([b"data: 1\n"], False), ([b"da"], False)])
def test_the_stream_knows_if_it_is_between_events(pieces: list[bytes], empty: object) -> None:
    """The client's short cut for whole events is right only then."""
    stream = EventStream()
    for piece in pieces:
        stream.feed(piece)

    assert stream.empty == empty


def test_what_is_not_whole_is_counted() -> None:
    """The bound on an event's size needs to know what is kept."""
    stream = EventStream()
    stream.feed(b"data: 12345\ndata: 678")

    assert stream.kept_bytes == len(b"12345") + len(b"data: 678")
