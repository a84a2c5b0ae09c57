"""A run under way as the bucket has it."""

import math

from optimal_tp.measurement.estimate import Interval
from optimal_tp.measurement.progress import Look, Progress, Ratio
from tests.fakes_candidates import TP1, TP2

PROGRESS = Progress(
    run="20260701T120000Z-aaaa",
    model="Qwen/Qwen3-0.6B",
    model_title="",
    candidates=(TP1, TP2),
    region="ap-southeast-4",
    started=0.0,
    stage_started=0.0,
    written=0.0,
)


def look(blocks: int, low: float, high: float) -> Look:
    """Return a look at TP1 against TP2 with this interval."""
    ratio = Ratio(first="TP1", second="TP2", value=math.sqrt(low * high), interval=Interval(low=low, high=high))
    return Look(blocks=blocks, reason="settled", ratios=(ratio,))
