"""The bytes of requests."""

import json

import pytest

from optimal_tp.loadgen import wire
from optimal_tp.loadgen.wire import Address
from optimal_tp.plan.prompts import Prompt
from tests.fakes_samples import whole


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("http://127.0.0.1:8001", Address(host="127.0.0.1", port=8001, tls=False, path=""), "127.0.0.1:8001"),
        ("http://tp1/v1/", Address(host="tp1", port=80, tls=False, path=""), "tp1"),
        ("https://host/tp2/v1", Address(host="host", port=443, tls=True, path="/tp2"), "host"),
        ("https://[::1]:8443", Address(host="::1", port=8443, tls=True, path=""), "[::1]:8443"),
        ("http://host:443", Address(host="host", port=443, tls=False, path=""), "host:443"),
    ],
)
def test_a_url_becomes_an_address(url: str, expected: Address, authority: str) -> None:
    """Ports have their scheme's default, and /v1 at the end does not matter."""
    assert wire.address(url) == expected
    assert wire.address(url).authority == authority


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8001", "ftp://host", "http://", "http://host:port", "http://host?x=1", "http://u:p@host"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """The sentence has the value and the rule."""
    rule = "must be http://host:port or https://host:port, then the path before /v1 if there is one"

    with pytest.raises(ValueError, match=whole(f"{url!r} is not a server's URL; {rule}")):
        wire.address(url)


def parsed(request: bytes) -> tuple[list[str], dict[str, object]]:
    """Return a request's head and its body; its length is checked."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert f"Content-Length: {len(body)}" in lines
    return lines, json.loads(body)


def test_a_request_says_everything_and_nothing_else() -> None:
    """Streaming asks for the usage; ignore_eos is left out where it was not asked for."""
    body = wire.shared_body("m", stream=True, temperature=0.0, ignore_eos=False)
    writer = wire.RequestWriter(
        wire.address("http://h:1/x"), body, max_tokens=5, headers=(("Authorization", "Bearer k"),)
    )
    lines, said = parsed(writer.request(Prompt('héllo "you"\n')))

    assert lines[:2] == ["POST /x/v1/completions HTTP/1.1", "Host: h:1"]
    assert "Authorization: Bearer k" in lines
    assert said == {
        "prompt": 'héllo "you"\n',
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "max_tokens": 5,
    }


def test_token_ids_and_the_prompts_own_length_are_sent() -> None:
    """A trace's output length replaces the stretch's; vLLM's ignore_eos is sent where asked for."""
    body = wire.shared_body("m", stream=False, temperature=None, ignore_eos=True)
    writer = wire.RequestWriter(wire.address("http://h"), body, max_tokens=5)
    _, said = parsed(writer.request(Prompt((1, 22, 333), 3, 9)))

    assert said == {"prompt": [1, 22, 333], "model": "m", "ignore_eos": True, "max_tokens": 9}


def test_a_header_cannot_smuggle_another() -> None:
    """A line's end within a header is refused."""
    with pytest.raises(ValueError, match=r"^header 'X' must be one line$"):
        wire.head(wire.address("http://h"), "GET", "/", [("X", "a\r\nY: b")], 0)
