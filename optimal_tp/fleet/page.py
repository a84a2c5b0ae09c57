"""``fleet.html``: the plan as one self-contained page."""

import typing

from optimal_tp.fleet.planning import FleetPlan
from optimal_tp.fleet.sentences import Words
from optimal_tp.measurement.estimate import figure, ranged, usd
from optimal_tp.measurement.run import RunRecord
from optimal_tp.report.files import data_uri, page_template
from optimal_tp.report.plots import Plot
from optimal_tp.report.tables import Table


def page(
    plan: FleetPlan, words: Words, found: typing.Sequence[Table], plots: typing.Sequence[Plot], record: RunRecord
) -> str:
    """Return the page. Everything from the run is escaped; pictures are data in the page."""
    return page_template("fleet.html.j2").render(
        plan=plan,
        words=words,
        tables=found,
        plots=plots,
        record=record,
        figure=figure,
        ranged=ranged,
        usd=usd,
        data_uri=data_uri,
    )
