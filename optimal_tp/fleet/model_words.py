"""The basis of each candidate's figures in words: its model, the model's error, and every extrapolation."""

import math
import typing

from optimal_tp.errors import quantity
from optimal_tp.fleet.engine.model import EngineModel
from optimal_tp.fleet.engine.replay import CHECKED, FEWEST
from optimal_tp.fleet.planning import Carried, FleetPlan
from optimal_tp.fleet.simulation.answers import Percentile
from optimal_tp.fleet.simulation.times import ServiceTimes
from optimal_tp.measurement.estimate import METRIC_WORDS, figure, listed, percent
from optimal_tp.report.tables import Table
from optimal_tp.verdict.latency import METRICS


def model_marks(plan: FleetPlan) -> typing.Iterator[str]:
    """Yield the sentences of every carried candidate."""
    share = max((limit.percent for limit in plan.question.limits), default=99.0) / 100
    reasons: dict[tuple[str, bool], list[str]] = {}
    for one in plan.carried:
        if isinstance(one.times, ServiceTimes) and one.times.why:
            reasons.setdefault((one.times.why, one.times.has_first_tokens), []).append(one.candidate.name)
    for (why, has_first_tokens), names in reasons.items():
        only = "" if has_first_tokens else " Only total latency is planned."
        yield f"Planned from service times, not step by step: {', '.join(names)}, because {why}.{only}"
    for one in plan.carried:
        if isinstance(one.times, EngineModel):
            yield from _engine(one, one.times)
        elif isinstance(one.times, ServiceTimes):
            yield from _service_times(one, one.times, share)


def _engine(one: Carried, model: EngineModel) -> typing.Iterator[str]:
    name, costs = one.candidate.name, model.costs
    order = "have a step of their own" if costs.prefill_first else "share it with the tokens of other requests"
    beside = f"; each request takes {_ms(costs.overhead_seconds)} beside its steps" if costs.overhead_seconds else ""
    several = f", {_ms(costs.batching_seconds)} more if it has several sequences" if costs.batching_seconds else ""
    seen = quantity(model.count, "request", "requests")
    yield (
        f"{name} is simulated step by step: a step takes {_ms(costs.base_seconds)}{several}, "
        f"{_ms(costs.per_sequence_seconds)} for each sequence and {_ms(costs.per_prompt_token_seconds)} for each "
        f"prompt token that enters; prompts {order}{beside}. "
        f"Fitted to {seen} with up to {model.most_in_flight} in a step."
    )
    errors = [
        f"{METRIC_WORDS[metric]} {', '.join(shares)}"
        for metric in METRICS
        if (
            shares := [
                f"p{share:g} {percent(abs(found.error))}"
                for share in CHECKED
                if (found := model.worst((metric, share))) is not None
            ]
        )
    ]
    if errors:
        yield f"{name}'s model error, at most, in the run's own turns: {'; '.join(errors)}. {_included(model)}"
    else:
        yield f"{name}'s model error is not known: no load of the run has 20 requests."
    share = one.sizing.outcome.unmeasured_share
    if share > 0:
        together = quantity(model.most_in_flight, "sequence", "sequences")
        yield (
            f"Extrapolated: {percent(share)} of {name}'s service is with more than {together} in a step, of "
            f"{model.slots} possible; the run measured none, and the fitted line goes on there."
        )


def _included(model: EngineModel) -> str:
    """Return which intervals include the error of a model that was compared at least once."""
    tested = [metric for metric in METRICS if model.worst((metric, 50.0)) is not None]
    untested = [metric for metric in tested if model.worst((metric, 99.0)) is None]
    if not untested:
        return "Every interval includes it."
    which = "" if untested == tested else f" of {listed([METRIC_WORDS[metric] for metric in untested])}"
    return (
        f"p99{which} not tested: no load of the run has {quantity(FEWEST[99.0], 'request', 'requests')}; above p75 "
        "its intervals include the error of p50 instead."
    )


def untested(one: Carried, asked: Percentile) -> str | None:
    """Return that the model was never compared where it is asked, for a mark; None if it was, or needs no model."""
    if not isinstance(one.times, EngineModel):
        return None
    own = one.times.compared(asked)
    return f"p{own:g} not tested" if one.times.worst((asked[0], own)) is None else None


def _ms(seconds: float) -> str:
    return f"{figure(1000 * seconds)} ms"


def _service_times(one: Carried, times: ServiceTimes, share: float) -> typing.Iterator[str]:
    name = one.candidate.name
    enough = math.ceil(math.log(0.05) / math.log(share))
    if times.fewest < enough:
        yield (
            f"Extrapolated: {name} has {quantity(times.fewest, 'service time', 'service times')} at its least measured "
            f"concurrency; below {enough:,} the largest may lie under the true p{100 * share:g} (chance above 5 %), "
            "and no resampling shows what was never seen."
        )
    unmeasured = one.sizing.outcome.unmeasured_share
    if unmeasured > 0:
        levels = ", ".join(map(str, times.levels))
        yield (
            f"Extrapolated: {percent(unmeasured)} of {name}'s service is at concurrencies not measured "
            f"(measured: {levels} of 1 to {times.slots}); they lie on the line through their neighbours."
        )


def check_table(plan: FleetPlan) -> Table:
    """Return the load with the largest error for each metric and percentile, predicted and measured."""
    rows = [
        (
            one.candidate.name,
            METRIC_WORDS[metric],
            f"p{share:g}",
            found.load,
            figure(found.predicted_ms),
            figure(found.measured_ms),
            _signed(found.error),
        )
        for one in plan.carried
        if isinstance(one.times, EngineModel)
        for metric in METRICS
        for share in CHECKED
        if (found := one.times.worst((metric, share))) is not None
    ]
    return Table(
        caption="The model against the run's own turns, in ms: for each figure the load at which it is furthest off",
        heads=("Candidate", "Metric", "Percentile", "Load", "Predicted", "Measured", "Error"),
        rows=tuple(rows),
    )


def _signed(share: float) -> str:
    return f"{100 * share:+.1f} %"
