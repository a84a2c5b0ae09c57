"""What queueing theory knows exactly, beside the simulation: the proof that the model is the one it says it is."""

import argparse
import dataclasses
import math
import sys
import typing

import numpy as np

from optimal_tp.fleet.simulation.arrivals import Arrivals
from optimal_tp.fleet.simulation.simulation import Effort, Fleet, simulate
from optimal_tp.fleet.simulation.times import ServiceTimes

_SHAPE = (1, 1)
_VALUES = 20_000
_EFFORT = Effort(requests=60_000, plain=40, resampled=0, busy_factor=1)


def erlang_c(servers: int, offered: float) -> float:
    """Return the chance that a request waits with ``servers`` servers and ``offered`` Erlangs (below ``servers``).

    By Erlang B's recursion. Source: Erlang, "Solution of some problems in the theory of probabilities of significance
    in automatic telephone exchanges" (1917); Kleinrock, "Queueing Systems", volume 1 (1975), section 3.5.
    """
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mmc_mean(servers: int, rate: float, service: float) -> float:
    """Return the mean time in an M/M/c system; ``rate`` per second, ``service`` the mean in seconds."""
    offered = rate * service
    return service + erlang_c(servers, offered) * service / (servers - offered)


def mmc_percentile(servers: int, rate: float, service: float, percent: float) -> float:
    """Return a percentile of the wait and service together in an M/M/c system, by bisection of its tail.

    Time in system is service plus a wait that is 0 or, with Erlang C's chance, exponential of rate ``c/s - rate``.
    """
    waits = erlang_c(servers, rate * service)
    served, drained = 1 / service, servers / service - rate

    def beyond(time: float) -> float:
        """Return the share of requests that take longer than ``time`` seconds."""
        if math.isclose(served, drained):
            return math.exp(-served * time) * (1 + waits * served * time)
        mixed = (drained * math.exp(-served * time) - served * math.exp(-drained * time)) / (drained - served)
        return (1 - waits) * math.exp(-served * time) + waits * mixed

    low, high = 0.0, service
    while beyond(high) > 1 - percent / 100:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 1 - percent / 100 else (low, middle)
    return high


def pollaczek_khinchine_mean(rate: float, service: float, variation_squared: float) -> float:
    """Return the mean time in an M/G/1 system; ``variation_squared`` is the service's variance over its mean squared.

    Source: Pollaczek (1930), Khinchine (1932); Kleinrock, section 5.6. M/D/1 has variation 0.
    """
    load = rate * service
    return service + load * service * (1 + variation_squared) / (2 * (1 - load))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One closed form beside the simulation, in milliseconds."""

    name: str
    load: float
    exact_ms: float
    simulated_ms: float
    reach_ms: float
    """Half of the simulation's own interval: 2.6 standard errors, 99 %."""

    @property
    def agrees(self) -> bool:
        """Whether the closed form lies in the interval."""
        return abs(self.exact_ms - self.simulated_ms) <= self.reach_ms


def planted(seconds: np.ndarray, slots: int = 1) -> ServiceTimes:
    """Return service times that do not depend on concurrency, so that slots are servers with one queue."""
    cell = (np.sort(seconds), np.full(len(seconds), 0.1))
    cells = {(_SHAPE, level): (cell,) for level in range(1, slots + 1)}
    return ServiceTimes(slots=slots, cells=cells, shares={_SHAPE: 1.0})


def exponential(mean: float = 1.0) -> np.ndarray:
    """Return the exponential distribution as evenly ranked values, scaled to the exact mean."""
    values = -np.log1p(-(np.arange(_VALUES) + 0.5) / _VALUES)
    scaled: np.ndarray = values * mean / values.mean()
    return scaled


def checks(loads: typing.Sequence[float] = (0.5, 0.7, 0.9)) -> list[Check]:
    """Return every closed form at every load beside the simulation."""
    found = []
    memoryless = exponential()
    two_point = np.array([0.5] * 9 + [5.5])
    for load in loads:
        found.append(_mean("M/M/1 mean", memoryless, 1, load, mmc_mean(1, load, 1.0)))
        found.append(_percentile("M/M/1 p99", memoryless, 1, load))
        found.append(_mean("M/M/4 mean (Erlang C)", memoryless, 4, load, mmc_mean(4, 4 * load, 1.0)))
        found.append(_percentile("M/M/4 p99 (Erlang C)", memoryless, 4, load))
        found.append(_mean("M/D/1 mean", np.ones(4), 1, load, pollaczek_khinchine_mean(load, 1.0, 0.0)))
        squared = float(np.var(two_point) / np.mean(two_point) ** 2)
        exact = pollaczek_khinchine_mean(load, 1.0, squared)
        found.append(_mean("M/G/1 mean (Pollaczek-Khinchine)", two_point, 1, load, exact))
    return found


def _mean(name: str, seconds: np.ndarray, slots: int, load: float, exact: float) -> Check:
    fleet = Fleet(replicas=1, routing="random", arrivals=Arrivals(rate_per_second=load * slots))
    found = simulate(planted(seconds, slots), fleet, (), _EFFORT).mean_ms
    reach = (found.interval.high or found.value) - found.value
    return Check(name=name, load=load, exact_ms=1000 * exact, simulated_ms=found.value, reach_ms=reach * 2.6 / 2.02)


def _percentile(name: str, seconds: np.ndarray, slots: int, load: float, effort: Effort = _EFFORT) -> Check:
    fleet = Fleet(replicas=1, routing="random", arrivals=Arrivals(rate_per_second=load * slots))
    outcome = simulate(planted(seconds, slots), fleet, [("total_latency_ms", 99.0)], effort)
    return Check(
        name=name,
        load=load,
        exact_ms=1000 * mmc_percentile(slots, load * slots, 1.0, 99.0),
        simulated_ms=outcome.percentiles["total_latency_ms", 99.0].value,
        reach_ms=2.6 * outcome.noise["total_latency_ms", 99.0],
    )


def planned(loads: typing.Sequence[float] = (0.7, 0.85, 0.9, 0.95, 0.98)) -> list[Check]:
    """Return p99 of M/M/1 beside the simulation with the effort that a plan makes at each load."""
    effort = Effort(resampled=0)
    return [_percentile("M/M/1 p99, as planned", exponential(), 1, load, effort) for load in loads]


def table(found: typing.Sequence[Check]) -> str:
    """Return the checks as a Markdown table."""
    lines = [
        "| closed form | load | exact, ms | simulated, ms | within |",
        "| --- | ---: | ---: | ---: | --- |",
        *(
            f"| {one.name} | {one.load:g} | {one.exact_ms:,.0f} | {one.simulated_ms:,.0f} ± {one.reach_ms:,.0f} | "
            f"{'yes' if one.agrees else 'NO'} |"
            for one in found
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # none but --help, which measures nothing
    sys.stdout.write(table([*checks(), *planned()]))
