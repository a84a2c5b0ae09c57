"""The race without limits, at turn level: the logarithm of each turn's throughput is planted, with what disturbs it."""

import dataclasses
import math
import random
import typing

import numpy as np

from optimal_tp.facts.candidates import Candidate
from optimal_tp.settings.workload import Decision
from optimal_tp.verdict.contest import rules_of
from optimal_tp.verdict.race.blocks import Race, Standing
from optimal_tp.verdict.race.scoring import Throughput, ThroughputScoring

MOST_BLOCKS = 120
HEAD = "| without limits | ratio | false better % | choice too low % | reach the choice % | blocks |"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saturated:
    """One row: candidate 1 is the best by ``ratio``; standard deviations are shares of the throughput."""

    name: str
    ratio: float
    candidates: int = 3
    noise: float = 0.02
    own_walk: float = 0.0
    walk_memory: float = 0.8
    random_walk: float = 0.0
    slow_start: float = 0.0
    starts: float = 0.0
    slow_share: float = 0.0
    alternating: float = 0.0
    """By how much every second turn of the run is slower."""
    tail: float = 0.0
    """Mean of an exponential slowdown of candidate 2's turns."""


def experiment(truth: Saturated, seed: int) -> tuple[dict[Candidate, float], Standing]:
    """Return the planted logarithms of one experiment, and where its race ended."""
    draw = random.Random(seed)
    candidates = [Candidate(2**number) for number in range(truth.candidates)]
    race: Race[Throughput] = Race(candidates, ThroughputScoring(candidates), rules_of(Decision(), truth.candidates))
    level = {each: 0.0 if each == candidates[0] else -math.log(truth.ratio) for each in candidates}
    walks = dict.fromkeys(candidates, 0.0)
    starts = {each: draw.gauss(0, truth.starts) for each in candidates}
    start, turn = 0, 0
    for block in range(MOST_BLOCKS):
        start += bool(truth.starts) and block in (6, 12)
        readings = []
        for each in draw.sample(race.racing, len(race.racing)):
            if truth.random_walk:
                walks[each] += draw.gauss(0, truth.random_walk)
            else:
                spread = truth.own_walk * math.sqrt(1 - truth.walk_memory**2)
                walks[each] = truth.walk_memory * walks[each] + draw.gauss(0, spread)
            if truth.starts and block in (6, 12):
                starts[each] = draw.gauss(0, truth.starts)
            value = level[each] + walks[each] + starts[each] + draw.gauss(0, truth.noise)
            value -= truth.slow_start if each == candidates[0] and block < 5 else 0.0  # noqa: PLR2004 - as the rows say
            value -= math.log(3) if draw.random() < truth.slow_share else 0.0
            value -= truth.alternating if turn % 2 else 0.0
            value -= draw.expovariate(1 / truth.tail) - truth.tail if truth.tail and each == candidates[1] else 0.0
            turn += 1
            readings.append(Throughput(candidate=each, block=block, log_rate=value, start=start))
        standing = race.add_block(readings)
        if standing.safe is not None:
            break
    return level, standing


def outcome(truth: Saturated, seed: int) -> tuple[bool, bool, bool, int]:
    """Return of one experiment: false better, choice too low, choice reached, blocks."""
    level, standing = experiment(truth, seed)
    false_better = any(level[pair.first] <= level[pair.second] for pair in standing.beaten.values())
    too_low = standing.safe is not None and level[standing.safe] < -math.log(1.05) - 1e-9
    return false_better, too_low, standing.safe is not None, standing.blocks


ROWS: typing.Final = (
    Saturated(name="noise 2 %", ratio=1.0),
    Saturated(name="noise 2 %", ratio=1.05),
    Saturated(name="noise 2 %", ratio=1.1),
    *(
        Saturated(
            name=f"own AR({memory:g}), 2 %, two candidates",
            ratio=1.0,
            candidates=2,
            noise=0.01,
            own_walk=0.02,
            walk_memory=memory,
        )
        for memory in (0.5, 0.8, 0.95)
    ),
    Saturated(name="own AR(0.8), 2 %, three candidates", ratio=1.0, noise=0.01, own_walk=0.02),
    Saturated(
        name="own random walk, 0.5 % a block, two candidates", ratio=1.0, candidates=2, noise=0.01, random_walk=0.005
    ),
    Saturated(
        name="own random walk, 0.5 % a block, two candidates", ratio=1.1, candidates=2, noise=0.01, random_walk=0.005
    ),
    Saturated(name="best 20 % slower in its first 5 blocks, two candidates", ratio=1.05, candidates=2, slow_start=0.2),
    Saturated(name="best 10 % slower in its first 5 blocks, two candidates", ratio=1.05, candidates=2, slow_start=0.1),
    Saturated(name="starts differ by 1 %, two candidates", ratio=1.0, candidates=2, starts=0.01),
    Saturated(name="starts differ by 2 %, two candidates", ratio=1.0, candidates=2, starts=0.02),
    Saturated(name="every second turn 20 % slower, two candidates", ratio=1.0, candidates=2, alternating=0.2),
    Saturated(name="exponential tail of 5 % on one, two candidates", ratio=1.0, candidates=2, tail=0.05),
    Saturated(name="1 of 10 turns 3x slower, two candidates", ratio=1.0, candidates=2, slow_share=0.1),
)


def row(truth: Saturated, count: int, first_seed: int) -> str:
    """Return the row of ``truth`` after ``count`` experiments."""
    found = [outcome(truth, first_seed + number) for number in range(count)]
    blocks: list[float] = [each[3] for each in found if each[2]] or [math.nan]
    cells = [
        truth.name,
        f"{truth.ratio:g}",
        *(f"{100 * sum(each[place] for each in found) / count:.1f}" for place in range(3)),
        f"{np.median(blocks):.0f} / {np.percentile(blocks, 90):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"
