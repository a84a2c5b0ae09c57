"""The engine by its iterations: simulated as stepped one by one, found again from a run, held against fresh loads."""

import dataclasses
import typing

import numpy as np
import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.fleet.engine import replay
from optimal_tp.fleet.engine.equations import Timed, equations
from optimal_tp.fleet.engine.fitting import engine_model, server_model
from optimal_tp.fleet.engine.model import EngineModel, LoadCheck
from optimal_tp.fleet.engine.replay import held_out
from optimal_tp.fleet.engine.step_costs import Costs
from optimal_tp.fleet.engine.stepping import EngineSteps, Work, run
from optimal_tp.fleet.highest_rate import planned_capacity
from optimal_tp.fleet.simulation.answers import Percentile
from optimal_tp.fleet.simulation.arrivals import Arrivals
from optimal_tp.fleet.simulation.simulation import Fleet, simulate
from optimal_tp.fleet.simulation.times import ServiceTimes
from optimal_tp.plan.lengths import Shape
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.latency import METRICS
from tests.fakes_engine import Bench, TrueEngine, long_run, steps_of, stepwise, whole_run

pytestmark = pytest.mark.measurement  # compiling the simulation and running it take seconds

TP1 = Candidate(1)
MIXED = TrueEngine(base=0.01, per_sequence=0.0006, per_prompt_token=0.0002, slots=16, overhead=0.003)
FIRST = dataclasses.replace(MIXED, prefill_first=True)
LEAPING = dataclasses.replace(MIXED, batching=0.02)
BOTH = pytest.mark.parametrize("engine", [MIXED, FIRST], ids=["mixed steps", "prefill first"])
ALL = pytest.mark.parametrize("engine", [MIXED, FIRST, LEAPING], ids=["mixed steps", "prefill first", "leaping"])
ASKED: tuple[Percentile, ...] = tuple((metric, share) for metric in METRICS for share in (50.0, 99.0))


def _work(arrivals: list[float], outputs: list[int], closed: int = 0, gap: float = 0.0) -> Work:
    count = len(arrivals)
    return Work(np.array(arrivals), np.full(count, 10.0), np.array(outputs), np.zeros(count), closed, gap)


def _engine(
    base: float,
    per_sequence: float,
    per_prompt_token: float,
    *,
    slots: int,
    prefill_first: bool = False,
    seen: int | None = None,
) -> EngineSteps:
    seen = slots if seen is None else seen
    return EngineSteps(base, 0.0, per_sequence, per_prompt_token, prefill_first, slots, seen)


def _model(bench: Bench) -> EngineModel:
    found = engine_model(TP1, bench.timed, bench.engine.slots)
    assert isinstance(found, EngineModel), found
    return found


@ALL
@pytest.mark.parametrize("load", [0.5, 0.95])
def test_steps_taken_together_are_the_steps_one_by_one(engine: TrueEngine, load: float) -> None:
    """To rounding, for every request of a stream."""
    generator = np.random.default_rng(3)
    count = 5_000
    arrivals = np.cumsum(generator.exponential(1 / (load * engine.capacity()), count))
    prompts, outputs = generator.integers(1, 40, count), generator.integers(1, 30, count)
    firsts, lasts = stepwise(arrivals, prompts, outputs, steps_of(engine))
    work = Work(arrivals, prompts.astype(float), outputs, np.zeros(count), 0, 0.0)
    mine = _engine(
        engine.base,
        engine.per_sequence,
        engine.per_prompt_token,
        slots=engine.slots,
        prefill_first=engine.prefill_first,
    )
    totals, waits, _, _ = run(work, mine._replace(batching=engine.batching), 1)

    assert totals == pytest.approx(lasts - arrivals, abs=1e-6)
    assert waits == pytest.approx(firsts - arrivals, abs=1e-6)


def test_a_prompt_that_enters_lengthens_the_step_of_the_others() -> None:
    """Mixed: 1 + 1 + 10 x 0.1 s, then a request arrives under way and enters with the next step."""
    totals, firsts, taken, unseen = run(_work([0.0, 0.5], [2, 1]), _engine(1.0, 1.0, 0.1, slots=4, seen=1), 1)

    assert firsts == pytest.approx([3.0, 6.5])
    assert totals == pytest.approx([7.0, 6.5])
    assert taken == pytest.approx(3.0 + 2 * 4.0)
    assert unseen == pytest.approx(2 * 4.0)


def test_with_prefill_first_the_others_stand_still() -> None:
    """The second prompt has a step of its own, and the first request's second token comes after it."""
    totals, firsts, _, _ = run(_work([0.0, 0.5], [2, 1]), _engine(1.0, 1.0, 0.1, slots=4, prefill_first=True), 1)

    assert firsts == pytest.approx([3.0, 5.5])
    assert totals == pytest.approx([8.0, 5.5])


def test_a_full_server_lets_the_next_wait() -> None:
    """One slot: first come, first served."""
    totals, _, _, _ = run(_work([0.0, 0.0, 0.0], [2, 2, 2]), _engine(1.0, 0.0, 0.0, slots=1), 1)

    assert totals == pytest.approx([2.0, 4.0, 6.0])


def test_a_router_sends_to_the_server_with_the_fewest() -> None:
    """Three at once on three servers: none waits."""
    totals, _, _, _ = run(_work([0.0, 0.0, 0.0], [2, 2, 2]), _engine(1.0, 0.0, 0.0, slots=1), 3)

    assert totals == pytest.approx([2.0, 2.0, 2.0])


def test_a_closed_loop_sends_when_an_answer_came() -> None:
    """Two in flight on one slot: each waits for the other, and the gap passes beside."""
    totals, _, _, _ = run(_work([0.0] * 4, [1] * 4, closed=2, gap=0.5), _engine(1.0, 0.0, 0.0, slots=1), 1)

    assert totals == pytest.approx([1.0, 2.0, 1.5, 1.5])


@ALL
@pytest.mark.parametrize("jitter", [0.0, 0.1], ids=["steady", "steps vary by 10 %"])
def test_a_run_gives_the_costs_back(engine: TrueEngine, jitter: float) -> None:
    """Within a few percent, and the order of work with them."""
    costs = _model(whole_run(dataclasses.replace(engine, jitter=jitter))).costs

    assert costs.prefill_first == engine.prefill_first
    assert costs.base_seconds == pytest.approx(0.01, rel=0.03)
    assert costs.batching_seconds == pytest.approx(engine.batching, rel=0.05)
    assert costs.per_sequence_seconds == pytest.approx(0.0006, rel=0.05)
    assert costs.per_prompt_token_seconds == pytest.approx(0.0002, rel=0.1)
    assert costs.overhead_seconds == pytest.approx(0.003, rel=0.2)


def test_the_capacity_within_limits_is_the_engines() -> None:
    """Each limit at its own percentile, the least of theirs: within 6 %, and inside the interval."""
    model, limits = _model(whole_run(MIXED)), {"ttft_ms": (50, 40.0), "total_latency_ms": (99, 600.0)}
    asked = {metric: {"percentile": share, "at_most_ms": ms} for metric, (share, ms) in limits.items()}
    found = planned_capacity(model, WorkloadSettings.model_validate({"limits": asked}), 1)
    rates = np.geomspace(0.3, 0.97, 40) * MIXED.capacity()

    def is_held(rate: float) -> bool:
        """Whether the engine itself holds both, over many requests."""
        seen = long_run(MIXED, rate, 60_000, 1)
        return bool(np.percentile(seen["ttft_ms"], 50) <= 40.0 and np.percentile(seen["total_latency_ms"], 99) <= 600.0)

    truth = max(rate for rate in rates if is_held(rate))
    assert found is not None
    assert truth < rates[-1]
    assert found.value == pytest.approx(truth, rel=0.06)
    assert (found.interval.low or 0.0) <= truth <= (found.interval.high or 0.0)


def test_without_limits_the_capacity_is_that_of_full_servers() -> None:
    """Tokens of two servers with every slot taken."""
    model = _model(whole_run(MIXED))
    found = planned_capacity(model, WorkloadSettings(), 2)

    assert found is not None
    assert found.value == pytest.approx(2 * MIXED.capacity() * model.mean_output_tokens, rel=0.05)


def test_what_misses_with_nobody_waiting_has_no_capacity() -> None:
    """A limit below one step."""
    limits = {"total_latency_ms": {"percentile": 50, "at_most_ms": 1.0}}

    assert planned_capacity(_model(whole_run(MIXED)), WorkloadSettings.model_validate({"limits": limits}), 1) is None


def test_a_closed_loop_at_several_concurrencies_is_enough() -> None:
    """No open turn is needed."""
    costs = _model(whole_run(MIXED, blocks=0)).costs

    assert costs.base_seconds == pytest.approx(0.01, rel=0.03)
    assert costs.per_sequence_seconds == pytest.approx(0.0006, rel=0.05)
    assert costs.per_prompt_token_seconds == pytest.approx(0.0002, rel=0.1)


def test_slow_requests_do_not_pull_the_fit() -> None:
    """One of twenty took five times as long: a page fault, not the engine."""
    bench = whole_run(MIXED)
    for index in range(0, len(bench.samples), 20):
        one = bench.samples[index]
        start = one.token_seconds[0]
        late = tuple(start + 5 * (moment - start) for moment in one.token_seconds)
        bench.samples[index] = dataclasses.replace(one, token_seconds=late, end_seconds=late[-1] + 0.0003)

    assert _model(bench).costs.base_seconds == pytest.approx(0.01, rel=0.05)


def test_tokens_that_shared_a_chunk_are_counted() -> None:
    """First and last chunk of each request are enough."""
    bench = whole_run(MIXED)
    bench.samples = [
        dataclasses.replace(one, token_seconds=(one.token_seconds[0], one.token_seconds[-1])) for one in bench.samples
    ]
    costs = _model(bench).costs

    assert costs.base_seconds == pytest.approx(0.01, rel=0.1)
    assert costs.per_sequence_seconds == pytest.approx(0.0006, rel=0.2)


def test_the_same_run_gives_the_same_model() -> None:
    """To the last digit, the bootstrap's fits too."""
    first, second = _model(whole_run(MIXED, blocks=2)), _model(whole_run(MIXED, blocks=2))

    assert (first.costs, first.resampled, first.checks) == (second.costs, second.resampled, second.checks)


def test_the_bootstrap_holds_the_truth() -> None:
    """Its fits lie around the true cost."""
    found = [one.base_seconds for one in _model(whole_run(dataclasses.replace(MIXED, jitter=0.1))).resampled]

    assert min(found) < 0.0101
    assert max(found) > 0.0099
    assert len(set(found)) > 10


@BOTH
def test_capacity_is_what_a_full_server_completes(engine: TrueEngine) -> None:
    """A tenth above it the queue only grows; a tenth below it does not."""
    model = _model(whole_run(engine))
    below, above = (
        np.median(long_run(engine, share * model.capacity_per_second, 40_000, 4)["ttft_ms"]) for share in (0.9, 1.1)
    )

    assert model.least_capacity_per_second <= model.capacity_per_second
    assert below < 200
    assert above > 5_000


def test_requests_have_the_lengths_that_were_asked_for() -> None:
    """Those that ended were short; the plan simulates what was asked, and says how many were measured."""
    bench = whole_run(MIXED)
    asked = [Shape(16, 8 + number % 40) for number in range(400)]
    short, long = engine_model(TP1, bench.timed, 16), engine_model(TP1, bench.timed, 16, asked)
    assert isinstance(short, EngineModel)
    assert isinstance(long, EngineModel)

    assert (long.costs, long.count) == (short.costs, short.count)
    assert long.mean_output_tokens == pytest.approx(27.5)
    assert long.capacity_per_second < 0.8 * short.capacity_per_second
    assert len(long.drawn(np.random.default_rng(1)).outputs) == 400


def _fallen_back(timed: typing.Sequence[Timed], slots: int) -> str:
    found = server_model(TP1, timed, slots)
    assert isinstance(found, ServiceTimes)
    return found.why


def test_without_token_times_service_times_are_left() -> None:
    """And the reason is said."""
    bench = whole_run(MIXED, blocks=1)
    plain = [(turn, [dataclasses.replace(one, token_seconds=()) for one in own]) for turn, own in bench.timed]

    assert _fallen_back(plain, 16) == "the times of tokens are not known"


def test_one_concurrency_is_no_line() -> None:
    """What a sequence costs cannot be told from what a step costs."""
    bench = Bench(engine=MIXED)
    bench.closed("block", 1, 60, 0)

    assert _fallen_back(bench.timed, 16) == "the run measured one concurrency only"


def test_one_slot_needs_no_engine() -> None:
    """Nothing shares a step."""
    bench = Bench(engine=dataclasses.replace(MIXED, slots=1))
    bench.closed("block", 1, 60, 0)

    assert _fallen_back(bench.timed, 1) == "a server works on one request at a time"


def test_an_engine_that_is_none_is_refused() -> None:
    """Two servers behind one address serve two loads alike, whatever is in flight; the fit says that it missed them."""
    bench = whole_run(MIXED, blocks=0)
    bench.samples = [
        one
        if one.concurrency != 16
        else dataclasses.replace(
            one,
            token_seconds=tuple(moment + 30 for moment in one.token_seconds),
            end_seconds=one.end_seconds + 30,
        )
        for one in bench.samples
    ]

    assert _fallen_back(bench.timed, 16).startswith("a fitted engine misses the median total latency at 16 in flight")


def test_rows_are_true_equations() -> None:
    """Without noise every row of the right order of work adds up, and none of the wrong one need."""
    rows = equations(whole_run(dataclasses.replace(MIXED, overhead=0.0), blocks=2).timed)
    assert rows is not None
    said = rows.steps * 0.01 + rows.sequences * 0.0006 + rows.prompts * 0.0002

    assert np.median(np.abs(said / rows.seconds - 1)) < 0.002
    assert np.quantile(np.abs(said / rows.seconds - 1), 0.95) < 0.03


@BOTH
def test_the_model_says_how_far_it_is_off(engine: TrueEngine) -> None:
    """The run's own turns, simulated again: close for the true engine, far for a wrong one."""
    bench = whole_run(engine)
    model = _model(bench)
    wrong = Costs(**{**dataclasses.asdict(model.costs), "base_seconds": 0.013})
    far = replay.checks(bench.timed, wrong, engine.slots)

    assert {(one.metric, one.percent) for one in model.checks} == set(ASKED)
    assert max(model.error(asked) for asked in ASKED) < 0.1
    assert max(abs(one.error) for one in far) > 0.15


def test_turns_at_about_one_rate_are_one_load() -> None:
    """Forty turns near the capacity are no forty chances to be far off, and weigh in the fit as the idle ones do."""
    bench = Bench(engine=MIXED)
    bench.closed("idle", 1, 30)
    for block, rate in enumerate((30.0, 30.4, 29.7, 20.0)):
        bench.open("block", rate, 30, block)
    loads = {one.load for one in _model(bench).checks}

    assert loads == {"1 in flight", "29.7 to 30.4 requests/s", "20.0 requests/s"}


def test_the_models_error_widens_every_interval() -> None:
    """By its share on both sides."""
    model = _model(whole_run(MIXED, blocks=2))
    check = LoadCheck(load="a test", metric="total_latency_ms", percent=99.0, predicted_ms=120.0, measured_ms=100.0)
    fleet = Fleet(replicas=1, routing="random", arrivals=Arrivals(rate_per_second=10.0))
    asked: Percentile = ("total_latency_ms", 99.0)
    sure, unsure = (
        simulate(dataclasses.replace(model, checks=checks), fleet, [asked]).percentiles[asked].interval
        for checks in ((), (check,))
    )
    assert sure.high is not None
    assert unsure.high is not None

    assert unsure.high / sure.high == pytest.approx(1.2)


def test_a_turn_held_out_is_not_fitted_and_stands_beside_its_prediction() -> None:
    """At its own rate, by the plan; a wrong model is seen there."""
    bench = whole_run(MIXED)
    bench.open("block", 0.7 * MIXED.capacity(), 400, 99)
    last = len(bench.samples) - 400
    object.__setattr__(bench.turns[-1], "stage", replay.HELD_OUT)
    for one in bench.samples[last:]:
        object.__setattr__(one, "stage", replay.HELD_OUT)
    model = server_model(TP1, bench.timed, 16)
    assert isinstance(model, EngineModel)
    rows = held_out(model, bench.turns, bench.samples)
    wrong = dataclasses.replace(model, costs=dataclasses.replace(model.costs, base_seconds=0.015))
    far = held_out(wrong, bench.turns, bench.samples)

    assert model.costs == _model(whole_run(MIXED)).costs
    assert [(one.metric, one.percent) for one in rows] == list(ASKED)
    assert {one.rate_per_second for one in rows} == {0.7 * MIXED.capacity()}
    assert all(
        one.one_turn.low is not None and one.one_turn.low * 0.97 <= one.measured_ms for one in rows if one.percent == 50
    )
    assert all(abs(one.error) < 0.1 for one in rows if one.percent == 50)
    assert all(one.error > 0.15 for one in far if one.metric != "ttft_ms")


@pytest.mark.slow
@pytest.mark.timeout(900)
@BOTH
@pytest.mark.parametrize("jitter", [0.0, 0.1], ids=["steady", "steps vary by 10 %"])
@pytest.mark.parametrize("load", [0.5, 0.7, 0.85, 0.95])
def test_the_plan_holds_against_fresh_loads(engine: TrueEngine, jitter: float, load: float) -> None:
    """Of eight runs' 48 intervals 85 % hold what a million requests do, at 95 % load 75 %; below it medians fit too."""
    truth = dataclasses.replace(engine, jitter=jitter)
    held, errors = 0, []
    for seed in range(8):
        model = _model(whole_run(truth, seed))
        rate = load * model.capacity_per_second
        fresh = long_run(truth, rate, 1_000_000, 100 + seed)
        fleet = Fleet(replicas=1, routing="random", arrivals=Arrivals(rate_per_second=rate))
        found = simulate(model, fleet, ASKED).percentiles
        for asked in ASKED:
            true = float(np.percentile(fresh[asked[0]], asked[1]))
            low, high = found[asked].interval.low, found[asked].interval.high
            assert low is not None
            assert high is not None
            held += low <= true <= high
            errors += [abs(found[asked].value / true - 1)] if asked[1] == 50 else []

    assert held >= (36 if load > 0.9 else 41)
    assert load > 0.9 or np.median(errors) < 0.05
