"""A fleet under a stream of requests: many short simulations, and from them percentiles with their intervals."""

import concurrent.futures
import dataclasses
import functools
import math
import os
import typing

import numpy as np
import scipy.special

from optimal_tp.fleet.simulation.arrivals import Arrivals, Routing, every_nth, thinned
from optimal_tp.fleet.simulation.kernel import Requests, Values, serve
from optimal_tp.fleet.simulation.times import ServiceTimes
from optimal_tp.measurement.estimate import Estimate, Interval

ROUTER_SERVERS = 128
"""Servers behind one router that counts requests in flight. A larger fleet has several routers, each with its own
servers and a random share of the requests; that fleet is simulated exactly, by one router's part. A single router over
more servers is no worse by experience (tests/unit/test_fleet_scaling.py), not by proof: for general service times
least-in-flight is not optimal (Whitt, "Deciding which queue to join", Operations Research 34, 1986)."""
WARM_UP_SHARE = 0.2
"""Share of each simulation's requests that is left out at its start, when servers are still empty."""
WIND_DOWN_SHARE = 0.02
"""The same at its end, when nobody comes after."""
FULLEST = 0.98
"""Share of a server's capacity, at its lower end, beyond which no fleet is planned: closer to it a simulation would
have to be far longer than these to come to rest, and a service time a little longer than measured overloads it."""

Metric = typing.Literal["total_ms", "ttft_ms", "tpot_ms"]
Percentile = tuple[Metric, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is simulated for one figure."""

    requests: int = 6_000
    """In each simulation, at least; a router's group gets 40 for each of its servers."""
    plain: int = 16
    """Simulations with the samples as they are: they give the figure and its own noise."""
    resampled: int = 24
    """Simulations each with a bootstrap sample of the service times."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fleet:
    """Servers of one degree and who sends them requests."""

    replicas: int
    routing: Routing
    arrivals: Arrivals


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a fleet does to latency."""

    percentiles: typing.Mapping[Percentile, Estimate]
    """Milliseconds. The interval holds the simulation's noise and that of the finite sample of service times, 95 %."""
    noise: typing.Mapping[Percentile, float]
    """The simulation's own standard error alone, in milliseconds."""
    mean_ms: Estimate
    """Mean total latency with the interval of the simulation's own noise alone, 95 %."""
    utilisation: float
    """Share of the slots taken, over time."""
    unmeasured_share: float
    """Share of the service time at concurrencies that the run did not measure."""
    simulated_requests: int


def requests_per_server_second(fleet: Fleet) -> float:
    """Return the mean rate at one server."""
    return fleet.arrivals.rate_per_second / fleet.replicas


def is_overloaded(times: ServiceTimes, fleet: Fleet) -> bool:
    """Whether the requests are more than FULLEST of what the servers complete with every slot taken."""
    return requests_per_server_second(fleet) > FULLEST * times.least_capacity_per_second


def simulate(
    times: ServiceTimes,
    fleet: Fleet,
    asked: typing.Sequence[Percentile],
    effort: Effort | None = None,
    *,
    seed: int = 20260701,
) -> Outcome:
    """Return the percentiles ``asked`` of ``fleet``. The same arguments give the same figures.

    A fleet of any size costs the same: with ``random`` and ``round-robin`` one server stands for all of them, which is
    exact, as each sees the same kind of stream; with ``least-in-flight`` one router's servers do.
    """
    effort = effort or Effort()
    seeds = np.random.SeedSequence(seed).spawn(effort.plain + effort.resampled)
    work = functools.partial(_one, times, fleet, tuple(asked), effort)
    numbered = [(number >= effort.plain, each) for number, each in enumerate(seeds)]
    # The compiled loop holds no interpreter lock, so threads are enough to use every core.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(lambda item: work(*item), numbered))
    plain, resampled = runs[: effort.plain], runs[effort.plain :]
    figures = np.array([run.percentiles for run in plain])
    again = np.array([run.percentiles for run in resampled]).reshape(len(resampled), len(asked))
    estimates = {one: _estimate(figures[:, index], again[:, index]) for index, one in enumerate(asked)}
    means = np.array([run.mean_ms for run in plain])
    return Outcome(
        percentiles=estimates,
        noise={one: float(_error(figures[:, index])) for index, one in enumerate(asked)},
        mean_ms=_around(float(np.mean(means)), _error(means), effort.plain),
        utilisation=float(np.mean([run.utilisation for run in plain])),
        unmeasured_share=float(np.mean([run.unmeasured_share for run in plain])),
        simulated_requests=sum(run.requests for run in runs),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    percentiles: tuple[float, ...]
    mean_ms: float
    utilisation: float
    unmeasured_share: float
    requests: int


def _one(
    times: ServiceTimes,
    fleet: Fleet,
    asked: tuple[Percentile, ...],
    effort: Effort,
    is_resampled: bool,  # noqa: FBT001 - one of a pair
    seed: np.random.SeedSequence,
) -> _Run:
    generator = np.random.default_rng(seed)
    table = times.table(generator) if is_resampled else times.plain
    routers, servers = 1, 1
    if fleet.routing == "least-in-flight":
        routers = math.ceil(fleet.replicas / ROUTER_SERVERS)
        servers = fleet.replicas // routers
    count = max(effort.requests, 40 * servers)
    if fleet.routing == "least-in-flight":
        # Of several routers the one with the fewest servers, at the share of its size: the others fare better.
        arrivals = thinned(fleet.arrivals, count, routers, generator)
    elif fleet.routing == "random":
        arrivals = thinned(fleet.arrivals, count, fleet.replicas, generator)
    else:
        arrivals = every_nth(fleet.arrivals, count, fleet.replicas, generator)
    shapes = generator.choice(len(table.shares), size=count, p=table.shares)
    ranks = generator.random(count)
    values = Values(table.starts, table.counts, table.seconds, table.first_shares)
    totals, firsts, time_at = serve(Requests(arrivals, shapes, ranks), values, servers, table.slots)
    kept = slice(int(WARM_UP_SHARE * count), max(1, int((1 - WIND_DOWN_SHARE) * count)))
    tokens = table.output_tokens[shapes]
    return _Run(
        percentiles=_percentiles(totals[kept], firsts[kept], tokens[kept], asked),
        mean_ms=1000 * float(np.mean(totals[kept])),
        utilisation=float(time_at.sum() / (servers * table.slots * np.max(arrivals + totals))),
        unmeasured_share=float(time_at[~table.measured].sum() / time_at.sum()),
        requests=count,
    )


def _percentiles(
    totals: np.ndarray, firsts: np.ndarray, tokens: np.ndarray, asked: tuple[Percentile, ...]
) -> tuple[float, ...]:
    several = tokens > 1
    values = {
        "total_ms": totals,
        "ttft_ms": firsts,
        "tpot_ms": (totals - firsts)[several] / (tokens[several] - 1),
    }
    return tuple(1000 * float(np.percentile(values[metric], percent)) for metric, percent in asked)


def _estimate(figures: np.ndarray, resampled: np.ndarray) -> Estimate:
    """Return the figure with the interval of both sources of doubt.

    The bootstrap simulations vary by the samples drawn and by chance; the plain ones by chance alone. So the samples'
    part of the variance is the difference. On the log scale, where latency's doubt is about even on both sides.
    """
    value = float(np.mean(figures))
    if len(resampled) < 2 or not np.all(figures > 0):  # noqa: PLR2004 - one value has no spread
        return _around(value, _error(figures), len(figures))
    chance = float(np.var(np.log(figures), ddof=1))
    samples = max(0.0, float(np.var(np.log(resampled), ddof=1)) - chance)
    reach = _t(min(len(figures), len(resampled))) * math.sqrt(samples + chance / len(figures))
    return Estimate(value=value, interval=Interval(low=value * math.exp(-reach), high=value * math.exp(reach)))


def _error(figures: np.ndarray) -> float:
    return float(np.std(figures, ddof=1)) / math.sqrt(len(figures)) if len(figures) > 1 else math.inf


def _around(value: float, error: float, count: int) -> Estimate:
    reach = _t(count) * error
    return Estimate(value=value, interval=Interval(low=value - reach, high=value + reach))


def _t(count: int) -> float:
    return float(scipy.special.stdtrit(max(1, count - 1), 0.975))
