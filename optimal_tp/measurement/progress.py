"""How far a run is: one small object beside its results, to watch the run from another machine."""

import dataclasses
import math
import typing

import pydantic

from optimal_tp.measurement.estimate import Estimate, Interval, ranged
from optimal_tp.settings.candidate_names import CandidateName, Named

PROGRESS = "progress.json"
"""Name of the object."""
WRITE_SECONDS = 15.0
"""Least time between two writes: at most four calls a minute, whatever the load."""
HEARTBEAT_SECONDS = 60.0
"""Longest time between two writes of a running load generator."""
SILENT_SECONDS = 180.0
"""A load generator that has written nothing for this long counts as gone."""
MOST_LINES = 5
MOST_LOOKS = 20
"""Most looks that are kept: the first, to show how far an interval has narrowed, and the newest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratio:
    """Performance per core of ``first`` divided by that of ``second``, at one look; candidates by name."""

    first: Named
    second: Named
    value: float
    interval: Interval

    @property
    def words(self) -> str:
        """Return the ratio and its range."""
        return f"{self.first}/{self.second} per core {ranged(Estimate(value=self.value, interval=self.interval))}"

    @property
    def half_width(self) -> float | None:
        """Return the share by which the interval extends from its middle; None where one end is open."""
        low, high = self.interval.low, self.interval.high
        if low is None or high is None or low <= 0:
            return None
        return math.sqrt(high / low) - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What the verdict's rule said after a block."""

    blocks: int
    """Blocks measured until then."""
    reason: str
    """The outcome so far, and why it is not settled yet."""
    ratios: tuple[Ratio, ...]
    resolution: float | None = None
    """Share by which two candidates may differ and still count as equal; None where it is unknown."""
    spent_seconds: float | None = None
    """Part of the experiment's time used by then."""
    budget_seconds: float | None = None
    """The experiment's time, ``decision.budget_seconds``."""

    @property
    def words(self) -> str:
        """Return all of it in one line."""
        return "; ".join((self.reason, *(ratio.words for ratio in self.ratios)))

    @property
    def precision(self) -> float | None:
        """Return the widest half-width of its ratios; None where one of them is open or there are none."""
        widths = [ratio.half_width for ratio in self.ratios]
        known = [width for width in widths if width is not None]
        return max(known) if known and len(known) == len(widths) else None

    @property
    def precision_share(self) -> float | None:
        """Return ``resolution / precision``, at most 1: how close the intervals are to the required precision.

        A clear lead ends the run before this reaches 1. None where either figure is unknown.
        """
        if self.precision is None or self.resolution is None:
            return None
        return 1.0 if self.precision <= self.resolution else self.resolution / self.precision


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """A run under way. Times are seconds since 1970."""

    run: str
    model: str
    """Its whole name."""
    model_title: typing.Annotated[str, pydantic.Field(alias="series")]
    """The model's title before the candidate in the metrics of a sweep; empty for a single model."""
    candidates: typing.Annotated[tuple[CandidateName, ...], pydantic.Field(alias="degrees")]
    """Candidates that are measured."""
    region: str | None
    """AWS region of its metrics; None where none are published."""
    started: float
    stage: str = "starting"
    stage_started: float
    stage_seconds: float | None = None
    """Planned length of the stage; None if unknown."""
    detail: str = ""
    """How far the stage is, in words."""
    lines: tuple[str, ...] = ()
    """The latest messages, oldest first."""
    looks: tuple[Look, ...] = ()
    """Oldest first."""
    written: float
    """When this was stored: after minutes of silence the load generator counts as gone."""
    is_over: bool = False

    def saying(self, line: str) -> "Progress":
        """Return a copy with ``line`` as its last message."""
        return dataclasses.replace(self, lines=(*self.lines, line)[-MOST_LINES:])

    def looking(self, look: Look) -> "Progress":
        """Return a copy with ``look`` as its last look."""
        looks = (*self.looks, look)
        kept = looks if len(looks) <= MOST_LOOKS else (looks[0], *looks[1 - MOST_LOOKS :])
        return dataclasses.replace(self, looks=kept)


_ADAPTER = pydantic.TypeAdapter(Progress)


def encode_progress(progress: Progress) -> bytes:
    """Return ``progress`` as JSON."""
    return _ADAPTER.dump_json(progress, by_alias=True)


def decode_progress(text: str | bytes) -> Progress:
    """Return the progress in ``text``. Raises ValueError for a text that is cut or holds something else."""
    return _ADAPTER.validate_json(text)
