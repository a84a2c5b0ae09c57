"""Vidur's ``analysis/stats.csv``: each row is one configuration at one simulated rate, times in seconds.

Columns and their meaning: microsoft/vidur, vidur/config_optimizer/analyzer/stats_extractor.py at e26eb8f, read
2026-11-27. ``tbt`` is the time of a step that makes one token for each request: a time per output token.
"""

from optimal_tp.errors import quantity
from optimal_tp.results.predictors.cells import Sheet
from optimal_tp.verdict.predictors.stated import Stated, StatedRow

_DEGREE = "replica_num_tensor_parallel_workers"
_LONGEST_DELAY_SECONDS = 5.0
"""Scheduling delay, 99th percentile, above which Vidur's own search calls a rate too high: queues grow."""


def fits(sheet: Sheet) -> bool:
    """Whether the file is Vidur's."""
    return _DEGREE in sheet.columns


def stated(sheet: Sheet) -> Stated:
    """Return the predictions; their errors are added to ``sheet.problems``."""
    rows: list[StatedRow] = []
    others = full = 0
    for cells in sheet.rows:
        degree = cells.count(_DEGREE, needed=True) or 1
        if (cells.number("replica_num_pipeline_stages") or 1) != 1:
            others += 1
            continue
        if (cells.number("request_scheduling_delay_99%", zero_is_none=True) or 0) > _LONGEST_DELAY_SECONDS:
            full += 1
            continue
        ttft, tbt = cells.number("ttft_50%"), cells.number("tbt_50%")
        rows.append(
            StatedRow(
                place=cells.place,
                degree=degree,
                batch=cells.count("replica_scheduler_batch_size_cap"),
                ttft_ms=None if ttft is None else 1000 * ttft,
                tpot_ms=None if tbt is None else 1000 * tbt,
                requests_per_second=cells.number("poisson_request_interval_generator_qps", needed=True),
                cores=degree * (cells.count("cluster_num_replicas") or 1),
                model=cells.text("replica_model_name"),
            )
        )
    notes = [f"{quantity(others, 'row has', 'rows have')} pipeline stages: left out"] if others else []
    if full:
        notes.append(
            f"{quantity(full, 'row has', 'rows have')} queues that grow (scheduling delay above 5 s): left out"
        )
    return Stated(predictor="Vidur", version=None, file=sheet.name, rows=tuple(rows), notes=tuple(notes))
