"""What a fleet's plan says of a run, beside what was measured; where it contradicts the choice, nothing is settled."""

import collections.abc
import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import Estimate, Interval, percent, ranged
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.verdict.comparisons import UNIT
from optimal_tp.verdict.findings import DegreeVerdict, Verdict

PLANNED_WORDS = {"total_ms": "total latency", "ttft_ms": "time to first token", "tpot_ms": "time per output token"}
"""The plan's metrics in words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """One figure of the turn that no model was fitted to, beside its prediction."""

    candidate: Candidate
    rate_per_second: float
    metric: typing.Literal["total_ms", "ttft_ms", "tpot_ms"]
    percent: float
    predicted_ms: float
    one_turn: Interval
    """Where the figure of a single turn as long falls, 95 % of the time, if the model is right; milliseconds."""
    measured_ms: float

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted_ms / self.measured_ms - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedCapacity:
    """What the plan's model says that a candidate does per core: what the race compares, found another way."""

    candidate: Candidate
    per_core: Estimate
    """Requests per second within the limits, else saturated output tokens per second; the interval has the model's
    stated error and the samples' chance."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What the models say of something that was not measured: an extrapolation, never a verdict."""

    question: str
    """The end of "with": "twice the output tokens"."""
    capacities: tuple[PlannedCapacity, ...]
    """Of the candidates that could serve it, at the run's limits."""
    model_error: float
    """How far the models were off in the run's own turns, at most, as a share of the median total latency."""

    @property
    def first(self) -> str | None:
        """The candidate that gives more than every other at the near ends of their intervals; None where none does."""
        best = max(self.capacities, key=lambda one: one.per_core.value, default=None)
        if best is None or best.per_core.interval.low is None:
            return None
        low = best.per_core.interval.low
        others = [one.per_core.interval for one in self.capacities if one is not best]
        return best.candidate.name if all(each.is_below(low) for each in others) else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """The plan's model of a run, as far as it could be made."""

    capacities: tuple[PlannedCapacity, ...]
    held_out: tuple[HeldOut, ...]
    what_if: tuple[WhatIf, ...] = ()


Predict = collections.abc.Callable[[RunRecord, typing.Sequence[Sample], Verdict], Prediction]
"""Returns the plan's prediction of an audited run."""


def agreed(verdict: Verdict, prediction: Prediction) -> Verdict:
    """Return ``verdict``, as not settled where ``prediction`` contradicts its choice; that reason comes first."""
    why = contradiction(verdict, prediction)
    if why is None:
        return verdict
    return dataclasses.replace(
        verdict,
        outcome="inconclusive",
        chosen=None,
        chosen_degree=None,
        provisional=verdict.chosen,
        reasons=(why, *verdict.reasons),
        degrees=tuple(_unsettled(degree) for degree in verdict.degrees),
    )


UNCHECKED = (
    "whether the fleet plan made from the same run agrees was not checked where the run was judged; optimal-tp report "
    "checks it"
)
"""The caveat of a verdict that no plan was held against."""


def unchecked(verdict: Verdict) -> Verdict:
    """Return ``verdict``, reached where no plan can be made, with that caveat if a plan could contradict its choice."""
    compared = any(degree.word == "dominated" for degree in verdict.degrees)
    if verdict.chosen is None or not compared:
        return verdict
    return dataclasses.replace(verdict, caveats=(*verdict.caveats, UNCHECKED))


def _unsettled(degree: DegreeVerdict) -> DegreeVerdict:
    return dataclasses.replace(degree, word="inconclusive") if degree.word == "chosen" else degree


def contradiction(verdict: Verdict, prediction: Prediction) -> str | None:
    """Return why the plan contradicts the choice, in a sentence; None where it does not.

    It does where another candidate gives more than the resolution more than the chosen one, even at the ends of both
    intervals.
    """
    planned = {one.candidate.name: one.per_core for one in prediction.capacities}
    chosen = None if verdict.chosen is None else planned.get(verdict.chosen)
    compared = {degree.name for degree in verdict.degrees if degree.word == "dominated"}
    if chosen is None or chosen.interval.high is None:
        return None
    bound = chosen.interval.high * (1 + verdict.resolution)
    beyond = {name: one for name, one in planned.items() if name in compared and one.interval.is_above(bound)}
    if not beyond:
        return None
    best = max(beyond, key=lambda name: beyond[name].value)
    return (
        f"the plan contradicts the blocks: its model gives {best} {ranged(beyond[best])} {UNIT[verdict.criterion]} and "
        f"{verdict.chosen} {ranged(chosen)}, more than {percent(verdict.resolution)} apart with its stated error; one "
        "of the two is wrong, so look at the turns held out of the model, and measure again"
    )
