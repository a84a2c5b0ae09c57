"""Writes a report's files: verdict.json, report.md, report.html and the pictures."""

import base64
import pathlib
import shlex
import typing

import jinja2

from optimal_tp.errors import StorageFailed
from optimal_tp.measurement.run import VERDICT
from optimal_tp.measurement.whole_file import replace_file
from optimal_tp.report.across import ModelRow
from optimal_tp.report.claims import Claim
from optimal_tp.report.document import document, encode_document
from optimal_tp.report.formats.spreadsheet import NAME as CSV
from optimal_tp.report.formats.spreadsheet import candidates_csv
from optimal_tp.report.headline import headline
from optimal_tp.report.page.actions import Action, actions
from optimal_tp.report.page.choice import capacity_table, cost_rows
from optimal_tp.report.page.limits import limit_table, what_if_table
from optimal_tp.report.page.sections import context, is_figure
from optimal_tp.report.plots import Plot, plots
from optimal_tp.report.tables import Table, tables
from optimal_tp.report.words import practice
from optimal_tp.verdict.analysis import Analysis

_ESCAPED = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})


def markdown(
    analysis: Analysis,
    claims: tuple[Claim, ...],
    tables: tuple[Table, ...],
    plots: tuple[Plot, ...],
    folder: str | None = None,
) -> str:
    """Return the report as Markdown; plots are referred to by their file names.

    ``folder`` is the run's, as a command names it; None: where runs of its place usually are.
    """
    banner = practice(analysis.record)
    head = [] if banner is None else [f"> **{_text(banner)}**"]
    head += [f"# {_text(headline(analysis.verdict))}", *(_text(claim.sentence) for claim in claims[:3])]
    body = [f"- **{_text(claim.topic)}.** {_text(claim.sentence)}" for claim in claims[3:]]
    doing = "\n".join(_action(one) for one in actions(analysis, folder))
    images = [f"![{_text(plot.alt)}]({plot.name}.png)" for plot in plots]
    views = [_table(table) for table in (capacity_table(analysis), cost_rows(analysis)) if table.rows]
    parts = [*head, doing, "\n".join(body), *views, *images, *(_table(table) for table in tables)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _action(one: Action) -> str:
    """Return what to copy as an item of a list: a line as it is, several in a fenced block."""
    if "\n" not in one.text:
        return f"- {_text(one.title)}: `{one.text}`"
    lines = "\n".join(f"  {line}" for line in ("```yaml", *one.text.split("\n"), "```"))
    return f"- {_text(one.title)}:\n\n{lines}\n"


def sweep_markdown(
    first: str,
    rows: typing.Sequence[ModelRow],
    tables: typing.Sequence[Table],
    *,
    receipt: str = "",
    banner: str | None = None,
) -> str:
    """Return the report of a sweep as Markdown; each model's own is in its folder.

    ``first`` is its headline, ``receipt`` a claim, or empty, ``banner`` what ``practice`` says.
    """
    lines = [
        f"- **{_text(row.model)}: {row.outcome}.** {_text(row.sentence)}"
        + ("" if row.outcome == "not measured" else f" [Its report]({row.folder}/report.md)")
        for row in rows
    ]
    lines += [f"- **Receipt.** {_text(receipt)}"] if receipt else []
    head = [] if banner is None else [f"> **{_text(banner)}**"]
    return "\n\n".join([*head, f"# {_text(first)}", "\n".join(lines), *map(_table, tables)]) + "\n"


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


def html(analysis: Analysis, claims: tuple[Claim, ...], tables: tuple[Table, ...], folder: str | None = None) -> str:
    """Return the page: one file that loads nothing. Everything from the run is escaped; ``folder`` as in Markdown."""
    return page_template("report.html.j2").render(**context(analysis, claims, tables, folder))


def sweep_html(
    name: str,
    first: str,
    rows: typing.Sequence[ModelRow],
    tables: typing.Sequence[Table],
    *,
    receipt: str = "",
    banner: str | None = None,
) -> str:
    """Return the page of a sweep; each model's own page is in its folder. The rest is as in ``sweep_markdown``."""
    template = _TEMPLATES.get_template("sweep.html.j2")
    tone = "settled" if all(row.outcome == "settled" for row in rows) else "inconclusive"
    return template.render(
        name=name,
        headline=first,
        rows=rows,
        tables=tables,
        tone=tone,
        receipt=receipt,
        banner=banner,
        is_figure=is_figure,
    )


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
    return write_files(folder, _files(analysis, _named(folder)))


def _named(folder: pathlib.Path) -> str | None:
    """Return how a command names ``folder`` here; None where it holds no run, or lies elsewhere, as in a pod."""
    whole, here = folder.resolve(), pathlib.Path.cwd()
    is_ours = (whole / "run.json").is_file() and whole.is_relative_to(here) and here != pathlib.Path("/")
    return shlex.quote(str(whole.relative_to(here))) if is_ours else None


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


def every_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return all tables of the report, those that the page shows in sections of their own last."""
    return (*tables(analysis, document(analysis)), *_beside(analysis))


def _beside(analysis: Analysis) -> tuple[Table, ...]:
    """Return as tables what the page shows in sections of its own."""
    return tuple(table for table in (limit_table(analysis), what_if_table(analysis)) if table.rows)


def _files(analysis: Analysis, folder: str | None) -> dict[str, bytes]:
    found = document(analysis)
    rows = tables(analysis, found)
    pictures = plots(analysis)
    return {
        "report.html": html(analysis, found.claims, rows, folder).encode(),
        "report.md": markdown(analysis, found.claims, (*rows, *_beside(analysis)), pictures, folder).encode(),
        VERDICT: encode_document(found).encode(),
        CSV: candidates_csv(analysis).encode(),
        **{f"{picture.name}.png": picture.png for picture in pictures},
    }
