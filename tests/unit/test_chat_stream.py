"""A chat's stream: its role is no token, its text, reasoning and calls are, and its usage says how many there were."""

import json
import typing

import pytest

from optimal_tp.loadgen import wire
from optimal_tp.loadgen.exchange import Exchange
from optimal_tp.loadgen.stream import TokenStream
from optimal_tp.plan.prompts import Prompt

USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def event(delta: object, **more: object) -> bytes:
    """Return one event as servers write it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    content = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}
    return f"data: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


def read(*events: bytes, together: bool = False) -> Exchange:
    """Return what is known after ``events``, which come a second apart; or all in one read."""
    exchange, stream = Exchange(0, 0, 0, 0.0, b""), TokenStream()
    stream.begin()
    if together:
        stream.take(exchange, events, 1.0)
    else:
        for moment, piece in enumerate(events, start=1):
            stream.take(exchange, [piece], float(moment))
    stream.finish(exchange, 9.0)
    return exchange


TEXT = [event({"role": "assistant", "content": ""}), event({"content": "a"}), event({"content": "b"})]
END = [event({"content": ""}, usage=USAGE), b"data: [DONE]\n\n"]


@pytest.mark.parametrize(
    "first",
    [
        {"role": "assistant", "content": ""},
        {"role": "assistant"},
        {"role": None, "content": None},
        {"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None},
        {"content": None, "tool_calls": [{"index": 0, "function": {"name": None, "arguments": ""}}]},
    ],
    ids=["vLLM", "role alone", "nulls", "SGLang", "an empty call"],
)
@pytest.mark.parametrize("together", [False, True])
def test_a_greeting_is_no_token(first: dict[str, typing.Any], *, together: bool) -> None:
    """The first token is the first with output: the server's own count has the same."""
    found = read(event(first), event({"content": "a"}), event({"content": "b"}), *END, together=together)

    assert found.tokens == ([1.0, 1.0] if together else [2.0, 3.0])
    assert (found.usage, found.done) == (USAGE, True)


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("beside", [{}, {"content": None}, {"content": ""}], ids=["alone", "null", "empty"])
@pytest.mark.parametrize("together", [False, True])
def test_reasoning_is_output(key: str, beside: dict[str, typing.Any], *, together: bool) -> None:
    """The first token of an answer that thinks is its first thought, under either name."""
    thoughts = [event({**beside, key: text}) for text in ("hm", "so")]
    found = read(TEXT[0], *thoughts, *TEXT[1:], *END, together=together)

    assert found.tokens == ([1.0] * 4 if together else [2.0, 3.0, 4.0, 5.0])


def test_a_call_of_a_tool_is_output() -> None:
    """Its name and each piece of its arguments."""
    calls = [{"name": "look", "arguments": ""}, {"arguments": '{"a"'}]
    events = [event({"tool_calls": [{"index": 0, "function": call}]}) for call in calls]

    assert read(TEXT[0], *events).tokens == [2.0, 3.0]


def test_a_text_that_looks_like_a_key_misleads_nobody() -> None:
    """Quotes within a text are escaped."""
    texts = ['"content":""', '"delta":{', '"usage":{', '{"choices":[{"text":"x"}]}']

    assert read(*(event({"content": text}) for text in texts)).tokens == [1.0, 2.0, 3.0, 4.0]


def test_a_message_carries_the_prompt() -> None:
    """Messages in place of a prompt, at the path of chats, and the same keys beside them."""
    shared = wire.shared_body("m", stream=True, temperature=None, ignore_eos=True)
    writer = wire.RequestWriter(wire.address("http://h"), shared, max_tokens=5, api="chat")
    head, _, body = writer.request(Prompt('say "é"'), 3).partition(b"\r\n\r\n")

    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {
        "messages": [{"role": "user", "content": 'say "é"'}],
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
        "max_tokens": 3,
    }
