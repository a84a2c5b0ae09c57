"""The order that a predictor gives two candidates, against the measured one, which counts only where it is settled."""

import itertools
import typing

from optimal_tp.verdict.comparisons import turned_to
from optimal_tp.verdict.findings import Comparison, DegreeVerdict, Verdict
from optimal_tp.verdict.predictors.judgement import JudgedPair, JudgedRow

SAME = 0.005
"""Predicted rates that differ by less than this share are equal: others round what they print."""


def judged_pairs(rows: typing.Sequence[JudgedRow], verdict: Verdict) -> typing.Iterator[JudgedPair]:
    """Yield the pairs whose order is predicted, the preferred one first; ``rows`` are in that order."""
    for preferred, other in itertools.combinations(rows, 2):
        if preferred.misses or preferred.per_core is None:
            continue
        ratio = None if other.misses or not other.per_core else preferred.per_core / other.per_core
        if ratio is None or ratio > 1 + SAME:
            yield _pair(preferred.name, other.name, ratio, verdict)


def _pair(preferred: str, other: str, ratio: float | None, verdict: Verdict) -> JudgedPair:
    word, why = _order(preferred, other, verdict)
    found = turned_to(verdict.comparisons, preferred, other)
    return JudgedPair(
        preferred=preferred,
        other=other,
        predicted_ratio=ratio,
        word=word,
        measured_ratio=None if found is None else found.ratio,
        why=why,
    )


Order = tuple[typing.Literal["right", "inverted", "not decided"], str | None]


def _order(preferred: str, other: str, verdict: Verdict) -> Order:
    """Return what the run says of ``preferred`` before ``other``, and why where no ratio says it."""
    if verdict.outcome == "void":
        return "not decided", "the run is void"
    by = {degree.name: degree for degree in verdict.degrees}
    for loser, winner, word in ((other, preferred, "right"), (preferred, other, "inverted")):
        if _is_out(by[loser]) and by[winner].word in ("chosen", "dominated"):
            return typing.cast("Order", (word, f"{loser} {by[loser].word}"))
    found = turned_to(verdict.comparisons, preferred, other)
    if found is None or found.ratio is None:
        return "not decided", "the two were not compared"
    if is_ahead(found, verdict.resolution):
        return "right", None
    back = turned_to(verdict.comparisons, other, preferred)
    if back is not None and is_ahead(back, verdict.resolution):
        return "inverted", None
    return "not decided", found.why_open or "the measured difference is within the resolution or its noise"


def _is_out(degree: DegreeVerdict) -> bool:
    """Whether the run has shown that the candidate cannot be chosen: no memory for it, or a limit missed alone."""
    return degree.word in ("no-fit", "misses-slo")


def is_ahead(one: Comparison, resolution: float) -> bool:
    """Whether ``first`` is shown to do more than ``second``.

    It is where the race called it better, or, as a race ends with the first safe choice, where its whole interval lies
    beyond the resolution. Less is what a slow wandering of a candidate may feign.
    """
    if one.word == "better":
        return True
    return one.why_open is None and one.ratio is not None and one.ratio.interval.is_above(1 + resolution)
