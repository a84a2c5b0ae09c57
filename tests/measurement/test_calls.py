"""Single calls to a server."""

import asyncio
import socket
import types
import typing

import pytest

from optimal_tp.errors import ServerFailed
from optimal_tp.loadgen.calls import ServedModel, Server
from tests.fakes_samples import run, whole
from tests.fakes_server import Script, ScriptedServer


@pytest.fixture(scope="module")
def server() -> typing.Iterator[ScriptedServer]:
    """Return a server that answers at once."""
    with ScriptedServer(Script(max_model_len=128)) as made:
        yield made


def test_a_server_that_answers_is_healthy(server: ScriptedServer) -> None:
    """GET /health answers 200."""
    assert run(Server(url=server.url).healthy())


def test_a_server_that_is_not_there_is_not_healthy() -> None:
    """That is no error: it may not be ready yet."""
    with ScriptedServer() as gone:
        url = gone.url

    assert not run(Server(url=url).healthy())


def test_served_models_are_listed(server: ScriptedServer) -> None:
    """Name and length are what the identity check needs."""
    assert run(Server(url=server.url).models()) == (ServedModel(name="scripted", max_model_len_tokens=128),)


def test_a_server_that_refuses_is_quoted(server: ScriptedServer) -> None:
    """The sentence has what the server said."""
    url = f"{server.url}/nowhere"

    with pytest.raises(ServerFailed, match=whole(f'{url}/v1/models failed: HTTP status 404: {{"detail":"Not Found"}}')):
        run(Server(url=url).models())


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        (b"<html>", "models", "a JSON object (got b'<html>')"),
        (b"{}", "models", "a list of models"),
    ],
)
def test_another_kind_of_server_is_told(body: bytes, path: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something answers there, but does not speak as vLLM does."""

    async def answered(*_: object) -> types.SimpleNamespace:
        return types.SimpleNamespace(status="ok", body=[body])

    monkeypatch.setattr(Server, "_ask", answered)
    one = Server(url="http://h")
    call = one.models()
    sentence = f"http://h/v1/{path} must answer {what}; use an OpenAI-compatible server"

    with pytest.raises(ServerFailed, match=whole(sentence)):
        run(call)


def test_tokens_come_from_the_servers_tokenizer(server: ScriptedServer) -> None:
    """One id for each word of this server."""
    ids = run(Server(url=server.url).tokens("scripted", "a b a"))

    assert ids is not None
    assert len(ids) == 3
    assert ids[0] == ids[2] != ids[1]


def test_a_tokenizer_that_knows_no_word_is_none(server: ScriptedServer) -> None:
    """One id for everything draws no prompts."""
    assert run(Server(url=server.url).tokens("scripted", "a a")) is None


def test_a_name_with_several_addresses_is_tried_until_one_is_good(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``localhost`` is ::1 first on many machines; a server that listens on 127.0.0.1 alone is found all the same.

    Here the first address is one on which nobody listens.
    """
    asked: list[str] = []

    def two(host: str, port: int, *_: object, **__: object) -> list[tuple[typing.Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", there)) for there in (1, port)]

    async def healthy(url: str) -> list[bool]:
        one = Server(url=url)
        return [await one.healthy(), await one.healthy()]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # uvloop asks the system without Python
        assert runner.run(healthy(f"http://two.test:{server.port}")) == [True, True]
        assert runner.run(healthy("http://two.test:2")) == [False, False]
    assert asked == ["two.test"] * 3  # once for the good one, which is kept


def test_a_server_without_a_tokenizer_says_nothing() -> None:
    """Other servers than vLLM have no such call: None, not an error."""
    with ScriptedServer(Script(tokenizer=False)) as plain:
        assert run(Server(url=plain.url).tokens("scripted", "a b")) is None


def test_a_silent_server_does_not_hold_the_caller() -> None:
    """The time-out ends the call with a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        with pytest.raises(ServerFailed, match=whole(f"{url}/v1/models failed: no complete response within 0.1 s")):
            run(Server(url=url, timeout_seconds=0.1).models())
