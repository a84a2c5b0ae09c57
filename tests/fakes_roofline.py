"""A server that reaches its roof, and the record of a run on such: every step takes as long as physics demands."""

import collections
import collections.abc
import dataclasses
import random

from optimal_tp.facts.physics import Physics
from optimal_tp.measurement.run import DegreeRecord, Ending, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.roofline.floors import ModelledServer
from tests.fakes_run import parsed, settings


@dataclasses.dataclass
class _Running:
    number: int
    shape: Shape
    tokens: int = 1


def perfect(
    server: ModelledServer,
    shapes: list[Shape],
    arrivals: list[float],
    *,
    slack: float = 1.0,
    seed: int = 1,
    least_sequences: int = 1,
) -> tuple[float, list[tuple[float, float, float]]]:
    """Return when the last of the requests ended, and each one's arrival, first and last token.

    A step decodes all that run and prefills one waiting prompt; it takes the longer of its reading and its computing,
    times ``slack`` and something random where that is above 1. It waits until ``least_sequences`` wait or run.
    """
    draw = random.Random(seed).uniform
    waiting = collections.deque(enumerate(zip(arrivals, shapes, strict=True)))
    running: list[_Running] = []
    firsts, lasts = [0.0] * len(shapes), [0.0] * len(shapes)
    now = 0.0
    while waiting or running:
        due = sum(arrival <= now for _, (arrival, _) in list(waiting)[:least_sequences])
        if len(running) + due < min(least_sequences, len(running) + len(waiting)):
            now = waiting[due][1][0]
            continue
        read = 0.0
        computed = 0.0
        for one in running:
            context = one.shape.prompt_tokens + one.tokens - 1
            step = server.decode_step(1, context)
            read += step.kv_seconds
            computed += step.compute_seconds or 0.0
        joins = None
        if waiting and waiting[0][1][0] <= now and len(running) < server.batch:
            number, (_, shape) = waiting.popleft()
            joins = _Running(number, shape)
            computed += server.prefill(shape.prompt_tokens).compute_seconds or 0.0
        read += server.decode_step(0, 1).weights_seconds
        now += max(read, computed) * slack * (draw(1, slack) if slack > 1 else 1)
        for one in running:
            one.tokens += 1
        if joins is not None:
            firsts[joins.number] = now
            running.append(joins)
        for one in running:
            if one.tokens >= one.shape.output_tokens:
                lasts[one.number] = now
        running = [one for one in running if one.tokens < one.shape.output_tokens]
    return now, list(zip(arrivals, firsts, lasts, strict=True))


def as_samples(
    shapes: list[Shape], times: list[tuple[float, float, float]], *, degree: int, block: int | None = 0
) -> list[Sample]:
    """Return the samples that a load generator would have kept."""
    return [
        Sample(
            stage="block",
            degree=degree,
            block=block,
            concurrency=None,
            rate_per_second=1.0,
            request=number,
            intended_seconds=arrival,
            sent_seconds=arrival,
            token_seconds=(first, last) if shape.output_tokens > 1 else (first,),
            end_seconds=last,
            prompt_tokens=shape.prompt_tokens,
            output_tokens=shape.output_tokens,
            status="ok",
            http_status=200,
        )
        for number, (shape, (arrival, first, last)) in enumerate(zip(shapes, times, strict=True))
    ]


def played_run(
    degrees: collections.abc.Sequence[int],
    *,
    slots: int,
    physics: Physics | None,
    turns: tuple[Turn, ...] = (),
    ending: Ending = "settled",
) -> RunRecord:
    """Return the record of a run in the cluster: one server of ``slots`` sequences for each of ``degrees``."""
    return RunRecord(
        run="20260701T120000Z-abcd",
        started="2026-07-01T12:00:00+00:00",
        place="cluster",
        settings=parsed(settings(degrees=list(degrees), model={"max_num_seqs": slots, "max_model_len_tokens": 256})),
        pins={},
        degrees=tuple(
            DegreeRecord(
                degree=degree,
                gate=None,
                reason=None,
                urls=("http://127.0.0.1:1",),
                cores_used=degree,
                cores_allocated=degree,
                ready_seconds=None,
            )
            for degree in degrees
        ),
        turns=turns,
        ending=ending,
        ending_detail=None,
        elapsed_seconds=60,
        physics=physics,
    )
