"""Compare a run with its fleet plan's model; where the plan contradicts the choice, the run is not settled."""

import collections.abc
import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import Estimate, Interval, percent, ranged
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.comparisons import UNIT
from optimal_tp.verdict.findings import DegreeVerdict, Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """One figure of the turn that was held out of the model's fit, beside its prediction."""

    candidate: Candidate
    rate_per_second: float
    metric: LimitedMetric
    percent: float
    predicted_ms: float
    one_turn: Interval
    """Range of the figure in a single turn of this length, 95 % of the time, if the model is right; milliseconds."""
    measured_ms: float

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted_ms / self.measured_ms - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedCapacity:
    """A candidate's performance per core by the plan's model: the figure that the race compares, found another way."""

    candidate: Candidate
    per_core: Estimate
    """Requests per second within the limits, or without limits saturated output tokens per second. The interval covers
    the model's stated error and the chance of the samples."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WhatIf:
    """The models' answer to a question that was not measured: an extrapolation, never a verdict."""

    question: str
    """The words after "with": "twice the output tokens"."""
    capacities: tuple[PlannedCapacity, ...]
    """Of the candidates that could serve it, at the run's limits."""
    model_error: float
    """Largest error of the models in the run's own turns, as a share of the median total latency."""

    @property
    def first(self) -> str | None:
        """The candidate whose interval lies above every other's; None where there is none."""
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
    """Return ``verdict``, not settled where ``prediction`` contradicts its choice; that reason then comes first."""
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


UNCHECKED = "this choice was not compared with the run's fleet plan; optimal-tp report compares them"
"""The caveat of a verdict that was not compared with a plan."""


def unchecked(verdict: Verdict) -> Verdict:
    """Return ``verdict`` with the caveat UNCHECKED if a plan could contradict its choice, where none can be made."""
    compared = any(degree.word == "dominated" for degree in verdict.degrees)
    if verdict.chosen is None or not compared:
        return verdict
    return dataclasses.replace(verdict, caveats=(*verdict.caveats, UNCHECKED))


def _unsettled(degree: DegreeVerdict) -> DegreeVerdict:
    return dataclasses.replace(degree, word="inconclusive") if degree.word == "chosen" else degree


def contradiction(verdict: Verdict, prediction: Prediction) -> str | None:
    """Return why the plan contradicts the choice, in a sentence; None where it does not.

    The plan contradicts it where another candidate is better than the chosen one by more than the resolution, even at
    the near ends of both intervals.
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
        f"{verdict.chosen} {ranged(chosen)}, more than {percent(verdict.resolution)} apart even with its stated error; "
        "one of the two is wrong, so look at the turns held out of the model, and measure again"
    )
