"""The state of each candidate during the experiment, its next turn, and the order of candidates in a block."""

import collections.abc
import dataclasses
import random

from optimal_tp.facts.candidates import Candidate
from optimal_tp.loadgen.counted import Counted
from optimal_tp.measurement.run import DegreeRecord
from optimal_tp.plan.schedule import Arrivals
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.race.rates import Bracket


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextTurn:
    """The load of a candidate's next turn."""

    arrivals: Arrivals
    counted: Counted | None = None
    seconds: float | None = None
    requests: int | None = None


@dataclasses.dataclass(kw_only=True)
class Course:
    """The state of one candidate during the experiment."""

    servers: int
    cores_used: int
    slots: int
    """Requests that all its servers together work on at a time."""
    alone_seconds: float | None = None
    """Median total latency of one request at a time; None before it was measured, or if none succeeded."""
    latency_seconds: float | None = None
    """Mean total latency of the last turn's successful counted requests."""
    bracket: Bracket | None = None
    searched: int = 0
    """Turns of its bracket so far."""
    log_rate: float | None = None
    """Log rate of its last open turn, per core."""
    last_held: bool = False
    """Whether its last open turn held the limits."""
    slots_steps: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    """Without limits: requests in flight and log throughput of each step."""
    is_slow: bool = False
    """Whether it missed the limits at every rate of its bracket."""
    slow_shares: list[dict[float, float]] = dataclasses.field(default_factory=list)
    """For each turn with one request at a time: by required share, the measured share within the limits."""

    @property
    def busiest(self) -> int:
        """Requests in flight at its best step; before the first step, one for each server."""
        return max(self.slots_steps, key=lambda step: step[1])[0] if self.slots_steps else self.servers


def courses_of(degrees: collections.abc.Iterable[DegreeRecord], settings: WorkloadSettings) -> dict[Candidate, Course]:
    """Return the initial state of every candidate in ``degrees`` that can be measured."""
    return {
        each.candidate: Course(
            servers=len(each.urls),
            cores_used=each.cores_used,
            slots=len(each.urls) * settings.model.batch_of(each.candidate),
        )
        for each in degrees
        if each.gate is None
    }


def block_orders(
    candidates: collections.abc.Sequence[Candidate], draw: random.Random
) -> collections.abc.Iterator[list[Candidate]]:
    """Yield the order of ``candidates`` in each block: random, but each takes every place equally often.

    The orders are the shuffled rows of a Latin square of a random permutation; then those of another square.
    """
    while True:
        drawn = draw.sample(candidates, len(candidates))
        shifts = list(range(len(drawn)))
        draw.shuffle(shifts)
        for shift in shifts:
            yield drawn[shift:] + drawn[:shift]
