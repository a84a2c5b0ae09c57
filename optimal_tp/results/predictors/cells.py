"""Rows of a table as text or numbers: every bad cell becomes a problem, none is guessed."""

import csv
import dataclasses
import difflib
import io
import json
import math
import pathlib
import typing

import yaml

from optimal_tp.errors import Problem

REMEDY = "correct the file"
_LONGEST_PLACED = 200_000
"""Most characters of JSON in which the lines of rows are looked for; a benchmark may keep every token's time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cells:
    """One row. Reading a cell that breaks its rule adds a problem and returns None."""

    place: str
    """File and line: "planner.csv:3"."""
    values: typing.Mapping[str, object]
    problems: list[Problem]
    """Of the whole file."""

    def text(self, *names: str) -> str | None:
        """Return the first cell of ``names`` that is not empty, as text; None without one."""
        value = self._first(names)
        return None if value is None else str(value[1])

    def number(self, *names: str, needed: bool = False, zero_is_none: bool = False) -> float | None:
        """Return the first cell of ``names`` that is not empty, a finite number above 0; None without one.

        ``zero_is_none``: the program writes 0 for a figure that it did not see.
        """
        found = self._first(names)
        if found is None:
            if needed:
                self.fault(names[0], None, "must be a number above 0")
            return None
        name, value = found
        try:
            number = math.nan if isinstance(value, bool) else float(typing.cast("str", value))
        except (TypeError, ValueError):
            number = math.nan
        if math.isfinite(number) and number > 0:
            return number
        if number == 0 and zero_is_none:
            return None
        self.fault(name, value, "must be a number above 0")
        return None

    def count(self, *names: str, needed: bool = False) -> int | None:
        """Return the first cell of ``names`` that is not empty, a whole number from 1; None without one."""
        number = self.number(*names, needed=needed)
        if number is None or number == int(number):
            return None if number is None else int(number)
        name, value = typing.cast("tuple[str, object]", self._first(names))
        self.fault(name, value, "must be a whole number from 1")
        return None

    def fault(self, name: str, value: object, rule: str, remedy: str = REMEDY) -> None:
        """Add a problem with the cell ``name``."""
        self.problems.append(Problem(path=f"{self.place} {name}", value=value, rule=rule, remedy=remedy))

    def knows_only(self, names: typing.Collection[str]) -> None:
        """Add a problem for each column that is not in ``names``."""
        for name in self.values:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]}?" if near else "leave it out"
                self.fault(name, self.values[name], f"must be one of {', '.join(names)}", hint)

    def _first(self, names: typing.Sequence[str]) -> tuple[str, object] | None:
        there = ((name, self.values.get(name)) for name in names)
        return next(((name, value) for name, value in there if not _is_empty(value)), None)


def _is_empty(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan", "none", "null")
    return value is None or (isinstance(value, float) and math.isnan(value))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheet:
    """A file of rows."""

    name: str
    """Of the file, without its folder."""
    columns: tuple[str, ...]
    """Names in any row; for JSON also the names beside the rows."""
    rows: tuple[Cells, ...]
    problems: list[Problem]
    degree: int | None
    """Degree that the caller named, for files that do not state it."""


def read_sheet(path: pathlib.Path, degree: int | None) -> Sheet:
    """Return the rows of a CSV or JSON file. Raises OSError, or ValueError with the rule for a file that is neither."""
    text = path.read_text(encoding="utf-8-sig")
    problems: list[Problem] = []
    rows = _json_rows(text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text)
    cells = tuple(Cells(place=f"{path.name}:{line}", values=values, problems=problems) for line, values in rows)
    columns = tuple(dict.fromkeys(name for row in cells for name in row.values))
    return Sheet(name=path.name, columns=columns, rows=cells, problems=problems, degree=degree)


def _csv_rows(text: str) -> list[tuple[int, dict[str, object]]]:
    """Return the rows; a column without a name is the index that pandas writes, and is left out."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not reader.fieldnames:
        raise ValueError("must be CSV with a line of column names, or JSON")
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f"must have {len(reader.fieldnames)} cells in every line (line {reader.line_num} has not)")
        rows.append((reader.line_num, {name.strip(): value for name, value in row.items() if name.strip()}))
    return rows


def _json_rows(text: str) -> list[tuple[int, dict[str, object]]]:
    """Return the rows of ``{"rows": [...]}``, a list or one object; keys beside ``rows`` are added to each row."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(f"must be JSON ({error})") from None
    shared: dict[str, object] = {}
    rows = data if isinstance(data, list) else [data]
    if isinstance(data, dict) and "rows" in data:
        rows, shared = data["rows"], {name: value for name, value in data.items() if name != "rows"}
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("must have objects as its rows")
    lines = _lines(text, len(rows))
    return [(line, {**shared, **row}) for line, row in zip(lines, rows, strict=True)]


def _lines(text: str, count: int) -> list[int]:
    """Return the line of each row, from 1: JSON is YAML, whose nodes know their lines. In a long text all are 1."""
    if len(text) > _LONGEST_PLACED:
        return [1] * count
    try:
        node: typing.Any = yaml.compose(text, Loader=yaml.SafeLoader)
        if isinstance(node, yaml.MappingNode):
            named = {key.value: value for key, value in node.value}
            node = named.get("rows", yaml.SequenceNode("", [node]))
        lines = [one.start_mark.line + 1 for one in node.value]
    except (yaml.YAMLError, AttributeError):
        lines = []
    return lines if len(lines) == count else [1] * count
