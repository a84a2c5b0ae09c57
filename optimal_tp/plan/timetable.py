"""Every turn of an experiment by the clock, from the settings alone: what several processes follow without a word.

No process may look at what was measured, because each has seen only its own share: the loads are stated, how many
blocks there are follows from the budget, and blocks measure every stated load (docs/decisions/0045).
"""

import dataclasses
import itertools
import random
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.samples import Stage
from optimal_tp.plan.schedule import Arrivals, Closed, Poisson, Rotation, planned
from optimal_tp.plan.traces import Trace, open_arrivals, recorded_arrivals
from optimal_tp.settings.workload import Load, WorkloadSettings

READY_SECONDS = 0.1
"""Least silence between two turns: connections of the next one are opened in it."""
HELD_OUT_SHARE = 0.7
"""Of the lowest stated rate: the load of the turn that tests the plan's prediction. Every candidate that can be
compared holds the lowest, and the model is fitted to none like it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedTurn:
    """One turn of all processes together."""

    stage: Stage
    candidate: Candidate
    block: int | None
    arrivals: Arrivals
    begin_seconds: float
    """From the common start."""
    seconds: float
    """Sends are intended within this."""
    requests: int | None = None
    """Most requests; None is no bound."""
    warm_in_seconds: float = 0
    """What is sent within this lets the servers reach their usual state, and does not count."""

    @property
    def counted(self) -> tuple[int, int] | None:
        """Return the number of the first request that counts, and how many do; None: a closed loop counts all.

        Both follow from the plan, so they are known before the turn, and to every process alike.
        """
        if isinstance(self.arrivals, Closed | Rotation):
            return None
        first, end = (
            sum(1 for _ in planned(self.arrivals, seconds=seconds, requests=self.requests))
            for seconds in (self.warm_in_seconds, self.seconds)
        )
        return (first, end - first) if end > first else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timetable:
    """All turns, by their beginning, none overlapping another."""

    turns: tuple[PlannedTurn, ...]
    blocks: int
    seconds: float
    """From the common start until the last request of the last turn has ended or failed."""
    by_budget: bool
    """Whether the budget, not the most blocks, decided how many there are."""


def timetable(
    settings: WorkloadSettings, cores_used: typing.Mapping[Candidate, int], trace: Trace | None = None
) -> Timetable:
    """Return the turns of the candidates of ``cores_used``, which has the logical cores of each one's servers.

    Without the ``trace`` that the settings name, arrivals are random ones at the same rates: enough to tell the time.

    Raises SettingsError when the loads are not stated, or the budget holds fewer than the least blocks.
    """
    load, decision = settings.load, settings.decision
    limited = bool(settings.limits.asked())
    key = "rates_per_second_per_core" if limited else "concurrency"
    stated = load.rates_per_second_per_core if limited else load.concurrency
    if stated is None:
        rule = "must be set: several load generators follow a plan made before the run"
        remedy = "state the loads, around where each candidate's capacity may lie, or use one load generator"
        raise SettingsError([Problem(path=f"workloads.load.{key}", value=None, rule=rule, remedy=remedy)])
    candidates = sorted(cores_used)
    recorded = recorded_arrivals(load, trace)
    before = _before_blocks(load, cores_used, stated, limited=limited, recorded=recorded)
    after = _held_out(load, cores_used, recorded)
    each = len(stated) * len(candidates) * turn_seconds(load, load.block_seconds)
    beside = sum(turn_seconds(load, turn.seconds) for turn in (*before, *after))
    held = int((decision.budget_seconds - beside) // each)
    if held < decision.minimum_blocks:
        needed = beside + decision.minimum_blocks * each
        rule = (
            f"must hold the turns before and after the blocks ({beside:.0f} s) and decision.minimum_blocks "
            f"({decision.minimum_blocks}) of {each:.0f} s, {needed:.0f} s together"
        )
        remedy = "allow more, shorten load.block_seconds or load.request_timeout_seconds, or drop loads or degrees"
        value = decision.budget_seconds
        raise SettingsError([Problem(path="workloads.decision.budget_seconds", value=value, rule=rule, remedy=remedy)])
    blocks = min(held, decision.maximum_blocks)
    # The same seed gives the same order of candidates in every block, and every process has the same seed.
    order = random.Random(f"{load.seed} order")
    turns = [
        dataclasses.replace(
            _stated(
                load, "block", one, _load(step, cores_used[one], load.seed, block, limited=limited, recorded=recorded)
            ),
            block=block,
        )
        for block in range(blocks)
        for step in stated
        for one in order.sample(candidates, len(candidates))
    ]
    return Timetable(
        turns=_placed(load, [*before, *turns, *after]),
        blocks=blocks,
        seconds=beside + blocks * each,
        by_budget=held < decision.maximum_blocks,
    )


def turn_seconds(load: Load, seconds: float) -> float:
    """Return how long a turn of ``seconds`` has: its last request may take the whole time-out, then silence follows."""
    return seconds + load.request_timeout_seconds + max(load.pause_seconds, READY_SECONDS)


def _before_blocks(
    load: Load,
    cores_used: typing.Mapping[Candidate, int],
    stated: typing.Sequence[float],
    *,
    limited: bool,
    recorded: tuple[float, ...] | None,
) -> list[PlannedTurn]:
    """Return warm-up, idle latency and rising load; the first two have one slot, so one process alone sends them."""
    one = Closed(concurrency=1)
    seconds = load.block_seconds
    turns = [_turn("warm_up", each, one, seconds, load.warm_up_requests) for each in sorted(cores_used)]
    turns += [_turn("idle", each, one, seconds, load.idle_requests) for each in sorted(cores_used)]
    turns += [
        _stated(
            load, "rising", each, _load(step, cores_used[each], load.seed, None, limited=limited, recorded=recorded)
        )
        for each in sorted(cores_used)
        for step in stated
    ]
    return turns


def _held_out(
    load: Load, cores_used: typing.Mapping[Candidate, int], recorded: tuple[float, ...] | None
) -> list[PlannedTurn]:
    """Return one open turn of every candidate that tests the plan's prediction; none without a stated rate."""
    if load.rates_per_second_per_core is None:
        return []
    rate = HELD_OUT_SHARE * min(load.rates_per_second_per_core)
    return [
        _stated(load, "held_out", each, _load(rate, cores_used[each], load.seed, None, limited=True, recorded=recorded))
        for each in sorted(cores_used)
    ]


def _load(
    step: float, cores: int, seed: int, block: int | None, *, limited: bool, recorded: tuple[float, ...] | None
) -> Arrivals:
    """Return a stated load; the seed is the same for every candidate, so that luck is common."""
    if not limited:
        return Closed(concurrency=int(step))
    drawn = random.Random(f"{seed} {step} {block}").getrandbits(32)
    rate = step * cores
    if recorded is None:
        return Poisson(rate_per_second=rate, seed=drawn)
    return open_arrivals(recorded, rate, seed=drawn, opening=0)


def lengths_seed(seed: int, stage: Stage, block: int | None) -> int:
    """Return the seed of the output lengths in ``stage`` and ``block``: the same for every degree."""
    return random.Random(f"{seed} {stage} {block} lengths").getrandbits(32)


def _turn(
    stage: Stage, candidate: Candidate, arrivals: Arrivals, seconds: float, requests: int | None = None
) -> PlannedTurn:
    return PlannedTurn(
        stage=stage,
        candidate=candidate,
        block=None,
        arrivals=arrivals,
        begin_seconds=0,
        seconds=seconds,
        requests=requests,
    )


def _stated(load: Load, stage: Stage, candidate: Candidate, arrivals: Arrivals) -> PlannedTurn:
    """Return a turn at a stated load; an open one has a warm-in, by the same part as a turn of one load generator."""
    turn = _turn(stage, candidate, arrivals, load.block_seconds)
    part = load.warm_in / (load.warm_in + load.turn_length)
    return dataclasses.replace(turn, warm_in_seconds=0 if arrivals.concurrency else part * load.block_seconds)


def _placed(load: Load, turns: list[PlannedTurn]) -> tuple[PlannedTurn, ...]:
    begins = itertools.accumulate((turn_seconds(load, turn.seconds) for turn in turns), initial=0.0)
    return tuple(dataclasses.replace(turn, begin_seconds=begin) for turn, begin in zip(turns, begins, strict=False))


Rounds = tuple[tuple[Candidate, ...], ...]
"""Candidates that run at the same time, one tuple per turn."""
