"""Arrival times at one server, or at one router's servers, of a fleet: drawn exactly, without simulating the rest."""

import dataclasses
import typing

import numpy as np

Routing = typing.Literal["random", "round-robin", "least-in-flight"]
"""``random``: any server, like kube-proxy's iptables mode; ``round-robin``: one after the other, like kube-proxy's IPVS
default and many gateways; ``least-in-flight``: the server with the fewest requests, like gateways that count them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrivals:
    """A stream of requests to a whole fleet.

    With ``burst_factor`` 1 it is a Poisson process. Otherwise its rate has two states, each left after an exponential
    time (a Markov-modulated Poisson process): bursts, ``burst_seconds`` long on average, that bring half of all
    requests at ``burst_factor`` (B) times the mean rate; and the time between bursts. So bursts take the share
    ``1 / (2 B)`` of the time, and the rate between them is ``B / (2 B - 1)`` times the mean. The index of dispersion of
    counts over a long time is ``1 + rate burst_seconds (B - 1)^2 / B`` (Fischer and Meier-Hellstern, "The
    Markov-modulated Poisson process (MMPP) cookbook", Performance Evaluation 18, 1993).
    """

    rate_per_second: float
    """Mean over a long time."""
    burst_factor: float = 1.0
    burst_seconds: float = 10.0

    def at_rate(self, rate_per_second: float) -> "Arrivals":
        """Return the same kind of stream at another mean rate."""
        return dataclasses.replace(self, rate_per_second=rate_per_second)


def thinned(arrivals: Arrivals, count: int, among: int, generator: np.random.Generator) -> np.ndarray:
    """Return the first ``count`` arrivals, in seconds, at one of ``among`` parts between which requests go at random.

    This is exact. Measure time by the fleet's expected number of requests: then the requests of one part are a Poisson
    process of rate ``1 / among``, for every rate function (thinning and time change of Poisson processes: Kingman,
    "Poisson Processes", 1993, sections 4.5 and 5.1).
    """
    return _in_seconds(arrivals, np.cumsum(generator.exponential(among, count)), generator)


def every_nth(arrivals: Arrivals, count: int, among: int, generator: np.random.Generator) -> np.ndarray:
    """Return the first ``count`` arrivals, in seconds, at one of ``among`` servers that take requests in turn.

    This is exact. With time measured by the fleet's expected number of requests, the gap between every ``among``-th
    request is a sum of that many exponential times.
    """
    gaps = generator.gamma(among, 1.0, count)
    gaps[0] *= generator.random()  # the server's place in the round
    return _in_seconds(arrivals, np.cumsum(gaps), generator)


def _in_seconds(arrivals: Arrivals, expected: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return when the fleet's expected number of requests reaches each of ``expected`` (ascending)."""
    if arrivals.burst_factor == 1.0:
        plain: np.ndarray = expected / arrivals.rate_per_second
        return plain
    factor = arrivals.burst_factor
    high = factor * arrivals.rate_per_second
    low = arrivals.rate_per_second * factor / (2 * factor - 1)
    calm_seconds = arrivals.burst_seconds * (2 * factor - 1)
    seconds, counts = [0.0], [0.0]
    bursting = generator.random() < 1 / (2 * factor)
    while counts[-1] < expected[-1]:
        stay = generator.exponential(arrivals.burst_seconds if bursting else calm_seconds)
        seconds.append(seconds[-1] + stay)
        counts.append(counts[-1] + stay * (high if bursting else low))
        bursting = not bursting
    moments: np.ndarray = np.interp(expected, counts, seconds)
    return moments
