"""Everything that ``report.html`` says, put together for its template."""

import json
import re
import typing

from optimal_tp.measurement.run import VERDICT
from optimal_tp.report.claims import Claim
from optimal_tp.report.headline import headline
from optimal_tp.report.page.actions import actions, footer, summary
from optimal_tp.report.page.canvas import Picture
from optimal_tp.report.page.choice import capacity_table, choices, cost_rows, price_start
from optimal_tp.report.page.curves import by_load, cumulative, narrowed
from optimal_tp.report.page.glossary import WORDS
from optimal_tp.report.page.interval_rows import against_choice, against_limit
from optimal_tp.report.page.limits import limit_table, what_if_table
from optimal_tp.report.page.tiles import tiles
from optimal_tp.report.page.trust import checks
from optimal_tp.report.page.turns import skipped, timeline_picture
from optimal_tp.report.physics.claims_in_words import limits_of
from optimal_tp.report.predicted import predicted_words
from optimal_tp.report.tables import Table
from optimal_tp.report.words import badge, caveats, practice
from optimal_tp.verdict.analysis import Analysis

FOLDED = {"Latency", "Equal cores", "Load", "Why", "Plan", "Run", "Receipt", "Left out"}
"""Claims that are for a second reading."""
_FIGURE = re.compile(r"^(about |p\d+ )?[$+-]?\d")
_DRAWN = (against_choice, against_limit, cumulative, narrowed, by_load)


def context(
    analysis: Analysis, claims: typing.Sequence[Claim], tables: typing.Sequence[Table], folder: str | None = None
) -> dict[str, typing.Any]:
    """Return what the template needs, by name. Nothing in it is markup but the pictures, which escape their words.

    ``folder`` is the run's, as a command names it.
    """
    record, verdict = analysis.record, analysis.verdict
    usd_per_hour, billed_cores = price_start(analysis)
    first = headline(verdict)
    return {
        "title": f"{first}: {record.settings.model.name}",
        "banner": practice(record),
        "headline": first,
        "verdict": verdict,
        "record": record,
        "model": record.settings.model.name,
        "leads": [claim.sentence for claim in claims[:3]],
        "caveats": caveats(record, verdict),
        "tiles": tiles(analysis),
        "actions": actions(analysis, folder),
        "choices": choices(analysis),
        "usd_per_hour": usd_per_hour,
        "billed_cores": billed_cores,
        "badges": [(degree.name, badge(verdict, degree)) for degree in verdict.degrees],
        "views": [table for table in (capacity_table(analysis), cost_rows(analysis)) if table.rows],
        "pictures": pictures(analysis),
        "timeline": timeline_picture(analysis),
        "skipped": skipped(analysis),
        "checks": checks(analysis),
        "limits": limits_of(analysis),
        "limit_table": limit_table(analysis),
        "what_if": what_if_table(analysis),
        "predicted": predicted_words(analysis),
        "shown": [claim for claim in claims[3:] if claim.topic not in FOLDED],
        "folded": [claim for claim in claims[3:] if claim.topic in FOLDED],
        "tables": tables,
        "glossary": WORDS,
        "is_figure": is_figure,
        "pins": sorted(record.pins.items()),
        "settings": json.dumps(record.settings.model_dump(mode="json"), indent=2, sort_keys=True),
        "footer": footer(analysis, folder),
        "verdict_file": VERDICT,
        "summary": summary(analysis, (first, *(claim.sentence for claim in claims[:3]))),
    }


def pictures(analysis: Analysis) -> tuple[Picture, ...]:
    """Return every picture that the run has data for."""
    drawn = (draw(analysis) for draw in _DRAWN)
    return tuple(picture for picture in drawn if picture is not None)


def is_figure(cell: str) -> bool:
    """Whether a table's cell is a number, with or without a unit and a range: those are set flush right."""
    return _FIGURE.match(cell) is not None and len(cell) < 40  # noqa: PLR2004 - a sentence may begin with a number
