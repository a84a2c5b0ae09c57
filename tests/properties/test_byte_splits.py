"""A stream read in any pieces, with any text in it, is what was sent."""

import json
import typing

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.test_connection import HEAD, Scene, framed, stream
from tests.unit.test_events import read
from tests.unit.test_likeness import event, known

# Of any code point, and often of one that something is made of or cut at. Hypothesis's own `characters` first reads all
# of Unicode, for longer than it then draws.
CHARACTERS = st.sampled_from('ab1 :"\\{}[],\t\x00\x7f\x85\xa0\u00e9\u20ac\u2028\ufeff\U0001d11e') | (
    st.integers(0, 0x10FFFF - 0x800).map(lambda point: chr(point + 0x800 if point >= 0xD800 else point))
)


def texts(most: int) -> st.SearchStrategy[str]:
    """Return the texts of 1 to ``most`` characters."""
    return st.lists(CHARACTERS, min_size=1, max_size=most).map("".join)


PAYLOADS = st.lists(
    texts(20).map(lambda text: text.replace("\n", "").replace("\r", "").strip()).filter(bool), max_size=6
)
CUTS = st.lists(st.integers(0, 100_000), max_size=40)


def split(data: bytes, cuts: typing.Iterable[int]) -> list[bytes]:
    """Return ``data`` in pieces, cut at ``cuts``."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine's first draws take a second
@given(PAYLOADS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 5000), max_size=30))
def test_events_do_not_depend_on_how_bytes_were_cut(payloads: list[str], end: str, cuts: list[int]) -> None:
    """LF, CRLF and CR end lines; comments and other fields do not matter; multi-byte characters may be cut."""
    text = "".join(f": ping{end}event: x{end}data: {payload}{end}{end}" for payload in payloads)

    assert read(split(text.encode(), cuts)) == [payload.encode() for payload in payloads]


@given(texts(40), st.lists(st.integers(0, 5000), max_size=30))
def test_json_of_any_text_comes_through_whole(text: str, cuts: list[int]) -> None:
    """A token's text, whatever its characters, is what was sent."""
    data = f"data: {json.dumps({'text': text}, ensure_ascii=False)}\n\n".encode(errors="replace")

    assert [json.loads(event) for event in read(split(data, cuts))] == [json.loads(data[6:])]


@given(
    st.lists(texts(8), min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    CUTS,
    CUTS,
)
def test_no_split_of_bytes_changes_what_is_counted(
    said: list[str],
    end: str,
    compact: bool,  # noqa: FBT001 - drawn
    chunk_cuts: list[int],
    read_cuts: list[int],
) -> None:
    """HTTP chunks and reads may end anywhere, within a character too: tokens, counts and status are the same."""
    body = stream(said, end=end, compact=compact)
    response = HEAD + b"".join(framed(piece) for piece in split(body, chunk_cuts) if piece) + b"0\r\n\r\n"
    result = Scene().feed(*split(response, read_cuts))

    assert (result.status, result.detail) == ("ok", None)
    assert len(result.token_seconds) == len(said)
    assert (result.prompt_tokens, result.output_tokens) == (7, len(said))


@given(
    st.lists(texts(12), min_size=1, max_size=40),
    st.binary(max_size=80).filter(lambda tail: not tail.endswith(known().end)),
)
def test_a_run_is_all_events_alike_and_not_a_byte_more(said: list[str], tail: bytes) -> None:
    """Whatever the texts say and whatever follows them: as many as there are, and the bytes that they take."""
    data = b"".join(map(event, said))

    assert known().run(data) == (len(said), len(data))
    if known().end not in tail:
        assert known().run(data + tail) == (len(said), len(data))
