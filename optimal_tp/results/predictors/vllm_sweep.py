"""Files of ``vllm bench sweep serve``: ``summary.csv``, ``summary.json``, or one ``run=N.json``.

Keys: vllm-project/vllm 0.32.0, vllm/benchmarks/serve.py and benchmarks/sweep/, read 2026-11-27. Rows hold server flags
only where they were swept, with dashes or underscores. TPOT leaves the first token out; rates are those of one server.
"""

import dataclasses
import math
import typing

from optimal_tp.errors import quantity
from optimal_tp.results.predictors.cells import Cells, Sheet
from optimal_tp.verdict.predictors.stated import Stated, StatedRow

_DEGREE = ("tensor_parallel_size", "tensor-parallel-size", "tp")
_BATCH = ("max_num_seqs", "max-num-seqs")
_OTHER_WAYS = (
    ("pipeline_parallel_size", "pipeline-parallel-size", "pp"),
    ("data_parallel_size", "data-parallel-size", "dp"),
)
_AVERAGED = ("ttft_ms", "tpot_ms", "output_tokens_per_second", "requests_per_second", "input_tokens", "output_tokens")


def fits(sheet: Sheet) -> bool:
    """Whether the file is of ``vllm bench``."""
    return "output_throughput" in sheet.columns


def stated(sheet: Sheet) -> Stated:
    """Return the measurements as predictions; their errors are added to ``sheet.problems``."""
    groups: dict[tuple[object, ...], list[StatedRow]] = {}
    others = failed = 0
    for cells in sheet.rows:
        if any((cells.number(*names) or 1) != 1 for names in _OTHER_WAYS):
            others += 1
            continue
        failed += (cells.text("failed") or "0") not in ("0", "0.0")
        row = _row(cells, sheet)
        load = (row.degree, row.batch, row.in_flight, cells.text("request_rate"))
        groups.setdefault(load, []).append(row)
    notes = (
        [f"{quantity(others, 'row is', 'rows are')} left out: split in other ways than by tensor parallelism"]
        if others
        else []
    )
    if failed:
        notes.append(f"requests failed in {quantity(failed, 'row', 'rows')}")
    rows = tuple(_mean(own) for own in groups.values())
    return Stated(predictor="vllm bench", version=None, file=sheet.name, rows=rows, notes=tuple(notes))


def _row(cells: Cells, sheet: Sheet) -> StatedRow:
    degree = cells.count(*_DEGREE)
    if degree is None and sheet.degree is None:
        rule = "must be in the row; vllm bench writes it only where the degree was swept"
        cells.fault(_DEGREE[0], cells.text(*_DEGREE), rule, f"name the file as tp2={sheet.name}")
    completed = cells.number("completed")
    prompt, output = cells.number("total_input_tokens"), cells.number("total_output_tokens")
    return StatedRow(
        place=cells.place,
        degree=degree or sheet.degree or 1,
        batch=cells.count(*_BATCH),
        in_flight=cells.number("max_concurrency"),
        ttft_ms=cells.number("median_ttft_ms", "mean_ttft_ms"),
        tpot_ms=cells.number("median_tpot_ms", "mean_tpot_ms", zero_is_none=True),
        output_tokens_per_second=cells.number("output_throughput", needed=True),
        requests_per_second=cells.number("request_goodput", "request_goodput:", zero_is_none=True),
        cores=degree or sheet.degree or 1,
        input_tokens=None if completed is None or prompt is None else prompt / completed,
        output_tokens=None if completed is None or output is None else output / completed,
        model=cells.text("model_id"),
    )


def _mean(own: typing.Sequence[StatedRow]) -> StatedRow:
    """Return the mean of repeated runs of one load: the best of them would be chosen by noise."""
    means: dict[str, typing.Any] = {}
    for name in _AVERAGED:
        known = [value for row in own if (value := getattr(row, name)) is not None]
        means[name] = math.fsum(known) / len(known) if len(known) == len(own) else None
    return dataclasses.replace(own[0], **means)
