"""``report.md``: the claims, then the tables. The first line answers, the second says how sure."""

import typing

from optimal_tp.report.across import ModelRow
from optimal_tp.report.claims import Claim
from optimal_tp.report.plots import Plot
from optimal_tp.report.tables import Table

_ESCAPED = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})


def markdown(claims: tuple[Claim, ...], tables: tuple[Table, ...], plots: tuple[Plot, ...]) -> str:
    """Return the report as Markdown; plots are referred to by their file names."""
    head = [f"# {_text(claims[0].sentence)}", *(_text(claim.sentence) for claim in claims[1:3])]
    body = [f"- **{_text(claim.topic)}.** {_text(claim.sentence)}" for claim in claims[3:]]
    images = [f"![{_text(plot.alt)}]({plot.name}.png)" for plot in plots]
    return "\n\n".join([*head, "\n".join(body), *images, *(_table(table) for table in tables)]) + "\n"


def sweep_markdown(
    headline: str, rows: typing.Sequence[ModelRow], tables: typing.Sequence[Table], *, receipt: str = ""
) -> str:
    """Return the report of a sweep as Markdown; each model's own is in its folder. ``receipt`` is a claim, or empty."""
    lines = [
        f"- **{_text(row.model)}: {row.outcome}.** {_text(row.sentence)}"
        + ("" if row.outcome == "not measured" else f" [Its report]({row.folder}/report.md)")
        for row in rows
    ]
    lines += [f"- **Receipt.** {_text(receipt)}"] if receipt else []
    return "\n\n".join([f"# {_text(headline)}", "\n".join(lines), *map(_table, tables)]) + "\n"


def _table(table: Table) -> str:
    lines = [
        f"**{_text(table.caption)}**",
        "",
        "| " + " | ".join(map(_text, table.heads)) + " |",
        "| " + " | ".join("---" for _ in table.heads) + " |",
        *("| " + " | ".join(map(_text, row)) + " |" for row in table.rows),
    ]
    return "\n".join(lines)


def _text(text: str) -> str:
    return text.translate(_ESCAPED)
