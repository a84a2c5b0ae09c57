"""What a run keeps so that its figures can be held against physics: its cores' roof and its model's sizes."""

import dataclasses

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.shapes import ModelShape


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
