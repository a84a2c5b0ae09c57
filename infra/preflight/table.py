"""The table that people read."""

import collections.abc

import rich.console
import rich.markup
import rich.table

from infra.preflight.rows import Row

_COLOURS = {"fine": "green", "warning": "yellow", "unknown": "yellow", "wrong": "red"}


def show(rows: collections.abc.Iterable[Row], console: rich.console.Console) -> None:
    """Print one line per check."""
    table = rich.table.Table("check", "", "found", "must be", "remedy")
    for row in rows:
        cells = (row.check, row.state, row.found, row.required, row.remedy)
        table.add_row(*(rich.markup.escape(cell) for cell in cells), style=_COLOURS[row.state])
    console.print(table)
