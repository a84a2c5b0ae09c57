"""Draws a picture as inline SVG with text: the page's own colours, so light, dark and paper need one picture."""

import collections.abc
import dataclasses
import html
import math
import typing

from optimal_tp.facts.candidates import Candidate

WIDTH = 460
"""Of every picture, in its own units: text of 12 stays readable on a phone."""
ROW = 34
"""Height of a row with a name, a dot and its interval."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of the page."""

    name: str
    title: str
    alt: str
    """The same figures in words."""
    svg: str
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """Takes a value between ``low`` and ``high`` to a place between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False
    is_whole: bool = False
    """Whether it counts something: ticks are whole numbers then."""

    def __call__(self, value: float) -> float:
        """Return the place of ``value``, within the ends."""
        low, high, at = self.low, self.high, value
        if self.is_log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, 1e-12))
        way = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, way)) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Return round values within the scale."""
        if self.is_log:
            return [2.0**power for power in range(60) if self.low <= 2.0**power <= self.high]
        step = _nice((self.high - self.low) / count)
        step = max(1.0, step) if self.is_whole else step
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next((each * power for each in (1, 2, 2.5, 5) if each * power >= step * 0.999), 10 * power)


class Canvas:
    """Collects the marks of one picture."""

    def __init__(self, height: float) -> None:
        """Start an empty picture of ``height``."""
        self.height = height
        self._marks: list[str] = []

    def text(self, x: float, y: float, words: str, style: str = "", anchor: str = "start") -> None:
        """Write ``words`` at a place; ``style`` names classes."""
        self._marks.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{html.escape(words)}</text>'
        )

    def line(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        """Draw a line between two places."""
        (x1, y1), (x2, y2) = start, end
        self._marks.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def path(self, places: collections.abc.Iterable[tuple[float, float]], style: str, *, closed: bool = False) -> None:
        """Draw a line through ``places``; a closed one is an area."""
        steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        self._marks.append(f'<path d="M{steps}{"Z" if closed else ""}" class="{style}"/>')

    def box(self, x: float, y: float, size: tuple[float, float], style: str, told: str = "") -> None:
        """Draw a rectangle; ``told`` shows where a pointer rests on it."""
        inside = f"<title>{html.escape(told)}</title>" if told else ""
        width, height = size
        self._marks.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{style}">{inside}</rect>'
        )

    def mark(self, x: float, y: float, style: str, shape: int = 0, told: str = "") -> None:
        """Draw a candidate's mark: shapes differ where colours may look the same."""
        inside = f"<title>{html.escape(told)}</title>" if told else ""
        if shape == 0:
            self._marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" class="{style}">{inside}</circle>')
            return
        corners = _SHAPES[(shape - 1) % len(_SHAPES)]
        points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
        self._marks.append(f'<polygon points="{points}" class="{style}">{inside}</polygon>')

    def svg(self, alt: str) -> str:
        """Return the picture as markup that a page may contain."""
        marks = "".join(self._marks)
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height:.0f}" role="img" aria-label="{html.escape(alt, quote=True)}">'
            f"{marks}</svg>"
        )


_SHAPES: typing.Final = (
    ((-5, -5), (5, -5), (5, 5), (-5, 5)),
    ((0, -6.5), (6, 5), (-6, 5)),
    ((0, -7), (7, 0), (0, 7), (-7, 0)),
    ((0, 6.5), (6, -5), (-6, -5)),
)


def shape_of(candidate: Candidate) -> int:
    """Return the number of a candidate's shape, by its batch where it has one, else by its degree."""
    return (candidate.max_num_seqs or candidate.degree).bit_length() - 1


def colour_of(candidate: Candidate) -> str:
    """Return the class with a candidate's colour: by its degree, from a palette made for colour-blind readers too."""
    return f"c{(candidate.degree.bit_length() - 1) % 7}"


def across(canvas: Canvas, scale: Scale, y: float, label: str, *, top: float, unit: str = "") -> None:
    """Draw the axis at the bottom, with faint lines up to ``top``."""
    for tick in scale.ticks():
        canvas.line((scale(tick), top), (scale(tick), y), "grid")
        canvas.text(scale(tick), y + 16, f"{tick_words(tick)}{unit}", "tick", "middle")
    canvas.text((scale.start + scale.end) / 2, y + 34, label, "tick", "middle")


def upwards(canvas: Canvas, scale: Scale, x: float, label: str, *, right: float, unit: str = "") -> None:
    """Draw the axis at the left, with faint lines to ``right`` and the label above."""
    for tick in scale.ticks():
        canvas.line((x, scale(tick)), (right, scale(tick)), "grid")
        canvas.text(x - 6, scale(tick) + 4, f"{tick_words(tick)}{unit}", "tick", "end")
    canvas.text(4, 12, label, "tick")


def tick_words(tick: float) -> str:
    """Return a round number without trailing zeros."""
    return f"{tick:,.0f}" if abs(tick) >= 100 else f"{tick:.4g}" if tick else "0"  # noqa: PLR2004 - whole from there
