"""A run whose best candidate depends on the limit: TP1 does more per core, TP2 answers sooner."""

import dataclasses
import heapq
import math
import random
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import TRAINIUM2
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.physics import Physics
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample, Stage
from optimal_tp.measurement.turns import Turn
from optimal_tp.verdict.predictions import PlannedCapacity, Prediction, WhatIf
from optimal_tp.verdict.predictors.stated import Stated, StatedRow
from tests.fakes_run import Planted, Recorder, price, settings, total_limit

SLOTS = 4
SECONDS = {1: 1.0, 2: 0.62}
"""What one request takes, by degree: twice the cores make it 1.6 times as fast."""
BOTH = (Planted(degree=1, latency_ms=1000), Planted(degree=2, latency_ms=620))
CORES = 2
TIGHT_MS, LOOSE_MS = 1150.0, 2500.0
TOKENS = 50


@dataclasses.dataclass(kw_only=True)
class Queue:
    """Requests that come at random and wait for one of a server's places."""

    limit_ms: float
    seed: int = 1

    def __post_init__(self) -> None:
        self.recorder = Recorder(seed=self.seed)
        self.random = random.Random(self.seed)

    def turn(
        self,
        degree: int,
        stage: Stage,
        rate: float | None,
        *,
        requests: int,
        block: int | None = None,
        slow: float = 1.0,
    ) -> None:
        """Record one turn at ``rate`` per core, or without one a request at a time; ``slow`` multiplies all times."""
        servers = CORES // degree
        start = moment = self.recorder.now_seconds
        free = [start] * (SLOTS * servers)
        level = slow * self.random.lognormvariate(0, 0.01)
        for request in range(requests):
            takes = level * SECONDS[degree] * self.random.uniform(0.9, 1.1)
            if rate is not None:
                moment += self.random.expovariate(rate * CORES)
            begins = max(moment, heapq.heappop(free)) if rate is not None else moment
            end = begins + takes
            heapq.heappush(free, end)
            self.recorder.samples.append(_sample(degree, stage, rate, request, (moment, begins, end), block))
            moment = end if rate is None else moment
        self.recorder.now_seconds = max(sample.end_seconds for sample in self.recorder.samples[-requests:])
        self.recorder.turns.append(
            Turn(
                stage=stage,
                degree=degree,
                block=block,
                concurrency=None if rate is not None else 1,
                rate_per_second=None if rate is None else rate * CORES,
                start_seconds=start,
                end_seconds=self.recorder.now_seconds,
                requests=requests,
                uncounted=0 if rate is None else 10,
                counted=None if rate is None else requests - 10,
                send_lag_p99_ms=0.4,
                longest_lag_ms=2.0,
                foreign_cpu_share=0.002,
                server_start=0,
            )
        )
        self.recorder.now_seconds += 0.5


def _sample(
    degree: int, stage: Stage, rate: float | None, request: int, times: tuple[float, float, float], block: int | None
) -> Sample:
    sent, begins, end = times
    return Sample(
        stage=stage,
        degree=degree,
        block=block,
        concurrency=None if rate is not None else 1,
        rate_per_second=None if rate is None else rate * CORES,
        request=request,
        intended_seconds=round(sent, 6),
        sent_seconds=round(sent + 0.0002, 6),
        token_seconds=(round(begins + (end - begins) * 0.1, 6), round(end, 6)),
        end_seconds=round(end, 6),
        prompt_tokens=30,
        output_tokens=TOKENS,
        status="ok",
        http_status=200,
    )


CAPACITY: typing.Final = {TIGHT_MS: {1: 1.5, 2: 2.25}, LOOSE_MS: {1: 3.95, 2: 3.1}}
"""Requests per second per core at which about nine of ten are within the limit."""


def crossing_run(
    limit_ms: float = LOOSE_MS, *, blocks: int = 24, priced: bool = True
) -> tuple[RunRecord, list[Sample]]:
    """Return a run at ``limit_ms``; its bracket reaches from far below to far above both candidates' capacity."""
    queue = Queue(limit_ms=limit_ms)
    for degree in SECONDS:
        queue.turn(degree, "idle", None, requests=30)
    for degree in SECONDS:
        for rate in (0.5, 0.9, 1.3, 1.8, 2.3, 2.7, 3.0, 3.3, 3.7, 4.4):
            queue.turn(degree, "rising", rate, requests=150)
    for block in range(blocks):
        order = list(SECONDS) if block % 2 else list(reversed(SECONDS))
        for degree in order:
            rate = CAPACITY[limit_ms][degree] * math.exp(queue.random.choice((-0.05, 0.05)))
            queue.turn(degree, "block", rate, requests=160, block=block)
    section = settings(degrees=[1, 2], limits=total_limit(limit_ms, 90))
    if priced:
        section["price"] = price()
    record = queue.recorder.record(BOTH, section)
    degrees = tuple(
        dataclasses.replace(each, cores_used=CORES, cores_allocated=CORES, urls=each.urls * (CORES // each.degree))
        for each in record.degrees
    )
    pins = {**record.pins, "code": "0" * 40, "weights": "random, shape of Qwen/Qwen3-0.6B"}
    return dataclasses.replace(record, degrees=degrees, pins=pins), queue.recorder.samples


def with_physics(record: RunRecord) -> RunRecord:
    """Return ``record`` with what its cores can do, as a run in the cluster has it."""
    return dataclasses.replace(record, physics=Physics(roof=TRAINIUM2, shape=SHAPES["Qwen/Qwen3-0.6B"], dtype_bytes=2))


EXTRAPOLATED: typing.Final = Prediction(
    capacities=(),
    held_out=(),
    what_if=(
        WhatIf(
            question="twice the output tokens",
            capacities=tuple(
                PlannedCapacity(
                    candidate=Candidate(degree),
                    per_core=Estimate(value=value, interval=Interval(low=0.95 * value, high=1.05 * value)),
                )
                for degree, value in {1: 1.9, 2: 1.5}.items()
            ),
            model_error=0.08,
        ),
    ),
)
"""What the models that were fitted to such a run could say of another load."""

STATED: typing.Final = Stated(
    predictor="A planner",
    version="1.4",
    file="planner.csv",
    rows=tuple(
        StatedRow(place=f"planner.csv:{line}", degree=degree, cores=1, requests_per_second=value, ttft_ms=100.0)
        for line, (degree, value) in enumerate({1: 3.0, 2: 4.0}.items(), start=2)
    ),
    notes=("Rows of other models were left out",),
)
"""What another program predicts of it: the wrong order."""
