"""Writes a report's files: verdict.json, report.md, report.html and the pictures."""

import base64
import json
import pathlib
import typing

import jinja2

from optimal_tp.errors import StorageFailed
from optimal_tp.measurement.estimate import MISSING, bounds, figure, percent
from optimal_tp.measurement.run import VERDICT
from optimal_tp.measurement.whole_file import replace_file
from optimal_tp.report.across import ModelRow
from optimal_tp.report.claims import Claim
from optimal_tp.report.document import document, encode_document
from optimal_tp.report.physics.what_if import WHAT_IF_HEADS, what_if_rows
from optimal_tp.report.physics.words import HEADS, limit_rows, limits_of
from optimal_tp.report.plots import Plot, plots
from optimal_tp.report.predicted import predicted_words
from optimal_tp.report.tables import Table, tables
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.comparisons import UNIT

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


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def html(analysis: Analysis, claims: tuple[Claim, ...], tables: tuple[Table, ...], plots: tuple[Plot, ...]) -> str:
    """Return the page. Everything from the run is escaped; pictures are data in the page."""
    return page_template("report.html.j2").render(
        title=f"{analysis.verdict.outcome}: {analysis.record.run}",
        verdict=analysis.verdict,
        record=analysis.record,
        model=analysis.record.settings.model.name,
        claims=claims,
        tables=tables,
        plots=plots,
        predicted=predicted_words(analysis),
        pins=sorted(analysis.record.pins.items()),
        settings=json.dumps(analysis.record.settings.model_dump(mode="json"), indent=2, sort_keys=True),
        figure=figure,
        bounds=bounds,
        missing=MISSING,
        data_uri=data_uri,
        limits=limits_of(analysis),
        percent=percent,
        unit=UNIT[analysis.verdict.criterion],
        what_if_heads=WHAT_IF_HEADS,
        what_if_rows=what_if_rows(analysis),
    )


def sweep_html(
    name: str, headline: str, rows: typing.Sequence[ModelRow], tables: typing.Sequence[Table], *, receipt: str = ""
) -> str:
    """Return the page of a sweep; each model's own page is in its folder. ``receipt`` is a claim, or empty."""
    template = _TEMPLATES.get_template("sweep.html.j2")
    tone = "settled" if all(row.outcome == "settled" for row in rows) else "inconclusive"
    return template.render(name=name, headline=headline, rows=rows, tables=tables, tone=tone, receipt=receipt)


def page_template(name: str) -> jinja2.Template:
    """Return one of the page templates; what is put into it is escaped."""
    return _TEMPLATES.get_template(name)


def data_uri(svg: str) -> str:
    """Return a picture as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


_REMEDY = "free space or name another folder, then run optimal-tp report again"


def write(folder: pathlib.Path, analysis: Analysis) -> list[pathlib.Path]:
    """Write the report of ``analysis`` into ``folder`` and return the files' paths, the page first.

    The same input gives the same bytes. Raises StorageFailed where a file cannot be written.
    """
    return write_files(folder, _files(analysis))


def write_files(
    folder: pathlib.Path, files: dict[str, bytes], *, what: str = "report", remedy: str = _REMEDY
) -> list[pathlib.Path]:
    """Write the ``files`` of ``what`` by name into ``folder``, made if it is missing, and return their paths.

    Raises StorageFailed where a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            replace_file(folder / name, content)
    except OSError as error:
        raise StorageFailed(f"the {what} cannot be written to {folder}: {error.strerror}; {remedy}") from error
    return [folder / name for name in files]


def _beside(analysis: Analysis) -> tuple[Table, ...]:
    """Return as tables what the page shows in sections of its own."""
    unit = UNIT[analysis.verdict.criterion]
    caption = f"How far from the limit; measured, at most and the next degree are {unit}"
    found = (
        Table(caption=caption, heads=HEADS, rows=limit_rows(analysis.reached)),
        Table(caption="What would change it: extrapolated", heads=WHAT_IF_HEADS, rows=what_if_rows(analysis)),
    )
    return tuple(table for table in found if table.rows)


def _files(analysis: Analysis) -> dict[str, bytes]:
    found = document(analysis)
    rows = tables(analysis, found)
    pictures = plots(analysis)
    return {
        "report.html": html(analysis, found.claims, rows, pictures).encode(),
        "report.md": markdown(found.claims, (*rows, *_beside(analysis)), pictures).encode(),
        VERDICT: encode_document(found).encode(),
        **{f"{picture.name}.png": picture.png for picture in pictures},
    }
