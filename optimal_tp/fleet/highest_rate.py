"""Capacity of servers by a model: the highest rate within the limits, or without limits the tokens of full servers."""

import collections.abc
import functools
import math

from optimal_tp.fleet.demand import LatencyLimit
from optimal_tp.fleet.simulation.answers import ServerModel
from optimal_tp.fleet.simulation.arrivals import Arrivals
from optimal_tp.fleet.simulation.simulation import FULLEST, Fleet, Outcome, simulate
from optimal_tp.fleet.smallest_fleet import CURVE_EFFORT, holds, holds_by_point
from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.settings.workload import WorkloadSettings

LEAST_SHARE = 0.02
"""Smallest load that is tried, as a share of a server's capacity; a limit missed here is held at no load."""
CLOSE = 1.01
"""Precision of a capacity, as a ratio of rates."""


def planned_capacity(model: ServerModel, settings: WorkloadSettings, replicas: int) -> Estimate | None:
    """Return the capacity of ``replicas`` together by ``model``; None if they hold the limits at no rate.

    With limits: requests per second at which each limit's own percentile is just held. Without: output tokens per
    second with every slot taken.
    """
    limits = [
        LatencyLimit(metric=metric, percent=limit.percentile, at_most_ms=limit.at_most_ms)
        for metric, limit in settings.limits.asked().items()
    ]
    if not limits:
        return _saturated(model, replicas)
    if not model.has_first_tokens and any(limit.metric != "total_latency_ms" for limit in limits):
        return None

    @functools.cache
    def outcome(rate: float) -> Outcome:
        """Return the outcome at ``rate``, simulated once."""
        fleet = Fleet(replicas=replicas, routing=settings.load.routing, arrivals=Arrivals(rate_per_second=rate))
        return simulate(model, fleet, [limit.percentile for limit in limits], CURVE_EFFORT)

    def may_hold(outcome: Outcome) -> bool:
        """Whether the lower end of every limited figure is within its limit."""
        ends = [(outcome.percentiles[limit.percentile].interval.low, limit.at_most_ms) for limit in limits]
        return all(low is None or low <= at_most_ms for low, at_most_ms in ends)

    most = FULLEST * replicas * model.capacity_per_second
    value = _highest(most, lambda rate: holds_by_point(outcome(rate), limits))
    if value is None:
        return None
    low = _highest(most, lambda rate: holds(outcome(rate), limits))
    high = _highest(most, lambda rate: may_hold(outcome(rate)))
    # Nothing is simulated beyond FULLEST: limits that may hold there may hold up to the rate of full servers.
    full = replicas * model.capacity_per_second
    return Estimate(value=value, interval=Interval(low=low or 0.0, high=full if high in (None, most) else high))


def _saturated(model: ServerModel, replicas: int) -> Estimate:
    tokens = replicas * model.mean_output_tokens
    value, low = model.capacity_per_second, model.least_capacity_per_second
    off = 1 + model.error(("total_latency_ms", 50.0))
    interval = Interval(low=tokens * low / off, high=tokens * value**2 / low * off)
    return Estimate(value=tokens * value, interval=interval)


def _highest(most: float, fits: collections.abc.Callable[[float], bool]) -> float | None:
    """Return the highest rate up to ``most`` that fits, to CLOSE; None where not even LEAST_SHARE of it does.

    The range is halved in logarithms, always at the same rates, so different questions share their simulations.
    """
    low, high = LEAST_SHARE * most, most
    if fits(high):
        return high
    if not fits(low):
        return None
    while high / low > CLOSE:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
