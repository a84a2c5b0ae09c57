"""A planner's or simulator's predictions for candidates, as its file states them, in one form and one set of units."""

import dataclasses
import math
import typing

from optimal_tp.settings.workload import Limit, LimitedMetric

RateName = typing.Literal["requests_per_second", "output_tokens_per_second"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatedRow:
    """One prediction. A figure that the predictor does not state is None."""

    place: str
    """File and line: "planner.csv:3"."""
    degree: int
    batch: int | None = None
    """Slots of a server, as vLLM's --max-num-seqs."""
    in_flight: float | None = None
    """Requests in flight at one server, at which the figures hold."""
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    """Milliseconds per output token after the first."""
    output_tokens_per_second: float | None = None
    """Of ``cores`` together."""
    requests_per_second: float | None = None
    """Of ``cores`` together."""
    cores: int
    """Logical cores that the rates belong to: those that a server occupies, usually its degree; 1 for rates per
    core."""
    input_tokens: float | None = None
    output_tokens: float | None = None
    """Mean lengths of a request."""
    model: str | None = None

    def per_core(self, rate: RateName) -> float | None:
        """Return ``rate`` for each logical core."""
        value = self.requests_per_second if rate == "requests_per_second" else self.output_tokens_per_second
        return None if value is None else value / self.cores

    def latency_ms(self, metric: LimitedMetric) -> float | None:
        """Return the predicted figure that a limit applies to.

        Total latency is ``ttft + tpot * (output tokens - 1)``, as predictors do not state it.
        """
        if metric == "ttft_ms":
            return self.ttft_ms
        if metric == "tpot_ms":
            return self.tpot_ms
        if self.ttft_ms is None or self.tpot_ms is None or self.output_tokens is None:
            return None
        return self.ttft_ms + self.tpot_ms * (self.output_tokens - 1)

    def missed(self, limits: typing.Mapping[LimitedMetric, Limit]) -> tuple[LimitedMetric, ...]:
        """Return the limits that it is predicted to miss; a missing figure misses none."""
        figures = {metric: self.latency_ms(metric) for metric in limits}
        return tuple(metric for metric, value in figures.items() if (value or -math.inf) > limits[metric].at_most_ms)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stated:
    """A file of predictions."""

    predictor: str
    """Name of the predictor: "AIConfigurator"."""
    version: str | None
    file: str
    """Name of the file, without its folder."""
    rows: tuple[StatedRow, ...]
    notes: tuple[str, ...] = ()
    """What the reader left out or assumed, one sentence each."""
