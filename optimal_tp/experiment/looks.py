"""What the race says by now, for whoever watches."""

import math

from optimal_tp.measurement.progress import Look, Ratio
from optimal_tp.verdict.race.blocks import Standing


def look_at(standing: Standing | None) -> Look:
    """Return ``standing`` in the watcher's terms; None is a race that has not begun."""
    if standing is None:
        return Look(blocks=0, reason="nothing compared yet", ratios=())
    reason = "no safe choice yet" if standing.safe is None else f"{standing.safe.name} is a safe choice"
    return Look(
        blocks=standing.blocks,
        reason=reason,
        ratios=tuple(
            Ratio(
                first=pair.first.name,
                second=pair.second.name,
                value=math.exp(pair.log_ratio),
                interval=pair.interval.exponentiated(),
            )
            for pair in standing.pairs
            if pair.log_ratio is not None
        ),
    )
