"""Rows of the table: a check, what was found, what it must be, what to do; and the exit status of all together."""

import collections.abc
import dataclasses
import typing

State = typing.Literal["fine", "warning", "unknown", "wrong"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What one check says. ``remedy`` is empty where nothing is to be done."""

    check: str
    state: State
    found: str
    required: str
    remedy: str = ""


_ASK_AGAIN = "ask again with the rights of `optimal-tp preflight --policy`"


def unknown(check: str, reason: str, required: str, remedy: str = _ASK_AGAIN) -> Row:
    """Return the row of a check that got no answer: it is never fine."""
    return Row(check=check, state="unknown", found=f"unknown: {reason}", required=required, remedy=remedy)


def exit_status(rows: collections.abc.Iterable[Row]) -> int:
    """Return 1 when something is wrong, else 3 when something is unknown, else 0; a warning alone is 0."""
    states = {row.state for row in rows}
    return 1 if "wrong" in states else 3 if "unknown" in states else 0
