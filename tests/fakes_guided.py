"""Runs that the product's own guidance steers, over planted truths, without a server or a clock."""

import dataclasses
import math
import random
import typing

from optimal_tp.experiment.courses import Course, NextTurn, block_orders
from optimal_tp.experiment.guidance import Guidance
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample, Stage
from optimal_tp.measurement.turns import Turn
from optimal_tp.plan.schedule import Closed
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.scoring import Throughput
from tests.fakes_run import Planted, Recorder, can_hold, parsed


@dataclasses.dataclass(kw_only=True)
class Guided:
    """A run under way."""

    truths: dict[Candidate, Planted]
    section: dict[str, typing.Any]
    seed: int = 1

    def __post_init__(self) -> None:
        self.recorder = Recorder(seed=self.seed)
        self.guidance = Guidance(
            parsed(self.section),
            {
                candidate: Course(
                    servers=truth.replicas, cores_used=truth.degree * truth.replicas, slots=truth.replicas
                )
                for candidate, truth in self.truths.items()
            },
        )

    def record(self) -> tuple[RunRecord, list[Sample]]:
        """Return what was measured so far."""
        return self.recorder.record(list(self.truths.values()), self.section), self.recorder.samples

    def take(
        self, stage: Stage, candidate: Candidate, asked: NextTurn, block: int | None = None
    ) -> tuple[Turn, list[Sample]]:
        """Measure one turn, as it is asked for."""
        truth, before = self.truths[candidate], len(self.recorder.samples)
        rate = asked.arrivals.rate_per_second
        if rate is None:
            slots = asked.arrivals.concurrency or 1
            self.recorder.turn(truth, stage, requests=asked.requests or 20 * slots, block=block, concurrency=slots)
        else:
            assert asked.counted is not None
            limits = self.guidance.limits
            aside = math.log(rate / truth.degree / truth.replicas) - truth.log_capacity
            aside = aside if can_hold(truth, limits) else 5.0
            counted = min(60, asked.counted.count)
            self.recorder.open_turn(truth, stage, limits, aside=aside, counted=counted, block=block, rate=rate)
        turn, samples = self.recorder.turns[-1], self.recorder.samples[before:]
        self.guidance.note_latency(turn, samples)
        return turn, samples

    def search(self) -> None:
        """Measure each candidate alone and find where to compare it."""
        for candidate in self.truths:
            one = NextTurn(arrivals=Closed(concurrency=1), requests=20)
            _, samples = self.take("idle", candidate, one)
            self.guidance.note_idle(candidate, samples)
        for candidate in self.truths:
            if self.guidance.limits:
                self.guidance.note_burst(candidate, *self.take("rising", candidate, self.guidance.burst(candidate)))
                while (asked := self.guidance.search(candidate, 1)) is not None:
                    found = self.guidance.reading(*self.take("rising", candidate, asked))
                    self.guidance.note_search(found if isinstance(found, Reading) else None, candidate)
            else:
                while (asked := self.guidance.rise(candidate)) is not None:
                    said = self.guidance.reading(*self.take("rising", candidate, asked))
                    slots = asked.arrivals.concurrency or 1
                    self.guidance.note_rise(candidate, slots, said if isinstance(said, Throughput) else None)
        self.guidance.begin()

    def blocks(self, most: int) -> int:
        """Measure blocks until one is a safe choice, or ``most``; return how many it took."""
        orders = block_orders(tuple(self.truths), random.Random(self.seed))
        for block in range(most):
            racing, found = self.guidance.racing(), []
            for candidate in next(orders):
                if candidate in racing:
                    turn, samples = self.take("block", candidate, self.guidance.block(candidate, block, block), block)
                    said = self.guidance.reading(turn, samples)
                    found += [] if said is None else [said]
            self.guidance.add_block(found)
            if self.guidance.is_settled():
                return block + 1
        return most


def guided(truths: typing.Iterable[Planted], section: dict[str, typing.Any], seed: int = 1) -> Guided:
    """Return a run of ``truths`` that has measured nothing yet."""
    return Guided(truths={Candidate(truth.degree): truth for truth in truths}, section=section, seed=seed)
