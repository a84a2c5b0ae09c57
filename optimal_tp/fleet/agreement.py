"""A run's prediction of itself: the plan's models, for the point that the verdict compares and for held-out turns."""

import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.fleet.demand import lengths_asked
from optimal_tp.fleet.engine.equations import Timed
from optimal_tp.fleet.engine.fitting import server_model
from optimal_tp.fleet.engine.replay import held_out
from optimal_tp.fleet.highest_rate import planned_capacity
from optimal_tp.fleet.simulation.answers import ServerModel
from optimal_tp.fleet.simulation.arrivals import Routing
from optimal_tp.fleet.what_if import what_if
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import of
from optimal_tp.verdict.evidence import examine
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.predictions import HeldOut, PlannedCapacity, Prediction


def predicted(
    record: RunRecord, samples: typing.Sequence[Sample], verdict: Verdict, *, extrapolates: bool = True
) -> Prediction:
    """Return what the models of an audited run predict; candidates without a model are left out.

    Without ``extrapolates`` it says nothing of what was not measured, and takes less time.
    """
    if verdict.outcome == "void":
        return Prediction(capacities=(), held_out=())
    settings = record.settings
    servers = {each.candidate: (len(each.urls), each.cores_used) for each in record.degrees}
    capacities: list[PlannedCapacity] = []
    rows: list[HeldOut] = []
    found_models = models(record, samples, verdict)
    for candidate, (model, own) in found_models.items():
        replicas, cores = servers[candidate]
        found = planned_capacity(model, settings, max(1, replicas))
        if found is not None:
            capacities.append(PlannedCapacity(candidate=candidate, per_core=found.scaled(1 / cores)))
        rows += held_out_rows(model, own, settings.load.routing)
    engines = {candidate: model for candidate, (model, _) in found_models.items()} if extrapolates else {}
    return Prediction(capacities=tuple(capacities), held_out=tuple(rows), what_if=what_if(record, engines))


def models(
    record: RunRecord, samples: typing.Sequence[Sample], verdict: Verdict
) -> dict[Candidate, tuple[ServerModel, list[Timed]]]:
    """Return the model of every valid candidate that has one, with the candidate's sound turns."""
    sound = examine(record, samples).turns
    found: dict[Candidate, tuple[ServerModel, list[Timed]]] = {}
    for candidate in sorted(each.candidate for each in verdict.degrees if each.word != "invalid"):
        own: list[Timed] = [pair for pair in sound if of(pair[0]) == candidate]
        model = model_of(record, candidate, own) if own else None
        if model is not None:
            found[candidate] = (model, own)
    return found


def model_of(record: RunRecord, candidate: Candidate, own: typing.Sequence[Timed]) -> ServerModel | None:
    """Return the model of one candidate from ``own``, its sound turns; None without a usable request."""
    return server_model(candidate, own, record.settings.model.batch_of(candidate), lengths_asked(record, own))


def held_out_rows(model: ServerModel, own: typing.Sequence[Timed], routing: Routing) -> tuple[HeldOut, ...]:
    """Return the figures of the turns of ``own`` that the model was not fitted to, with their predictions."""
    samples = [sample for _, taken in own for sample in taken]
    return held_out(model, [turn for turn, _ in own], samples, routing=routing)
