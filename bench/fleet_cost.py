"""``python -m bench.fleet_cost``: the processor time of a simulation by its number of requests, for each routing."""

import argparse
import sys
import time

from bench.closed_forms import exponential, planted
from optimal_tp.fleet.planning import ROUTINGS
from optimal_tp.fleet.simulation.arrivals import Arrivals
from optimal_tp.fleet.simulation.simulation import Effort, Fleet, simulate
from optimal_tp.fleet.simulation.times import ServiceTimes

SIZES = (10_000, 20_000, 40_000, 80_000, 160_000)
SIMULATIONS = 8


def main() -> int:
    """Print a row per routing and size."""
    times = planted(exponential())
    print("| routing | simulated requests | CPU seconds | ns a request |")
    print("| --- | ---: | ---: | ---: |")
    for routing in ROUTINGS:
        fleet = Fleet(replicas=100_000, routing=routing, arrivals=Arrivals(rate_per_second=70_000.0))
        _spent(times, fleet, 1_000)  # compiles
        for requests in SIZES:
            spent, count = _spent(times, fleet, requests)
            print(f"| {routing} | {count:,} | {spent:.2f} | {1e9 * spent / count:,.0f} |", flush=True)
    return 0


def _spent(times: ServiceTimes, fleet: Fleet, requests: int) -> tuple[float, int]:
    """Return CPU seconds and simulated requests."""
    before = time.process_time()
    outcome = simulate(
        times, fleet, [("total_latency_ms", 99.0)], Effort(requests=requests, plain=SIMULATIONS, resampled=0)
    )
    return time.process_time() - before, outcome.simulated_requests


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # none but --help, which measures nothing
    sys.exit(main())
