"""The first lines of a report: the headline, the answer, how sure it is, and what choosing otherwise costs or gains."""

from optimal_tp.errors import quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import (
    METRIC_WORDS,
    UNBOUNDED,
    Estimate,
    Interval,
    bounds,
    duration,
    figure,
    name_list,
    percent,
    plural,
    ranged,
    usd,
)
from optimal_tp.measurement.run import PROFILE_PIN, RunRecord
from optimal_tp.report.words import PLAIN, capital, holds, unanswered
from optimal_tp.verdict.analysis import Analysis
from optimal_tp.verdict.caveats import unseen
from optimal_tp.verdict.comparisons import UNIT, turned_to
from optimal_tp.verdict.findings import DegreeVerdict, Outlook, Verdict

MEASURED = ("chosen", "dominated", "inconclusive", "misses-slo", "invalid")


def headline(verdict: Verdict) -> str:
    """Return the verdict in at most eight words."""
    if verdict.outcome == "void":
        return "No verdict: the run is void"
    if verdict.outcome == "inconclusive":
        return _open_headline(verdict)
    if verdict.chosen is None:
        misses = any(degree.word == "misses-slo" for degree in verdict.degrees)
        return "No candidate meets your limits" if misses else "No candidate can be served"
    others = {degree.name for degree in verdict.degrees if degree.word == "dominated"}
    limited = verdict.criterion == "goodput"
    if not others:
        return f"Serve with {verdict.chosen}, the only candidate {'within limits' if limited else 'measured'}"
    if others <= _shown_below(verdict, verdict.chosen):
        return f"Serve with {verdict.chosen}: most per core{' within limits' if limited else ''}"
    return f"Serve with {verdict.chosen}: none is clearly better"


def _open_headline(verdict: Verdict) -> str:
    if verdict.provisional is not None:
        return f"Not settled yet: {verdict.provisional} leads"
    if verdict.none_met:
        several = any(len(degree.limits) > 1 for degree in verdict.degrees)
        return f"No leader: no candidate met the limit{'s' if several else ''} yet"
    return "Not settled yet"


def answer(analysis: Analysis) -> str:
    """Return what to do, with throughput, latency and dollars at one point, the compared one."""
    verdict = analysis.verdict
    if verdict.outcome == "void":
        return f"No verdict: the run is void. {capital(verdict.reasons[0])}."
    if verdict.outcome == "inconclusive":
        return _open_answer(verdict)
    if verdict.chosen is None:
        return _none_answer(verdict)
    chosen = degree_of(verdict, verdict.chosen)
    why = f"{_why_chosen(verdict, chosen)}{_multiplied(verdict)}"
    return f"Serve with {verdict.chosen}. {why} {_point(analysis, chosen)}".rstrip()


def certainty(verdict: Verdict, record: RunRecord | None = None) -> str:
    """Return how sure the answer is, or what would make it sure; ``record``: the run, which its looks may bound."""
    basis = _basis(verdict)
    if verdict.outcome == "settled" and basis is None:
        return "Nothing was measured: every candidate was ruled out before any load."
    if verdict.outcome == "settled":
        steady = f"Confidence at least {percent(verdict.confidence)} on a machine that stays steady"
        limits = " ".join(map(holds, verdict.caveats))
        return f"{steady}, valid even though the run could stop early. {basis}.{' ' + limits if limits else ''}"
    if verdict.outcome == "void":
        return f"Nothing is claimed from what was measured: {basis or 'no block was completed'}."
    seen = basis or "no completed block"
    if not verdict.outlook:
        return f"More blocks alone do not settle it ({'; '.join(verdict.reasons)}). Seen so far: {seen}."
    ends = "" if record is None else _ends(verdict, record)
    return f"{_open_questions(verdict.outlook, ends)} Seen so far: {seen}."


def _basis(verdict: Verdict) -> str | None:
    """Return what the verdict rests on, as "184 requests in 9 blocks, no failures"; None without a request."""
    requests = sum(degree.requests for degree in verdict.degrees)
    failed = sum(degree.failed for degree in verdict.degrees)
    given_up = sum(degree.given_up for degree in verdict.degrees)
    if not requests:
        return None
    words = "all of them failed" if failed == requests else unanswered(failed, given_up)
    return f"{plural(requests, 'request')} in {plural(verdict.blocks, 'block')}, {words}"


def otherwise(analysis: Analysis) -> str:
    """Return what each other candidate would cost or gain."""
    verdict = analysis.verdict
    named = verdict.chosen if verdict.chosen is not None else verdict.provisional
    if named is None:
        return "There is no choice to compare the others with."
    sentences = [_instead(analysis, named, degree) for degree in verdict.degrees if degree.name != named]
    return " ".join(sentence for sentence in sentences if sentence) or "No other candidate was measured."


def _open_questions(outlook: tuple[Outlook, ...], ends: str) -> str:
    """Return every open question with the blocks it takes, and what all of them take, or where the run ``ends``."""
    listed = "; ".join(f"{one.question} ({_more(one)})" for one in outlook)
    longest = max(outlook, key=lambda one: -1 if one.blocks is None else one.blocks)
    if ends or any(one.blocks is None for one in outlook):
        return f"Open: {listed}.{ends}"
    time = "" if longest.seconds is None else f", {duration(longest.seconds)}"
    cost = "" if longest.usd is None else f", {usd(longest.usd)}"
    return f"Open: {listed}. {_more(longest).capitalize()}{time}{cost} may settle it if the run goes on as it did."


def _ends(verdict: Verdict, record: RunRecord) -> str:
    """Return after which block fixed looks end the run; empty where it has none, or enough blocks are left to it."""
    decision, profile = record.settings.decision, record.pins.get(PROFILE_PIN)
    asked = [decision.last_block if one.blocks is None else one.blocks for one in verdict.outlook]
    if decision.fixed_looks is None or max(asked) <= decision.last_block - verdict.blocks:
        return ""
    name = "plan of this run" if profile is None else f"profile {profile}"
    again = "a repeat is a new run, which begins with block 1"
    longer = " The profile full measures another load and takes up to two hours." if profile == "quick" else ""
    return f" The {name} ends after {plural(decision.last_block, 'block')}: {again}.{longer}"


def _more(outlook: Outlook) -> str:
    if outlook.blocks is None:
        return "blocks needed: unknown"
    return f"about {plural(outlook.blocks, 'more block')}"


def degree_of(verdict: Verdict, name: str) -> DegreeVerdict:
    """Return the verdict on the candidate called ``name``. Raises KeyError for one that is not in it."""
    found = next((degree for degree in verdict.degrees if degree.name == name), None)
    if found is None:
        raise KeyError(f"the verdict has no {name}")
    return found


def _why_chosen(verdict: Verdict, chosen: DegreeVerdict) -> str:
    others = [degree for degree in verdict.degrees if degree.word == "dominated"]
    which = f"within your limit{'' if len(chosen.limits) == 1 else 's'}" if chosen.limits else "measured"
    most = _most(verdict, chosen)
    if not others:
        return f"It is the only candidate {which}: {most}."
    if {degree.name for degree in others} <= _shown_below(verdict, chosen.name):
        return f"Of the candidates {which} it delivers the most: {most}."
    return f"It delivers {most}, and no other candidate {which} delivers over {percent(verdict.resolution)} more."


def _multiplied(verdict: Verdict) -> str:
    """Return whose figures per core are those of fewer cores than the widest has, multiplied; empty for nobody's."""
    compared = [degree for degree in verdict.degrees if degree.word in ("chosen", "dominated")]
    most = max((degree.cores_used or 0 for degree in compared), default=0)
    narrow = [Candidate(each.degree, each.max_num_seqs) for each in compared if (each.cores_used or most) < most]
    whose = "its figure per core is" if len(narrow) == 1 else "their figures per core are"
    return f" {name_list(narrow)} ran on fewer cores, so {whose} multiplied." if narrow else ""


def _most(verdict: Verdict, chosen: DegreeVerdict) -> str:
    """Return the figure that candidates are compared by, with its range: of goodput the proven one."""
    if verdict.criterion == "goodput":
        proof = chosen.proof
        proven = UNBOUNDED
        if proof is not None:
            proven = Interval(low=proof.held_per_second_per_core, high=proof.missed_per_second_per_core)
        known = "" if proven == UNBOUNDED else f" ({bounds(proven)})"
        return f"about {figure(chosen.goodput_per_second_per_core)} {UNIT['goodput']}{known}"
    return ranged(chosen.tokens_per_second_per_core, UNIT["throughput"])


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
    """Return what else the chosen candidate does where it was compared: tokens, latency and dollars together."""
    parts = []
    if chosen.limits and chosen.tokens_per_second_per_core is not None:
        parts.append(ranged(chosen.tokens_per_second_per_core, "output tokens/s per core"))
    if chosen.median_latency_ms is not None:
        parts.append(f"median latency {ranged(chosen.median_latency_ms, 'ms')}")
    cost = cost_of(analysis, chosen)
    if cost is not None:
        low, high = cost.interval.low, cost.interval.high
        known = "" if low is None or high is None else f" ({usd(low)} to {usd(high)})"
        parts.append(f"{usd(cost.value)} per million output tokens{known}")
    if not parts:
        return ""
    where = "Near that rate" if chosen.limits else "Saturated"
    return f"{where}: {', '.join(parts)}.{_proven(chosen)}"


def cost_of(analysis: Analysis, degree: DegreeVerdict) -> Estimate | None:
    """Return US dollars per million output tokens of a candidate at the compared point; None without a price."""
    costs = () if analysis.money is None else analysis.money.tokens
    return next((one.in_blocks for one in costs if one.candidate == degree.candidate), None)


def _proven(chosen: DegreeVerdict) -> str:
    proof = chosen.proof
    if proof is None or not proof.turns:
        return ""
    low, high = proof.held_per_second_per_core, proof.missed_per_second_per_core
    if low is None and high is None:
        return f" {quantity(proof.turns, 'turn after the choice proves', 'turns after the choice prove')} no rate yet."
    unit = "requests/s per core"
    parts = [] if low is None else [f"{figure(low)} {unit} meet the limits"]
    parts += [] if high is None else [f"{figure(high)} {'' if parts else unit + ' '}do not".replace("  ", " ")]
    return f" Proven turn by turn: {' and '.join(parts)}; {unseen(proof.turns)}."


def _none_answer(verdict: Verdict) -> str:
    missing = [degree for degree in verdict.degrees if degree.word == "misses-slo"]
    words = " ".join(_no_choice(degree) for degree in verdict.degrees)
    if not missing:
        return f"No candidate qualifies. {words or 'None was asked for.'}"
    known = [(degree, one) for degree in missing for one in degree.limits if one.latency_ms is not None]
    if not known:
        return f"No candidate meets the limits. {words}"
    degree, one = min(
        known, key=lambda pair: pair[1].latency_ms.value / pair[1].at_most_ms if pair[1].latency_ms else 0
    )
    return (
        f"No candidate meets the limits, even with one request at a time. The nearest is {degree.name}: "
        f"p{one.percent:g} of {METRIC_WORDS[one.metric]} is {ranged(one.latency_ms, 'ms')}, the limit is "
        f"{figure(one.at_most_ms)} ms."
    )


def _open_answer(verdict: Verdict) -> str:
    why = "; ".join(verdict.reasons)
    if verdict.provisional is None:
        return f"Not settled yet: {why or 'nothing was compared'}."
    return f"Not settled yet: {verdict.provisional} leads so far, but {why or 'no reason was recorded'}."


def _instead(analysis: Analysis, named: str, degree: DegreeVerdict) -> str:
    verdict = analysis.verdict
    found = turned_to(verdict.comparisons, degree.name, named)
    if degree.word not in MEASURED or degree.word in ("misses-slo", "invalid"):
        return _no_choice(degree)
    if found is None or found.ratio is None:
        return f"{degree.name} cannot be compared with {named} yet."
    chosen = degree_of(verdict, named)
    latency = ""
    if degree.median_latency_ms is not None and chosen.median_latency_ms is not None:
        latency = (
            f", with a median latency of {figure(degree.median_latency_ms.value)} ms "
            f"instead of {figure(chosen.median_latency_ms.value)} ms"
        )
    return f"{degree.name} delivers {change(found.ratio)} {UNIT[verdict.criterion]}{latency}."


def _no_choice(degree: DegreeVerdict) -> str:
    """Return why a candidate is none to choose: "TP4 was not tested: it needs 4 cores and this machine has 2."."""
    why = degree.ground.sentence.rstrip(".")
    why = why.removeprefix(f"{degree.name} ")
    why = f"it {why}" if why.startswith("needs ") else why
    be = "was " if degree.word == "no-fit" else "found " if degree.word == "no-capacity" else ""
    be = "is " if degree.word in ("invalid", "inconclusive") else be
    return f"{degree.name} {be}{PLAIN[degree.word]}: {why}."


def change(ratio: Estimate) -> str:
    """Return a ratio as a change: "43.1 % (38.0 to 47.0) fewer", "0.99 (0.96 to 1.02) times as many"."""
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
    return f"{figure(ratio.value)} ({bounds(interval)}) times as many"
