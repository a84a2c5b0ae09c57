"""The choice by limit: what the slider moves through, and the views of who operates and who pays."""

import dataclasses
import math
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import METRIC_WORDS, MISSING, figure, percent
from optimal_tp.report.choice_by_limit import CLOSE, Range, answers, ranges, rate_words
from optimal_tp.report.page.interval_rows import tightest
from optimal_tp.report.tables import Table
from optimal_tp.report.words import latency_words, span
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.findings import DegreeVerdict
from optimal_tp.verdict.views.by_limit import AtLimit, ByLimit

HOURS_A_MONTH = 730
"""Of an average month: 8,760 hours a year over 12."""
RATES_PER_SECOND = (1, 10, 100, 1000)
"""Whole fleets that the table of costs has a row for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitRow:
    """One range of limits and its answer."""

    limit: str
    answer: str
    is_own: bool
    """Whether the run's own limit lies in it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One limited metric, as the page shows it."""

    measure: str
    asked: str | None
    rows: tuple[LimitRow, ...]
    data: dict[str, typing.Any]
    """What the page's script reads."""


def choices(analysis: Analysis) -> tuple[Choice, ...]:
    """Return the choice by each limited metric."""
    return tuple(_choice(analysis, view) for view in analysis.by_limit if len(view.points) > 1)


def _choice(analysis: Analysis, view: ByLimit) -> Choice:
    return Choice(
        measure=f"p{view.percent:g} of {METRIC_WORDS[view.metric]}",
        asked=None if view.asked_ms is None else latency_words(view.asked_ms),
        rows=tuple(_row(one, view.asked_ms) for one in reversed(ranges(view))),
        data=_data(analysis, view),
    )


def _row(one: Range, asked_ms: float | None) -> LimitRow:
    limit = f"{latency_words(one.from_ms)} or more" if one.to_ms is None else span(one.from_ms, one.to_ms)
    inside = asked_ms is not None and one.from_ms <= asked_ms and (one.to_ms is None or asked_ms < one.to_ms)
    return LimitRow(limit=limit, answer=one.answer, is_own=inside)


def _data(analysis: Analysis, view: ByLimit) -> dict[str, typing.Any]:
    """Return the points as the script needs them: tokens per second per core, from which dollars follow."""
    told = answers(view)
    tokens = _tokens_per_request(analysis, view)
    seen = {
        degree.candidate: degree.tokens_per_second_per_core.value
        for degree in analysis.verdict.degrees
        if degree.tokens_per_second_per_core is not None
    }
    own = next((place for place, point in enumerate(view.points) if point.limit_ms == view.asked_ms), None)
    return {
        "unit": view.per_core,
        "settled": analysis.verdict.outcome == "settled",
        "start": len(view.points) - 1 if own is None else own,
        "points": [
            {
                "limit": latency_words(point.limit_ms),
                "own": place == own,
                "answer": told[place],
                "choice": point.choice,
                "close": told[place] == CLOSE,
                "rows": [
                    {
                        "name": one.candidate.name,
                        "degree": one.degree,
                        "words": rate_words(one.per_core, one.reach),
                        "rate": one.per_core if one.reach in ("measured", "at least") else None,
                        "tokens": _tokens(one, seen if place == own else {}, tokens),
                    }
                    for one in point.candidates
                ],
            }
            for place, point in enumerate(view.points)
        ],
    }


def _tokens_per_request(analysis: Analysis, view: ByLimit) -> dict[Candidate, float]:
    """Return output tokens per request, from the blocks; 1 where the view counts tokens already."""
    if view.per_core == "output tokens":
        return {degree.candidate: 1.0 for degree in analysis.verdict.degrees}
    return {
        step.candidate: step.tokens_per_second_per_core / step.rate_per_second_per_core
        for step in analysis.steps
        if step.stage == "block" and step.tokens_per_second_per_core and step.rate_per_second_per_core
    }


def _tokens(
    one: AtLimit, seen: typing.Mapping[Candidate, float], per_request: typing.Mapping[Candidate, float]
) -> float | None:
    """Return output tokens per second per core: as ``seen`` at the compared point, else as the rate's requests have."""
    if one.per_core is None or one.reach not in ("measured", "at least"):
        return None
    known = per_request.get(one.candidate)
    return seen.get(one.candidate, None if known is None else one.per_core * known)


def price_start(analysis: Analysis) -> tuple[float | None, int]:
    """Return the price that the page begins with, in US dollars an hour, and how many cores it buys."""
    price = analysis.record.settings.price
    if price is not None:
        return price.usd_per_hour, price.billed_cores
    return None, max((each.degree for each in analysis.record.degrees if each.gate is None), default=1)


def capacity_table(analysis: Analysis) -> Table:
    """Return what an operator needs: the capacity of a server at the limit, what is proven, and the room between."""
    rows = []
    for degree in analysis.verdict.at_one_point:
        if degree.word in ("invalid", "misses-slo") or not degree.blocks:
            continue
        capacity, tokens = degree.goodput_per_second_per_core, degree.tokens_per_second_per_core
        held = None if degree.proof is None else degree.proof.held_per_second_per_core
        rows.append(
            (
                degree.name,
                _per_server(capacity, degree),
                _per_server(held, degree),
                MISSING if held is None or not capacity else percent(max(0.0, 1 - held / capacity)),
                _per_server(None if tokens is None else tokens.value, degree),
                _against(degree),
            )
        )
    best = ", best at the proven rate" if any(row[2] != MISSING for row in rows) else ""
    return Table(
        caption=(
            f"Per server, at the limit. Stay below the capacity{best}: that leaves room for bursts and for a lost "
            "server"
        ),
        heads=(
            "Candidate",
            "Fitted capacity, requests/s",
            "Proven, requests/s",
            "Headroom at the proven rate",
            "Output tokens/s",
            "Latency near the capacity",
        ),
        rows=tuple(rows),
    ).without_blanks()


def _per_server(per_core: float | None, degree: DegreeVerdict) -> str:
    return figure(None if per_core is None else per_core * degree.degree)


def _against(degree: DegreeVerdict) -> str:
    finding = tightest(degree.limits)
    if finding is None or finding.latency_ms is None:
        return MISSING
    value, limit = latency_words(finding.latency_ms.value), latency_words(finding.at_most_ms)
    return f"p{finding.percent:g} {value}; limit {limit}"


def cost_rows(analysis: Analysis) -> Table:
    """Return dollars a month for fleets of several rates; no rows without a price or without limits."""
    price = analysis.record.settings.price
    able = [
        degree
        for degree in analysis.verdict.at_one_point
        if degree.goodput_per_second_per_core and degree.word not in ("invalid", "misses-slo")
    ]
    rows = []
    if price is not None:
        for rate in RATES_PER_SECOND:
            cells = []
            for degree in able:
                units = units_for(rate, degree.goodput_per_second_per_core or 0.0, degree.degree, price.billed_cores)
                cells.append(f"${units * price.usd_per_hour * HOURS_A_MONTH:,.0f} ({units:,})")
            rows.append((f"{rate:,}/s", *cells))
    return Table(
        caption="Dollars a month by rate, with servers at their limit and no spare (instances bought in brackets)",
        heads=("Rate", *(degree.name for degree in able)),
        rows=tuple(rows) if able else (),
    )


def units_for(rate_per_second: float, per_core: float, degree: int, billed_cores: int) -> int:
    """Return the billed units that carry ``rate_per_second``, whole servers on whole units."""
    servers = math.ceil(rate_per_second / (per_core * degree))
    fit = billed_cores // degree
    return math.ceil(servers / fit) if fit else servers * math.ceil(degree / billed_cores)
