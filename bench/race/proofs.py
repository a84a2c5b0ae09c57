"""What the proof of the chosen candidate's goodput takes: the product's bets on whole turns, in virtual time."""

import math
import random

import numpy as np

from bench.race.batching import Asked as Arriving
from bench.race.batching import Limits, capacity, open_turn, seconds_alone
from bench.race.truths import CAREFUL, MIXED, QUIET_ENDS, TP1
from optimal_tp.experiment.guidance import MISS_SHARE, PROOF_SHARE, TAIL, TAIL_PROOF_SHARE
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.proof import proof

MOST_TURNS = 700
LOOK = 3
"""Turns between two looks: two at a rate to be held, one at a rate to be missed."""
FURTHER_ENDS = {
    "p75 of total latency": (Limits(total=0.7), 0.75),
    "p95 of total latency": (Limits(total=0.8), 0.95),
}
HEAD = "| proof of one candidate | at % of its capacity | proven % | wrongly proven % | turns until proven |"
ROWS = tuple(sorted((QUIET_ENDS | FURTHER_ENDS).items()))


def proven(limits: Limits, asked: float, true: float, seed: int) -> tuple[int | None, bool]:
    """Return after how many turns the lower rate was shown to hold, None for not at all, and whether that is wrong."""
    engine, size = MIXED[TP1], CAREFUL.size
    draw, alone = random.Random(seed), seconds_alone(MIXED[TP1])
    # The fitted capacity is about right: 2 % off, as the table of the race has it.
    fitted = true * math.exp(draw.gauss(0, 0.02))
    low = fitted * (TAIL_PROOF_SHARE if asked >= TAIL else PROOF_SHARE)
    readings = []
    for number in range(MOST_TURNS):
        rate = fitted * MISS_SHARE if number % LOOK == LOOK - 1 else low
        counted = size.counted(rate, alone)
        turn = Arriving(rate=rate, opening=max(1, round(rate * alone)), warm_in=size.warm_in * alone, counted=counted)
        told = open_turn(engine, (limits,), turn, 1.0, draw.getrandbits(31))
        readings.append(
            Reading(
                candidate=TP1, block=number, log_rate=math.log(rate), asked=asked, hits=told.hits[0], counted=counted
            )
        )
        if number % LOOK == LOOK - 1:
            held = proof(readings, alpha=1 - CAREFUL.decision.confidence).held_per_second_per_core
            if held is not None:
                return number + 1, held > true
    return None, False


def row(name: str, ends: tuple[Limits, float], count: int, first_seed: int) -> str:
    """Return the row of limits that a share is to hold, after ``count`` experiments."""
    limits, asked = ends
    true = capacity(MIXED[TP1], limits, asked)
    found = [proven(limits, asked, true, first_seed + number) for number in range(count)]
    turns: list[float] = [each for each, _ in found if each is not None] or [math.nan]
    cells = [
        name,
        f"{100 * (TAIL_PROOF_SHARE if asked >= TAIL else PROOF_SHARE):g}",
        f"{100 * sum(each is not None for each, _ in found) / count:.0f}",
        f"{100 * sum(wrong for _, wrong in found) / count:.1f}",
        f"{np.median(turns):.0f} / {np.percentile(turns, 90):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"
