"""Everything that a report says about a run, from its record, its samples and its verdict."""

import dataclasses
import math
import typing

import numpy as np
import scipy.optimize

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.verdict.beside.reach import Reach
from optimal_tp.verdict.caveats import rates_tried
from optimal_tp.verdict.contest import contest
from optimal_tp.verdict.costs import CoreFigures, EqualCores, Money, core_figures, equal_cores, money
from optimal_tp.verdict.evidence import gather
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.latency import LatencyRow, latency_rows, medians_alone
from optimal_tp.verdict.load_steps import LoadStep, load_steps
from optimal_tp.verdict.predictions import Prediction
from optimal_tp.verdict.predictors.judged import MeasuredFigures, judged
from optimal_tp.verdict.predictors.judgement import Judged
from optimal_tp.verdict.predictors.stated import Stated
from optimal_tp.verdict.views.by_limit import ByLimit, by_limit
from optimal_tp.verdict.views.filling import Filling, fillings
from optimal_tp.verdict.views.narrowing import Narrowing, narrowing
from optimal_tp.verdict.views.spread import Spread, spreads
from optimal_tp.verdict.views.timeline import TimelineTurn, timeline

GROWING_FROM = 4
"""Number of degrees from which a third term, which grows with the number of exchanges, leaves a residual."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencySplit:
    """``latency = divided / degree + kept + per_doubling * log2(degree)``, all in milliseconds and none negative.

    After Amdahl, "Validity of the single processor approach to achieving large scale computing capabilities", AFIPS
    (1967); the logarithm stands for the exchange of partial results among ``degree`` cores.
    """

    divided_ms: float
    kept_ms: float
    per_doubling_ms: float | None
    """None below GROWING_FROM degrees."""
    observed_ms: dict[int, float]
    """Median total latency of one request at a time, by degree."""
    residual_ms: dict[int, float]
    """Observed less fitted, by degree."""
    exact: bool
    """Whether there are as many terms as degrees, so that the residuals say nothing."""
    next_degree: int
    """The next degree up, which was not measured."""
    next_ms: float
    """The fitted latency at that degree: an extrapolation."""

    @property
    def worst_residual_share(self) -> float:
        """Largest absolute residual as a share of its observed latency."""
        return max(abs(self.residual_ms[degree]) / self.observed_ms[degree] for degree in self.observed_ms)


def split_latency(medians_ms: typing.Mapping[int, float]) -> LatencySplit | None:
    """Return the fit to median latencies by degree; None below two degrees."""
    degrees = sorted(medians_ms)
    if len(degrees) < 2:  # noqa: PLR2004 - two unknowns
        return None
    growing = len(degrees) >= GROWING_FROM
    observed = np.array([medians_ms[degree] for degree in degrees])
    terms = np.array([_terms(degree, growing=growing) for degree in degrees])
    coefficients, _ = scipy.optimize.nnls(terms, observed)
    residuals = observed - terms @ coefficients
    following = 2 * degrees[-1]
    return LatencySplit(
        divided_ms=float(coefficients[0]),
        kept_ms=float(coefficients[1]),
        per_doubling_ms=float(coefficients[2]) if growing else None,
        observed_ms={degree: float(medians_ms[degree]) for degree in degrees},
        residual_ms={degree: float(residual) for degree, residual in zip(degrees, residuals, strict=True)},
        exact=len(degrees) == terms.shape[1],
        next_degree=following,
        next_ms=float(np.array(_terms(following, growing=growing)) @ coefficients),
    )


def _terms(degree: int, *, growing: bool) -> list[float]:
    return [1 / degree, 1.0, *([math.log2(degree)] if growing else [])]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
    """A run's verdict and the figures beside it."""

    record: RunRecord
    verdict: Verdict
    latencies: tuple[LatencyRow, ...]
    steps: tuple[LoadStep, ...]
    cores: tuple[CoreFigures, ...]
    equal_cores: tuple[EqualCores, ...]
    money: Money | None
    split: LatencySplit | None
    prediction: Prediction | None = None
    """The plan's prediction; None where none was made."""
    predicted: Judged | None = None
    """The predictions of another program; None where none were named."""
    reached: tuple[Reach, ...] = ()
    """Measured candidates beside their roof; empty where the roof of the cores is unknown."""
    by_limit: tuple[ByLimit, ...] = ()
    """The choice at other limits, by limited metric."""
    spreads: tuple[Spread, ...] = ()
    narrowing: Narrowing | None = None
    timeline: tuple[TimelineTurn, ...] = ()
    fillings: tuple[Filling, ...] = ()
    """Lengths of prompts and contexts against buckets."""
    tried: typing.Mapping[Candidate, typing.Mapping[bool, typing.Sequence[float]]] = dataclasses.field(
        default_factory=dict
    )
    """Requests/s per core of each candidate's undisturbed turns: of those that met the limits, and of the others. Empty
    without limits."""


def analyse(
    record: RunRecord,
    samples: typing.Sequence[Sample],
    verdict: Verdict,
    prediction: Prediction | None = None,
    left_out: typing.Sequence[tuple[Turn, str]] = (),
    stated: Stated | None = None,
) -> Analysis:
    """Return the analysis of a run, with the plan's ``prediction`` and other programs' ``stated`` ones if given.

    ``left_out`` are the turns that the audit removed from ``record``, each with the reason. Raises SettingsError where
    the stated predictions are not about this run.
    """
    settings = record.settings
    evidence = gather(record, samples, {})
    found = contest(evidence)
    soundness = evidence.soundness
    disturbed = {(one.candidate, one.block) for one in found.disturbed if one.block is not None}
    steps = load_steps(
        soundness, settings.limits.asked(), cores_used={each.candidate: each.cores_used for each in record.degrees}
    )
    rows = latency_rows(soundness, alpha=1 - settings.decision.confidence)
    figures = core_figures(record, verdict, settings.price)
    invalid = {each.candidate for each in verdict.degrees if each.word == "invalid"}
    at_one_point = {one.candidate for one in verdict.at_one_point}
    medians = {one.degree: found.value for one, found in sorted(medians_alone(rows).items()) if one not in invalid}
    measured = MeasuredFigures(record=record, verdict=verdict, latencies=rows, steps=steps)
    return Analysis(
        record=record,
        verdict=verdict,
        latencies=rows,
        steps=steps,
        cores=figures,
        equal_cores=equal_cores([one for one in figures if one.candidate in at_one_point]),
        money=money(record, verdict, settings.price),
        split=split_latency(medians),
        prediction=prediction,
        predicted=None if stated is None else judged(stated, measured),
        by_limit=by_limit(evidence, verdict, steps, disturbed),
        spreads=spreads(evidence),
        narrowing=None if verdict.outcome == "void" else narrowing(verdict, found.standings),
        timeline=timeline(record.turns, evidence, disturbed, left_out),
        fillings=fillings(evidence, record.pins),
        tried={one: rates_tried(evidence, one, disturbed) for one in evidence.candidates if settings.limits.asked()},
    )
