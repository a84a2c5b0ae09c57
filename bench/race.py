"""The race against planted truths, in virtual time: `python -m bench.race`."""

import argparse
import concurrent.futures
import dataclasses
import itertools
import math
import random
import typing

import numpy as np

from bench import race_saturated
from bench.batching import Engine, Limits, capacity, open_turn, seconds_alone
from optimal_tp.facts.candidates import Candidate
from optimal_tp.verdict.race.blocks import Race
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.pairs import Rules
from optimal_tp.verdict.race.rates import FIRST_SHARE, Bracket, TurnSize, block_rate
from optimal_tp.verdict.race.scoring import GoodputScoring

TP1, TP2, TP4 = Candidate(1), Candidate(2), Candidate(4)

MIXED = {
    TP1: Engine(servers=4, slots=16, step=0.016, per_sequence=0.0012, per_prefill=0.006),
    TP2: Engine(servers=2, slots=32, step=0.013, per_sequence=0.0007, per_prefill=0.004),
    TP4: Engine(servers=1, slots=64, step=0.011, per_sequence=0.0004, per_prefill=0.0024),
}
"""One chip, three layouts: mixed steps."""
PREFILL_FIRST = {
    candidate: engine._replace(prefill_first=True, memory=engine.slots * 40, per_prefill=1.5 * engine.per_prefill)
    for candidate, engine in MIXED.items()
}
"""Prefills in steps of their own, memory in blocks that runs out before the slots do: the engine that tuned nothing."""
TWO_CORES = {
    TP1: Engine(servers=2, slots=8, step=0.10, per_sequence=0.012, per_prefill=0.04),
    TP2: Engine(servers=1, slots=16, step=0.07, per_sequence=0.007, per_prefill=0.025),
}
"""Two processor cores, 2 s a request."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """How an experiment is run."""

    size: TurnSize
    bracket_turns: int
    gap: float
    """Silence between turns, in the time of a request alone."""
    budget_seconds: float
    reach: float
    rules: typing.Callable[[int, float], Rules]


def careful(pairs: int, resolution: float) -> Rules:
    """Return the rules of the full size."""
    return Rules(
        resolution=resolution,
        bias=0.02,
        least_blocks=12,
        most_looks=None,
        alpha=0.05 / pairs,
    )


def quick(pairs: int, resolution: float) -> Rules:
    """Return the rules of the quick profile."""
    return Rules(resolution=resolution, bias=0.15, least_blocks=4, most_looks=5, alpha=0.05 / pairs)


CAREFUL = Way(
    size=TurnSize(warm_in=5, length=20, least_requests=50),
    bracket_turns=8,
    gap=0.5,
    budget_seconds=70 * 60,
    reach=0.15,
    rules=careful,
)
QUICK = Way(
    size=TurnSize(warm_in=1.5, length=4, least_requests=20),
    bracket_turns=2,
    gap=0.3,
    budget_seconds=300,
    reach=0.25,
    rules=quick,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What happens to steps, as a factor by candidate and block. Nothing by default."""

    slow_share: float = 0.0
    """Share of turns in which everything takes three times as long."""
    own_walk: float = 0.0
    """Standard deviation of an autoregressive factor (0.8) of each candidate's own."""
    common_walk: float = 0.0
    slow_start: float = 0.0
    """By how much the best is slower in its first blocks."""
    slow_blocks: int = 5
    hourly_drift: float = 0.0
    starts: float = 0.0
    """Standard deviation of a factor of each server start; a new start every six blocks."""


QUIET = Disturbance()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """One row of the table: which engines, limits and ratio are planted."""

    name: str
    engines: typing.Mapping[Candidate, Engine]
    limits: Limits
    asked: float
    ratio: float | None
    """Capacity of the best over that of each other; None leaves the engines as they are."""
    best: Candidate = TP1
    way: Way = CAREFUL
    resolution: float = 0.05
    alone_seconds: float = 0.3
    """Of one request on the slowest candidate."""
    disturbance: Disturbance = QUIET


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """One experiment."""

    safe: Candidate | None
    minutes: float
    turns: int
    false_better: bool
    too_low: bool
    """Whether the safe choice is more than the resolution below the best."""
    end: str
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
        self.limits = truth.limits
        mean = (self.engine.shortest + self.engine.longest) / 2
        step = self.engine.step + self.engine.slots * (self.engine.per_sequence + self.engine.per_prefill / mean)
        self.saturated = self.engine.servers * self.engine.slots / mean / step / self.scale

    def turn(self, log_rate: float, counted: int, warm_in: float, factor: float, seed: int) -> tuple[int, int, float]:
        """Return hits, early hits and seconds of one open turn; ``factor`` slows every step down, but no limit."""
        scale = self.scale * factor
        limits = Limits(*(limit / factor for limit in self.limits))
        rate = math.exp(log_rate)
        opening = max(1, round(rate * self.latency))
        hits, seconds, self.latency, early = open_turn(
            rate, counted, warm_in, opening, self.engine, limits, scale, seed
        )
        self.latency = max(self.latency, self.alone)
        return hits, early, seconds


def experiment(truth: Truth, courses: typing.Sequence[Course], seed: int) -> Outcome:  # noqa: C901, PLR0915
    """Run one experiment against ``truth``."""
    draw = random.Random(seed)
    for course in courses:
        course.latency = course.alone
    way, quiet = truth.way, truth.disturbance
    rules = way.rules(len(courses) * (len(courses) - 1) // 2, truth.resolution)
    scoring = GoodputScoring([course.candidate for course in courses], truth.asked, reach=way.reach)
    racing = []
    by = {course.candidate: course for course in courses}
    slowest = max(course.alone for course in courses)
    clock, turns, block = 0.0, 0, 0
    walks = dict.fromkeys(by, 0.0)
    common = 0.0
    starts = {candidate: draw.gauss(0, quiet.starts) for candidate in by}

    def take(candidate: Candidate, log_rate: float, part: float, number: int | None, common_seed: int) -> Reading:
        nonlocal clock, turns
        factor = math.exp(walks[candidate] + common + starts[candidate]) * (1 + quiet.hourly_drift * clock / 3600)
        if draw.random() < quiet.slow_share:
            factor *= 3
        if candidate == truth.best and block < quiet.slow_blocks:
            factor *= 1 + quiet.slow_start
        counted = way.size.counted(math.exp(log_rate), slowest, part=part)
        warm_in = way.size.warm_in * slowest
        hits, early, seconds = by[candidate].turn(log_rate, counted, warm_in, factor, common_seed)
        clock += seconds + way.gap * slowest
        turns += 1
        return Reading(
            candidate=candidate, block=number, log_rate=log_rate, hits=hits, counted=counted, early_hits=early
        )

    last = {}
    for candidate, course in by.items():
        guess = math.log(FIRST_SHARE * course.saturated) + draw.gauss(0, 0.03)
        clock += (2 + way.size.warm_in) * slowest
        bracket = Bracket(
            guess, floor=math.log(0.05 * course.engine.servers / course.alone), most_turns=way.bracket_turns
        )
        while bracket.next is not None:
            reading = take(candidate, bracket.next, 0.5 if way.bracket_turns > 2 else 1.0, None, draw.getrandbits(31))
            last[candidate] = reading.log_rate
            scoring.open_with(reading)
            bracket.add(reading, truth.asked)
        racing += [] if bracket.hopeless else [candidate]
    race = Race(racing, scoring, rules)
    standing = None
    longest = 0.0
    while clock + longest < way.budget_seconds:
        began = clock
        common = 0.8 * common + draw.gauss(0, quiet.common_walk * 0.6)
        for candidate in walks:
            walks[candidate] = 0.8 * walks[candidate] + draw.gauss(0, quiet.own_walk * 0.6)
            if quiet.starts and block in (6, 12):
                starts[candidate] = draw.gauss(0, quiet.starts)
        seeds = draw.getrandbits(31)
        readings = []
        for candidate in draw.sample(race.racing, len(race.racing)):
            log_rate = block_rate(scoring.fits[candidate], block, last[candidate])
            last[candidate] = log_rate
            readings.append(take(candidate, log_rate, 1.0, block, seeds))
        standing = race.add_block(readings)
        block += 1
        longest = max(longest, clock - began)
        if standing.safe is not None or (rules.most_looks and block >= rules.least_blocks + rules.most_looks - 1):
            break
    if standing is None:
        return Outcome(
            safe=None,
            minutes=clock / 60,
            turns=turns,
            false_better=False,
            too_low=False,
            end="inconclusive",
            capacity_error=math.nan,
        )
    best = max(course.capacity for course in courses)
    false_better = any(by[pair.first].capacity <= by[pair.second].capacity for pair in standing.beaten.values())
    safe = standing.safe
    end = "inconclusive" if safe is None else "better" if len(race.racing) == 1 else "safe"
    return Outcome(
        safe=safe,
        minutes=clock / 60,
        turns=turns,
        false_better=false_better,
        too_low=safe is not None and by[safe].capacity < best / (1 + truth.resolution) * 0.9999,
        end=end,
        capacity_error=math.nan if safe is None else scoring.fits[safe].log_capacity - math.log(by[safe].capacity),
    )


def courses_of(truth: Truth) -> list[Course]:
    """Return the candidates of ``truth``, each scaled so that the ratio is exact and the slowest takes its time."""
    own = {candidate: capacity(engine, truth.limits, truth.asked) for candidate, engine in truth.engines.items()}
    if truth.ratio is None:
        return [Course(truth, candidate, own[candidate], own[candidate]) for candidate in truth.engines]
    aims = {candidate: own[truth.best] / (1.0 if candidate == truth.best else truth.ratio) for candidate in own}
    slowest = max(seconds_alone(truth.engines[candidate]) * own[candidate] / aims[candidate] for candidate in own)
    faster = slowest / truth.alone_seconds
    return [Course(truth, candidate, own[candidate], aims[candidate] * faster) for candidate in truth.engines]


def row(truth: Truth, count: int, first_seed: int) -> str:
    """Return the row of ``truth`` after ``count`` experiments."""
    courses = courses_of(truth)
    outcomes = [experiment(truth, courses, first_seed + number) for number in range(count)]
    reached = [outcome for outcome in outcomes if outcome.safe is not None]
    minutes = [outcome.minutes for outcome in reached] or [math.nan]
    turns = [outcome.turns for outcome in reached] or [math.nan]
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


QUIET_ENDS: typing.Final = {
    "p50 of total latency": (Limits(total=0.62), 0.5),
    "p90 of total latency": (Limits(total=0.75), 0.9),
    "p99 of total latency": (Limits(total=0.9), 0.99),
    "p90 of TTFT and TPOT": (Limits(ttft=0.08, tpot=0.034), 0.9),
    "p99 of TTFT and TPOT": (Limits(ttft=0.1, tpot=0.038), 0.99),
}
"""Limits, in seconds before the clock is scaled, and the asked share."""


def _one_slot(latencies_ms: tuple[float, ...]) -> dict[Candidate, Engine]:
    """Return single-slot servers on eight cores, each request of the same length."""
    return {
        candidate: Engine(
            servers=8 // candidate.degree,
            slots=1,
            step=latency / 16_000,
            per_sequence=0.0,
            per_prefill=0.0,
            shortest=16,
            longest=16,
        )
        for candidate, latency in zip((TP1, TP2, TP4), latencies_ms, strict=True)
    }


def _large(slots: tuple[int, ...]) -> dict[Candidate, Engine]:
    """Return an engine like that of a model of eight billion parameters on one chip."""
    steps = {TP1: (0.030, 0.0004, 0.012), TP2: (0.018, 0.00025, 0.007), TP4: (0.012, 0.00016, 0.0045)}
    return {
        candidate: Engine(4 // candidate.degree, count, *steps[candidate])
        for candidate, count in zip((TP1, TP2, TP4), slots, strict=True)
    }


def truths() -> list[Truth]:
    """Return the rows of the table."""

    def planted(name: str, ratio: float, **others: typing.Any) -> Truth:  # noqa: ANN401 - fields of Truth
        usual = {"engines": MIXED, "limits": Limits(total=0.75), "asked": 0.9}
        return Truth(name=name, ratio=ratio, **(usual | others))

    rows = [
        planted(f"quiet, {name}", ratio, limits=limits, asked=asked)
        for name, (limits, asked) in QUIET_ENDS.items()
        for ratio in (1.0, 1.05, 1.1, 1.3)
    ]
    rows += [planted("quiet, p90", ratio) for ratio in (1.02, 2.5)]
    rows += [planted("quiet, p90, best is TP4", ratio, best=TP4) for ratio in (1.05, 1.1)]
    rows += [planted("quiet, p90, within 10 %", ratio, resolution=0.1) for ratio in (1.0, 1.1)]
    pair = {TP1: MIXED[TP1], TP2: MIXED[TP2]}
    rows += [planted("quiet, p90, two candidates", ratio, engines=pair) for ratio in (1.0, 1.1)]
    rows += [
        planted(
            f"prefill first, memory in blocks, {name}",
            ratio,
            engines=PREFILL_FIRST,
            limits=limits,
            asked=asked,
            best=best,
        )
        for name, limits, asked in (
            ("p90 of total latency", Limits(total=0.8), 0.9),
            ("p90 of TTFT and TPOT", Limits(ttft=0.1, tpot=0.036), 0.9),
        )
        for ratio, best in ((1.0, TP1), (1.05, TP4), (1.1, TP1), (1.1, TP4), (1.3, TP2))
    ]
    rows += [
        planted(
            f"one slot, {'/'.join(f'{each:g}' for each in latencies)} ms",
            None,
            engines=_one_slot(latencies),
            limits=Limits(total=0.4),
            asked=0.99,
        )
        for latencies in ((290, 255, 205), (250, 200, 150), (300, 180, 120), (360, 220, 110))
    ]
    rows += [
        planted(f"8B-like, {name}", None, engines=_large(slots), limits=Limits(ttft=1.0, tpot=tpot), asked=0.99)
        for name, slots, tpot in (
            ("64 slots, TPOT 60 ms", (64, 64, 64), 0.06),
            ("slots as memory allows, TPOT 60 ms", (27, 100, 240), 0.06),
            ("slots as memory allows, TPOT 30 ms", (27, 100, 240), 0.03),
        )
    ]
    rows += [
        planted(name, ratio, disturbance=disturbance, asked=asked)
        for name, disturbance, asked in (
            ("1 of 10 turns 3x slower, p75", Disturbance(slow_share=0.1), 0.75),
            ("1 of 50 turns 3x slower, p90", Disturbance(slow_share=0.02), 0.9),
            ("1 of 50 turns 3x slower, p95", Disturbance(slow_share=0.02), 0.95),
            ("own AR(0.8), 2 % of a step", Disturbance(own_walk=0.02), 0.9),
            ("own AR(0.8), 5 % of a step", Disturbance(own_walk=0.05), 0.9),
            ("common AR(0.8), 5 % of a step", Disturbance(common_walk=0.05), 0.9),
            ("best 20 % slower in its first 5 blocks", Disturbance(slow_start=0.2), 0.9),
            ("best 10 % slower in its first 5 blocks", Disturbance(slow_start=0.1), 0.9),
            ("starts differ by 2 % of a step", Disturbance(starts=0.02), 0.9),
            ("drift of 10 % an hour, common", Disturbance(hourly_drift=0.1), 0.9),
        )
        for ratio in (1.0, 1.05, 1.1, 1.3)
    ]
    quick_rows: dict[str, typing.Any] = {
        "engines": TWO_CORES,
        "way": QUICK,
        "resolution": 0.2,
        "alone_seconds": 2.0,
        "limits": Limits(total=3.8),
    }
    rows += [
        planted(
            f"quick, p{100 * asked:.0f}, {name}", ratio, **quick_rows, asked=asked, best=best, disturbance=disturbance
        )
        for name, asked, best, disturbance in (
            ("quiet", 0.75, TP1, QUIET),
            ("quiet", 0.9, TP1, QUIET),
            ("quiet, best is TP2", 0.75, TP2, QUIET),
            ("1 of 10 turns 3x slower", 0.75, TP1, Disturbance(slow_share=0.1)),
            ("own AR(0.8), 5 %", 0.75, TP1, Disturbance(own_walk=0.05)),
            ("best 20 % slower in 2 blocks", 0.75, TP1, Disturbance(slow_start=0.2, slow_blocks=2)),
        )
        for ratio in (1.0, 1.1, 1.3, 1.6, 2.5)
    ]
    return rows


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
    print(
        "| truth | ratio | false better % | choice too low % | reach the choice % | turns | minutes | error of the capacity % |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    chosen = [truth for truth in truths() if options.only in truth.name]
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for line in pool.map(row, chosen, itertools.repeat(options.experiments), itertools.repeat(options.seed)):
            print(line, flush=True)
        print("\n| without limits | ratio | false better % | choice too low % | reach the choice % | blocks |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        saturated = [each for each in race_saturated.ROWS if options.only in each.name]
        for line in pool.map(
            race_saturated.row, saturated, itertools.repeat(options.experiments), itertools.repeat(options.seed)
        ):
            print(line, flush=True)


if __name__ == "__main__":
    main()
