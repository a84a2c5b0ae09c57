"""What a run keeps so that its figures can be held against physics: its cores' roof and its model's sizes."""

import dataclasses

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.shapes import ModelShape


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
    """Of one logical core."""
    shape: ModelShape
    dtype_bytes: int
    """Of one weight, key or value."""
    rooms: tuple[Room, ...] = ()
    """One for each degree; empty where nobody counted."""

    def room(self, degree: int) -> Room | None:
        """Return the room at ``degree``; None where nobody counted."""
        return next((each for each in self.rooms if each.degree == degree), None)
