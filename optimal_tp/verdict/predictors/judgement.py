"""The judgement of a file of predictions: the error of each figure, the order of each pair of candidates."""

import dataclasses
import typing

from optimal_tp.facts.candidates import CandidateRow
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.predictors.stated import RateName

Metric = typing.Literal["ttft_ms", "tpot_ms", "requests_per_second_per_core", "output_tokens_per_second_per_core"]
Word = typing.Literal["right", "inverted", "not decided"]
At = typing.Literal["one at a time", "near capacity"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedFigure:
    """One predicted figure beside the measured one."""

    metric: Metric
    predicted: float
    measured: float | None
    """For a latency, the median; None where it was not measured, or only at another load."""
    interval: Interval | None
    """Of the measured figure; None where it has none, such as a fitted goodput."""
    ratio: float | None
    """Predicted over measured."""
    at: At
    why_not: str | None
    """Why the two are not compared; None where they are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedRow(CandidateRow):
    """The prediction for one candidate: the row that its predictor would choose for it."""

    place: str
    per_core: float | None
    """The predicted rate that candidates are ordered by; None where the predictor states none for all."""
    misses: tuple[LimitedMetric, ...]
    """Limits of the run that every prediction of the candidate misses."""
    figures: tuple[JudgedFigure, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedPair:
    """Two candidates, in the predictor's order."""

    preferred: str
    other: str
    predicted_ratio: float | None
    """Of ``preferred`` over ``other``; None where the other is predicted to miss a limit."""
    word: Word
    measured_ratio: Estimate | None
    """Of ``preferred`` over ``other``, at the run's confidence for all pairs together; None where none was formed."""
    why: str | None
    """The gate of one of the two, where that decides instead of the ratio, or why nothing is decided."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """Predictions of one file, judged."""

    predictor: str
    version: str | None
    file: str
    ordered_by: RateName | None
    rows: tuple[JudgedRow, ...]
    """Candidates of the run, best predicted first."""
    pairs: tuple[JudgedPair, ...]
    """Pairs whose order is predicted."""
    notes: tuple[str, ...]

    @property
    def first(self) -> str | None:
        """The candidate that the predictor would choose; None where it orders none or two are equal."""
        names = [row.name for row in self.rows if row.per_core is not None and not row.misses]
        beaten = [pair.other for pair in self.pairs if names and pair.preferred == names[0]]
        return names[0] if names and set(names[1:]) <= set(beaten) else None

    @property
    def inversions(self) -> tuple[JudgedPair, ...]:
        """Pairs for which the run shows the opposite order."""
        return tuple(pair for pair in self.pairs if pair.word == "inverted")
