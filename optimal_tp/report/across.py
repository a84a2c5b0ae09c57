"""The table across the models of a sweep: what each is served best with, beside its own verdict."""

import dataclasses
import typing

from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.shapes import parameters
from optimal_tp.measurement.estimate import METRIC_WORDS, MISSING, figure, listed, ranged
from optimal_tp.measurement.sweep import Leg
from optimal_tp.report.headline import answer, cost_of, degree_of
from optimal_tp.report.page.interval_rows import tightest
from optimal_tp.report.tables import Table
from optimal_tp.report.words import badge, capital
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.findings import DegreeVerdict, Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelResult:
    """One model of a sweep, as far as it is."""

    leg: Leg
    analysis: Analysis | None
    """None while there is no run to judge."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One model's answer, as data."""

    model: str
    folder: str
    outcome: typing.Literal["settled", "inconclusive", "void", "not measured"]
    candidate: str | None
    """The chosen one; None where none is or the run does not settle it."""
    provisional: str | None
    """The candidate that leads on what was seen, where the run does not settle it."""
    sentence: str
    """The run's own first line, or why there is none."""


def rows(results: typing.Sequence[ModelResult]) -> tuple[ModelRow, ...]:
    """Return one row per model, in the order of the sweep."""
    return tuple(_row(result) for result in results)


def _row(result: ModelResult) -> ModelRow:
    leg, analysis = result.leg, result.analysis
    if analysis is None:
        why = leg.sentence or ("it is being measured" if leg.state == "running" else "its turn has not come")
        return ModelRow(
            model=leg.model, folder=leg.folder, outcome="not measured", candidate=None, provisional=None, sentence=why
        )
    verdict = analysis.verdict
    return ModelRow(
        model=leg.model,
        folder=leg.folder,
        outcome=verdict.outcome,
        candidate=verdict.chosen,
        provisional=verdict.provisional,
        sentence=answer(analysis),
    )


def headline(found: typing.Sequence[ModelRow]) -> str:
    """Return the first line of a sweep's report: each model with its degree, then what is open."""
    best = [f"{row.model} with {row.candidate}" for row in found if row.candidate is not None]
    none = [row.model for row in found if row.outcome == "settled" and row.candidate is None]
    parts = [f"Serve {listed(best)}"] if best else []
    parts += [f"no degree qualifies for {listed(none)}"] if none else []
    for outcome in ("inconclusive", "void", "not measured"):
        names = [row.model for row in found if row.outcome == outcome]
        parts += [f"{outcome}: {listed(names)}"] if names else []
    return f"{capital('; '.join(parts))}."


def tables(results: typing.Sequence[ModelResult]) -> tuple[Table, ...]:
    """Return the table of answers and the table of all degrees, each with the columns that have a figure."""
    return answer_table(results).without_blanks(), degree_table(results).without_blanks()


def answer_table(results: typing.Sequence[ModelResult]) -> Table:
    """Return one row per model: its verdict, and the figures of the degree that is chosen or would be."""
    return Table(
        caption="Each model, its verdict and its best candidate",
        heads=(
            "Model",
            "Parameters",
            "Verdict",
            "Candidate",
            "Fitted goodput, requests/s per core",
            "Tokens/s per core",
            "Latency",
            "$ per million tokens",
        ),
        rows=tuple(_answer_cells(result) for result in results),
    )


def _answer_cells(result: ModelResult) -> tuple[str, ...]:
    row, analysis = _row(result), result.analysis
    name, size = row.model, _size(row.model)
    best = row.candidate or row.provisional
    if analysis is None or best is None:
        return (name, size, row.outcome, *([MISSING] * 5))
    degree = degree_of(analysis.verdict, best)
    return (
        name,
        size,
        row.outcome,
        best + ("" if row.candidate is not None else " so far"),
        figure(degree.goodput_per_second_per_core),
        ranged(degree.tokens_per_second_per_core),
        _latency(degree),
        ranged(cost_of(analysis, degree)),
    )


def _size(model: str) -> str:
    return f"{parameters(SHAPES[model]) / 1e9:.2f} billion" if model in SHAPES else MISSING


def _latency(degree: DegreeVerdict) -> str:
    """Return the limited percentile nearest to its limit; a dash without limits."""
    limit = tightest(degree.limits)
    if limit is None or limit.latency_ms is None:
        return MISSING
    words = f"p{limit.percent:g} of {METRIC_WORDS[limit.metric]}"
    return f"{words} {figure(limit.latency_ms.value)} ms of {figure(limit.at_most_ms)} ms"


def degree_table(results: typing.Sequence[ModelResult]) -> Table:
    """Return one row per model and one column per candidate: its word and its throughput per core."""
    verdicts = [(result.leg.model, result.analysis.verdict) for result in results if result.analysis is not None]
    candidates = sorted({degree.candidate for _, verdict in verdicts for degree in verdict.degrees})
    return Table(
        caption="Output tokens/s per core of each candidate, where it was compared",
        heads=("Model", *(candidate.name for candidate in candidates)),
        rows=tuple(
            (
                model,
                *(_cell(verdict, {each.candidate: each for each in verdict.degrees}.get(one)) for one in candidates),
            )
            for model, verdict in verdicts
        ),
    )


def _cell(verdict: Verdict, degree: DegreeVerdict | None) -> str:
    if degree is None:
        return MISSING
    if degree.tokens_per_second_per_core is None:
        return badge(verdict, degree)
    return f"{badge(verdict, degree)}, {ranged(degree.tokens_per_second_per_core)}"
