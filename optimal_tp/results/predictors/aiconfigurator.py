"""AIConfigurator's ``best_config_topn.csv`` and ``pareto.csv`` for servers that do prefill and decode ("agg").

Columns and their meaning: ai-dynamo/aiconfigurator, sdk/common.py and cli/report_and_save.py of release 0.11.0,
read 2026-11-27. ``tokens/s/gpu`` counts output tokens; ``concurrency`` is that of one replica.
"""

from optimal_tp.errors import quantity
from optimal_tp.results.predictors.cells import Cells, Sheet
from optimal_tp.verdict.predictors.stated import Stated, StatedRow

_OTHER_WAYS = ("pp", "dp", "cp")
_CLOSE = 0.02
"""Share by which ``1000 / tpot`` and ``tokens/s/user`` may differ, as both are rounded."""


def fits(sheet: Sheet) -> bool:
    """Whether the file is AIConfigurator's."""
    return "tokens/s/gpu" in sheet.columns


def stated(sheet: Sheet) -> Stated:
    """Return the predictions; their errors are added to ``sheet.problems``."""
    notes: list[str] = []
    rows: list[StatedRow] = []
    others = inclusive = unclear = 0
    for cells in sheet.rows:
        if cells.text("(d)tp", "(p)tp") is not None:
            rule = "must be of servers that do prefill and decode (the files in its folder agg)"
            cells.fault("(d)tp", cells.text("(d)tp", "(p)tp"), rule, "name pareto.csv of agg")
            continue
        degree = cells.count("tp", needed=True)
        if any((cells.number(name) or 1) != 1 for name in _OTHER_WAYS):
            others += 1
            continue
        tpot_ms, kind = _tpot(cells)
        inclusive += kind == "inclusive"
        unclear += kind == "unclear"
        rows.append(
            StatedRow(
                place=cells.place,
                degree=degree or 1,
                in_flight=cells.number("concurrency", "bs"),
                ttft_ms=cells.number("ttft"),
                tpot_ms=tpot_ms,
                output_tokens_per_second=cells.number("tokens/s/gpu", needed=True),
                cores=1,
                input_tokens=cells.number("isl"),
                output_tokens=cells.number("osl"),
                model=cells.text("model"),
            )
        )
    if others:
        notes.append(
            f"{quantity(others, 'row is', 'rows are')} left out: split in other ways than by tensor parallelism"
        )
    if inclusive:
        changed = quantity(inclusive, "row", "rows")
        notes.append(f"tpot of {changed} included the first token (--inclusive-tpot), which was subtracted")
    if unclear:
        notes.append(f"tpot of {quantity(unclear, 'row', 'rows')} contradicts tokens/s/user; it is left out")
    notes += [f"predicted for {' '.join(where)}" for where in _systems(sheet)]
    return Stated(predictor="AIConfigurator", version=None, file=sheet.name, rows=tuple(rows), notes=tuple(notes))


def _systems(sheet: Sheet) -> list[tuple[str, ...]]:
    found = (
        tuple(part for name in ("system", "backend", "version") if (part := cells.text(name)) is not None)
        for cells in sheet.rows
    )
    return [where for where in dict.fromkeys(found) if where]


def _tpot(cells: Cells) -> tuple[float | None, str]:
    """Return milliseconds per output token after the first, and how ``tpot`` counts them.

    With ``--inclusive-tpot`` the column is ``(ttft + tpot * (osl - 1)) / osl`` and nothing marks it;
    ``tokens/s/user`` stays ``1000 / tpot``.
    """
    tpot, per_user = cells.number("tpot"), cells.number("tokens/s/user")
    if tpot is None or per_user is None or _is_close(1000 / tpot, per_user):
        return tpot, "exclusive"
    ttft, output = cells.number("ttft"), cells.number("osl")
    if ttft is not None and output is not None and output > 1:
        without = (tpot * output - ttft) / (output - 1)
        if without > 0 and _is_close(1000 / without, per_user):
            return without, "inclusive"
    return None, "unclear"


def _is_close(one: float, other: float) -> bool:
    return abs(one / other - 1) <= _CLOSE
