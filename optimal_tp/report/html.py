"""``report.html``: one self-contained page, for a phone, a screen or paper, in light or dark."""

import base64
import json
import pathlib
import typing

import jinja2

from optimal_tp.measurement.estimate import MISSING, bounds, figure
from optimal_tp.report.across import ModelRow
from optimal_tp.report.claims import Claim
from optimal_tp.report.plots import Plot
from optimal_tp.report.tables import Table
from optimal_tp.verdict.analysis import Analysis

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
        pins=sorted(analysis.record.pins.items()),
        settings=json.dumps(analysis.record.settings.model_dump(mode="json"), indent=2, sort_keys=True),
        figure=figure,
        bounds=bounds,
        missing=MISSING,
        data_uri=data_uri,
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
