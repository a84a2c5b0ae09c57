"""The first three lines of a report: the answer, how sure it is, and what choosing otherwise costs or gains."""

from optimal_tp.measurement.estimate import (
    METRIC_WORDS,
    Estimate,
    Interval,
    bounds,
    duration,
    figure,
    percent,
    plural,
    ranged,
    usd,
)
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.caveats import unseen
from optimal_tp.verdict.comparisons import UNIT, turned_to
from optimal_tp.verdict.findings import DegreeVerdict, Outlook, Verdict

MEASURED = ("chosen", "dominated", "inconclusive", "misses-slo", "invalid")


def answer(analysis: Analysis) -> str:
    """Return the first line: what to do, with throughput, latency and dollars at one point, the compared one."""
    verdict = analysis.verdict
    if verdict.outcome == "void":
        return f"No verdict: the run is void. {_capital(verdict.reasons[0])}."
    if verdict.outcome == "inconclusive":
        return _open_answer(verdict)
    if verdict.chosen is None:
        return _none_answer(verdict)
    chosen = degree_of(verdict, verdict.chosen)
    return f"Serve with {verdict.chosen}: {_why_chosen(verdict, chosen)}. {_point(analysis, chosen)}"


def certainty(verdict: Verdict) -> str:
    """Return the second line: how sure the first is, or what would make it sure."""
    basis = _basis(verdict)
    if verdict.outcome == "settled" and basis is None:
        return "That took no measurement: every candidate ended before any load."
    if verdict.outcome == "settled":
        caveats = f" That holds {'; '.join(verdict.caveats)}." if verdict.caveats else ""
        return f"Sure to at least {percent(verdict.confidence)} on a machine that stays steady: {basis}.{caveats}"
    if verdict.outcome == "void":
        return f"Nothing is claimed from what was measured: {basis or 'no block was completed'}."
    seen = basis or "no completed block"
    if not verdict.outlook:
        return f"More blocks alone do not settle it ({'; '.join(verdict.reasons)}); seen so far: {seen}."
    return f"{_open_questions(verdict.outlook)} Seen so far: {seen}."


def _basis(verdict: Verdict) -> str | None:
    """Return what the verdict rests on, as "9 blocks, 184 requests, none of them failed"; None without a request."""
    requests = sum(degree.requests for degree in verdict.degrees)
    failures = sum(degree.failures for degree in verdict.degrees)
    if not requests:
        return None
    failed = "all" if failures == requests else failures or "none"
    return f"{plural(verdict.blocks, 'block')}, {plural(requests, 'request')}, {failed} of them failed"


def otherwise(analysis: Analysis) -> str:
    """Return the third line: what each other candidate would cost or gain."""
    verdict = analysis.verdict
    named = verdict.chosen if verdict.chosen is not None else verdict.provisional
    if named is None:
        return "There is no choice to hold the others against."
    sentences = [_instead(analysis, named, degree) for degree in verdict.degrees if degree.name != named]
    return " ".join(sentence for sentence in sentences if sentence) or "No other candidate was measured."


def _open_questions(outlook: tuple[Outlook, ...]) -> str:
    """Return every open question with the blocks it takes, and what all of them together take."""
    listed = "; ".join(f"{one.question} ({_more(one)})" for one in outlook)
    longest = max(outlook, key=lambda one: -1 if one.blocks is None else one.blocks)
    if any(one.blocks is None for one in outlook):
        return f"Open: {listed}."
    time = "" if longest.seconds is None else f", {duration(longest.seconds)}"
    cost = "" if longest.usd is None else f", {usd(longest.usd)}"
    return f"Open: {listed}. {_more(longest).capitalize()}{time}{cost} may settle it, if what was seen goes on."


def _more(outlook: Outlook) -> str:
    if outlook.blocks is None:
        return "how many more blocks that takes cannot be said"
    return f"about {plural(outlook.blocks, 'more block')}"


def degree_of(verdict: Verdict, name: str) -> DegreeVerdict:
    """Return the verdict on the candidate called ``name``. Raises KeyError for one that is not in it."""
    found = next((degree for degree in verdict.degrees if degree.name == name), None)
    if found is None:
        raise KeyError(f"the verdict has no {name}")
    return found


def _why_chosen(verdict: Verdict, chosen: DegreeVerdict) -> str:
    others = [degree for degree in verdict.degrees if degree.word == "dominated"]
    limited = "that holds the limits" if chosen.limits else "that was measured"
    if not others:
        return f"it is the only candidate {limited}"
    if {degree.name for degree in others} <= _shown_below(verdict, chosen.name):
        return f"it gives more {UNIT[verdict.criterion]} than every other candidate {limited}"
    return f"no other candidate {limited} gives over {percent(verdict.resolution)} more {UNIT[verdict.criterion]}"


def _shown_below(verdict: Verdict, name: str) -> set[str]:
    """Return the candidates that are shown to give less than ``name``, or less than another that is."""
    below: set[str] = set()
    open_ = [name]
    while open_:
        better = open_.pop()
        for other in (degree.name for degree in verdict.degrees if degree.name not in below):
            found = turned_to(verdict.comparisons, better, other)
            if found is not None and found.word == "better":
                below.add(other)
                open_.append(other)
    return below


def _point(analysis: Analysis, chosen: DegreeVerdict) -> str:
    """Return what the chosen candidate does where it was compared: throughput, latency and dollars together."""
    parts = []
    if chosen.goodput_per_second_per_core is not None:
        parts.append(f"about {figure(chosen.goodput_per_second_per_core)} requests/s per core within the limits")
    if chosen.tokens_per_second_per_core is not None:
        parts.append(ranged(chosen.tokens_per_second_per_core, "output tokens/s per core"))
    if chosen.median_latency_ms is not None:
        parts.append(f"median latency {ranged(chosen.median_latency_ms, 'ms')}")
    costs = () if analysis.money is None else analysis.money.tokens
    cost = next((one.in_blocks for one in costs if (one.degree, one.max_num_seqs) == _place(chosen)), None)
    if cost is not None:
        parts.append(f"{usd(cost.value)} per million output tokens")
    if not parts:
        return ""
    where = "Near that rate" if chosen.limits else "Saturated"
    return f"{where}: {', '.join(parts)}.{_proven(chosen)}"


def _place(degree: DegreeVerdict) -> tuple[int, int | None]:
    return degree.degree, degree.max_num_seqs


def _proven(chosen: DegreeVerdict) -> str:
    proof = chosen.proof
    if proof is None or not proof.turns:
        return ""
    low, high = proof.held_per_second_per_core, proof.missed_per_second_per_core
    if low is None and high is None:
        return f" {plural(proof.turns, 'turn')} after the choice prove no rate yet."
    held = "" if low is None else f"{figure(low)} requests/s per core hold the limits"
    missed = (
        ""
        if high is None
        else f"{figure(high)} miss them"
        if held
        else f"{figure(high)} requests/s per core miss the limits"
    )
    return f" Proven turn by turn: {' and '.join(part for part in (held, missed) if part)}; {unseen(proof.turns)}."


def _none_answer(verdict: Verdict) -> str:
    missing = [degree for degree in verdict.degrees if degree.word == "misses-slo"]
    words = "; ".join(f"{degree.name} {degree.word}: {degree.ground.sentence}" for degree in verdict.degrees)
    if not missing:
        return f"No candidate qualifies. {words or 'None was asked for'}."
    known = [(degree, one) for degree in missing for one in degree.limits if one.latency_ms is not None]
    if not known:
        return f"No candidate holds the limits. {words}."
    degree, one = min(
        known, key=lambda pair: pair[1].latency_ms.value / pair[1].at_most_ms if pair[1].latency_ms else 0
    )
    return (
        f"No candidate holds the limits, not even with one request at a time. The nearest is {degree.name}: "
        f"p{one.percent:g} of {METRIC_WORDS[one.metric]} is {ranged(one.latency_ms, 'ms')}, the limit "
        f"{figure(one.at_most_ms)} ms."
    )


def _open_answer(verdict: Verdict) -> str:
    if verdict.provisional is None:
        return f"Not settled: {'; '.join(verdict.reasons) or 'nothing was compared'}."
    return (
        f"Not settled: {verdict.provisional} leads on what was seen, "
        f"but {'; '.join(verdict.reasons) or 'no reason was recorded'}."
    )


def _instead(analysis: Analysis, named: str, degree: DegreeVerdict) -> str:
    verdict = analysis.verdict
    found = turned_to(verdict.comparisons, degree.name, named)
    if degree.word not in MEASURED or degree.word in ("misses-slo", "invalid"):
        return f"{degree.name} is no choice ({degree.word}: {degree.ground.sentence})."
    if found is None or found.ratio is None:
        return f"{degree.name} cannot be held against it yet."
    chosen = degree_of(verdict, named)
    latency = ""
    if degree.median_latency_ms is not None and chosen.median_latency_ms is not None:
        latency = (
            f", with a median latency of {figure(degree.median_latency_ms.value)} ms "
            f"instead of {figure(chosen.median_latency_ms.value)} ms there"
        )
    return f"{degree.name} instead would give {change(found.ratio)} {UNIT[verdict.criterion]}{latency}."


def change(ratio: Estimate) -> str:
    """Return a ratio as a change: "43.1 % (38.0 to 47.0) fewer", "0.99 (0.96 to 1.02) times the"."""
    interval = ratio.interval
    if interval.is_below(1.0) and interval.low is not None and interval.high is not None:
        turned = Interval(low=100 * (1 - interval.high), high=100 * (1 - interval.low))
        return f"{figure(100 * (1 - ratio.value))} % ({bounds(turned)}) fewer"
    if interval.is_above(1.0):
        turned = Interval(
            low=100 * (interval.low - 1) if interval.low is not None else None,
            high=None if interval.high is None else 100 * (interval.high - 1),
        )
        return f"{figure(100 * (ratio.value - 1))} % ({bounds(turned)}) more"
    return f"{figure(ratio.value)} ({bounds(interval)}) times the"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
