"""Rows of the table: a check, what was found, what it must be, what to do; and the exit status of all together."""

import collections.abc
import dataclasses
import typing

from optimal_tp.errors import Exit

State = typing.Literal["fine", "warning", "unknown", "wrong"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What one check says. ``remedy`` is empty where nothing is to be done."""

    check: str
    state: State
    found: str
    required: str
    remedy: str = ""


_ASK_AGAIN = "grant the rights that `optimal-tp preflight --policy` prints and run it again"


def unknown(check: str, reason: str, required: str, remedy: str = _ASK_AGAIN) -> Row:
    """Return the row of a check that got no answer: it is never fine."""
    return Row(check=check, state="unknown", found=f"unknown: {reason}", required=required, remedy=remedy)


def exit_status(rows: collections.abc.Iterable[Row]) -> Exit:
    """Return WRONG when something is wrong, else OPEN when something is unknown; a warning alone is GOOD."""
    states = {row.state for row in rows}
    return Exit.WRONG if "wrong" in states else Exit.OPEN if "unknown" in states else Exit.GOOD
