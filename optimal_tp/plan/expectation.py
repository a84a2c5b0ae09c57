"""What a run is expected to take, before it starts: to a safe choice, and to a proven rate of the chosen candidate."""

import collections.abc
import dataclasses
import math

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import duration, figure, percent, plural, usd
from optimal_tp.plan.cost import Forecast
from optimal_tp.plan.lineup import Lineup
from optimal_tp.settings.workload import WorkloadSettings

LIMIT_OVER_ALONE = 2.5
"""A limit on the whole request over the time that one request takes alone, as in the table's truths."""
UNKNOWN_ALONE_SECONDS = 1.0
"""Time of one request alone where no limit tells: figures grow in proportion to it."""
BLOCKS_A_VISIT = 4
"""Blocks that servers which take turns measure before the next ones are started."""
BRACKET_TURNS = 6
"""Turns of a candidate before its blocks, about."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExpectationRow:
    """A row for equal candidates, the slowest to tell apart, from the table in docs/concepts/verdict.md."""

    name: str
    candidates: int
    turns: int
    """Until the safe choice, the median over runs that reach it."""
    turns_p90: int
    reached: float
    """Share of runs that reach it within the bench's budget."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProofRow:
    """How many turns it takes until a rate is proven that the chosen candidate holds, median and 90th percentile."""

    name: str
    asked: float
    turns: int
    turns_p90: int


BY_SHARE = {
    0.5: ExpectationRow(name="quiet, p50 of total latency", candidates=3, turns=57, turns_p90=78, reached=1.0),
    0.9: ExpectationRow(name="quiet, p90 of total latency", candidates=3, turns=57, turns_p90=72, reached=1.0),
    0.99: ExpectationRow(name="quiet, p99 of TTFT and TPOT", candidates=3, turns=72, turns_p90=157, reached=0.98),
}
"""Three candidates at the usual decision, by the asked share: the next higher one counts."""
BY_CANDIDATES = {
    2: ExpectationRow(name="quiet, p90, two candidates", candidates=2, turns=34, turns_p90=48, reached=1.0),
    3: BY_SHARE[0.9],
    6: ExpectationRow(name="quiet, p90, six candidates", candidates=6, turns=156, turns_p90=240, reached=0.86),
}
"""The same by the number of candidates, at p90; above the last as many turns of each."""
QUICK = {
    0.75: ExpectationRow(name="quick, p75, quiet", candidates=2, turns=14, turns_p90=18, reached=0.95),
    0.9: ExpectationRow(name="quick, p90, quiet", candidates=2, turns=16, turns_p90=18, reached=0.83),
}
"""Two candidates with a few fixed looks."""
UNLIMITED = ExpectationRow(name="noise 2 %", candidates=3, turns=3 * 15, turns_p90=3 * 21, reached=1.0)
"""Without limits; the table has blocks."""
PROOFS = (
    ProofRow(name="p50 of total latency", asked=0.5, turns=30, turns_p90=33),
    ProofRow(name="p75 of total latency", asked=0.75, turns=46, turns_p90=54),
    ProofRow(name="p90 of total latency", asked=0.9, turns=90, turns_p90=105),
    ProofRow(name="p95 of total latency", asked=0.95, turns=159, turns_p90=183),
    ProofRow(name="p99 of total latency", asked=0.99, turns=678, turns_p90=681),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expectation:
    """About what a run takes. Seconds are of measuring, without set-up."""

    candidates: int
    asked: float | None
    """The highest share of requests that a limit asks for; None without limits."""
    alone_seconds: float
    """Assumed of one request alone at the slowest candidate."""
    turn_seconds: float
    turns: int
    turns_p90: int
    reached: float
    choice_seconds: float
    choice_seconds_p90: float
    budget_seconds: float
    most_blocks: int
    proof_turns: int | None
    """None where nothing is proven: without limits, or with no time for it in the settings."""
    proof_seconds: float | None
    proof_budget_seconds: float
    """What the settings leave for the proof after an usual choice, at most."""


def expectation(
    settings: WorkloadSettings, candidates: int, *, rounds: int = 1, start_seconds: float = 0.0
) -> Expectation | None:
    """Return what the run of ``candidates`` is expected to take; None where it follows stated loads by the clock.

    None as well for one candidate, which has no rival. Servers of ``rounds`` take turns, and each change of them takes
    ``start_seconds``.
    """
    load, decision, limits = settings.load, settings.decision, settings.limits.asked()
    if load.rates_per_second_per_core is not None or load.concurrency is not None or candidates < 2:  # noqa: PLR2004
        return None
    asked = max((limit.percentile / 100 for limit in limits.values()), default=None)
    row = _row(asked, candidates, is_quick=decision.fixed_looks is not None)
    limit_seconds = _limit_seconds(settings)
    alone = UNKNOWN_ALONE_SECONDS if limit_seconds is None else limit_seconds / LIMIT_OVER_ALONE
    # A turn ends when its last counted request has ended or missed: about one limit after it was sent.
    turn = alone * (load.warm_in + load.turn_length + LIMIT_OVER_ALONE) + load.pause_seconds
    blocks = [
        max(decision.minimum_blocks, math.ceil(turns / candidates) - BRACKET_TURNS)
        for turns in (row.turns, row.turns_p90)
    ]
    changes = [rounds * math.ceil(each / BLOCKS_A_VISIT) if rounds > 1 else 0 for each in blocks]
    choice, choice_p90 = (
        turns * turn + change * start_seconds for turns, change in zip((row.turns, row.turns_p90), changes, strict=True)
    )
    proven = None
    if asked is not None and decision.proof_seconds > 0:
        proven = next((each for each in PROOFS if each.asked >= asked), PROOFS[-1])
    return Expectation(
        candidates=candidates,
        asked=asked,
        alone_seconds=alone,
        turn_seconds=turn,
        turns=row.turns,
        turns_p90=row.turns_p90,
        reached=row.reached,
        choice_seconds=choice,
        choice_seconds_p90=choice_p90,
        budget_seconds=decision.budget_seconds,
        most_blocks=decision.maximum_blocks,
        proof_turns=None if proven is None else proven.turns,
        proof_seconds=None if proven is None else proven.turns * turn,
        proof_budget_seconds=max(0.0, min(decision.proof_seconds, decision.budget_seconds - choice)),
    )


def _row(asked: float | None, candidates: int, *, is_quick: bool) -> ExpectationRow:
    """Return the table's row for so many candidates, scaled from the rows that are nearest."""
    if asked is None:
        base, usual = UNLIMITED, BY_SHARE[0.9]
    elif is_quick:
        base = next((row for share, row in QUICK.items() if share >= asked), QUICK[0.9])
        usual = base
    else:
        base = next((row for share, row in BY_SHARE.items() if share >= asked), BY_SHARE[0.99])
        usual = BY_SHARE[0.9]
    if candidates == base.candidates:
        return base
    like = usual
    if not is_quick:
        like = next((row for count, row in BY_CANDIDATES.items() if count >= candidates), BY_CANDIDATES[6])
    share = candidates / like.candidates
    return dataclasses.replace(
        base,
        candidates=candidates,
        turns=round(base.turns * like.turns / usual.turns * share),
        turns_p90=round(base.turns_p90 * like.turns_p90 / usual.turns_p90 * share),
    )


def _limit_seconds(settings: WorkloadSettings) -> float | None:
    """Return the longest that a request may take, of all limits; None where they do not bound it."""
    limits = settings.limits
    if limits.total_latency_ms is not None:
        return limits.total_latency_ms.at_most_ms / 1000
    if limits.ttft_ms is None or limits.tpot_ms is None:
        return None
    return (limits.ttft_ms.at_most_ms + limits.tpot_ms.at_most_ms * (settings.load.output_tokens - 1)) / 1000


def expectation_lines(found: Expectation, usd_per_hour: float | None) -> list[str]:
    """Return what a run is expected to take, for people; dollars where ``usd_per_hour`` is known."""
    what = "without limits" if found.asked is None else f"at p{100 * found.asked:g}"
    choice = (
        f"to a safe choice of {plural(found.candidates, 'candidate')} {what}: about {plural(found.turns, 'turn')}, "
        f"{_time(found.choice_seconds, usd_per_hour)}; 9 of 10 runs within "
        f"{_time(found.choice_seconds_p90, usd_per_hour)} (if one request alone takes {figure(found.alone_seconds)} s; "
        f"in simulation {percent(found.reached)} of runs with equal candidates on a quiet machine reach it)"
    )
    return [choice, *_proof_lines(found, usd_per_hour)]


def _proof_lines(found: Expectation, usd_per_hour: float | None) -> list[str]:
    if found.proof_turns is None or found.proof_seconds is None:
        return []
    time = _time(found.proof_seconds, usd_per_hour)
    return [f"to a proven rate of the chosen one: about {plural(found.proof_turns, 'turn')} more, {time}"]


def _time(seconds: float, usd_per_hour: float | None) -> str:
    return duration(seconds) + ("" if usd_per_hour is None else f" and {usd(usd_per_hour * seconds / 3600)}")


def expectation_warnings(found: Expectation) -> list[str]:
    """Return what the settings leave too little time for; empty where they leave enough."""
    sentences = []
    blocks = math.ceil(found.turns / found.candidates) - BRACKET_TURNS
    if found.choice_seconds_p90 > found.budget_seconds:
        often = "half" if found.choice_seconds > found.budget_seconds else "1 in 10"
        sentences.append(
            f"workloads.decision.budget_seconds ({found.budget_seconds:g}) may end before a safe choice: more than "
            f"{often} of the runs take longer; allow {math.ceil(found.choice_seconds_p90)} s or accept a larger "
            "workloads.decision.resolution"
        )
    if found.most_blocks < blocks:
        sentences.append(
            f"workloads.decision.maximum_blocks ({found.most_blocks}) ends half of the runs before a choice, which "
            f"takes about {plural(blocks, 'block')}; allow more"
        )
    if found.proof_seconds is not None and found.asked is not None and found.proof_seconds > found.proof_budget_seconds:
        sentences.append(
            f"p{100 * found.asked:g} can be compared but hardly proven: a proof takes about "
            f"{duration(found.proof_seconds)}, but only {duration(found.proof_budget_seconds)} are left for it; raise "
            "workloads.decision.proof_seconds and budget_seconds or set a lower percentile"
        )
    return sentences


def foresight(
    settings: WorkloadSettings,
    usd_per_hour: float | None,
    candidates: collections.abc.Sequence[Candidate],
    *,
    rounds: int = 1,
) -> list[str]:
    """Return what a run of ``candidates`` is expected to take and what it has too little time for, as lines."""
    found = expectation(settings, len(candidates), rounds=rounds)
    if found is None:
        return []
    warnings = [f"warning: {sentence}" for sentence in expectation_warnings(found)]
    return [*expectation_lines(found, usd_per_hour), *warnings]


def lineup_expectations(plan: Lineup, money: Forecast) -> tuple[list[str], list[str]]:
    """Return for every model of ``plan`` what its run is expected to take, and what it has too little time for."""
    lines: list[str] = []
    warnings: list[str] = []
    for model in plan.models:
        name = f"{model.settings.model.name}: " if len(plan.models) > 1 else ""
        start_seconds = 60 * money.spend.expected_minutes.start
        found = expectation(
            model.settings,
            len(model.settings.candidates),
            rounds=len(model.plan.rounds),
            start_seconds=start_seconds,
        )
        if found is not None:
            lines += [name + line for line in expectation_lines(found, money.cost.now_usd)]
            warnings += [name + line for line in expectation_warnings(found)]
    return lines, warnings
