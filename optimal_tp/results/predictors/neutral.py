"""Our own neutral form of predictions, for planners whose output no reader knows: CSV or JSON, units in the names."""

import json
import typing

from optimal_tp.results.predictors.cells import Sheet
from optimal_tp.verdict.predictors.stated import Stated, StatedRow

COLUMNS = (
    "predictor",
    "version",
    "model",
    "degree",
    "batch",
    "in_flight",
    "input_tokens",
    "output_tokens",
    "ttft_ms",
    "tpot_ms",
    "output_tokens_per_second",
    "requests_per_second",
    "cores",
)
"""Columns in their order; docs/how-to/predictions.md explains each. Only ``degree`` and one figure are needed."""
FIGURES = ("ttft_ms", "tpot_ms", "output_tokens_per_second", "requests_per_second")


def fits(sheet: Sheet) -> bool:
    """Whether the file is of this form."""
    return "degree" in sheet.columns


def stated(sheet: Sheet) -> Stated:
    """Return the predictions; their errors are added to ``sheet.problems``."""
    rows = []
    for cells in sheet.rows:
        cells.knows_only(COLUMNS)
        degree = cells.count("degree", needed=True)
        row = StatedRow(
            place=cells.place,
            degree=degree or 1,
            batch=cells.count("batch"),
            in_flight=cells.number("in_flight"),
            ttft_ms=cells.number("ttft_ms"),
            tpot_ms=cells.number("tpot_ms"),
            output_tokens_per_second=cells.number("output_tokens_per_second"),
            requests_per_second=cells.number("requests_per_second"),
            cores=cells.count("cores") or degree or 1,
            input_tokens=cells.number("input_tokens"),
            output_tokens=cells.number("output_tokens"),
            model=cells.text("model"),
        )
        if cells.text(*FIGURES) is None:
            cells.fault("figures", None, f"must have at least one of {', '.join(FIGURES)}")
        rows.append(row)
    first = sheet.rows[0] if sheet.rows else None
    name = None if first is None else first.text("predictor")
    return Stated(
        predictor=name or sheet.name,
        version=None if first is None else first.text("version"),
        file=sheet.name,
        rows=tuple(rows),
    )


def encode(stated: Stated) -> str:
    """Return ``stated`` in this form, as indented JSON that the functions ``fits`` and ``stated`` can read."""
    head: dict[str, typing.Any] = {"predictor": stated.predictor, "version": stated.version}
    rows = [{name: value for name in COLUMNS if (value := getattr(row, name, None)) is not None} for row in stated.rows]
    head = {name: value for name, value in head.items() if value is not None}
    return json.dumps({**head, "rows": rows}, indent=1, allow_nan=False) + "\n"
