"""A stored run's end: judged, its report written, its verdict shown last."""

import dataclasses
import pathlib
import typing

import rich.console
import rich.table
import rich.text

from optimal_tp.measurement.estimate import ranged
from optimal_tp.report.claims import claims
from optimal_tp.report.files import every_table, write
from optimal_tp.report.headline import headline
from optimal_tp.report.physics.reached import analysed
from optimal_tp.report.tables import Table
from optimal_tp.report.words import badge, practice
from optimal_tp.results.retrial import Retrial, retry
from optimal_tp.results.source import Source
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.findings import EXIT_STATUS, Outcome, Word
from optimal_tp.verdict.predictions import Predict, unchecked
from optimal_tp.verdict.predictors.stated import Stated

_TONES: dict[Outcome, str] = {"settled": "bold green", "inconclusive": "bold yellow", "void": "bold red"}
_WORDS: dict[Word, str] = {"chosen": "bold green", "misses-slo": "red", "invalid": "red", "inconclusive": "yellow"}


def show(
    console: rich.console.Console,
    analysis: Analysis,
    files: typing.Sequence[pathlib.Path],
    tables: typing.Sequence[Table] = (),
) -> None:
    """Print the verdict and the paths of ``files``, the page first; plain lines where the console is no terminal.

    ``tables`` come before the verdict.
    """
    verdict = analysis.verdict
    first, *rest = claims(analysis)
    banner = practice(analysis.record)
    if banner is not None:
        console.print(rich.text.Text(banner, style="bold yellow"), soft_wrap=True)
        console.print()
    plain = not console.is_terminal
    console.print(_degrees(analysis, plain=plain), soft_wrap=plain)
    for claim in rest[2:]:
        console.print(rich.text.Text.assemble((f"{claim.topic}: ", "bold"), claim.sentence), soft_wrap=True)
    for table in tables:
        console.print()
        console.print(rich.text.Text(table.caption, style="bold"), soft_wrap=True)
        console.print(sheet(table, plain=plain), soft_wrap=plain)
    console.print()
    console.print(rich.text.Text(headline(verdict), style=_TONES[verdict.outcome]), soft_wrap=True)
    console.print(rich.text.Text(first.sentence), soft_wrap=True)
    for claim in rest[:2]:
        console.print(rich.text.Text(claim.sentence), soft_wrap=True)
    for path in files[:1]:
        console.print(rich.text.Text(f"Report: {path}"), soft_wrap=True)


def sheet(table: Table, *, plain: bool) -> rich.console.RenderableType:
    """Return ``table`` for a terminal, or with ``plain`` as lines for a log or a pipe."""
    if plain:
        return rich.text.Text("\n".join("  ".join(cells) for cells in (table.heads, *table.rows)))
    return grid(table.heads, table.rows)


def grid(
    heads: typing.Sequence[str],
    rows: typing.Iterable[typing.Sequence[str | rich.text.Text]],
    caption: str | None = None,
) -> rich.table.Table:
    """Return columns without lines for a terminal, in which a long cell is folded and no cell is markup."""
    found = rich.table.Table(title=caption, title_justify="left", box=None, pad_edge=False)
    for head in heads:
        found.add_column(head, overflow="fold")
    for cells in rows:
        found.add_row(*(rich.text.Text(cell) if isinstance(cell, str) else cell for cell in cells))
    return found


def _degrees(analysis: Analysis, *, plain: bool) -> rich.console.RenderableType:
    if plain:
        lines = [
            f"{degree.name}  {badge(analysis.verdict, degree)}  "
            f"{ranged(degree.tokens_per_second_per_core, 'tokens/s per core')}  {degree.ground.sentence}"
            for degree in analysis.verdict.degrees
        ]
        return rich.text.Text("\n".join(lines))
    rows = (
        (
            degree.name,
            rich.text.Text(badge(analysis.verdict, degree), style=_WORDS.get(degree.word, "")),
            ranged(degree.tokens_per_second_per_core),
            degree.ground.sentence,
        )
        for degree in analysis.verdict.degrees
    )
    return grid(("Candidate", "Result", "Tokens/s per core", "Decided by"), rows)


def judged_again(source: Source, predict: Predict | None) -> Retrial:
    """Return the verdict on ``source``, held against the plan that ``predict`` makes.

    None, as in a load generator's pod that has no compiler for it, adds the caveat that it was not.
    """
    again = retry(source, predict)
    return again if predict is not None else dataclasses.replace(again, verdict=unchecked(again.verdict))


def conclude(
    source: Source,
    folder: pathlib.Path,
    predict: Predict | None = None,
    stated: Stated | None = None,
    *,
    is_whole: bool = False,
) -> int:
    """Judge ``source``, write its report into ``folder``, show the verdict, and return the exit status.

    With ``predict`` it is held against the plan of the same run, and what others ``stated`` of it is judged. With
    ``is_whole`` every table is shown. Raises StorageFailed where the report cannot be written, SettingsError
    where what was stated is not about this run.
    """
    again = judged_again(source, predict)
    analysis = analysed(again, stated)
    files = write(folder, analysis)
    console = rich.console.Console(highlight=False)
    show(console, analysis, files, every_table(analysis) if is_whole else ())
    if again.difference is not None:
        console.print(again.difference, soft_wrap=True)
    return EXIT_STATUS[again.verdict.outcome]
