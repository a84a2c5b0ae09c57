"""The present result of the race, for progress displays."""

import math

from optimal_tp.measurement.progress import Look, Ratio
from optimal_tp.settings.workload import Decision
from optimal_tp.verdict.race.blocks import Standing


def look_at(standing: Standing | None, decision: Decision, *, seconds_left: float) -> Look:
    """Return ``standing`` in the watcher's terms; None: the race has not begun."""
    chosen = None if standing is None else standing.safe
    reason = "no safe choice yet" if chosen is None else f"{chosen.name} is a safe choice"
    return Look(
        blocks=0 if standing is None else standing.blocks,
        reason="nothing compared yet" if standing is None else reason,
        ratios=tuple(
            Ratio(
                first=pair.first.name,
                second=pair.second.name,
                value=math.exp(pair.log_ratio),
                interval=pair.interval.exponentiated(),
            )
            for pair in (() if standing is None else standing.pairs)
            if pair.log_ratio is not None
        ),
        resolution=decision.resolution,
        spent_seconds=decision.budget_seconds - max(0.0, seconds_left),
        budget_seconds=decision.budget_seconds,
    )
