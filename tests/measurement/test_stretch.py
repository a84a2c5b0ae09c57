"""What a stretch asks for, against a scripted server: the length of each output."""

import itertools

from optimal_tp.plan.lengths import output_lengths
from optimal_tp.plan.prompts import Prompt
from optimal_tp.plan.schedule import Constant, Stream
from tests.fakes_samples import drive_once
from tests.fakes_server import Script, ScriptedServer


def test_outputs_have_the_drawn_lengths() -> None:
    """Request n asks for the n-th length of the seed, in place of ``max_tokens``; a prompt's own number goes first."""
    wanted = list(itertools.islice(output_lengths(2, 6, seed=3) or (), 30))
    prompts = (Prompt((1, 2, number), 3, 9 if number == 4 else None) for number in range(30))
    with ScriptedServer(Script()) as server:
        _, samples = drive_once(server.url, prompts=prompts, output_range=(2, 6), seed=3)
        _, same = drive_once(server.url, requests=30, arrivals=Constant(rate_per_second=500))

    assert [sample.output_tokens for sample in samples] == [*wanted[:4], 9, *wanted[5:]]
    assert [sample.output_tokens for sample in same] == [4] * 30


def test_the_opening_of_a_stream_asks_for_parts() -> None:
    """Requests at the start stand for such as are under way, so they ask for a part of the one length."""
    stream = Stream(rate_per_second=500, seed=2, opening=40)
    with ScriptedServer(Script()) as server:
        _, samples = drive_once(server.url, arrivals=stream, requests=60)

    assert {sample.output_tokens for sample in samples[:40]} == {1, 2, 3, 4}
    assert {sample.output_tokens for sample in samples[40:]} == {4}
    assert {sample.intended_seconds for sample in samples[:40]} == {samples[0].intended_seconds}
