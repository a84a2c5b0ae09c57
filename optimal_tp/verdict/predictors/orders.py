"""Compare a predictor's order of two candidates with the measured one, which counts only where it is settled."""

import dataclasses
import itertools
import typing

from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.verdict.comparisons import turned_to
from optimal_tp.verdict.findings import Comparison, DegreeVerdict, Verdict
from optimal_tp.verdict.predictors.judgement import JudgedPair, JudgedRow, Word

SAME = 0.005
"""Predicted rates that differ by less than this share count as equal: programs round what they print."""


def judged_pairs(rows: typing.Sequence[JudgedRow], verdict: Verdict) -> typing.Iterator[JudgedPair]:
    """Yield the pairs whose order is predicted, the preferred one first; ``rows`` are in that order."""
    for preferred, other in itertools.combinations(rows, 2):
        if preferred.misses or preferred.per_core is None:
            continue
        ratio = None if other.misses or not other.per_core else preferred.per_core / other.per_core
        if ratio is None or ratio > 1 + SAME:
            yield _pair(preferred.name, other.name, ratio, verdict)


def _pair(preferred: str, other: str, ratio: float | None, verdict: Verdict) -> JudgedPair:
    word, why, measured = _order(preferred, other, verdict)
    return JudgedPair(
        preferred=preferred, other=other, predicted_ratio=ratio, word=word, measured_ratio=measured, why=why
    )


class PairOrder(typing.NamedTuple):
    """What a run says about one candidate being better than another."""

    word: Word
    why: str | None
    """The reason, where no ratio gives it."""
    ratio: Estimate | None
    """The measured one."""


def _order(preferred: str, other: str, verdict: Verdict) -> PairOrder:
    """Return what the run says about ``preferred`` being better than ``other``."""
    direct = turned_to(verdict.comparisons, preferred, other)
    ratio = None if direct is None else direct.ratio
    if verdict.outcome == "void":
        return PairOrder("not decided", "the run is void", ratio)
    by = {degree.name: degree for degree in verdict.degrees}
    outs: tuple[tuple[str, str, Word], ...] = ((other, preferred, "right"), (preferred, other, "inverted"))
    for loser, winner, word in outs:
        if _is_out(by[loser]) and by[winner].word in ("chosen", "dominated"):
            return PairOrder(word, f"{loser} {by[loser].word}", ratio)
    found = [one for one in (direct, *_through_others(preferred, other, verdict)) if one is not None]
    for one in found:
        if is_ahead(one, verdict.resolution):
            return PairOrder("right", None, one.ratio)
        back = turned_to([one], other, preferred)
        if back is not None and is_ahead(back, verdict.resolution):
            return PairOrder("inverted", None, one.ratio)
    if direct is None or direct.ratio is None:
        return PairOrder("not decided", "the two were not compared", ratio)
    why = direct.why_open or "the measured difference is within the resolution or its noise"
    return PairOrder("not decided", why, ratio)


def _through_others(first: str, second: str, verdict: Verdict) -> typing.Iterator[Comparison]:
    """Yield the ratio of ``first`` to ``second`` through each other candidate: the product of two ratios.

    Beaten candidates leave the race, so two of them have few blocks in common. All intervals hold together at the run's
    confidence, so the products of their ends bound the product.
    """
    for degree in verdict.degrees:
        one = turned_to(verdict.comparisons, first, degree.name)
        two = turned_to(verdict.comparisons, degree.name, second)
        if one is None or two is None or one.ratio is None or two.ratio is None or one.why_open or two.why_open:
            continue
        ends = one.ratio.interval, two.ratio.interval
        ratio = Estimate(
            value=one.ratio.value * two.ratio.value,
            interval=Interval(low=_product(*(each.low for each in ends)), high=_product(*(each.high for each in ends))),
        )
        yield dataclasses.replace(one, second=second, ratio=ratio, word="open", log_deviation=None)


def _product(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other


def _is_out(degree: DegreeVerdict) -> bool:
    """Whether the candidate is shown to be impossible: it lacks memory, or misses a limit with one request alone."""
    return degree.word in ("no-fit", "misses-slo")


def is_ahead(one: Comparison, resolution: float) -> bool:
    """Whether ``first`` is shown to be better than ``second``.

    It is where the race called it better, or where its whole interval lies beyond the resolution, because a race ends
    with the first safe choice. A smaller lead could come from the slow drift of a candidate.
    """
    if one.word == "better":
        return True
    return one.why_open is None and one.ratio is not None and one.ratio.interval.is_above(1 + resolution)
