"""Print checks on the terminal: one block each, wrong ones first, folded at the width of the screen."""

import collections.abc
import textwrap
import typing

import rich.console
import rich.text

from optimal_tp.account.preflight.rows import Row, State

ORDER: typing.Final[tuple[State, ...]] = ("wrong", "unknown", "warning", "fine")
_COLOURS: typing.Final[dict[State, str]] = {
    "fine": "green",
    "warning": "yellow",
    "unknown": "yellow",
    "wrong": "bold red",
}
_NARROWEST = 40
_MOST = 120


def print_blocks(rows: collections.abc.Sequence[Row], console: rich.console.Console) -> None:
    """Print a block for each of ``rows``, the gravest first, and the counts last."""
    width = max(_NARROWEST, min(console.width, _MOST))
    for row in sorted(rows, key=lambda row: ORDER.index(row.state)):
        console.print(rich.text.Text.assemble((f"{row.state:<8}", _COLOURS[row.state]), (row.check, "bold")))
        for name, said in (("found", row.found), ("must be", row.required), ("do", row.remedy)):
            if said and not (row.state == "fine" and name == "must be"):
                console.print(rich.text.Text(_folded(f"{name}: ", said, width)), soft_wrap=True)
    console.print(rich.text.Text(summary(rows), style="bold"))


def _folded(name: str, said: str, width: int) -> str:
    indent = " " * 8
    return textwrap.fill(
        said, width, initial_indent=f"{indent}{name}", subsequent_indent=indent + " " * len(name),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def summary(rows: collections.abc.Iterable[Row]) -> str:
    """Return the number of rows by state: "1 wrong, 2 unknown, 14 fine"."""
    states = [row.state for row in rows]
    words = {"warning": "warnings"}
    said = [
        f"{states.count(each)} {words[each] if each in words and states.count(each) != 1 else each}"
        for each in ORDER
        if states.count(each)
    ]
    return ", ".join(said) or "nothing was checked"
