"""How close each candidate came to the most that physics allows."""

import dataclasses
import typing

from optimal_tp.facts.candidates import CandidateRow


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reach(CandidateRow):
    """One candidate beside its roof: in its blocks, or with one request at a time where it has no blocks."""

    stage: typing.Literal["block", "idle"]
    """Where it was measured."""
    bandwidth_share: float | None
    """Model bandwidth utilisation (MBU) of decode steps, 0 to 1; None where no token was timed."""
    compute_share: float | None
    """Model FLOP utilisation (MFU), 0 to 1; with an attained roof, a share of what was attained. None where the roof
    does not state it, or tokens were not counted."""
    sequences: float | None
    """Sequences in the mean decode step of one server."""
    step_ms: float | None
    """Time of the mean decode step, as its requests saw it."""
    floor_ms: float | None
    """Least time of this step: for reading, or for computing if that takes longer."""
    weights_floor_ms: float | None
    """Least time of this step for reading the weights."""
    kv_floor_ms: float | None
    """Least time of this step for reading keys and values, on top of the weights."""
    prefill_floor_ms: float
    """Least time until the first token of the mean prompt."""
    binds: typing.Literal["memory bandwidth", "computing"]
    """What limits ``bound_per_core``, prefills included; the other may limit a decode step."""
    beyond_roof: tuple[typing.Literal["memory bandwidth", "computing"], ...]
    """Figures that exceeded an attained roof: that roof is too low, and the share is None."""
    measured_per_core: float | None
    """The figure that the run compares: requests/s per core within the limits, or without limits output tokens/s."""
    bound_per_core: float
    """The most of this figure that physics allows."""
    next_degree: int
    """The next larger degree of the settings, or twice this one."""
    next_bound_per_core: float
    """The most that the next degree could give, with as many sequences in a step."""
    kv_tokens: int | None = None
    """Tokens that the KV cache of one server holds beside the weights, by the plan's arithmetic; None if unknown."""
    kv_sequences: int | None = None
    """Number of sequences of the longest served length that these tokens make up."""

    @property
    def share_of_bound(self) -> float | None:
        """The measured figure divided by the bound, 0 to 1."""
        if self.measured_per_core is None or not self.bound_per_core:
            return None
        return self.measured_per_core / self.bound_per_core

    @property
    def next_factor(self) -> float | None:
        """The most that the next degree could give per core, as a multiple of the figure measured here."""
        return self.next_bound_per_core / self.measured_per_core if self.measured_per_core else None
