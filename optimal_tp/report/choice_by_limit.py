"""The choice by limit in words: from which limit on which candidate is the one to serve with."""

import dataclasses
import itertools
import typing

from optimal_tp.measurement.estimate import METRIC_WORDS, figure
from optimal_tp.report.words import latency_words, span
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.views.by_limit import ByLimit, LimitPoint

CLOSE = "too close to call"
UNKNOWN = "not decided by the rates tried"
NONE = "no candidate qualifies"
FEWEST_POINTS = 5
"""Limits in a row that a candidate must win beside others that are too close to call."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """Limits with one answer, from ``from_ms`` on; the last has no end."""

    from_ms: float
    to_ms: float | None
    answer: str


def ranges(view: ByLimit) -> tuple[Range, ...]:
    """Return the answer over all limits that were looked at, rising."""
    found: list[Range] = []
    for answer, own in itertools.groupby(zip(answers(view), view.points, strict=True), key=lambda pair: pair[0]):
        start = next(own)[1].limit_ms
        if found:
            found[-1] = dataclasses.replace(found[-1], to_ms=start)
        found.append(Range(from_ms=start, to_ms=None, answer=answer))
    return tuple(found)


def answers(view: ByLimit) -> list[str]:
    """Return the answer at each point: a candidate, or that there is none or none can be told.

    Where one candidate is chosen between limits at which another is, the difference is within the noise.
    """
    chosen: dict[str, list[int]] = {}
    for place, point in enumerate(view.points):
        if point.choice is not None and not point.near:
            chosen.setdefault(point.choice, []).append(place)
    zones = {name: range(places[0], places[-1] + 1) for name, places in chosen.items()}
    told = [
        _answer(point, [name for name, zone in zones.items() if place in zone], view.asked_ms)
        for place, point in enumerate(view.points)
    ]
    return _steady(told, [point.limit_ms == view.asked_ms for point in view.points])


def _steady(told: typing.Sequence[str], own: typing.Sequence[bool]) -> list[str]:
    """Return ``told`` without candidates that win a few limits beside some that are too close: that is chance."""
    found: list[str] = []
    groups = [
        (answer, [place for place, _ in each])
        for answer, each in itertools.groupby(enumerate(told), lambda pair: pair[1])
    ]
    for number, (answer, places) in enumerate(groups):
        beside = {groups[other][0] for other in (number - 1, number + 1) if 0 <= other < len(groups)}
        is_chance = len(places) < FEWEST_POINTS and CLOSE in beside and answer not in (NONE, UNKNOWN)
        is_own = any(own[place] for place in places)
        found += [CLOSE if is_chance and not is_own else answer] * len(places)
    return found


def _answer(point: LimitPoint, zones: typing.Sequence[str], asked_ms: float | None) -> str:
    if point.choice is None:
        return NONE if point.is_decided else UNKNOWN
    if point.limit_ms == asked_ms:
        return point.choice
    return CLOSE if point.near or len(zones) > 1 else point.choice


def by_limit_claim(analysis: Analysis) -> str:
    """Return the choice by each limit, the loosest first; empty where nothing can be said."""
    return " ".join(_sentence(analysis, view) for view in analysis.by_limit if view.points)


def _sentence(analysis: Analysis, view: ByLimit) -> str:
    found = ranges(view)
    parts = [_part(one, is_first=place == 0, is_only=len(found) == 1) for place, one in enumerate(found)]
    measure = f"p{view.percent:g} of {METRIC_WORDS[view.metric]}"
    open_ = "" if analysis.verdict.outcome == "settled" else "Not settled; on what was seen: "
    own = "" if view.asked_ms is None else f" Measured at {latency_words(view.asked_ms)}; other limits are estimated."
    return f"Limit on {measure}: {open_}{'. '.join(reversed(parts))}.{own}"


def _part(one: Range, *, is_first: bool, is_only: bool) -> str:
    if one.to_ms is None:
        return f"{'any limit tried' if is_only else f'allow {latency_words(one.from_ms)} or more'}: {one.answer}"
    if is_first and one.answer == NONE:
        return f"Below {latency_words(one.to_ms)}: {one.answer}"
    return f"{span(one.from_ms, one.to_ms)}: {one.answer}"


def rate_words(per_core: float | None, reach: typing.Literal["measured", "at least", "below", "misses"]) -> str:
    """Return what a candidate does at a limit: "3.1", "at least 4.4", "below 0.5", "misses it"."""
    if reach == "misses":
        return "misses it"
    words = figure(per_core)
    return words if reach == "measured" else f"{reach} {words}" if per_core is not None else "not tried"
