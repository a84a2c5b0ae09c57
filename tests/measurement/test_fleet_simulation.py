"""The simulated fleet: closed forms, exact scaling, intervals that know the samples, and cost in requests."""

import dataclasses
import math

import numpy as np
import pytest

from bench.closed_forms import erlang_c, exponential, mmc_mean, mmc_percentile, planted, pollaczek_khinchine_mean
from optimal_tp.fleet.demand import parse_limit
from optimal_tp.fleet.simulation.answers import Percentile
from optimal_tp.fleet.simulation.arrivals import Arrivals, Routing, every_nth, thinned
from optimal_tp.fleet.simulation.kernel import Requests, Values, serve
from optimal_tp.fleet.simulation.simulation import Effort, Fleet, is_overloaded, simulate
from optimal_tp.fleet.simulation.times import ServiceTimes
from optimal_tp.fleet.smallest_fleet import carrying, smallest, unreachable

pytestmark = pytest.mark.measurement  # compiling the simulation and running it take seconds

P99: Percentile = ("total_latency_ms", 99.0)
P50: Percentile = ("total_latency_ms", 50.0)
SURE = Effort(requests=20_000, plain=24, resampled=0)
LIMIT = [parse_limit("p99_total_ms=4000")]


def _fleet(replicas: int, rate: float, routing: Routing = "random") -> Fleet:
    return Fleet(replicas=replicas, routing=routing, arrivals=Arrivals(rate_per_second=rate))


@pytest.mark.parametrize(
    ("seconds", "slots", "exact"),
    [
        (exponential(), 1, mmc_mean(1, 0.7, 1.0)),
        (exponential(), 4, mmc_mean(4, 2.8, 1.0)),
        (np.ones(4), 1, pollaczek_khinchine_mean(0.7, 1.0, 0.0)),
        (np.array([0.5] * 9 + [5.5]), 1, pollaczek_khinchine_mean(0.7, 1.0, 2.25)),
    ],
    ids=["M/M/1", "M/M/4", "M/D/1", "M/G/1"],
)
def test_the_mean_is_the_closed_form(seconds: np.ndarray, slots: int, exact: float) -> None:
    """Within the simulation's own interval, which is a few percent wide."""
    found = simulate(planted(seconds, slots), _fleet(1, 0.7 * slots), (), SURE).mean_ms
    low, high = found.interval.low, found.interval.high

    assert low is not None
    assert high is not None
    assert low <= 1000 * exact <= high
    assert high - low < 0.12 * found.value


@pytest.mark.parametrize("slots", [1, 4])
def test_percentiles_are_the_closed_form(slots: int) -> None:
    """M/M/c: the tail of the time in system, not only its mean."""
    outcome = simulate(planted(exponential(), slots), _fleet(1, 0.7 * slots), [P50, P99], SURE)

    for asked in (P50, P99):
        exact = 1000 * mmc_percentile(slots, 0.7 * slots, 1.0, asked[1])
        assert abs(outcome.percentiles[asked].value - exact) < 3 * outcome.noise[asked]


def test_the_closed_forms_know_each_other() -> None:
    """Erlang C with one server is the load; M/M/c with one server and M/G/1 with variation 1 are M/M/1."""
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert mmc_mean(1, 0.7, 1.0) == pytest.approx(1 / 0.3)
    assert pollaczek_khinchine_mean(0.7, 1.0, 1.0) == pytest.approx(1 / 0.3)
    assert mmc_percentile(1, 0.7, 1.0, 99.0) == pytest.approx(-math.log(0.01) / 0.3)


def test_first_tokens_come_at_their_share_of_the_service() -> None:
    """Alone, a request's first token comes after the measured tenth of its time."""
    asked: list[Percentile] = [("total_latency_ms", 50.0), ("ttft_ms", 50.0), ("tpot_ms", 50.0)]
    times = _by_level(1.0)
    found = simulate(times, _fleet(1, 0.001), asked, Effort(requests=300, plain=2, resampled=0)).percentiles

    assert found["total_latency_ms", 50.0].value == pytest.approx(1000)
    assert found["ttft_ms", 50.0].value == pytest.approx(100)
    assert found["tpot_ms", 50.0].value == pytest.approx(900 / 49)


def _by_level(*means: float) -> ServiceTimes:
    cells = {((1, 50), level): ((np.full(4, mean), np.full(4, 0.1)),) for level, mean in enumerate(means, start=1)}
    return ServiceTimes(slots=len(means), cells=cells, shares={(1, 50): 1.0})


def test_a_request_advances_at_the_speed_of_its_concurrency() -> None:
    """One second alone, two beside another: the second arrives halfway, and both end as the arithmetic says.

    0 to 0.5 s alone: half done. Then both at half speed: the first needs 1 s more. The second is half done by then and
    ends alone 0.5 s later.
    """
    table = _by_level(1.0, 2.0).plain
    values = Values(table.starts, table.counts, table.seconds, table.first_shares)
    requests = Requests(np.array([0.0, 0.5]), np.zeros(2, np.int64), np.zeros(2))
    totals, firsts, time_at = serve(requests, values, 1, 2)

    assert totals == pytest.approx([1.5, 1.5])
    assert firsts == pytest.approx([0.1, 0.2])
    assert time_at == pytest.approx([0.0, 0.5 + 0.5, 2.0])


def test_a_full_server_queues_first_come_first_served() -> None:
    """Three at once at one slot wait one service time each."""
    table = _by_level(1.0).plain
    values = Values(table.starts, table.counts, table.seconds, table.first_shares)
    totals, _, _ = serve(Requests(np.zeros(3), np.zeros(3, np.int64), np.zeros(3)), values, 1, 1)

    assert sorted(totals) == pytest.approx([1.0, 2.0, 3.0])


def test_the_router_takes_the_server_with_the_fewest() -> None:
    """Three requests at once, three servers: none waits, wherever the search starts."""
    table = _by_level(1.0).plain
    values = Values(table.starts, table.counts, table.seconds, table.first_shares)
    totals, _, _ = serve(Requests(np.zeros(3), np.zeros(3, np.int64), np.full(3, 0.9)), values, 3, 1)

    assert totals == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("routing", ["random", "round-robin"])
def test_one_server_stands_for_the_fleet(routing: Routing) -> None:
    """The scaling is exact: a fleet of five simulated whole, each request sent to its server, has the same latency."""
    generator = np.random.default_rng(5)
    count, servers, rate = 400_000, 5, 3.5
    arrivals = np.cumsum(generator.exponential(1 / rate, count))
    to = np.arange(count) % servers if routing == "round-robin" else generator.integers(servers, size=count)
    table = planted(exponential()).plain
    values = Values(table.starts, table.counts, table.seconds, table.first_shares)
    totals = [
        serve(
            Requests(
                arrivals[to == server], np.zeros(sum(to == server), np.int64), generator.random(sum(to == server))
            ),
            values,
            1,
            1,
        )[0]
        for server in range(servers)
    ]
    whole_fleet = 1000 * np.percentile(np.concatenate(totals), [50, 99])
    found = simulate(planted(exponential()), _fleet(servers, rate, routing), [P50, P99], SURE).percentiles

    assert [found[P50].value, found[P99].value] == pytest.approx(whole_fleet, rel=0.04)


@pytest.mark.parametrize("routing", ["random", "round-robin", "least-in-flight"])
def test_a_fleet_of_a_million_costs_what_a_hundred_do(routing: Routing) -> None:
    """The same number of simulated requests, whatever the size."""
    small = simulate(planted(np.ones(4)), _fleet(1_000, 700.0, routing), [P99])
    large = simulate(planted(np.ones(4)), _fleet(1_000_000, 700_000.0, routing), [P99])

    assert large.simulated_requests <= 1.1 * small.simulated_requests
    assert large.percentiles[P99].value == pytest.approx(small.percentiles[P99].value, rel=0.05)


def test_a_larger_router_is_no_worse() -> None:
    """Least-in-flight over more servers lowers the tail: a group of 128 stands in pessimistically for a larger one."""
    tails = [
        simulate(planted(exponential()), _fleet(size, 0.95 * size, "least-in-flight"), [P99]).percentiles[P99].value
        for size in (2, 8, 32, 128)
    ]

    assert tails == sorted(tails, reverse=True)


def test_routing_by_what_is_known_is_better() -> None:
    """Fewest in flight before in turn before at random."""
    tails = [
        simulate(planted(exponential()), _fleet(16, 12.8, routing), [P99]).percentiles[P99].value
        for routing in ("least-in-flight", "round-robin", "random")
    ]

    assert tails == sorted(tails)


def test_bursts_bring_half_of_the_requests_at_the_factor() -> None:
    """The mean rate stays, and counts vary as the closed form says."""
    arrivals = Arrivals(rate_per_second=50.0, burst_factor=3.0, burst_seconds=2.0)
    moments = thinned(arrivals, 3_000_000, 1, np.random.default_rng(3))
    window = 400.0
    counts = np.bincount((moments // window).astype(int))[:-1]

    assert len(moments) / moments[-1] == pytest.approx(50.0, rel=0.03)
    assert np.var(counts) / np.mean(counts) == pytest.approx(1 + 50 * 2 * 4 / 3, rel=0.35)


def test_taking_turns_makes_gaps_even() -> None:
    """Every hundredth request of a Poisson stream comes with a tenth of its variation."""
    gaps = np.diff(every_nth(Arrivals(rate_per_second=100.0), 20_000, 100, np.random.default_rng(4)))

    assert np.mean(gaps) == pytest.approx(1.0, rel=0.01)
    assert np.std(gaps) == pytest.approx(0.1, rel=0.03)


def test_the_same_question_has_the_same_answer() -> None:
    """And another seed another one."""
    times = planted(exponential())
    figures = [simulate(times, _fleet(2, 1.0), [P99], seed=seed).percentiles[P99] for seed in (1, 1, 2)]

    assert figures[0] == figures[1]
    assert figures[0] != figures[2]


def test_fewer_samples_give_a_wider_interval() -> None:
    """Twenty service times say less about the tail than two thousand."""
    widths = []
    for count in (20, 2_000):
        values = exponential()[:: 20_000 // count]
        interval = simulate(planted(values), _fleet(1, 0.5), [P99]).percentiles[P99].interval
        assert interval.low is not None
        assert interval.high is not None
        widths.append(interval.high / interval.low)

    assert widths[0] > 1.3 * widths[1]


@pytest.mark.parametrize("routing", ["random", "round-robin", "least-in-flight"])
def test_the_smallest_fleet_holds_and_a_smaller_one_does_not(routing: Routing) -> None:
    """With its interval; by the figure alone a smaller one may."""
    times = planted(np.array([0.8, 1.0, 1.2] * 50))
    found = smallest(times, Arrivals(rate_per_second=20.0), routing, LIMIT, [P99])
    fewer = dataclasses.replace(found.fleet, replicas=found.fleet.replicas - 1)
    bound = found.outcome.percentiles[P99].interval.high

    assert bound is not None
    assert bound <= 4000
    assert found.replicas_by_point <= found.fleet.replicas
    if not is_overloaded(times, fewer):
        below = simulate(times, fewer, [P99]).percentiles[P99].interval.high
        assert below is not None
        assert below > 4000


def test_a_limit_below_the_service_time_is_unreachable() -> None:
    """No number of servers makes one faster."""
    found = unreachable(planted(np.ones(50)), [parse_limit("p99_total_ms=900")], [P99])

    assert found is not None
    assert found.is_sure
    assert unreachable(planted(np.ones(50)), LIMIT, [P99]) is None


def test_no_fleet_is_planned_to_its_brim() -> None:
    """A fleet that the samples cannot tell from an overloaded one is overloaded."""
    times = planted(np.array([0.9, 1.1] * 10))

    assert is_overloaded(times, _fleet(100, 99.0))
    assert not is_overloaded(times, _fleet(100, 90.0))


def test_the_rate_of_a_server_grows_with_the_fleet_where_it_is_shared() -> None:
    """At random it stays; with the fewest in flight a larger fleet is used better."""
    times = planted(np.ones(50))
    at_random = carrying(times, Arrivals(rate_per_second=1.0), "random", LIMIT)
    shared = carrying(times, Arrivals(rate_per_second=1.0), "least-in-flight", LIMIT)

    assert at_random is not None
    assert shared is not None
    assert len(at_random.per_server) == 1
    rates = [rate for _, rate in shared.per_server]
    assert rates == sorted(rates)
    assert rates[-1] > 1.1 * rates[0]
