"""The smallest fleet that holds the limits, and the rate that a fleet of any size holds."""

import dataclasses
import functools
import math
import typing

from optimal_tp.fleet.demand import LatencyLimit
from optimal_tp.fleet.simulation.answers import Percentile, ServerModel
from optimal_tp.fleet.simulation.arrivals import Arrivals, Routing
from optimal_tp.fleet.simulation.simulation import (
    FULLEST,
    ROUTER_SERVERS,
    Effort,
    Fleet,
    Outcome,
    is_overloaded,
    simulate,
)

RESOLUTION = 0.002
"""Precision of a fleet's size, as a share of it; small fleets are exact to one server."""
CURVE_EFFORT = Effort(requests=4_000, plain=10, resampled=12, busy_factor=2)
ROUGH_EFFORT = Effort(requests=4_000, plain=8, resampled=0, busy_factor=2)
"""Effort for the first guess at a fleet, which only tells where the search begins."""
IDLE_SHARE = 0.001
"""Utilisation at which no request waits."""
_STEPS = 8

Limits = typing.Sequence[LatencyLimit]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizing:
    """The smallest fleet of one degree under one routing."""

    fleet: Fleet
    outcome: Outcome
    replicas_by_point: int
    """The smallest fleet whose figures hold the limits, without regard to their intervals."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unreachable:
    """The reason why no fleet of a degree holds the limits."""

    limit: LatencyLimit
    outcome: Outcome
    is_sure: bool
    """False if the figure itself is within the limit and only its interval is not."""


def holds(outcome: Outcome, limits: Limits) -> bool:
    """Whether the upper end of every limited figure is within its limit."""
    return all(outcome.percentiles[limit.percentile].interval.is_at_most(limit.at_most_ms) for limit in limits)


def holds_by_point(outcome: Outcome, limits: Limits) -> bool:
    """Whether every limited figure itself is within its limit."""
    return all(outcome.percentiles[limit.percentile].value <= limit.at_most_ms for limit in limits)


def nearest_limit(outcome: Outcome, limits: Limits) -> LatencyLimit:
    """Return the limit whose figure's upper end is nearest to it, or furthest beyond it; among equals the first."""

    def share(limit: LatencyLimit) -> float:
        """Return the upper end as a share of the limit."""
        high = outcome.percentiles[limit.percentile].interval.high
        return math.inf if high is None else high / limit.at_most_ms

    return max(limits, key=share)


def unreachable(times: ServerModel, limits: Limits, asked: typing.Sequence[Percentile]) -> Unreachable | None:
    """Return a limit that service alone breaks, even if no request waits; None if there is none."""
    rate = IDLE_SHARE * times.capacity_per_second
    idle = Fleet(replicas=1, routing="random", arrivals=Arrivals(rate_per_second=rate))
    outcome = simulate(times, idle, asked)
    for limit in limits:
        found = outcome.percentiles[limit.percentile]
        if not found.interval.is_at_most(limit.at_most_ms):
            return Unreachable(limit=limit, outcome=outcome, is_sure=found.value > limit.at_most_ms)
    return None


def smallest(
    times: ServerModel,
    arrivals: Arrivals,
    routing: Routing,
    limits: Limits,
    asked: typing.Sequence[Percentile],
    effort: Effort | None = None,
) -> Sizing:
    """Return the smallest fleet that holds ``limits``; service alone must hold them. ``effort`` None: the plan's.

    Latency falls as a fleet grows, so the search halves the range between a fleet that fails and one that holds.
    """

    @functools.cache
    def outcome(replicas: int, by: Effort | None) -> Outcome | None:
        """Return the outcome of this many replicas, simulated once; None if they are overloaded."""
        fleet = Fleet(replicas=replicas, routing=routing, arrivals=arrivals)
        return None if is_overloaded(times, fleet) else simulate(times, fleet, asked, by)

    def fits(replicas: int, rule: typing.Callable[[Outcome, Limits], bool], by: Effort | None) -> bool:
        """Return whether this many replicas hold the limits by ``rule``."""
        found = outcome(replicas, by)
        return found is not None and rule(found, limits)

    least = max(1, math.ceil(arrivals.rate_per_second / (FULLEST * times.least_capacity_per_second)))
    guess = _smallest(least, least, lambda replicas: fits(replicas, holds_by_point, ROUGH_EFFORT))
    by_point = _smallest(least, guess, lambda replicas: fits(replicas, holds_by_point, effort))
    replicas = _smallest(by_point, by_point, lambda replicas: fits(replicas, holds, effort))
    chosen = outcome(replicas, effort)
    if chosen is None:
        raise RuntimeError(f"a fleet of {replicas} holds the limits and is overloaded at the same time")
    return Sizing(
        fleet=Fleet(replicas=replicas, routing=routing, arrivals=arrivals),
        outcome=chosen,
        replicas_by_point=by_point,
    )


def _smallest(least: int, start: int, fits: typing.Callable[[int], bool]) -> int:
    """Return the smallest number from ``least`` up that fits, to RESOLUTION; the search begins at ``start``."""
    step = max(1, math.ceil(start * 0.02))
    if fits(start):
        low, high = start - step, start
        while low >= least and fits(low):
            step, high = 2 * step, low
            low = high - step
        low = max(low, least - 1)
    else:
        low, high = start, start + step
        while not fits(high):
            step, low = 2 * step, high
            high = low + step
    while high - low > max(1, RESOLUTION * high):
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


@dataclasses.dataclass(frozen=True, kw_only=True)
class Carrying:
    """The rate that one server of a fleet carries within the limits, by the size of the fleet."""

    per_server: tuple[tuple[int, float], ...]
    """Servers (ascending powers of two) and requests per second of each. Beyond the last the rate stays the same."""

    def rate_per_server(self, replicas: int) -> float:
        """Return requests per second of each of ``replicas`` servers; linear in the logarithm between sizes."""
        for (small, less), (large, more) in zip(self.per_server, self.per_server[1:], strict=False):
            if replicas < large:
                weight = math.log(replicas / small) / math.log(large / small)
                return less + weight * (more - less)
        return self.per_server[-1][1]

    def replicas(self, rate_per_second: float) -> int:
        """Return the smallest fleet that carries ``rate_per_second``."""
        found = max(1, math.ceil(rate_per_second / max(rate for _, rate in self.per_server)))
        while found * self.rate_per_server(found) < rate_per_second:
            found += 1
        return found


def carrying(times: ServerModel, arrivals: Arrivals, routing: Routing, limits: Limits) -> Carrying | None:
    """Return the rate that fleets of every size carry; None where one server carries none.

    With ``random`` routing a server sees the same stream whatever the size of the fleet, so one size is enough. With
    ``round-robin`` the gaps become more even as the fleet grows; beyond ROUTER_SERVERS they change by less than the
    resolution. With ``least-in-flight``, ROUTER_SERVERS is the most that one router has.
    """
    asked = [limit.percentile for limit in limits]
    sizes = [1] if routing == "random" else [2**power for power in range(ROUTER_SERVERS.bit_length())]
    found: list[tuple[int, float]] = []
    for replicas in sizes:
        low = found[-1][1] if found else 0.0
        high = FULLEST * times.least_capacity_per_second
        for _ in range(_STEPS):
            middle = (low + high) / 2
            fleet = Fleet(replicas=replicas, routing=routing, arrivals=arrivals.at_rate(middle * replicas))
            does = holds(simulate(times, fleet, asked, CURVE_EFFORT), limits)
            low, high = (middle, high) if does else (low, middle)
        found.append((replicas, low))
    return Carrying(per_server=tuple(found)) if found[-1][1] > 0 else None
