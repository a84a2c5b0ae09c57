"""Samples, turns and drives as tests need them: defaults for what a test does not speak of."""

import asyncio
import pathlib
import re
import typing

import uvloop

from optimal_tp.loadgen.driver import drive
from optimal_tp.loadgen.stretch import Drive, Stretch, Target
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import Closed
from optimal_tp.results.source import samples_in

T = typing.TypeVar("T")


def read_samples(path: pathlib.Path) -> list[Sample]:
    """Return the samples in ``path``, each a whole line."""
    found, note = samples_in(path.read_text(), path.name)
    assert note is None
    return found


def make_sample(**values: typing.Any) -> Sample:
    """Return a good request of 100 ms with two tokens."""
    intended = values.get("intended_seconds", 0.0)
    defaults: dict[str, typing.Any] = {
        "stage": "block",
        "degree": 1,
        "block": 0,
        "concurrency": 1,
        "rate_per_second": None,
        "request": 0,
        "intended_seconds": intended,
        "sent_seconds": intended,
        "token_seconds": (intended + 0.05, intended + 0.1),
        "end_seconds": intended + 0.1,
        "prompt_tokens": 30,
        "output_tokens": 2,
        "status": "ok",
        "http_status": 200,
    }
    return Sample(**(defaults | values))


def make_turn(**values: typing.Any) -> Turn:
    """Return a turn of one slot over one second."""
    defaults: dict[str, typing.Any] = {
        "stage": "block",
        "degree": 1,
        "block": 0,
        "concurrency": 1,
        "rate_per_second": None,
        "start_seconds": 0.0,
        "end_seconds": 1.0,
        "requests": 10,
        "send_lag_p99_ms": 0.5,
        "foreign_cpu_share": None,
    }
    return Turn(**(defaults | values))


def whole(sentence: str) -> str:
    """Return a pattern that matches ``sentence`` to its end."""
    return f"^{re.escape(sentence)}$"


def run(work: typing.Coroutine[typing.Any, typing.Any, T]) -> T:
    """Run ``work`` on uvloop, at most 20 s."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 20))


def endless_prompts() -> typing.Iterator[Prompt]:
    """Yield prompts of three tokens, each its own."""
    number = 0
    while True:
        yield Prompt((1, 2, number), 3)
        number += 1


def drive_once(
    *urls: str,
    prompts: typing.Iterator[Prompt] | None = None,
    stop_after_seconds: float | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    seams: typing.Mapping[str, typing.Any] | None = None,
    **stretch: typing.Any,
) -> tuple[Drive, list[Sample]]:
    """Drive one stretch against ``urls``; return what it came to and its samples in order of requests."""
    defaults: dict[str, typing.Any] = {
        "stage": "block",
        "degree": 2,
        "block": 3,
        "arrivals": Closed(concurrency=1),
        "seconds": 10,
        "max_tokens": 4,
    }
    samples: list[Sample] = []

    async def work() -> Drive:
        stop = asyncio.Event()
        if stop_after_seconds is not None:
            asyncio.get_running_loop().call_later(stop_after_seconds, stop.set)
        return await drive(
            Target(urls=urls, model="scripted", headers=headers),
            Stretch(**(defaults | stretch)),
            prompts or endless_prompts(),
            on_sample=samples.append,
            stop=stop,
            **(seams or {}),
        )

    done = run(work())
    return done, sorted(samples, key=lambda sample: sample.request)
