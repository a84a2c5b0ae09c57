"""The least seconds that one server takes for a decode step and for a prefill: the roofline of Williams and others.

"Roofline: An Insightful Visual Performance Model" (2009). Bytes and operations divide by the cores, and reading
overlaps computing, so a step takes at least the longer of the two. Exchanges between cores, launches and the host come
on top and are left out: nobody can be faster than a floor, and everybody is slower.
"""

import dataclasses
import typing

from optimal_tp.facts.hardware import Roof
from optimal_tp.facts.shapes import ModelShape
from optimal_tp.plan.roofline import work

Resource = typing.Literal["memory bandwidth", "computing"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Floor:
    """The least seconds of one step, by what takes them."""

    weights_seconds: float
    """To read the weights."""
    kv_seconds: float
    """To read keys and values of the tokens so far."""
    compute_seconds: float | None
    """None where the cores' speed is not known."""

    @property
    def memory_seconds(self) -> float:
        """To read all that is read."""
        return self.weights_seconds + self.kv_seconds

    @property
    def seconds(self) -> float:
        """The floor itself."""
        return max(self.memory_seconds, self.compute_seconds or 0.0)

    @property
    def binds(self) -> Resource:
        """What takes the longer."""
        return "memory bandwidth" if self.memory_seconds >= (self.compute_seconds or 0.0) else "computing"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelledServer:
    """One server of a model: what it must read and compute, on cores that can so much.

    Keys and values count at the tokens so far, though a Neuron server may read its whole bucket, and divide by the
    degree even where heads are replicated: a floor counts what nobody can leave out.
    """

    shape: ModelShape
    degree: int
    batch: int
    """Sequences in one step, at most: ``max_num_seqs``."""
    dtype_bytes: int
    """Of one weight, key or value."""
    roof: Roof

    @property
    def weight_bytes(self) -> float:
        """Bytes of weights that each core reads in a step."""
        return work.step_weights(self.shape) * self.dtype_bytes / self.degree

    def kv_bytes(self, context_tokens: float) -> float:
        """Return the bytes that each core reads for one sequence of ``context_tokens`` in a step."""
        return work.kv_values(self.shape, context_tokens) * self.dtype_bytes / self.degree

    def decode_step(self, sequences: float, context_tokens: float) -> Floor:
        """Return the floor of a step that gives each of ``sequences``, with ``context_tokens`` so far, one token."""
        return Floor(
            weights_seconds=self._weights_seconds,
            kv_seconds=sequences * self.kv_bytes(context_tokens) / self.roof.bytes_per_second,
            compute_seconds=self._compute(sequences * work.decode_flop(self.shape, context_tokens)),
        )

    def prefill(self, prompt_tokens: int) -> Floor:
        """Return the floor of reading a prompt into the model: until its first output token."""
        return Floor(
            weights_seconds=self._weights_seconds,
            kv_seconds=0.0,
            compute_seconds=self._compute(work.prefill_flop(self.shape, prompt_tokens)),
        )

    @property
    def _weights_seconds(self) -> float:
        return max(0.0, self.weight_bytes - self.roof.kept_bytes) / self.roof.bytes_per_second

    def _compute(self, flop: float) -> float | None:
        rate = self.roof.flop_per_second
        return None if rate is None else flop / (rate * self.degree)
