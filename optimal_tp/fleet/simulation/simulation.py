"""Simulate a fleet under a stream of requests: many short simulations give percentiles with their intervals."""

import concurrent.futures
import dataclasses
import functools
import math
import os
import typing

import numpy as np
import scipy.special

from optimal_tp.fleet.simulation.answers import Answers, Percentile, ServerModel, interpolated
from optimal_tp.fleet.simulation.arrivals import Arrivals, Routing, every_nth, thinned
from optimal_tp.measurement.estimate import Estimate, Interval

ROUTER_SERVERS = 128
"""Most servers behind one router that counts requests in flight. A larger fleet has several routers, each with its own
servers and a random share of the requests; one router's part simulates it exactly. In our tests
(tests/measurement/test_fleet_simulation.py) a single router over more servers was never worse. That is not proven:
for general service times least-in-flight is not optimal (Whitt, "Deciding which queue to join", Operations Research
34, 1986)."""
WARM_UP_SHARE = 0.2
"""Share of each simulation's requests to leave out at its start, when servers are still empty."""
WIND_DOWN_SHARE = 0.02
"""Share to leave out at its end, when no further requests arrive."""
FULLEST = 0.98
"""Largest share of a server's capacity, at its lower end, for which a fleet is planned. Closer to capacity a simulation
needs far more time to become steady, and a service time a little longer than measured overloads the server."""

BUSY = 0.85
"""Share of a server's capacity above which simulations are longer: queues there settle slowly, in about
1 / (1 - share)^2 service times."""
BUSY_REACH = 1.3
"""Factor by which intervals are wider above BUSY: an error of one percent in capacity, which a run cannot exclude,
moves a tail by tens of percent. Without it 88 % instead of 95 % of the intervals contained the true value of a known
engine (docs/concepts/fleet.md)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """The amount of simulation for one figure."""

    requests: int = 6_000
    """Least requests in each simulation; a router's group gets 40 for each of its servers."""
    plain: int = 16
    """Simulations of the samples as they are: they give the figure and the simulation's noise."""
    resampled: int = 12
    """Simulations of one bootstrap sample each."""
    busy_factor: int = 10
    """Factor of the requests in each simulation above BUSY."""

    def at(self, load_share: float) -> "Effort":
        """Return the effort at ``load_share`` of the capacity."""
        return dataclasses.replace(self, requests=self.requests * self.busy_factor) if load_share > BUSY else self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fleet:
    """Servers of one degree, their routing and their arrivals."""

    replicas: int
    routing: Routing
    arrivals: Arrivals


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The latency of a fleet."""

    percentiles: typing.Mapping[Percentile, Estimate]
    """Milliseconds. The interval covers the noise of the simulation and of the finite sample, together 95 %, and the
    model's own error."""
    noise: typing.Mapping[Percentile, float]
    """The simulation's own standard error alone, in milliseconds."""
    mean_ms: Estimate
    """Mean total latency, with a 95 % interval of the simulation's own noise alone."""
    utilisation: float
    """Mean share of the slots that are taken."""
    unmeasured_share: float
    """Share of the service time at concurrencies that the run did not measure."""
    simulated_requests: int


def requests_per_server_second(fleet: Fleet) -> float:
    """Return the mean rate at one server."""
    return fleet.arrivals.rate_per_second / fleet.replicas


def is_overloaded(times: ServerModel, fleet: Fleet) -> bool:
    """Whether the rate exceeds the share FULLEST of the servers' capacity."""
    return requests_per_server_second(fleet) > FULLEST * times.least_capacity_per_second


def simulate(
    times: ServerModel,
    fleet: Fleet,
    asked: typing.Sequence[Percentile],
    effort: Effort | None = None,
    *,
    seed: int = 20260701,
) -> Outcome:
    """Return the percentiles ``asked`` of ``fleet``. The same arguments give the same figures.

    Fleets of all sizes take equally long to simulate. With ``random`` and ``round-robin`` one server represents all of
    them, which is exact, because each sees the same kind of stream; with ``least-in-flight`` one router's servers do.
    """
    load_share = requests_per_server_second(fleet) / times.capacity_per_second
    effort = (effort or Effort()).at(load_share)
    further = BUSY_REACH if load_share > BUSY else 1.0
    seeds = np.random.SeedSequence(seed).spawn(effort.plain + effort.resampled)
    work = functools.partial(_one, times, fleet, tuple(asked), effort)
    # Each bootstrap simulation has the arrivals of a plain one, so that they differ by the samples alone.
    pairs = [(seeds[number % effort.plain], seeds[effort.plain + number]) for number in range(effort.resampled)]
    numbered: list[tuple[np.random.SeedSequence, np.random.SeedSequence | None]]
    numbered = [*((one, None) for one in seeds[: effort.plain]), *pairs]
    # The compiled loop releases the interpreter lock, so threads are enough to use every core.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(lambda item: work(*item), numbered))
    plain, resampled = runs[: effort.plain], runs[effort.plain :]
    figures = np.array([run.percentiles for run in plain]).reshape(len(plain), len(asked))
    again = np.array([run.percentiles for run in resampled]).reshape(len(resampled), len(asked))
    # Take the percentile over all simulations: that of a single one is too low if few of its requests met a long queue.
    whole = _percentiles(_joined([run.kept for run in plain]), asked)
    estimates = {
        one: _estimate(whole[index], figures[:, index], again[:, index], times.error(one), further)
        for index, one in enumerate(asked)
    }
    means = np.array([run.mean_ms for run in plain])
    return Outcome(
        percentiles=estimates,
        noise={one: float(_error(figures[:, index])) for index, one in enumerate(asked)},
        mean_ms=_around(float(np.mean(means)), _error(means), len(means)),
        utilisation=float(np.mean([run.utilisation for run in plain])),
        unmeasured_share=float(np.mean([run.unmeasured_share for run in plain])),
        simulated_requests=sum(run.requests for run in runs),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Simulation:
    kept: Answers
    percentiles: tuple[float, ...]
    mean_ms: float
    utilisation: float
    unmeasured_share: float
    requests: int


def _one(
    times: ServerModel,
    fleet: Fleet,
    asked: tuple[Percentile, ...],
    effort: Effort,
    seed: np.random.SeedSequence,
    drawing: np.random.SeedSequence | None,
) -> _Simulation:
    """Simulate once; with ``drawing``, a bootstrap sample of the measurements."""
    generator = np.random.default_rng(seed)
    model = times.drawn(None if drawing is None else np.random.default_rng(drawing))
    routers, servers = 1, 1
    if fleet.routing == "least-in-flight":
        routers = math.ceil(fleet.replicas / ROUTER_SERVERS)
        servers = fleet.replicas // routers
    count = max(effort.requests, 40 * servers)
    if fleet.routing == "least-in-flight":
        # Of several routers, take the one with the fewest servers, with its share of the rate: the others do better.
        arrivals = thinned(fleet.arrivals, count, routers, generator)
    elif fleet.routing == "random":
        arrivals = thinned(fleet.arrivals, count, fleet.replicas, generator)
    else:
        arrivals = every_nth(fleet.arrivals, count, fleet.replicas, generator)
    found = model.answers(arrivals, servers, generator)
    elapsed = float(np.max(arrivals + found.totals))
    kept = found.between(int(WARM_UP_SHARE * count), max(1, int((1 - WIND_DOWN_SHARE) * count)))
    return _Simulation(
        kept=kept,
        percentiles=_percentiles(kept, asked),
        mean_ms=1000 * float(np.mean(kept.totals)),
        utilisation=found.taken_seconds / (servers * times.slots * elapsed),
        unmeasured_share=found.unmeasured_seconds / found.taken_seconds,
        requests=count,
    )


def _joined(parts: typing.Sequence[Answers]) -> Answers:
    return Answers(
        totals=np.concatenate([part.totals for part in parts]),
        firsts=np.concatenate([part.firsts for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        taken_seconds=math.fsum(part.taken_seconds for part in parts),
        unmeasured_seconds=math.fsum(part.unmeasured_seconds for part in parts),
    )


def _percentiles(found: Answers, asked: typing.Sequence[Percentile]) -> tuple[float, ...]:
    several = found.tokens > 1
    values = {
        "total_latency_ms": found.totals,
        "ttft_ms": found.firsts,
        "tpot_ms": (found.totals - found.firsts)[several] / (found.tokens[several] - 1),
    }
    return tuple(1000 * interpolated(values[metric], percent) for metric, percent in asked)


def _estimate(value: float, figures: np.ndarray, resampled: np.ndarray, error: float, further: float) -> Estimate:
    """Return ``value`` with an interval for the noise of simulation and samples and for the model's ``error``, a share.

    The interval is then widened by the factor ``further``.

    A bootstrap simulation and the plain one with the same arrivals differ by the samples alone, so the variance of
    their difference is the samples' part. It is computed on the log scale, where the uncertainty of latency is about
    symmetric. The model's own error is added to it, because it is systematic and does not average out.
    """
    if len(figures) < 2 or not np.all(figures > 0):  # noqa: PLR2004 - one value has no spread
        return _around(value, _error(figures), len(figures))
    variance = float(np.var(np.log(figures), ddof=1)) / len(figures)
    if len(resampled) > 1:
        before = figures[np.arange(len(resampled)) % len(figures)]
        variance += float(np.var(np.log(resampled / before), ddof=1))
    count = min(len(figures), len(resampled) or len(figures))
    reach = further * (_t(count) * math.sqrt(variance) + math.log1p(error))
    return Estimate(value=value, interval=Interval(low=value * math.exp(-reach), high=value * math.exp(reach)))


def _error(figures: np.ndarray) -> float:
    return float(np.std(figures, ddof=1)) / math.sqrt(len(figures)) if len(figures) > 1 else math.inf


def _around(value: float, error: float, count: int) -> Estimate:
    reach = _t(count) * error
    return Estimate(value=value, interval=Interval(low=value - reach, high=value + reach))


def _t(count: int) -> float:
    return float(scipy.special.stdtrit(max(1, count - 1), 0.975))
