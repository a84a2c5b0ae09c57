"""The first three lines of a report: the answer, how sure it is, and what choosing otherwise costs or gains."""

from optimal_tp.measurement.estimate import (
    METRIC_WORDS,
    Estimate,
    Interval,
    bounds,
    degree_list,
    duration,
    figure,
    percent,
    plural,
    ranged,
    usd,
)
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.findings import DegreeVerdict, LimitFinding, Outlook, Verdict
from optimal_tp.verdict.latency import medians_alone
from optimal_tp.verdict.ranking import MARGIN, relative

MEASURED = ("chosen", "dominated", "inconclusive", "misses-slo", "invalid")


def answer(verdict: Verdict) -> str:
    """Return the first line: what to do."""
    if verdict.outcome == "void":
        return f"No verdict: the run is void. {_capital(verdict.reasons[0])}."
    if verdict.outcome == "inconclusive":
        return _open_answer(verdict)
    if verdict.chosen is None:
        return _none_answer(verdict)
    chosen = degree_of(verdict, verdict.chosen)
    return f"Serve with TP{verdict.chosen}: {_why_chosen(verdict, chosen)}."


def certainty(verdict: Verdict) -> str:
    """Return the second line: how sure the first is, or what would make it sure."""
    basis = _basis(verdict)
    if verdict.outcome == "settled" and basis is None:
        return "That took no measurement: every degree ended before any load."
    if verdict.outcome == "settled":
        return f"Sure to at least {percent(verdict.confidence)}, however often the run was looked at: {basis}."
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
    blocks = plural(verdict.blocks, "block") if verdict.blocks else "no block of every degree"
    return f"{blocks}, {plural(requests, 'request')}, {failed} of them failed"


def otherwise(analysis: Analysis) -> str:
    """Return the third line: what each other degree would cost or gain."""
    verdict = analysis.verdict
    named = verdict.chosen if verdict.chosen is not None else verdict.provisional
    if named is None:
        return "There is no choice to hold the others against."
    sentences = [_instead(analysis, named, degree) for degree in verdict.degrees if degree.degree != named]
    return " ".join(sentence for sentence in sentences if sentence) or "No other degree was measured."


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


def degree_of(verdict: Verdict, number: int) -> DegreeVerdict:
    """Return the verdict on one degree. Raises KeyError for one that is not in it."""
    found = next((degree for degree in verdict.degrees if degree.degree == number), None)
    if found is None:
        raise KeyError(f"the verdict has no TP{number}")
    return found


def _why_chosen(verdict: Verdict, chosen: DegreeVerdict) -> str:
    per_core = ranged(chosen.tokens_per_second_per_core, "output tokens/s per core")
    others = [degree for degree in verdict.degrees if degree.word == "dominated"]
    limited = "that holds the limits" if chosen.limits else "that was measured"
    if not others:
        return f"it is the only degree {limited}, with {per_core}"
    ratios = {degree.degree: relative(verdict.comparisons, degree.degree, chosen.degree) for degree in others}
    tied = [number for number, ratio in ratios.items() if ratio is None or not ratio.interval.is_below(1.0)]
    if not tied:
        own = ranged(chosen.tokens_per_second_per_core)
        return f"it gives the most output tokens/s per core of every degree {limited}, {own}"
    return (
        f"it is the smallest degree {limited} that no other is shown to beat; {degree_list(tied)} "
        f"would give less than {percent(MARGIN)} more output tokens/s per core, if any; its own are "
        f"{ranged(chosen.tokens_per_second_per_core)}"
    )


def _none_answer(verdict: Verdict) -> str:
    missing = [degree for degree in verdict.degrees if degree.word == "misses-slo"]
    if not missing:
        words = "; ".join(f"TP{degree.degree} {degree.word}: {degree.ground.sentence}" for degree in verdict.degrees)
        return f"No degree qualifies. {words or 'None was asked for'}."
    nearest, finding = min(((degree, _worst(degree)) for degree in missing), key=lambda pair: _distance(pair[1]))
    latency = "falls on failed requests" if finding.latency_ms is None else f"is {ranged(finding.latency_ms, 'ms')}"
    return (
        f"No degree holds the limits. The nearest is TP{nearest.degree}: p{finding.percent:g} of "
        f"{METRIC_WORDS[finding.metric]} {latency}, the limit {figure(finding.at_most_ms)} ms."
    )


def _worst(degree: DegreeVerdict) -> LimitFinding:
    return max(degree.limits, key=_distance)


def _distance(finding: LimitFinding) -> float:
    """Return the percentile over the limit; infinity where it falls on failed requests."""
    return float("inf") if finding.latency_ms is None else finding.latency_ms.value / finding.at_most_ms


def _open_answer(verdict: Verdict) -> str:
    if verdict.provisional is None:
        return f"Not settled: no degree qualifies on what was seen. {_capital('; '.join(verdict.reasons))}."
    return (
        f"Not settled: on what was seen the answer would be TP{verdict.provisional}, "
        f"but {'; '.join(verdict.reasons) or 'no reason was recorded'}."
    )


def _instead(analysis: Analysis, named: int, degree: DegreeVerdict) -> str:
    if degree.word not in MEASURED or degree.tokens_per_second_per_core is None:
        return f"TP{degree.degree} is no choice ({degree.word}: {degree.ground.sentence})."
    ratio = relative(analysis.verdict.comparisons, degree.degree, named)
    if ratio is None:
        return f"TP{degree.degree} cannot be held against it yet."
    medians = medians_alone(analysis.latencies)
    latency = ""
    if degree.degree in medians and named in medians:
        latency = (
            f", with a median latency of {figure(medians[degree.degree].value)} ms "
            f"instead of {figure(medians[named].value)} ms"
        )
    verb = "would break the limits and give" if degree.word == "misses-slo" else "would give"
    return f"TP{degree.degree} instead {verb} {change(ratio)} output tokens/s per core{latency}."


def change(ratio: Estimate) -> str:
    """Return a ratio as a change: "43.1 % (38.0 to 47.0) fewer", "neither more nor fewer (-1.2 % to 2.0 %)"."""
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
