"""The table that people read, and the same for programs."""

import collections.abc
import dataclasses
import datetime as dt
import json

import rich.console
import rich.markup
import rich.table

from optimal_tp.account.preflight.rows import Row, exit_status

_COLOURS = {"fine": "green", "warning": "yellow", "unknown": "yellow", "wrong": "red"}


def show(rows: collections.abc.Iterable[Row], console: rich.console.Console) -> None:
    """Print one line per check."""
    table = rich.table.Table("check", "", "found", "must be", "remedy")
    for row in rows:
        cells = (row.check, row.state, row.found, row.required, row.remedy)
        table.add_row(*(rich.markup.escape(cell) for cell in cells), style=_COLOURS[row.state])
    console.print(table)


def as_json(rows: collections.abc.Sequence[Row], *, stack: str, account: str, region: str, asked: dt.datetime) -> str:
    """Return the rows for programs, with whose answers they are and of when."""
    about = {"stack": stack, "account": account, "region": region, "asked": asked.isoformat(timespec="seconds")}
    told = [dataclasses.asdict(row) for row in rows]
    return json.dumps({**about, "exit_status": exit_status(rows), "rows": told}, indent=1)
