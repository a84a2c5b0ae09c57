"""Simulate the run's own turns and the held-out turn, and compare the figures with the measured ones."""

import operator
import typing

import numpy as np

from optimal_tp.fleet.engine.equations import Load, Timed, is_timed, load_of
from optimal_tp.fleet.engine.model import LoadCheck
from optimal_tp.fleet.engine.step_costs import Costs
from optimal_tp.fleet.engine.stepping import Work, run
from optimal_tp.fleet.simulation.answers import ServerModel, interpolated
from optimal_tp.fleet.simulation.arrivals import Arrivals, Routing
from optimal_tp.fleet.simulation.simulation import Effort, Fleet, simulate
from optimal_tp.measurement.estimate import Interval, figure
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn, counted, key, latency_ms, of, samples_by_turn
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.latency import METRICS
from optimal_tp.verdict.predictions import HeldOut

CHECKED = (50.0, 99.0)
FEWEST = {50.0: 20, 99.0: 100}
"""Least requests of a load for which a percentile is compared."""
HELD_OUT: str = "held_out"
"""Stage of the turn that no model is fitted to."""
RUNS = 100
"""Number of simulated turns, each as long as the held-out one."""

Figures = dict[LimitedMetric, np.ndarray]


def checks(timed: typing.Sequence[Timed], costs: Costs, slots: int) -> tuple[LoadCheck, ...]:
    """Return p50 and p99 of every metric at every load with enough requests, predicted and measured.

    An open stream is replayed with its own sends and lengths. In a closed loop the model sends when its own answers
    end, as the client did, so its errors accumulate as they would in reality.
    """
    loads: dict[Load, list[tuple[Turn, tuple[Figures, Figures]]]] = {}
    for turn, samples in timed:
        loads.setdefault(load_of(turn), []).append((turn, _replayed(turn, samples, costs, slots)))
    found = []
    for own in loads.values():
        pairs = [pair for _, pair in own]
        load = _name([turn for turn, _ in own])
        for metric in METRICS:
            predicted, measured = (np.concatenate([pair[side][metric] for pair in pairs]) for side in (0, 1))
            for percent in CHECKED:
                if min(len(predicted), len(measured)) >= FEWEST[percent]:
                    one, other = (1000 * interpolated(values, percent) for values in (predicted, measured))
                    if other > 0:
                        check = LoadCheck(
                            load=load, metric=metric, percent=percent, predicted_ms=one, measured_ms=other
                        )
                        found.append(check)
    return tuple(found)


def _name(turns: typing.Sequence[Turn]) -> str:
    rates = sorted({turn.rate_per_second for turn in turns if turn.rate_per_second is not None})
    if not rates:
        return f"{turns[0].concurrency} in flight"
    low, high = figure(rates[0]), figure(rates[-1])
    return f"{low} requests/s" if low == high else f"{low} to {high} requests/s"


def _replayed(turn: Turn, samples: typing.Sequence[Sample], costs: Costs, slots: int) -> tuple[Figures, Figures]:
    """Return the figures of the requests that count, in seconds: the model's and the measured ones."""
    taking = {(one.replica, one.request) for one in counted(turn, samples)}
    parts: list[tuple[Figures, Figures]] = []
    for replica in sorted({one.replica for one in samples}):
        timed = (one for one in samples if one.replica == replica and is_timed(one))
        own = sorted(timed, key=operator.attrgetter("begun_seconds"))
        if own:
            kept = np.array([(one.replica, one.request) in taking for one in own])
            parts.append((_simulated(turn, own, costs, slots, kept), _measured(own, kept)))
    if not parts:
        empty: Figures = {metric: np.zeros(0) for metric in METRICS}
        return empty, empty
    both = [{metric: np.concatenate([part[side][metric] for part in parts]) for metric in METRICS} for side in (0, 1)]
    return both[0], both[1]


def _simulated(turn: Turn, own: typing.Sequence[Sample], costs: Costs, slots: int, kept: np.ndarray) -> Figures:
    arrivals = np.array([one.begun_seconds for one in own])
    prompts = np.array([float(one.prompt_tokens or 0) for one in own])
    outputs = np.array([one.output_tokens or 1 for one in own])
    closed = 0 if turn.rate_per_second is not None else _in_flight(own)
    gap = _gap(own, arrivals, closed) + costs.overhead_seconds
    work = Work(arrivals, prompts, outputs, np.zeros(len(own)), closed, gap)
    totals, firsts, _, _ = run(work, costs.engine(slots, slots), 1)
    return _figures(totals + costs.overhead_seconds, firsts + costs.overhead_seconds, outputs, kept)


def _measured(own: typing.Sequence[Sample], kept: np.ndarray) -> Figures:
    sent = np.array([one.begun_seconds for one in own])
    totals = np.array([one.end_seconds for one in own]) - sent
    firsts = np.array([one.token_seconds[0] for one in own]) - sent
    lasts = np.array([one.token_seconds[-1] for one in own]) - sent
    outputs = np.array([one.output_tokens or 1 for one in own])
    figures = _figures(totals, firsts, outputs, kept & np.array([one.status == "ok" for one in own]))
    several = kept & (outputs > 1)
    return figures | {"tpot_ms": (lasts - firsts)[several] / (outputs[several] - 1)}


def _figures(totals: np.ndarray, firsts: np.ndarray, outputs: np.ndarray, kept: np.ndarray) -> Figures:
    several = kept & (outputs > 1)
    return {
        "total_latency_ms": totals[kept],
        "ttft_ms": firsts[kept],
        "tpot_ms": (totals - firsts)[several] / (outputs[several] - 1),
    }


def _in_flight(own: typing.Sequence[Sample]) -> int:
    """Return the largest number of requests in flight at one server."""
    moments = sorted([(one.begun_seconds, 1) for one in own] + [(one.end_seconds, -1) for one in own])
    return max(1, int(np.max(np.cumsum([step for _, step in moments]))))


def _gap(own: typing.Sequence[Sample], arrivals: np.ndarray, closed: int) -> float:
    """Return the median seconds from an answer to the send that follows it in a closed loop."""
    if closed == 0 or len(own) <= closed:
        return 0.0
    ends = np.sort([one.end_seconds for one in own])
    return max(0.0, float(np.median(arrivals[closed:] - ends[: len(own) - closed])))


def held_out(
    model: ServerModel,
    turns: typing.Iterable[Turn],
    samples: typing.Iterable[Sample],
    *,
    routing: Routing = "least-in-flight",
) -> tuple[HeldOut, ...]:
    """Return p50 and p99 of every metric in one candidate's held-out turns, measured and predicted by the plan.

    The prediction uses only a turn's rate and its number of servers. p99 needs 100 requests.
    """
    grouped = samples_by_turn(samples)
    return tuple(
        row
        for turn in turns
        if turn.stage == HELD_OUT and turn.rate_per_second is not None
        for row in _held_out(model, turn, turn.rate_per_second, grouped.get(key(turn), []), routing)
    )


def _held_out(
    model: ServerModel, turn: Turn, rate: float, samples: typing.Sequence[Sample], routing: Routing
) -> typing.Iterator[HeldOut]:
    own = [one for one in counted(turn, samples) if one.status == "ok"]
    replicas = len({one.replica for one in samples})
    measured = {
        metric: [value for one in own if (value := latency_ms(one, metric)) is not None]
        for metric in (METRICS if model.has_first_tokens else METRICS[:1])
    }
    asked = [(metric, share) for metric in measured for share in CHECKED if len(measured[metric]) >= FEWEST[share]]
    if not asked or rate >= replicas * model.capacity_per_second:
        return
    fleet = Fleet(replicas=replicas, routing=routing, arrivals=Arrivals(rate_per_second=rate))
    whole = simulate(model, fleet, asked)
    short = Effort(requests=max(2, round(1.28 * len(own) / replicas)), plain=1, resampled=0, busy_factor=1)
    runs = [simulate(model, fleet, asked, short, seed=seed).percentiles for seed in range(RUNS)]
    for metric, share in asked:
        values = [one[metric, share].value for one in runs]
        yield HeldOut(
            candidate=of(turn),
            rate_per_second=rate,
            metric=metric,
            percent=share,
            predicted_ms=whole.percentiles[metric, share].value,
            one_turn=Interval(low=float(np.quantile(values, 0.025)), high=float(np.quantile(values, 0.975))),
            measured_ms=interpolated(measured[metric], share),
        )
