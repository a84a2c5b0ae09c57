"""The tables of what physics allows and of what would change the answer, for the page and for Markdown."""

import functools

from optimal_tp.report.physics.claims_in_words import can_run, limit_heads, limit_rows
from optimal_tp.report.physics.extrapolations import WHAT_IF_HEADS, what_if_rows
from optimal_tp.report.tables import Table
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.comparisons import UNIT


def limit_table(analysis: Analysis) -> Table:
    """Return each candidate beside its limit; no row where the cores' roof is not known."""
    criterion = analysis.verdict.criterion
    how = "fitted" if criterion == "goodput" else "measured"
    caption = f"How far from the limit; {how} and at most are {UNIT[criterion]}"
    return Table(
        caption=caption,
        heads=limit_heads(criterion),
        rows=limit_rows(analysis.reached, functools.partial(can_run, analysis)),
    )


def what_if_table(analysis: Analysis) -> Table:
    """Return what would change the answer; no row where nothing was extrapolated."""
    return Table(caption="What would change the answer: extrapolated", heads=WHAT_IF_HEADS, rows=what_if_rows(analysis))
