"""The race against planted truths, in virtual time: `python -m bench.race`."""

import argparse
import concurrent.futures
import dataclasses
import itertools
import math
import random
import typing

import numpy as np

from bench.race import gates, proofs, saturated
from bench.race.batching import Asked, Limits, Told, capacity, open_turn, seconds_alone
from bench.race.truths import Truth, truths
from optimal_tp.experiment.guidance import LEAST_LOAD
from optimal_tp.facts.candidates import Candidate
from optimal_tp.verdict.contest import reach_of, rules_of
from optimal_tp.verdict.race.blocks import Race, Standing
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.rates import FIRST_SHARE, Bracket, block_rate
from optimal_tp.verdict.race.scoring import GoodputScoring

MANY = 2
"""Turns of a bracket from which on they are half as long as those that are compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """One experiment."""

    safe: Candidate | None
    minutes: float
    turns: int
    false_better: bool
    too_low: bool
    """Whether the safe choice is more than the resolution below the best."""
    capacity_error: float
    """Of the chosen, log of fitted over true."""


class Course:
    """One candidate of an experiment: its engine, the clock scale that plants its ratio, its true capacity."""

    def __init__(self, truth: Truth, candidate: Candidate, own: float, aim: float) -> None:
        """``own`` is the engine's capacity as it is, ``aim`` what the truth wants."""
        self.candidate = candidate
        self.engine = truth.engines[candidate]
        self.scale = own / aim
        self.capacity = aim
        self.alone = seconds_alone(self.engine) * self.scale
        self.latency = self.alone
        self.limits = tuple(limits for limits, _ in truth.asks)
        mean = (self.engine.shortest + self.engine.longest) / 2
        step = self.engine.step + self.engine.slots * (self.engine.per_sequence + self.engine.per_prefill / mean)
        self.saturated = self.engine.servers * self.engine.slots / mean / step / self.scale

    def turn(self, log_rate: float, counted: int, warm_in: float, factor: float, seed: int) -> Told:
        """Return what came of one open turn; ``factor`` slows every step down, but no limit."""
        limits = tuple(Limits(*(limit / factor for limit in each)) for each in self.limits)
        rate = math.exp(log_rate)
        opening = max(1, min(self.engine.servers * self.engine.slots, round(rate * self.latency)))
        asked = Asked(rate=rate, opening=opening, warm_in=warm_in, counted=counted)
        told = open_turn(self.engine, limits, asked, self.scale * factor, seed)
        self.latency = max(told.latency, self.alone)
        return told


class Experiment:
    """One run against a truth, from its bracket to a safe choice or its budget's end."""

    def __init__(self, truth: Truth, courses: list[Course], seed: int) -> None:
        """Draw everything from ``seed``."""
        self.truth = truth
        self.by = {course.candidate: course for course in courses}
        self.draw = random.Random(seed)
        self.clock, self.turns, self.block = 0.0, 0, 0
        self.slowest = max(course.alone for course in courses)
        self.walks = dict.fromkeys(self.by, 0.0)
        self.common = 0.0
        self.starts = {candidate: self.draw.gauss(0, truth.disturbance.starts) for candidate in self.by}
        self.last: dict[Candidate, float] = {}
        self.starts_of = dict.fromkeys(self.by, 0)
        self.scoring = GoodputScoring(self.by, [asked for _, asked in truth.asks], reach=reach_of(truth.way.decision))
        for course in courses:
            course.latency = course.alone

    def take(self, candidate: Candidate, log_rate: float, number: int | None, seed: int, part: float = 1.0) -> Reading:
        """Return the reading of one turn, as disturbed as the truth wants it."""
        size, disturbance = self.truth.way.size, self.truth.disturbance
        factor = math.exp(self.walks[candidate] + self.common + self.starts[candidate])
        factor *= 1 + disturbance.hourly_drift * self.clock / 3600
        factor *= 3 if self.draw.random() < disturbance.slow_share else 1
        if candidate == self.truth.best and self.block < disturbance.slow_blocks:
            factor *= 1 + disturbance.slow_start
        counted = size.counted(math.exp(log_rate), self.slowest, part=part)
        told = self.by[candidate].turn(log_rate, counted, size.warm_in * self.slowest, factor, seed)
        self.clock += told.seconds + self.truth.way.gap * self.slowest
        self.turns += 1
        self.last[candidate] = log_rate
        first, *others = (
            Reading(
                candidate=candidate,
                block=number,
                log_rate=log_rate,
                asked=asked,
                hits=hits,
                counted=counted,
                early_hits=early,
                start=self.starts_of[candidate],
            )
            for (_, asked), hits, early in zip(self.truth.asks, told.hits, told.early, strict=True)
        )
        return dataclasses.replace(first, others=tuple(others)) if others else first

    def search(self) -> list[Candidate]:
        """Bracket every candidate; return those that hold the limits at some rate."""
        way = self.truth.way
        found = []
        for candidate, course in self.by.items():
            guess = math.log(FIRST_SHARE * course.saturated) + self.draw.gauss(0, 0.03)
            self.clock += (2 + way.size.warm_in) * self.slowest
            floor = math.log(LEAST_LOAD * course.engine.servers / course.alone)
            bracket = Bracket(guess, floor=floor, most_turns=way.bracket_turns)
            while bracket.next is not None:
                part = 0.5 if way.bracket_turns > MANY else 1.0
                reading = self.take(candidate, bracket.next, None, self.draw.getrandbits(31), part)
                self.scoring.open_with(reading)
                bracket.add(reading)
            found += [] if bracket.hopeless else [candidate]
        return found

    def wander(self) -> None:
        """Move what moves from block to block."""
        disturbance = self.truth.disturbance
        self.common = 0.8 * self.common + self.draw.gauss(0, disturbance.common_walk * 0.6)
        for candidate in self.walks:
            self.walks[candidate] = 0.8 * self.walks[candidate] + self.draw.gauss(0, disturbance.own_walk * 0.6)
            if disturbance.starts and self.block in (6, 12):
                self.starts[candidate] = self.draw.gauss(0, disturbance.starts)
                self.starts_of[candidate] += 1

    def run(self) -> Outcome:
        """Return how it ended."""
        racing = self.search()
        decision = self.truth.way.decision.model_copy(update={"resolution": self.truth.resolution})
        rules = rules_of(decision, len(racing))
        race = Race(racing, self.scoring, rules)
        standing, longest = None, 0.0
        while self.clock + longest < decision.budget_seconds:
            began = self.clock
            self.wander()
            seed = self.draw.getrandbits(31)
            readings = []
            for candidate in self.draw.sample(race.racing, len(race.racing)):
                rate = block_rate(self.scoring.fits[candidate], self.block, self.last[candidate])
                readings.append(self.take(candidate, rate, self.block, seed))
            standing = race.add_block(readings)
            self.block += 1
            longest = max(longest, self.clock - began)
            is_last = rules.most_looks and self.block >= rules.least_blocks + rules.most_looks - 1
            if standing.safe is not None or is_last:
                break
        return self.outcome(standing)

    def outcome(self, standing: Standing | None) -> Outcome:
        """Return what ``standing`` says against the truth."""
        safe = None if standing is None else standing.safe
        beaten = () if standing is None else standing.beaten.values()
        best = max(course.capacity for course in self.by.values())
        own = None if safe is None else self.by[safe].capacity
        return Outcome(
            safe=safe,
            minutes=self.clock / 60,
            turns=self.turns,
            false_better=any(self.by[one.first].capacity <= self.by[one.second].capacity for one in beaten),
            too_low=own is not None and own < best / (1 + self.truth.resolution) * 0.9999,
            capacity_error=math.nan
            if safe is None or own is None
            else self.scoring.fits[safe].log_capacity - math.log(own),
        )


def courses_of(truth: Truth) -> list[Course]:
    """Return the candidates of ``truth``, each scaled so that the ratio is exact and the slowest takes its time."""
    own = {
        candidate: min(capacity(engine, limits, asked) for limits, asked in truth.asks)
        for candidate, engine in truth.engines.items()
    }
    if truth.ratio is None:
        return [Course(truth, candidate, own[candidate], own[candidate]) for candidate in truth.engines]
    aims = {candidate: own[truth.best] / (1.0 if candidate == truth.best else truth.ratio) for candidate in own}
    slowest = max(seconds_alone(truth.engines[candidate]) * own[candidate] / aims[candidate] for candidate in own)
    faster = slowest / truth.alone_seconds
    return [Course(truth, candidate, own[candidate], aims[candidate] * faster) for candidate in truth.engines]


def row(truth: Truth, count: int, first_seed: int) -> str:
    """Return the row of ``truth`` after ``count`` experiments."""
    courses = courses_of(truth)
    outcomes = [Experiment(truth, courses, first_seed + number).run() for number in range(count)]
    reached = [outcome for outcome in outcomes if outcome.safe is not None]
    minutes = [outcome.minutes for outcome in reached] or [math.nan]
    turns: list[float] = [outcome.turns for outcome in reached] or [math.nan]
    errors = [100 * outcome.capacity_error for outcome in reached] or [math.nan]
    cells = [
        truth.name,
        "as it is" if truth.ratio is None else f"{truth.ratio:g}",
        f"{100 * sum(outcome.false_better for outcome in outcomes) / count:.1f}",
        f"{100 * sum(outcome.too_low for outcome in outcomes) / count:.1f}",
        f"{100 * len(reached) / count:.0f}",
        f"{np.median(turns):.0f} / {np.percentile(turns, 90):.0f}",
        f"{np.median(minutes):.1f} / {np.percentile(minutes, 90):.1f}",
        f"{np.median(np.abs(errors)):.1f} / {np.percentile(np.abs(errors), 95):.1f} ({np.mean(errors):+.1f})",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| truth | ratio | false better % | choice too low % | reach the choice % | turns | minutes "
    "| error of the capacity % |"
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--seed", type=int, default=20_000_000)
    options = parser.parse_args()
    asked = itertools.repeat(options.experiments), itertools.repeat(options.seed)
    ends = [each for each in proofs.ROWS if options.only in f"proof, {each[0]}"]
    tables: tuple[tuple[str, typing.Callable[..., str], tuple[list[typing.Any], ...]], ...] = (
        (HEAD, row, ([one for one in truths() if options.only in one.name],)),
        (saturated.HEAD, saturated.row, ([one for one in saturated.ROWS if options.only in one.name],)),
        (proofs.HEAD, proofs.row, ([name for name, _ in ends], [each for _, each in ends])),
        (gates.HEAD, gates.row, ([one for one in gates.ROWS if options.only in one.name],)),
    )
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        begun = [(head, pool.map(work, *rows, *asked)) for head, work, rows in tables if rows[0]]
        for head, lines in begun:
            print(f"{head}\n| --- |{' ---: |' * (head.count('|') - 2)}", flush=True)
            for line in lines:
                print(line, flush=True)
            print()


if __name__ == "__main__":
    main()
