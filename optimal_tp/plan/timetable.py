"""Every turn of an experiment by the clock, from the settings alone: what several processes follow without a word.

No process may look at what was measured, because each has seen only its own share: how many blocks there are follows
from the budget, and blocks measure every step of the closed loop, of which the report takes the one that the rising
load shows to be best (docs/decisions/0045).
"""

import dataclasses
import itertools
import random

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.samples import Stage
from optimal_tp.plan.schedule import Arrivals, Closed, Constant, Poisson
from optimal_tp.settings.workload import Load, WorkloadSettings

READY_SECONDS = 0.1
"""Least silence between two turns: connections of the next one are opened in it."""


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timetable:
    """All turns, by their beginning, none overlapping another."""

    turns: tuple[PlannedTurn, ...]
    blocks: int
    seconds: float
    """From the common start until the last request of the last turn has ended or failed."""
    by_budget: bool
    """Whether the budget, not the most blocks, decided how many there are."""


def timetable(settings: WorkloadSettings, candidates: tuple[Candidate, ...]) -> Timetable:
    """Return the turns of ``candidates``, rising.

    Raises SettingsError when the budget holds fewer than the least blocks, or open arrivals have no stated rate.
    """
    load, decision = settings.load, settings.decision
    if load.arrivals != "closed" and load.rate_per_second is None:
        rule = "several load generators follow a plan made before the run, so open arrivals have a stated rate"
        remedy = "state it, or use arrivals: closed"
        raise SettingsError([Problem(path="workloads.load.rate_per_second", value=None, rule=rule, remedy=remedy)])
    before = _before_blocks(load, candidates)
    each = len(_loads(load, candidates[0], 0)) * len(candidates) * turn_seconds(load, load.block_seconds)
    start = sum(turn_seconds(load, turn.seconds) for turn in before)
    held = int((decision.budget_seconds - start) // each)
    if held < decision.minimum_blocks:
        needed = start + decision.minimum_blocks * each
        rule = (
            f"it holds the stages before the blocks ({start:.0f} s) and decision.minimum_blocks "
            f"({decision.minimum_blocks}) of {each:.0f} s, {needed:.0f} s together"
        )
        remedy = "allow more, shorten load.block_seconds or load.request_timeout_seconds, or drop steps or degrees"
        value = decision.budget_seconds
        raise SettingsError([Problem(path="workloads.decision.budget_seconds", value=value, rule=rule, remedy=remedy)])
    blocks = min(held, decision.maximum_blocks)
    # The same seed gives the same order of candidates in every block, and every process has the same seed.
    order = random.Random(f"{load.seed} order")
    turns = _placed(
        load, [*before, *(turn for block in range(blocks) for turn in _block(load, candidates, block, order))]
    )
    return Timetable(
        turns=turns,
        blocks=blocks,
        seconds=start + blocks * each,
        by_budget=held < decision.maximum_blocks,
    )


def turn_seconds(load: Load, seconds: float) -> float:
    """Return how long a turn of ``seconds`` has: its last request may take the whole time-out, then silence follows."""
    return seconds + load.request_timeout_seconds + max(load.pause_seconds, READY_SECONDS)


def _before_blocks(load: Load, candidates: tuple[Candidate, ...]) -> list[PlannedTurn]:
    """Return warm-up, idle latency and rising load; the first two have one slot, so one process alone sends them."""
    one = Closed(concurrency=1)
    turns = [_turn("warm_up", each, one, load.step_seconds, load.warm_up_requests) for each in candidates]
    turns += [_turn("idle", each, one, load.step_seconds, load.idle_requests) for each in candidates]
    turns += [
        _turn("rising", each, Closed(concurrency=step), load.step_seconds)
        for each in candidates
        for step in load.concurrency
    ]
    return turns


def _block(load: Load, candidates: tuple[Candidate, ...], block: int, order: random.Random) -> list[PlannedTurn]:
    """Return the turns of one block: for each load all candidates, in an order drawn anew."""
    loads = {each: _loads(load, each, block) for each in candidates}
    return [
        dataclasses.replace(_turn("block", each, loads[each][step], load.block_seconds), block=block)
        for step in range(len(loads[candidates[0]]))
        for each in order.sample(candidates, len(candidates))
    ]


def _loads(load: Load, candidate: Candidate, block: int) -> list[Arrivals]:
    if load.arrivals == "closed" or load.rate_per_second is None:
        return [Closed(concurrency=step) for step in load.concurrency]
    if load.arrivals == "constant":
        return [Constant(rate_per_second=load.rate_per_second)]
    return [Poisson(rate_per_second=load.rate_per_second, seed=arrivals_seed(load.seed, candidate, block))]


def arrivals_seed(seed: int, candidate: Candidate, block: int) -> int:
    """Return the seed of the arrivals of ``candidate`` in ``block``."""
    named = candidate.degree if candidate.max_num_seqs is None else candidate.slug
    return random.Random(f"{seed} {named} {block}").getrandbits(32)


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


def _placed(load: Load, turns: list[PlannedTurn]) -> tuple[PlannedTurn, ...]:
    begins = itertools.accumulate((turn_seconds(load, turn.seconds) for turn in turns), initial=0.0)
    return tuple(dataclasses.replace(turn, begin_seconds=begin) for turn, begin in zip(turns, begins, strict=False))


Rounds = tuple[tuple[Candidate, ...], ...]
"""Candidates that run at the same time, one tuple per turn."""


def block_order(rounds: Rounds, block: int, draw: random.Random) -> list[Candidate]:
    """Return the candidates of ``block`` (from 0) in the order of their turns.

    Rounds go there and back (A B, B A, A B …), so that a drift over time meets all alike and each pair of blocks needs
    one change of servers; within a round the order is drawn.
    """
    there = rounds if block % 2 == 0 else rounds[::-1]
    return [each for together in there for each in draw.sample(together, len(together))]
