"""The conditions under which an answer holds, in sentences: those that the measurement could not remove."""

import collections
import math
import typing

import scipy.special

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.counters.reading import ServerCounts
from optimal_tp.measurement.counters.remarks import remarks
from optimal_tp.measurement.estimate import figure, name_list, percent, plural
from optimal_tp.measurement.run_audit import JUDGED, throttling
from optimal_tp.measurement.turns import of
from optimal_tp.verdict.evidence import Evidence
from optimal_tp.verdict.latency import is_beyond
from optimal_tp.verdict.readings import limits_by_share, reading

if typing.TYPE_CHECKING:
    from optimal_tp.verdict.reasons import Case

ENOUGH_STARTS = 3
"""Server starts of a candidate below which the chance of single starts is part of the answer."""


TAIL = 0.98
"""Asked share of the requests from which a run rarely has the turns for a proof."""


def caveats_of(case: "Case", chosen: Candidate | None, *, is_proven: bool) -> tuple[str, ...]:
    """Return the caveats of a run, the weightiest first; none where nothing was compared.

    ``is_proven``: a rate that ``chosen`` holds.
    """
    standing = case.contest.standing
    if standing is None:
        return (*_by_client(case), *_by_servers(case))
    too_high = [*_too_high(case)]
    found = list(too_high)
    starts = _starts(case)
    if starts and min(starts.values()) < ENOUGH_STARTS:
        few = min(starts.values())
        found.append(
            f"for these server processes: {'each was' if len(set(starts.values())) == 1 else 'some were'} "
            f"started {'once' if few == 1 else f'{few} times'}, and another start may differ; this run does not show "
            "by how much"
        )
    if narrow := _multiplied(case):
        found.append(
            f"for servers that do not slow each other down: {name_list(narrow)} ran on fewer cores than the widest, so "
            "the figures per core are multiplied, and servers that fill the same cores were not measured together"
        )
    found += _undisturbed(case, None if is_proven else chosen)
    if standing.wandering:
        found.append(
            f"in the hour that was measured: {name_list(standing.wandering)} drifted by more than the noise of single "
            "turns, so no candidate is called better; measure longer or on a quieter machine"
        )
    if case.contest.filling:
        found.append(
            f"at saturation for {name_list(case.contest.filling)}: queues still grew during the turns, so goodput is a "
            "few percent too high; remove the limits to compare saturated throughput"
        )
    forgotten = [candidate for candidate, blocks in standing.forgotten.items() if blocks]
    if forgotten:
        found.append(
            f"at the machine's state of this hour: the first blocks of {name_list(forgotten)} still changed, as where "
            "a machine warms up or drifts, and were left out"
        )
    if case.evidence.trace is not None:
        found.append(f"for the traffic that was sent: {case.evidence.trace.sentence}")
    if case.evidence.settings.decision.fixed_looks is not None:
        found.append("for a warm server: the blocks are too few to show a slow trend")
        if case.contest.capacities and case.contest.criterion == "goodput" and not too_high:
            found.append("goodput is about right, up to 20 % too high: few turns hardly show how the share falls")
    together = limits_by_share(case.evidence.settings.limits.asked()).items() if chosen is not None else ()
    found += [
        f"a request counts as within only if it meets all {plural(len(own), 'limit')} of p{100 * asked:g}"
        for asked, own in together
        if len(own) > 1
    ]
    return (*found, *_by_client(case), *_by_servers(case))


def _undisturbed(case: "Case", unproven: Candidate | None) -> typing.Iterator[str]:
    """Yield whose turns were disturbed, and how many of all may be; of an unproven tail also where none was.

    The bound is that of Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934).
    """
    bad = collections.Counter(one.candidate for one in case.contest.disturbed)
    asked = max(limits_by_share(case.evidence.settings.limits.asked()), default=0.0)
    confidence = case.evidence.settings.decision.confidence
    parts = []
    for candidate in case.contest.racing:
        turns, known = len(case.evidence.candidates[candidate].turns), bad[candidate]
        if known or (candidate == unproven and asked >= TAIL):
            most = 1.0 if known == turns else scipy.special.betaincinv(known + 1, turns - known, confidence)
            parts.append(f"{known} of {plural(turns, 'turn')} of {candidate.name}, at most {percent(float(most))}")
    if parts:
        yield f"in undisturbed operation: turns far too slow for their rate are left out ({'; '.join(parts)})"


def _too_high(case: "Case") -> typing.Iterator[str]:
    """Yield which candidates' own turns contradict their fitted goodput, with the rates that met and missed limits."""
    decision, limits = case.evidence.settings.decision, case.evidence.settings.limits.asked()
    disturbed = {(one.candidate, one.block) for one in case.contest.disturbed}
    found: list[str] = []
    it = "them" if len(limits) > 1 else "it"
    for candidate, capacity in sorted(case.contest.capacities.items()):
        own = case.evidence.candidates[candidate]
        turns = [pair for pair in own.turns if (candidate, pair[0].block) not in disturbed]
        if any(is_beyond(turns, metric, one, alpha=1 - decision.confidence) for metric, one in limits.items()):
            unit = "" if found else f" {case.unit}"
            found.append(f"{candidate.name} ({figure(capacity)}{unit}) {_tried(case, candidate, disturbed, it)}")
    if found:
        yield (
            f"the fitted goodput is probably too high, as the compared turns missed the limit{'s' * (it == 'them')}: "
            f"{'; '.join(found)}; the comparison between candidates stands, as all were fitted in the same way"
        )


def _tried(
    case: "Case", candidate: Candidate, disturbed: typing.Collection[tuple[Candidate, int | None]], it: str
) -> str:
    """Return at which rates per core the undisturbed turns of ``candidate`` met the limits, and at which not."""
    rates = rates_tried(case.evidence, candidate, disturbed)
    met = f"met {it} in turns at {_span(rates[True])}" if rates[True] else f"met {it} in no turn"
    return f"{met} and missed {it} at {_span(rates[False])}" if rates[False] else met


def rates_tried(
    evidence: Evidence, candidate: Candidate, disturbed: typing.Container[tuple[Candidate, int | None]]
) -> dict[bool, list[float]]:
    """Return the requests/s per core of undisturbed turns of ``candidate`` that met the limits, and that did not."""
    limits, cores = evidence.settings.limits.asked(), evidence.candidates[candidate].record.cores_used
    rates: dict[bool, list[float]] = {True: [], False: []}
    for turn, samples in evidence.soundness.turns:
        if of(turn) != candidate or (turn.stage == "block" and (candidate, turn.block) in disturbed):
            continue
        if (one := reading(turn, samples, limits, cores)) is not None:
            rates[one.is_held].append(math.exp(one.log_rate))
    return rates


def _span(rates: typing.Sequence[float]) -> str:
    low, high = figure(min(rates)), figure(max(rates))
    return low if low == high else f"{low} to {high}"


def _by_client(case: "Case") -> typing.Iterator[str]:
    """Yield how long a CPU quota throttled the load generator, which is a part of the compared latencies."""
    judged = (turn for turn, _ in case.evidence.soundness.turns if turn.stage in JUDGED and not turn.is_beside_servers)
    if (held := throttling(judged)) is not None:
        yield (
            f"a container's CPU quota throttled the load generator in {held}: what it sent or read late "
            "counts as the servers' latency; run it without a quota"
        )


def _multiplied(case: "Case") -> tuple[Candidate, ...]:
    """Return the compared candidates that ran on fewer cores than another of them."""
    cores = {one: case.evidence.candidates[one].record.cores_used for one in case.contest.racing}
    return tuple(one for one, used in cores.items() if used < max(cores.values()))


def _by_servers(case: "Case") -> typing.Iterator[str]:
    """Yield remarks from the servers' counters in blocks and proofs, by candidate: the compared figures lack them."""
    load = case.evidence.settings.load
    counts: dict[Candidate, list[ServerCounts]] = {}
    for turn, _ in case.evidence.soundness.turns:
        if turn.stage in JUDGED:
            counts.setdefault(of(turn), []).extend(one for one in turn.servers if one is not None)
    for candidate, own in sorted(counts.items()):
        for remark in remarks(own, are_prompts_alike=case.evidence.are_prompts_alike, is_chat=load.api == "chat"):
            yield f"in {plural(len(own), 'turn')} the servers of {candidate.name} {remark}"


def _starts(case: "Case") -> dict[Candidate, int]:
    """Return how many server starts the blocks of each compared candidate saw; uncounted starts are one together."""
    seen: dict[Candidate, set[int]] = {}
    for candidate in case.contest.racing:
        for turn, _ in case.evidence.candidates[candidate].turns:
            seen.setdefault(of(turn), set()).add(0 if turn.server_start is None else turn.server_start)
    return {candidate: len(starts) for candidate, starts in seen.items()}


def unseen(turns: int) -> str:
    """Return what ``turns`` turns cannot show: "a disturbance rarer than 1 in 40 turns cannot be seen"."""
    return f"a disturbance rarer than 1 in {max(1, turns // 3)} turns ({percent(3 / turns)}) cannot be seen"
