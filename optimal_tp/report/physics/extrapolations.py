"""What would change the answer, in words: extrapolations of the models that were fitted to the run."""

from optimal_tp.measurement.estimate import name_list, percent, ranged
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.comparisons import UNIT
from optimal_tp.verdict.predictions import WhatIf

WHAT_IF_TOPIC = "What if"
WHAT_IF_HEADS = ("With", "Would lead", "Candidates", "Model error")


def what_ifs(analysis: Analysis) -> tuple[WhatIf, ...]:
    """Return the extrapolations of ``analysis``; none where the models could not be made, as in the generator's pod."""
    return () if analysis.prediction is None else analysis.prediction.what_if


def what_if_claim(analysis: Analysis) -> str:
    """Return what would change the answer; empty where nothing was extrapolated."""
    found = what_ifs(analysis)
    if not found:
        return ""
    parts = [f"with {one.question} {_short(one)}" for one in found]
    error = percent(max(one.model_error for one in found))
    return (
        f"Extrapolated by the models fitted to this run, not measured, at the same limits: {'; '.join(parts)}. The "
        f"models miss the run's own median latencies by up to {error}; measure before you rely on it."
    )


def _short(one: WhatIf) -> str:
    names = name_list(each.candidate for each in one.capacities)
    return f"{names} are too close to call" if one.first is None else f"{one.first} would lead"


def what_if_rows(analysis: Analysis) -> tuple[tuple[str, ...], ...]:
    """Return a row per extrapolation under ``WHAT_IF_HEADS``."""
    unit = UNIT[analysis.verdict.criterion]
    return tuple(
        (
            one.question,
            one.first or "too close to call",
            "; ".join(f"{each.candidate.name} {ranged(each.per_core, unit)}" for each in one.capacities),
            percent(one.model_error),
        )
        for one in what_ifs(analysis)
    )
