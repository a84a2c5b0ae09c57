"""The self-audit of a whole run: turns that cannot be trusted are left out, too many of them void the candidate."""

import dataclasses
import math
import types
import typing

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.audit import Expected, audit_turn
from optimal_tp.measurement.counters.token_ledger import Most
from optimal_tp.measurement.estimate import figure, plural
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS, PROMPT_TOKENS, RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Key, Turn, key, of, samples_by_turn
from optimal_tp.settings.workload import WorkloadSettings

NOTHING_KNOWN: typing.Mapping[Key, tuple[str, ...]] = types.MappingProxyType({})

FOREIGN_CPU_SHARE = 0.15
"""Share of all degrees' cores that other processes may take in a turn. Tried on 2 cores, 2026-11: a quiet machine shows
0 to 0.07, a busy loop on one of TP2's cores 0.3 and more."""
TRUSTED_SHARE = 0.75
"""Share of a candidate's block turns that must pass; below it the disturbance is part of the measurement."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audited:
    """A run without the turns that failed the audit."""

    record: RunRecord
    samples: tuple[Sample, ...]
    void_reasons: typing.Mapping[Candidate | None, tuple[str, ...]]
    """Why a candidate's measurement is void, by candidate; under None, why the whole run is void."""
    left_out: tuple[str, ...]
    """One sentence for each block turn that was left out."""
    dropped: tuple[tuple[Turn, str], ...] = ()
    """Every turn that was left out, and why."""


JUDGED = ("block", "proof", "held_out")
"""Stages whose turns support a claim."""


def audit_run(
    record: RunRecord,
    samples: typing.Sequence[Sample],
    known: typing.Mapping[Key, tuple[str, ...]] = NOTHING_KNOWN,
) -> Audited:
    """Return ``record`` without its untrusted block turns, and what is void.

    ``known`` holds the faults of turns that were found before the records of several processes were joined.

    Only the client or the machine can be a reason to leave a block turn out, never the server, so leaving it out does
    not select among results.
    """
    grouped = samples_by_turn(samples)
    faults = {}
    for turn in record.turns:
        reasons_now = turn_reasons(turn, grouped.get(key(turn), []), record.settings, record.pins)
        faults[key(turn)] = known.get(key(turn), ()) + reasons_now
    blocks = [turn for turn in record.turns if turn.stage == "block"]
    bad = [turn for turn in blocks if faults[key(turn)]]
    # A turn that proves or tests something is dropped like one of a block. The bracket supports no claim.
    dropped = {key(turn) for turn in record.turns if turn.stage in JUDGED and faults[key(turn)]}
    reasons: dict[Candidate | None, tuple[str, ...]] = {}
    for candidate in sorted({of(turn) for turn in bad}):
        wrong = [turn for turn in bad if of(turn) == candidate]
        of_all = sum(of(turn) == candidate for turn in blocks)
        if len(wrong) > (1 - TRUSTED_SHARE) * of_all:
            first = f"{candidate.name} block {wrong[0].block}: {faults[key(wrong[0])][0]}"
            reasons[candidate] = (f"{len(wrong)} of {of_all} turns failed the self-audit; the first: {first}",)
    measured = {of(turn) for turn in blocks}
    if measured and measured <= set(reasons):
        reasons[None] = tuple(sentence for candidate in sorted(measured) for sentence in reasons[candidate])
    return Audited(
        record=dataclasses.replace(record, turns=tuple(turn for turn in record.turns if key(turn) not in dropped)),
        samples=tuple(sample for sample in samples if key(sample) not in dropped) if dropped else tuple(samples),
        void_reasons=reasons,
        left_out=tuple(f"{of(turn).name} block {turn.block}: {faults[key(turn)][0]}" for turn in bad),
        dropped=tuple((turn, faults[key(turn)][0]) for turn in record.turns if key(turn) in dropped),
    )


def turn_reasons(
    turn: Turn, samples: typing.Sequence[Sample], settings: WorkloadSettings, pins: typing.Mapping[str, str]
) -> tuple[str, ...]:
    """Return the reasons why ``turn`` cannot be trusted; empty for a clean turn. ``pins`` are the run's."""
    limits = [limit.at_most_ms for limit in settings.limits.asked().values()]
    has_one_size = settings.load.trace is None
    expected = Expected(
        prompt_tokens=settings.load.prompt_tokens if has_one_size and pins.get(PROMPT_TOKENS) == EXACT else None,
        output_tokens=settings.load.output_range if has_one_size and pins.get(OUTPUT_TOKENS) == EXACT else None,
        limit_ms=min(limits, default=None),
        longest_lag_ms=turn.longest_lag_ms,
        most=_most(settings, pins),
    )
    reasons = (*audit_turn(turn, samples, expected), _foreign(turn.foreign_cpu_share), _throttled(turn))
    return tuple(reason for reason in reasons if reason is not None)


def _most(settings: WorkloadSettings, pins: typing.Mapping[str, str]) -> Most:
    """Return the most tokens that one request of the run may have; the model's length where its tokenizer decides."""
    load, longest = settings.load, settings.model.max_model_len_tokens
    is_exact = load.trace is None and pins.get(PROMPT_TOKENS) == EXACT
    return Most(
        prompt_tokens=load.prompt_tokens if is_exact else longest,
        output_tokens=longest if load.trace is not None else load.output_range[1],
    )


def _foreign(share: float | None) -> str | None:
    if share is None or share <= FOREIGN_CPU_SHARE:
        return None
    return (
        f"other processes took {100 * share:.0f} % of the measured cores; "
        f"a valid turn has at most {100 * FOREIGN_CPU_SHARE:.0f} %; stop other programs on this machine"
    )


def throttling(turns: typing.Iterable[Turn]) -> str | None:
    """Return how often and how long a CPU quota throttled in ``turns``: "3 periods (0.25 s)"; None if it never did."""
    held = [(turn.throttled_periods, turn.throttled_seconds or 0.0) for turn in turns if turn.throttled_periods]
    if not held:
        return None
    seconds = math.fsum(each for _, each in held)
    return plural(sum(each for each, _ in held), "period") + (f" ({figure(seconds)} s)" if seconds else "")


def _throttled(turn: Turn) -> str | None:
    held = throttling([turn])
    # On another machine than the servers' the quota is the client's alone, whose lateness is judged anyway.
    if held is None or not turn.is_beside_servers:
        return None
    return (
        f"the container's CPU quota throttled the servers or the client in {held}; "
        "a valid turn has none; give the container more CPUs or measure smaller degrees"
    )
