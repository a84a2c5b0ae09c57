"""Data that a run keeps to compare its figures with physics: the roof of its cores and the sizes of its model."""

import dataclasses

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.shapes import ModelShape

STEADY_SHARE = 0.05
"""Largest difference between measurements of a steady machine (sc-membench repeats its own until they vary by less)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Room:
    """The capacity of one server's KV cache beside the weights, by the plan's arithmetic."""

    degree: int
    kv_tokens: int
    kv_sequences: int
    """Sequences of the longest served length."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Physics:
    """The data needed to say how far a server is from its limit."""

    roof: Roof
    """Roof of one logical core; the largest figures of several measurements, because it must be an upper bound."""
    shape: ModelShape
    dtype_bytes: int
    """Bytes of one weight, key or value."""
    measured: tuple[Roof, ...] = ()
    """Every measurement behind ``roof``, in order of time; empty if the roof is published."""

    rooms: tuple[Room, ...] = ()
    """One for each degree; empty if none was computed."""

    @property
    def drift_share(self) -> float | None:
        """Largest relative difference in ``measured``: 1 - least / largest; None if there are fewer than two."""
        pairs = zip(*((each.bytes_per_second, each.flop_per_second) for each in self.measured), strict=True)
        known = [[each for each in figures if each is not None] for figures in pairs]
        return max((1 - min(each) / max(each) for each in known if len(each) > 1), default=None)

    def room(self, degree: int) -> Room | None:
        """Return the room at ``degree``; None if none was computed."""
        return next((each for each in self.rooms if each.degree == degree), None)
