"""Why a reader can trust the answer, or not: the run's own audit as a checklist."""

import dataclasses
import typing

from optimal_tp.errors import quantity
from optimal_tp.measurement.audit import LONGEST_PAUSE_FACTOR, lateness_bound_ms
from optimal_tp.measurement.estimate import percent
from optimal_tp.measurement.run import EXACT, OUTPUT_TOKENS, PROMPT_TOKENS
from optimal_tp.measurement.run_audit import FOREIGN_CPU_SHARE, throttling
from optimal_tp.measurement.turns import Turn
from optimal_tp.report.page.turns import skipped
from optimal_tp.report.words import capital
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.caveats import ENOUGH_STARTS

State = typing.Literal["fine", "note", "wrong", "unknown"]
_UNSTEADY = ("changed", "drifted", "trend", "queues")
"""Words of the caveats that speak of a machine or a load that was not steady."""
MOST_FAILED = 0.01
"""Share of failed requests from which the checklist points at them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    state: State
    title: str
    detail: str


def checks(analysis: Analysis) -> tuple[Check, ...]:
    """Return what was checked of a run, in the order of a request's way; nothing without turns."""
    turns = [turn for turn in analysis.record.turns if turn.stage in ("block", "proof", "held_out")]
    if not turns:
        return ()
    limits = [limit.at_most_ms for limit in analysis.record.settings.limits.asked().values()]
    bound = lateness_bound_ms(min(limits, default=None))
    return (
        _late(turns, bound),
        _pause(turns, bound),
        _tokens(analysis),
        _failed(analysis),
        _others(turns),
        _skipped(analysis),
        _steady(analysis),
        _starts(turns),
        *_plan(analysis),
    )


def _late(turns: typing.Sequence[Turn], bound: float) -> Check:
    late = max((turn.send_lag_p99_ms for turn in turns if turn.send_lag_p99_ms is not None), default=None)
    title = "Requests left on time, and latency counts from the planned send"
    if late is None:
        return Check(
            state="unknown", title="Whether requests left on time", detail="The client's clock was not watched."
        )
    return Check(
        state="fine" if late <= bound else "wrong",
        title=title if late <= bound else "Requests left late; latency counts from the planned send",
        detail=f"In the worst turn the client was {late:.1f} ms late at the 99th percentile; {bound:g} ms is allowed.",
    )


def _pause(turns: typing.Sequence[Turn], bound: float) -> Check:
    longest = max((turn.longest_lag_ms for turn in turns if turn.longest_lag_ms is not None), default=None)
    most = LONGEST_PAUSE_FACTOR * bound
    if longest is None:
        return Check(state="unknown", title="Whether the load generator paused", detail="Pauses were not recorded.")
    detail = f"Its longest pause was {longest:.0f} ms; {most:g} ms is allowed."
    if longest <= most:
        return Check(state="fine", title="The load generator never paused too long", detail=detail)
    return Check(state="wrong", title="The load generator paused too long", detail=detail)


def _tokens(analysis: Analysis) -> Check:
    pins = analysis.record.pins
    if pins.get(PROMPT_TOKENS) == EXACT and pins.get(OUTPUT_TOKENS) == EXACT:
        title = "Prompts and answers have the planned tokens"
        return Check(state="fine", title=title, detail="The server's own count matches the plan for every request.")
    said = "; ".join(
        f"{name.removesuffix('_tokens')}: {pins[name]}" for name in (PROMPT_TOKENS, OUTPUT_TOKENS) if name in pins
    )
    title = "Prompts or answers may not have the planned tokens"
    return Check(state="note", title=title, detail=f"Not enforced on these servers{f' ({said})' if said else ''}.")


def _failed(analysis: Analysis) -> Check:
    requests = sum(degree.requests for degree in analysis.verdict.degrees)
    failed = sum(degree.failed for degree in analysis.verdict.degrees)
    given_up = sum(degree.given_up for degree in analysis.verdict.degrees)
    late = quantity(given_up, "was given up once it had", "were given up once they had")
    slow = f" {late} missed a limit; each counts as a miss." if given_up else ""
    if not failed:
        detail = f"Of {requests:,} counted requests none failed.{slow}"
        return Check(state="fine", title="No request failed", detail=detail)
    share = failed / requests
    words = f"{failed:,} of {requests:,} counted requests failed ({percent(share)}); each counts as a miss.{slow}"
    return Check(state="note" if share < MOST_FAILED else "wrong", title="Some requests failed", detail=words)


def _others(turns: typing.Sequence[Turn]) -> Check:
    most = max((turn.foreign_cpu_share for turn in turns if turn.foreign_cpu_share is not None), default=None)
    held = throttling(turns)
    quota = "" if held is None else f" A CPU quota held {{}} back in {held}."
    if most is None:
        detail = "Other processes cannot be seen from the load generator." + quota.format("the load generator")
        if held is None:
            return Check(state="unknown", title="Whether anything else used the measured cores", detail=detail)
        return Check(state="note", title="A CPU quota held the load generator back", detail=detail)
    detail = f"Other processes took at most {percent(most)} of them; {percent(FOREIGN_CPU_SHARE)} is allowed."
    detail += quota.format("servers or client")
    if most > FOREIGN_CPU_SHARE:
        return Check(state="wrong", title="Other processes used the measured cores too much", detail=detail)
    if held is not None:
        return Check(state="wrong", title="A CPU quota held servers or client back", detail=detail)
    title = f"Other processes used at most {percent(most)} of the measured cores"
    return Check(state="fine", title=title if most else "Nothing else used the measured cores", detail=detail)


def _skipped(analysis: Analysis) -> Check:
    gone = skipped(analysis)
    blocks = sum(one.stage == "block" for one in analysis.timeline)
    if not gone:
        return Check(
            state="fine",
            title="The compared turns were undisturbed",
            detail="Its one turn was used." if blocks == 1 else f"All {blocks:,} turns were used.",
        )
    first = gone[0]
    more = f", and {len(gone) - 1} more (see the timeline)" if len(gone) > 1 else ""
    title = "Some compared turns were disturbed or left out"
    return Check(state="note", title=title, detail=f"{len(gone)} of {blocks} set aside: {first}{more}.")


def _steady(analysis: Analysis) -> Check:
    unsteady = [one for one in analysis.verdict.caveats if any(word in one for word in _UNSTEADY)]
    if analysis.verdict.outcome == "settled" and not unsteady:
        steady = "No candidate drifted by more than its own noise."
        return Check(state="fine", title="The machine stayed steady", detail=steady)
    if unsteady:
        return Check(
            state="note", title="The load or the machine may not have been steady", detail=f"{capital(unsteady[0])}."
        )
    return Check(state="unknown", title="Whether the machine stayed steady", detail="The run ended too early to tell.")


def _starts(turns: typing.Sequence[Turn]) -> Check:
    seen: dict[object, set[int]] = {}
    for turn in turns:
        if turn.stage == "block":
            seen.setdefault((turn.degree, turn.max_num_seqs), set()).add(turn.server_start or 0)
    least = min(map(len, seen.values()), default=0)
    if least >= ENOUGH_STARTS:
        title = "The answer does not depend on a single server start"
        return Check(state="fine", title=title, detail=f"Every candidate was started at least {least} times.")
    times = "once" if least == 1 else f"{least} times"
    detail = f"Servers were started {times}; another start may differ; this run does not show by how much."
    few = f"{least} server starts" if least > 1 else "a single server start"
    return Check(state="note", title=f"The answer may depend on {few}", detail=detail)


def _plan(analysis: Analysis) -> tuple[Check, ...]:
    prediction = analysis.prediction
    if prediction is None or not prediction.capacities:
        return ()
    contradicts = any("contradicts" in reason for reason in analysis.verdict.reasons)
    detail = (
        "It contradicts the choice." if contradicts else "It does not contradict the choice within its stated error."
    )
    title = f"The planning model, fitted to the same run, {'disagrees' if contradicts else 'agrees'}"
    return (Check(state="wrong" if contradicts else "fine", title=title, detail=detail),)
