"""What the bench of the race plants: engines, limits, ratios and disturbances, row by row."""

import collections.abc
import dataclasses
import typing

from bench.race.batching import Engine, Limits
from optimal_tp.facts.candidates import Candidate
from optimal_tp.settings.workload import Decision
from optimal_tp.verdict.race.rates import TurnSize

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
    decision: Decision
    """With its budget; the truth has the resolution."""


CAREFUL = Way(
    size=TurnSize(warm_in=5, length=20, least_requests=50),
    bracket_turns=8,
    gap=0.5,
    decision=Decision(budget_seconds=70 * 60),
)
QUICK = Way(
    size=TurnSize(warm_in=1.5, length=4, least_requests=20),
    bracket_turns=3,
    gap=0.3,
    decision=Decision(minimum_blocks=4, fixed_looks=5, least_lead=0.15, budget_seconds=300),
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
    """Share of the requests that is to hold ``limits``."""
    ratio: float | None
    """Capacity of the best over that of each other; None leaves the engines as they are."""
    best: Candidate = TP1
    way: Way = CAREFUL
    resolution: float = 0.05
    alone_seconds: float = 0.3
    """Of one request on the slowest candidate."""
    disturbance: Disturbance = QUIET
    also: tuple[tuple[Limits, float], ...] = ()
    """Further limits, each with a lower share of its own that is to hold them."""

    @property
    def asks(self) -> tuple[tuple[Limits, float], ...]:
        """Every set of limits with its share, the highest first."""
        return ((self.limits, self.asked), *self.also)


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


def planted(name: str, ratio: float | None, **others: typing.Any) -> Truth:  # noqa: ANN401 - fields of Truth
    """Return a row that differs from the usual one in ``others``."""
    usual: dict[str, typing.Any] = {"engines": MIXED, "limits": Limits(total=0.75), "asked": 0.9}
    return Truth(name=name, ratio=ratio, **(usual | others))


def truths() -> list[Truth]:
    """Return the rows of the table."""
    return [*_quiet(), *_several_shares(), *_other_engines(), *_disturbed(), *_quick()]


def _quiet() -> collections.abc.Iterator[Truth]:
    for name, (limits, asked) in QUIET_ENDS.items():
        for ratio in (1.0, 1.05, 1.1, 1.3):
            yield planted(f"quiet, {name}", ratio, limits=limits, asked=asked)
    pair = {TP1: MIXED[TP1], TP2: MIXED[TP2]}
    yield from (planted("quiet, p90", ratio) for ratio in (1.02, 2.5))
    yield from (planted("quiet, p90, best is TP4", ratio, best=TP4) for ratio in (1.05, 1.1))
    yield from (planted("quiet, p90, within 10 %", ratio, resolution=0.1) for ratio in (1.0, 1.1))
    yield from (planted("quiet, p90, two candidates", ratio, engines=pair) for ratio in (1.0, 1.1))
    six = {
        Candidate(each.degree, slots): engine._replace(slots=slots)
        for each, engine in MIXED.items()
        for slots in (engine.slots, engine.slots // 2)
    }
    first = Candidate(1, MIXED[TP1].slots)
    yield from (planted("quiet, p90, six candidates", ratio, engines=six, best=first) for ratio in (1.0, 1.1))


def _several_shares() -> collections.abc.Iterator[Truth]:
    """Yield limits with percentiles of their own: at TP1 the first two end at about the same rate."""
    for ttft in (0.053, 0.04):
        name = f"p50 of TTFT at most {1000 * ttft:g} ms and p99 of total latency"
        for ratio, best in ((1.0, TP1), (1.05, TP1), (1.1, TP1), (1.1, TP4)):
            also = ((Limits(ttft=ttft), 0.5),)
            yield planted(name, ratio, limits=Limits(total=0.9), asked=0.99, also=also, best=best)


def _other_engines() -> collections.abc.Iterator[Truth]:
    name = "prefill first, memory in blocks"
    for ends, limits in (
        ("p90 of total latency", Limits(total=0.8)),
        ("p90 of TTFT and TPOT", Limits(ttft=0.1, tpot=0.036)),
    ):
        for ratio, best in ((1.0, TP1), (1.05, TP4), (1.1, TP1), (1.1, TP4), (1.3, TP2)):
            yield planted(f"{name}, {ends}", ratio, engines=PREFILL_FIRST, limits=limits, best=best)
    for latencies in ((290, 255, 205), (250, 200, 150), (300, 180, 120), (360, 220, 110)):
        one = f"one slot, {'/'.join(map(str, latencies))} ms, p99 at most 400 ms"
        yield planted(one, None, engines=_one_slot(latencies), limits=Limits(total=0.4), asked=0.99)
    for words, slots, tpot in (
        ("64 slots, TPOT 60 ms", (64, 64, 64), 0.06),
        ("slots as memory allows, TPOT 60 ms", (27, 100, 240), 0.06),
        ("slots as memory allows, TPOT 30 ms", (27, 100, 240), 0.03),
    ):
        limits = Limits(ttft=1.0, tpot=tpot)
        yield planted(f"8B-like, p99, TTFT 1 s, {words}", None, engines=_large(slots), limits=limits, asked=0.99)


def _disturbed() -> collections.abc.Iterator[Truth]:
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
    ):
        for ratio in (1.0, 1.05, 1.1, 1.3):
            yield planted(name, ratio, disturbance=disturbance, asked=asked)


def _quick() -> collections.abc.Iterator[Truth]:
    usual: dict[str, typing.Any] = {
        "engines": TWO_CORES,
        "way": QUICK,
        "resolution": 0.2,
        "alone_seconds": 2.0,
        "limits": Limits(total=3.8),
    }
    for name, asked, best, disturbance in (
        ("quiet", 0.75, TP1, QUIET),
        ("quiet", 0.9, TP1, QUIET),
        ("quiet, best is TP2", 0.75, TP2, QUIET),
        ("1 of 10 turns 3x slower", 0.75, TP1, Disturbance(slow_share=0.1)),
        ("own AR(0.8), 5 %", 0.75, TP1, Disturbance(own_walk=0.05)),
        ("best 20 % slower in 2 blocks", 0.75, TP1, Disturbance(slow_start=0.2, slow_blocks=2)),
    ):
        for ratio in (1.0, 1.1, 1.3, 1.6, 2.5):
            words = f"quick, p{100 * asked:.0f}, {name}"
            yield planted(words, ratio, **usual, asked=asked, best=best, disturbance=disturbance)
