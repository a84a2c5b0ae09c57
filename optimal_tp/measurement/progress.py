"""How far a run is: one small object beside its results, for whoever watches from elsewhere."""

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
"""Most time between two writes of a load generator that lives."""
SILENT_SECONDS = 180.0
"""A load generator that has written nothing for so long counts as gone."""
MOST_LINES = 5
MOST_LOOKS = 20
"""Looks that are kept: the first, to tell how far an interval has narrowed, and the newest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratio:
    """What ``first`` does per core over what ``second`` does, as a look saw it; candidates by name."""

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
        """Return by which share the interval reaches away from its middle; None where it is open at an end."""
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
    """The outcome by now, and what it is held up by."""
    ratios: tuple[Ratio, ...]
    resolution: float | None = None
    """The share by which two candidates may differ and count as equal; None where nobody said."""
    spent_seconds: float | None = None
    """Of the experiment's time, until then."""
    budget_seconds: float | None = None
    """The experiment's time, ``decision.budget_seconds``."""

    @property
    def words(self) -> str:
        """Return all of it in one line."""
        return "; ".join((self.reason, *(ratio.words for ratio in self.ratios)))

    @property
    def precision(self) -> float | None:
        """Return the widest half-width of its ratios; None where one of them is open, or there is none."""
        widths = [ratio.half_width for ratio in self.ratios]
        known = [width for width in widths if width is not None]
        return max(known) if known and len(known) == len(widths) else None

    @property
    def precision_share(self) -> float | None:
        """Return ``resolution / precision``, at most 1: how near the intervals are to the finest that is asked.

        A clear lead ends the run before it reaches 1. None where either is not known.
        """
        if self.precision is None or self.resolution is None:
            return None
        return 1.0 if self.precision <= self.resolution else self.resolution / self.precision


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """A run under way. Moments are seconds since 1970."""

    run: str
    model: str
    """Its whole name."""
    model_title: typing.Annotated[str, pydantic.Field(alias="series")]
    """What stands before the candidate in the metrics of a sweep; empty for one model alone."""
    candidates: typing.Annotated[tuple[CandidateName, ...], pydantic.Field(alias="degrees")]
    """The ones that are measured."""
    region: str | None
    """Where its metrics are; None where none are published."""
    started: float
    stage: str = "starting"
    stage_started: float
    stage_seconds: float | None = None
    """Planned length of the stage; None if unknown."""
    detail: str = ""
    """How far the stage is, in words."""
    lines: tuple[str, ...] = ()
    """What was said last, oldest first."""
    looks: tuple[Look, ...] = ()
    """Oldest first."""
    written: float
    """When this was stored: silence for minutes is a load generator that is gone."""
    is_over: bool = False

    def saying(self, line: str) -> "Progress":
        """Return the same with ``line`` said last."""
        return dataclasses.replace(self, lines=(*self.lines, line)[-MOST_LINES:])

    def looking(self, look: Look) -> "Progress":
        """Return the same with ``look`` as the last one."""
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
