"""What later events have in common with the first is enough to know them for the same, and nothing else is."""

import json

import pytest

from optimal_tp.loadgen.stream import Likeness, likeness


def event(text: str, **more: object) -> bytes:
    """Return one event as a server writes it."""
    content = {"id": "cmpl-1", "choices": [{"index": 0, "text": text, "finish_reason": None}], "usage": None, **more}
    return f"data: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


def known() -> Likeness:
    """Return the likeness of a stream."""
    found = likeness(event("a"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "odd",
    [
        event(""),
        event("b", usage={"completion_tokens": 3}),
        event("b", id="cmpl-2"),
        b": a comment\n\n",
        b"data: [DONE]\n\n",
        b"\n",
        event("b")[:-1],
    ],
    ids=["no text", "a usage", "another id", "a comment", "the end", "an empty line", "half an end"],
)
def test_an_odd_one_among_them_is_not_counted_in_bulk(odd: bytes) -> None:
    """A read with one that differs is no run: each of its pieces is looked at."""
    like = known()

    assert like.run(event("a") + odd + event("c")) == (0, 0)
    assert not like.fits(odd)


def test_a_run_begins_at_the_first_byte() -> None:
    """What begins in the middle of an event is no run; nothing is none either."""
    assert known().run(event("a")[5:] + event("b")) == (0, 0)
    assert known().run(b"") == (0, 0)


@pytest.mark.parametrize(
    "odd",
    [event(""), event("b", usage={"completion_tokens": 3}), event("b")[:-1], event("b") + event("c"), b"", b"\n\n"],
    ids=["no text", "a usage", "cut", "two", "nothing", "no event"],
)
def test_only_a_whole_event_with_text_is_a_model_for_others(odd: bytes) -> None:
    """Anything else gives no likeness, so that it is parsed."""
    assert likeness(odd) is None


def test_a_usage_may_not_hide_where_nothing_is_compared() -> None:
    """A usage between the text and the end of the choices would not be seen in later events."""
    choice = b'data: {"choices":[{"text":"a","usage":null}],"id":1}\n\n'

    assert likeness(choice) is None
