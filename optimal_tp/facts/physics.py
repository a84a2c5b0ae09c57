"""What a run keeps so that its figures can be held against physics: its cores' roof and its model's sizes."""

import dataclasses

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.shapes import ModelShape

STEADY_SHARE = 0.05
"""Measurements of a steady machine differ by no more (sc-membench repeats its own until they vary by less)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Room:
    """What the KV cache of one server holds beside the weights, by the plan's arithmetic."""

    degree: int
    kv_tokens: int
    kv_sequences: int
    """Of the longest length that is served."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Physics:
    """The least that must be known to say how far a server is from its limit."""

    roof: Roof
    """Of one logical core. Where it was measured more than once: the largest figures, because a bound must be one."""
    shape: ModelShape
    dtype_bytes: int
    """Of one weight, key or value."""
    measured: tuple[Roof, ...] = ()
    """Every measurement that ``roof`` was taken from, in the order of time; empty where it is published."""

    rooms: tuple[Room, ...] = ()
    """One for each degree; empty where nobody counted."""

    @property
    def drift_share(self) -> float | None:
        """By how much figures of ``measured`` differ at most: 1 - least / largest; None of fewer than two."""
        pairs = zip(*((each.bytes_per_second, each.flop_per_second) for each in self.measured), strict=True)
        known = [[each for each in figures if each is not None] for figures in pairs]
        return max((1 - min(each) / max(each) for each in known if len(each) > 1), default=None)

    def room(self, degree: int) -> Room | None:
        """Return the room at ``degree``; None where nobody counted."""
        return next((each for each in self.rooms if each.degree == degree), None)
