"""The engine fitted to a run, ready to be simulated."""

import dataclasses
import functools
import math

import numpy as np

from optimal_tp.facts.candidates import Candidate
from optimal_tp.fleet.engine.step_costs import Costs
from optimal_tp.fleet.engine.stepping import Work, run
from optimal_tp.fleet.simulation.answers import Answers, Percentile
from optimal_tp.settings.workload import LimitedMetric

SATURATED = 60
"""Requests for each slot in the simulation of a full server."""
CAPACITY_SAMPLES = 100
"""Bootstrap samples behind the lower end of a server's capacity."""
_SETTLING = 0.25
_UPPER = 75.0
"""Percentiles above this one take the error of p99, the others that of the median."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadCheck:
    """One measured figure of a load of the run, beside the model's figure for the same sends."""

    load: str
    """In words: "4 in flight", "3.20 requests/s"."""
    metric: LimitedMetric
    percent: float
    predicted_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted_ms / self.measured_ms - 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DrawnEngine:
    """One set of costs with the run's requests."""

    costs: Costs
    slots: int
    seen: int
    prompts: np.ndarray
    outputs: np.ndarray

    def answers(self, arrivals: np.ndarray, servers: int, generator: np.random.Generator) -> Answers:
        """Simulate ``servers`` behind one router with requests at ``arrivals``, in seconds, ascending.

        Each request has the lengths of one of the run.
        """
        which = generator.integers(len(self.prompts), size=len(arrivals))
        work = Work(arrivals, self.prompts[which], self.outputs[which], generator.random(len(arrivals)), 0, 0.0)
        totals, firsts, taken, unseen = run(work, self.costs.engine(self.slots, self.seen), servers)
        overhead = self.costs.overhead_seconds
        return Answers(
            totals=totals + overhead,
            firsts=firsts + overhead,
            tokens=self.outputs[which],
            taken_seconds=taken,
            unmeasured_seconds=unseen,
        )

    def saturated_per_second(self) -> float:
        """Return the requests per second of one server that always has its slots full."""
        # Simulate every measured request equally often, so that their mean is the run's.
        count = len(self.prompts) * math.ceil((SATURATED * self.slots + 400) / len(self.prompts))
        which = np.random.default_rng(20260701).permutation(count) % len(self.prompts)
        work = Work(np.zeros(count), self.prompts[which], self.outputs[which], np.zeros(count), self.slots, 0.0)
        totals, _, _, _ = run(work, self.costs.engine(self.slots, self.seen), 1)
        # In a closed loop each request begins when another ends, so service times add up to slots x elapsed time.
        kept = slice(int(_SETTLING * count), None)
        return float(self.slots / np.mean(totals[kept]))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EngineModel:
    """The engine fitted to one candidate's turns."""

    candidate: Candidate
    slots: int
    costs: Costs
    resampled: tuple[Costs, ...]
    """Fits to bootstrap samples of the run's turns."""
    prompts: np.ndarray
    """Prompt tokens of the run's requests, ordered by their output tokens."""
    outputs: np.ndarray
    """Output tokens of the same requests."""
    count: int
    """Requests measured."""
    most_in_flight: int
    """Most sequences that the run measured in one step of one server."""
    checks: tuple[LoadCheck, ...]

    @property
    def has_first_tokens(self) -> bool:
        """An engine is fitted to tokens, so they are known."""
        return True

    @property
    def mean_output_tokens(self) -> float:
        """Output tokens of the mean request."""
        return float(np.mean(self.outputs))

    def drawn(self, generator: np.random.Generator | None = None) -> DrawnEngine:
        """Return the engine as fitted; with ``generator`` one of the bootstrap's fits, with lengths drawn again."""
        if generator is None or not self.resampled:
            return self._with(self.costs, self.prompts, self.outputs)
        costs = self.resampled[int(generator.integers(len(self.resampled)))]
        # Keep the order, so that a simulation with the same arrivals meets about the same requests.
        which = np.sort(generator.integers(len(self.outputs), size=len(self.outputs)))
        return self._with(costs, self.prompts[which], self.outputs[which])

    def _with(self, costs: Costs, prompts: np.ndarray, outputs: np.ndarray) -> DrawnEngine:
        return DrawnEngine(costs=costs, slots=self.slots, seen=self.most_in_flight, prompts=prompts, outputs=outputs)

    @functools.cached_property
    def capacity_per_second(self) -> float:
        """Requests per second that one server completes with every slot taken, simulated."""
        return self.drawn().saturated_per_second()

    @functools.cached_property
    def least_capacity_per_second(self) -> float:
        """The lower end (97.5 %) of this capacity, by the bootstrap."""
        generator = np.random.default_rng(20260701)
        found = [self.drawn(generator).saturated_per_second() for _ in range(CAPACITY_SAMPLES)]
        return min(self.capacity_per_second, float(np.quantile(found, 0.025)))

    def worst(self, asked: Percentile) -> LoadCheck | None:
        """Return the check with the largest error for a metric and percentile; None if none was possible."""
        own = [one for one in self.checks if (one.metric, one.percent) == asked]
        return max(own, key=lambda one: abs(one.error), default=None)

    def error(self, asked: Percentile) -> float:
        """Return the largest error in the run's own turns, as a share: of p99 for percentiles above 75, else p50.

        If there were too few requests for the one, the other's error is used; 0 without any check.
        """
        own = self.compared(asked)
        other = ({50.0, 99.0} - {own}).pop()
        found = [one for share in (own, other) if (one := self.worst((asked[0], share))) is not None]
        return abs(found[0].error) if found else 0.0

    def compared(self, asked: Percentile) -> float:
        """Return the percentile whose error a percentile takes, if the run has the requests for it."""
        return 99.0 if asked[1] > _UPPER else 50.0
