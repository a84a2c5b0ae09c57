"""How far each candidate came of what physics allows."""

import dataclasses
import typing

from optimal_tp.facts.candidates import Candidate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reach:
    """One candidate beside its roof, in its blocks; else with one request at a time."""

    degree: int
    max_num_seqs: int | None
    stage: typing.Literal["block", "idle"]
    """Where it was measured."""
    bandwidth_share: float | None
    """Model bandwidth utilisation (MBU) of decode steps, 0 to 1; None where no token was timed."""
    compute_share: float | None
    """Model FLOP utilisation (MFU), 0 to 1; of an attained roof a share of what was attained. None where the roof does
    not say, or tokens were not counted."""
    sequences: float | None
    """In the mean decode step of one server."""
    step_ms: float | None
    """Time of the mean decode step, as its requests saw it."""
    floor_ms: float | None
    """The least that this step could take: to read, or to compute if that takes longer."""
    weights_floor_ms: float | None
    """The least that this step takes to read the weights."""
    kv_floor_ms: float | None
    """The least that this step takes to read keys and values, on top of the weights."""
    prefill_floor_ms: float
    """The least until the first token of the mean prompt."""
    binds: typing.Literal["memory bandwidth", "computing"]
    """What holds ``bound_per_core`` down, prefills included; the other may hold a decode step down."""
    beyond_roof: tuple[typing.Literal["memory bandwidth", "computing"], ...]
    """What it did more of than an attained roof allows: that roof is too low, and the share is None."""
    measured_per_core: float | None
    """What the run compares: requests per second per core within the limits, else output tokens per second."""
    bound_per_core: float
    """The most of the same that physics allows."""
    next_degree: int
    """The next larger degree of the settings, else twice this one."""
    next_bound_per_core: float
    """The most that it could give, with as many sequences in a step."""
    kv_tokens: int | None = None
    """What the KV cache of one server holds beside the weights, by the plan's arithmetic; None where nobody counted."""
    kv_sequences: int | None = None
    """How many sequences of the longest length that is served these are."""

    @property
    def name(self) -> str:
        """The candidate's, for people."""
        return Candidate(self.degree, self.max_num_seqs).name

    @property
    def share_of_bound(self) -> float | None:
        """What was measured over the bound, 0 to 1."""
        if self.measured_per_core is None or not self.bound_per_core:
            return None
        return self.measured_per_core / self.bound_per_core

    @property
    def next_factor(self) -> float | None:
        """How many times as much per core as was measured here the next degree could give at most."""
        return self.next_bound_per_core / self.measured_per_core if self.measured_per_core else None
