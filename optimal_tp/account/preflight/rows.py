"""Rows of preflight's table (check, finding, requirement, remedy), and the exit status of all rows."""

import collections.abc
import dataclasses
import typing

from optimal_tp.errors import Exit

State = typing.Literal["fine", "warning", "unknown", "wrong"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one check. ``remedy`` is empty if there is nothing to do."""

    check: str
    state: State
    found: str
    required: str
    remedy: str = ""


_ASK_AGAIN = "grant the rights that `optimal-tp preflight --policy` prints and run it again"


def unknown(check: str, reason: str, required: str, remedy: str = _ASK_AGAIN) -> Row:
    """Return the row of a check without an answer, which is never fine."""
    return Row(check=check, state="unknown", found=f"unknown: {reason}", required=required, remedy=remedy)


def judged(check: str, found: str, required: str, remedy: str, *, is_right: bool) -> Row:
    """Return the row of a check that is fine or wrong; ``remedy`` is for a wrong one."""
    state: State = "fine" if is_right else "wrong"
    return Row(check=check, state=state, found=found, required=required, remedy="" if is_right else remedy)


def exit_status(rows: collections.abc.Iterable[Row]) -> Exit:
    """Return WRONG if a row is wrong, else OPEN if one is unknown, else GOOD, even with warnings."""
    states = {row.state for row in rows}
    return Exit.WRONG if "wrong" in states else Exit.OPEN if "unknown" in states else Exit.GOOD
