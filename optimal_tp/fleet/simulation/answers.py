"""The interface between the simulation and a model of servers, however the model was measured."""

import dataclasses
import typing

import numpy as np

from optimal_tp.settings.workload import LimitedMetric

Percentile = tuple[LimitedMetric, float]


def interpolated(values: typing.Sequence[float] | np.ndarray, percent: float) -> float:
    """Return the percentile of what was simulated, or of what is held against it, between the two nearest values.

    A report's percentile is a value that was measured (`measurement.distribution.percentile_of`). Here numpy selects
    among hundreds of thousands of values without sorting them, and the figures in docs/concepts/fleet.md are such.
    """
    return float(np.percentile(values, percent))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """The outcome of requests, in the order of their arrivals."""

    totals: np.ndarray
    """Seconds from arrival to the last byte."""
    firsts: np.ndarray
    """Seconds from arrival to the first token; NaN where it is unknown."""
    tokens: np.ndarray
    """Output tokens of each."""
    taken_seconds: float
    """Slots taken, summed over time."""
    unmeasured_seconds: float
    """The part of ``slot_seconds`` at loads that the run did not measure."""

    def between(self, start: int, end: int) -> "Answers":
        """Return the requests from ``start`` up to, but without, ``end``; the slots stay those of all requests."""
        part = slice(start, end)
        return dataclasses.replace(self, totals=self.totals[part], firsts=self.firsts[part], tokens=self.tokens[part])


class Drawn(typing.Protocol):
    """A model as one simulation uses it: as fitted, or from one bootstrap sample of the measurements."""

    def answers(self, arrivals: np.ndarray, servers: int, generator: np.random.Generator) -> Answers:
        """Simulate ``servers`` behind one router with requests at ``arrivals``, in seconds, ascending."""


class ServerModel(typing.Protocol):
    """One kind of server."""

    @property
    def slots(self) -> int:
        """Requests that a server works on at a time."""

    @property
    def has_first_tokens(self) -> bool:
        """Whether the time of the first token is known throughout."""

    @property
    def capacity_per_second(self) -> float:
        """Requests per second that one server completes with every slot taken."""

    @property
    def least_capacity_per_second(self) -> float:
        """The lower end (97.5 %) of this capacity."""

    @property
    def mean_output_tokens(self) -> float:
        """Output tokens of the mean request."""

    def drawn(self, generator: np.random.Generator | None = None) -> Drawn:
        """Return the model as fitted; with ``generator``, a model of one bootstrap sample."""

    def error(self, asked: Percentile) -> float:
        """Return the model's own error, apart from chance, as a share of its figure; 0 if it is not known."""
