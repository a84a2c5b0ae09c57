"""What would change the answer: the run's fitted engines, applied to other lengths and to the family's next model.

This is an extrapolation, never a verdict: the engines were fitted to the lengths and the model of the run, and nothing
else was measured.
"""

import collections.abc
import dataclasses

import numpy as np

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import MEMORY_PER_LOGICAL_CORE_GB
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.physics import Physics
from optimal_tp.facts.shapes import ModelShape, parameters
from optimal_tp.fleet.engine.model import EngineModel
from optimal_tp.fleet.highest_rate import planned_capacity
from optimal_tp.fleet.simulation.answers import ServerModel
from optimal_tp.measurement.run import RunRecord
from optimal_tp.plan.fit import BYTES_PER_GIB, fit
from optimal_tp.plan.roofline import work
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.predictions import PlannedCapacity, WhatIf

Change = collections.abc.Callable[[Candidate, EngineModel], EngineModel | None]
"""Returns the changed engine; None if the changed model could not be served."""


LEAST_GROWTH = 1.25
"""Least ratio of parameters at which a model counts as larger than the measured one, not as another edition of it."""
_READINGS = (
    (True, "if a step grows as what it reads and computes"),
    (False, "if a step grows by no more than physics demands"),
)


def what_if(record: RunRecord, models: collections.abc.Mapping[Candidate, ServerModel]) -> tuple[WhatIf, ...]:
    """Return what the run's engines predict for twice the output, half the prompt, and the family's next model.

    Empty if fewer than two candidates have a fitted engine: service times alone predict nothing for other lengths.
    """
    engines = {each: model for each, model in models.items() if isinstance(model, EngineModel)}
    if len(engines) < 2:  # noqa: PLR2004 - nothing to choose from
        return ()
    found = [
        _asked("twice the output tokens", record, engines, lambda _, engine: _lengths(engine, outputs=2.0)),
        _asked("half the prompt tokens", record, engines, lambda _, engine: _lengths(engine, prompts=0.5)),
    ]
    larger = None if record.physics is None else next_of_family(record.physics.shape, record.settings.model.name)
    if record.physics is not None and larger is not None:
        name, shape = larger
        for scales, words in _READINGS:
            change = _Larger(record.physics, shape, record.settings, scales)
            found.append(_asked(f"the next model of the family, {name} ({words})", record, engines, change))
    return tuple(one for one in found if len(one.capacities) > 1)


def next_of_family(shape: ModelShape, measured: str) -> tuple[str, ModelShape] | None:
    """Return name and shape of the smallest known model of the family that is really larger; None without one.

    ``measured`` is the name of the model with ``shape``. A known model counts as the same model if it has that name, or
    if only the number of layers differs, as in a practice run.
    """
    title = _title(measured)
    same = (each for name, each in SHAPES.items() if _title(name) == title or _differs_in_layers(shape, each))
    least = LEAST_GROWTH * max(map(parameters, (shape, *same)))
    larger = {name: each for name, each in SHAPES.items() if each.family == shape.family and parameters(each) > least}
    name = min(larger, key=lambda each: parameters(larger[each]), default=None)
    return None if name is None else (name, larger[name])


def _title(name: str) -> str:
    """Return the last part of a model's name, in lower case: a copy in another place is the same model."""
    return name.rstrip("/").rpartition("/")[2].lower()


def _differs_in_layers(shape: ModelShape, other: ModelShape) -> bool:
    return dataclasses.replace(shape, layers=other.layers) == other


def _asked(
    question: str, record: RunRecord, engines: collections.abc.Mapping[Candidate, EngineModel], change: Change
) -> WhatIf:
    cores = {each.candidate: each.cores_used for each in record.degrees}
    capacities = []
    for candidate, engine in engines.items():
        changed = change(candidate, engine)
        replicas = max(1, cores[candidate] // candidate.degree)
        found = None if changed is None else planned_capacity(changed, record.settings, replicas)
        if found is not None:
            capacities.append(PlannedCapacity(candidate=candidate, per_core=found.scaled(1 / cores[candidate])))
    error = max((engine.error(("total_latency_ms", 50.0)) for engine in engines.values()), default=0.0)
    return WhatIf(question=question, capacities=tuple(capacities), model_error=error)


def _lengths(engine: EngineModel, *, prompts: float = 1.0, outputs: float = 1.0) -> EngineModel:
    """Return ``engine`` with other lengths; its costs, its errors and its measured range stay."""
    return dataclasses.replace(
        engine,
        prompts=np.maximum(1.0, np.round(engine.prompts * prompts)),
        outputs=np.maximum(1, np.round(engine.outputs * outputs)).astype(engine.outputs.dtype),
    )


@dataclasses.dataclass(frozen=True)
class _Larger:
    """Serves ``shape`` with the engines of another model.

    Either the whole step grows in proportion to what it reads and computes; or it grows only by as much as the physical
    floor grows, because the host's part of it stays. The truth lies between.
    """

    physics: Physics
    shape: ModelShape
    settings: WorkloadSettings
    scales: bool

    def __call__(self, candidate: Candidate, engine: EngineModel) -> EngineModel | None:
        """Return the engine for ``shape``; None if the model does not fit into Trainium2's memory."""
        old, new, roof = self.physics.shape, self.shape, self.physics.roof
        if roof.kind == "published" and not _fits(candidate, engine.slots, self.physics, new, self.settings):
            return None
        context = float(np.mean(engine.prompts) + np.mean(engine.outputs) / 2)
        byte = self.physics.dtype_bytes / candidate.degree / roof.bytes_per_second
        flop = 0.0 if roof.flop_per_second is None else 1 / (roof.flop_per_second * candidate.degree)
        weights = (work.step_weights(old), work.step_weights(new), byte)
        values = (work.kv_values(old, context), work.kv_values(new, context), byte)
        products = (work.layer_flop(old), work.layer_flop(new), flop)
        grown = [
            dataclasses.replace(
                costs,
                base_seconds=self._grown(costs.base_seconds, *weights),
                # The floor under the step is in the base already.
                batching_seconds=self._grown(costs.batching_seconds, *weights[:2], 0.0),
                per_sequence_seconds=self._grown(costs.per_sequence_seconds, *values),
                per_prompt_token_seconds=self._grown(costs.per_prompt_token_seconds, *products),
            )
            for costs in (engine.costs, *engine.resampled)
        ]
        return dataclasses.replace(engine, costs=grown[0], resampled=tuple(grown[1:]))

    def _grown(self, cost: float, before: float, after: float, seconds_each: float) -> float:
        """Return the cost of a part of a step after the amount that it reads or computes has changed."""
        return cost * after / before if self.scales else cost + (after - before) * seconds_each


def _fits(candidate: Candidate, slots: int, physics: Physics, shape: ModelShape, settings: WorkloadSettings) -> bool:
    return fit(
        shape,
        candidate.degree,
        max_model_len_tokens=settings.model.max_model_len_tokens,
        max_num_seqs=slots,
        dtype_bytes=physics.dtype_bytes,
        gib_per_core=MEMORY_PER_LOGICAL_CORE_GB * 10**9 / BYTES_PER_GIB,
    ).fits
