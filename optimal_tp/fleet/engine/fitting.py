"""Fit the model that plans a fleet to a run's turns: an engine where one can be fitted, else service times."""

import dataclasses
import math
import typing

import numpy as np

from optimal_tp.facts.candidates import Candidate
from optimal_tp.fleet.engine.equations import Equations, Timed, equations, is_timed
from optimal_tp.fleet.engine.model import EngineModel
from optimal_tp.fleet.engine.replay import HELD_OUT, checks
from optimal_tp.fleet.engine.step_costs import fit, resampled
from optimal_tp.fleet.simulation.service import served
from optimal_tp.fleet.simulation.times import ServiceTimes, service_times
from optimal_tp.measurement.estimate import percent
from optimal_tp.measurement.turns import counted
from optimal_tp.plan.lengths import Shape

BOOTSTRAP = 60
"""Fits to resampled turns."""
TIMED = 0.9
"""Share of the successful requests whose tokens must be timed and counted."""
SPREAD = 1.5
"""Least ratio of most to fewest sequences in a step; below it their cost cannot be separated from the step's own."""
WORST = 0.25
"""Largest error of the median total latency, at any load of the run, with which an engine is accepted as the model."""
_SEED = 20260701


def server_model(
    candidate: Candidate, timed: typing.Sequence[Timed], slots: int, asked: typing.Sequence[Shape] = ()
) -> EngineModel | ServiceTimes | None:
    """Return the model of one candidate's servers, ``slots`` requests at a time; None without a usable request.

    ``timed`` are its turns with their samples. Those of the stage ``held_out`` are left out. Simulated requests have
    lengths of ``asked``; without any, of the requests that succeeded.
    """
    own = [(turn, samples) for turn, samples in timed if turn.stage != HELD_OUT]
    found = engine_model(candidate, own, slots, asked)
    if isinstance(found, EngineModel):
        return found
    times = service_times(served(own, slots), slots, asked)
    return None if times is None else dataclasses.replace(times, why=found)


def engine_model(
    candidate: Candidate, timed: typing.Sequence[Timed], slots: int, asked: typing.Sequence[Shape] = ()
) -> EngineModel | str:
    """Return the engine fitted to all of ``timed``, or why there is none: the end of a sentence."""
    why = _untimed(timed, slots)
    rows = None if why else equations(timed)
    if rows is None or rows.decoding.sum() < 2:  # noqa: PLR2004 - two costs take two rows
        return why or "answers have one token"
    fewest, most = _levels(rows)
    if most < SPREAD * fewest:
        return "the run measured one concurrency only"
    best = fit(rows)
    if best is None:
        return "no cost of a step could be found"
    answered = [
        Shape(one.prompt_tokens or 0, one.output_tokens or 1)
        for turn, samples in timed
        for one in counted(turn, samples)
        if one.status == "ok" and is_timed(one)
    ]
    lengths = sorted((one.output_tokens, one.prompt_tokens) for one in asked or answered)
    model = EngineModel(
        candidate=candidate,
        slots=slots,
        costs=best.costs,
        resampled=resampled(best, BOOTSTRAP, _SEED),
        prompts=np.array([float(prompt) for _, prompt in lengths]),
        outputs=np.array([output for output, _ in lengths]),
        count=len(answered),
        most_in_flight=min(slots, math.ceil(most)),
        checks=checks(timed, best.costs, slots),
    )
    worst = model.worst(("total_latency_ms", 50.0))
    if worst is not None and abs(worst.error) > WORST:
        return f"a fitted engine misses the median total latency at {worst.load} by {percent(abs(worst.error))}"
    return model


def _untimed(timed: typing.Sequence[Timed], slots: int) -> str:
    """Return why no engine can be fitted; empty if one can."""
    if slots == 1:
        return "a server works on one request at a time"
    good = [one for _, samples in timed for one in samples if one.status == "ok"]
    known = sum(map(is_timed, good)) >= max(1.0, TIMED * len(good))
    return "" if known else "the times of tokens are not known"


def _levels(rows: Equations) -> tuple[float, float]:
    """Return the fewest and the most sequences in a step, each the mean over one request's steps."""
    decoding = rows.decoding
    means = rows.sequences[decoding] / np.maximum(rows.steps[decoding] + rows.prefills[decoding], 1.0)
    low, high = np.quantile(means, [0.02, 0.98])
    return float(max(low, 1.0)), float(high)
