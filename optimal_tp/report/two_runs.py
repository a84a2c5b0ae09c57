"""Two runs against each other: refused where what makes them comparable differs, else better, worse or neither."""

import dataclasses
import math
import statistics
import typing

import scipy.special

from optimal_tp.errors import Problem, SettingsError, shown
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import Estimate, Interval, name_list, ranged
from optimal_tp.measurement.run import PROFILE_PIN, RunRecord
from optimal_tp.results.retrial import Retrial
from optimal_tp.settings.parser import Section
from optimal_tp.verdict.caveats import ENOUGH_STARTS
from optimal_tp.verdict.contest import contest
from optimal_tp.verdict.evidence import gather

_CODE_PIN, _UNKNOWN = "code", "unknown"

UNCHECKED_PINS = frozenset({_CODE_PIN, PROFILE_PIN})
"""Pins that may differ: the revision of this program is what one often wants to compare, and the settings say what a
profile is."""
_CHECKED_SECTIONS = ("model", "load", "limits")

Word = typing.Literal["better", "worse", "not distinguishable"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One candidate in two runs: what it does per core in the second over the first."""

    candidate: Candidate
    word: Word
    ratio: Estimate | None
    """None where one of the runs has no figure."""
    starts: int
    """Server starts on the side that has fewer of them; the interval is of starts from ENOUGH_STARTS on."""


def checked_keys(record: RunRecord) -> dict[str, object]:
    """Return everything in which two runs must agree to be compared, by dotted key."""
    keys: dict[str, object] = {"place": record.place}
    for section in _CHECKED_SECTIONS:
        keys |= _flat(f"settings.{section}", getattr(record.settings, section))
    keys |= {f"pins.{name}": value for name, value in record.pins.items() if name not in UNCHECKED_PINS}
    if record.trace is not None:
        keys["trace.sha256"] = record.trace.sha256
    keys |= {
        f"degrees.{each.candidate.name}.cores_used": each.cores_used for each in record.degrees if each.gate is None
    }
    return keys


def refuse_different(first: RunRecord, second: RunRecord, allowed: typing.Collection[str] = ()) -> None:
    """Raise SettingsError naming every checked key in which the runs differ, ``allowed`` ones left aside."""
    ours, theirs = checked_keys(first), checked_keys(second)
    problems = [
        Problem(
            path=key,
            value=ours.get(key),
            rule=f"must be the same in both runs; in B it is {shown(theirs.get(key))}",
            remedy=f"compare other runs, or add --allow {key} if that is what you want to compare",
        )
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key) and key not in allowed
    ]
    if problems:
        raise SettingsError(problems)


def other_commits(first: RunRecord, second: RunRecord, names: tuple[str, str]) -> str | None:
    """Return the commits of this program that took the runs, in words; None for the same, or one that is unknown."""
    ours, theirs = (run.pins.get(_CODE_PIN, _UNKNOWN) for run in (first, second))
    if _UNKNOWN in {ours, theirs} or ours == theirs:
        return None
    return (
        f"Different commits of optimal-tp measured them, {ours} {names[0]} and {theirs} {names[1]}: "
        f"a change may be the program's own."
    )


def changes(first: Retrial, second: Retrial) -> tuple[Change, ...]:
    """Return how each candidate measured in both runs changed: in goodput with limits, in throughput without.

    Where both runs started the servers ENOUGH_STARTS times, the means of starts are compared (Welch's interval with the
    fewer degrees of freedom): what a start brings is then in the interval. With fewer, blocks are, and the change holds
    for these server processes. Runs share no blocks: drift between them is part of the change. Raises SettingsError for
    a void run.
    """
    for name, run in (("A", first), ("B", second)):
        if run.verdict.outcome == "void":
            raise SettingsError(
                [
                    Problem(
                        path=name,
                        value="void",
                        rule="must not be void: a void run carries no figures",
                        remedy="measure it again",
                    )
                ]
            )
    before, after = _by_start(first), _by_start(second)
    both = sorted(before.keys() & after.keys())
    confidence = min(first.verdict.confidence, second.verdict.confidence)
    alpha = (1 - confidence) / max(1, len(both))
    return tuple(_change(candidate, before[candidate], after[candidate], alpha) for candidate in both)


def sentences(found: tuple[Change, ...], names: tuple[str, str]) -> tuple[str, ...]:
    """Return the comparison in words, one sentence per candidate."""
    if not found:
        return (f"{names[0]} and {names[1]} have no candidate in common.",)
    lines = []
    for change in found:
        tail = "" if change.starts >= ENOUGH_STARTS else ", for these server processes"
        if change.word != "not distinguishable":
            lines.append(
                f"{change.candidate.name} is {change.word} in {names[1]} than in {names[0]}{tail}: "
                f"{ranged(change.ratio)} times as much per core."
            )
        elif change.ratio is not None:
            lines.append(
                f"{change.candidate.name} is not distinguishable between {names[0]} and {names[1]}: "
                f"{ranged(change.ratio)} times."
            )
    absent = [change.candidate for change in found if change.ratio is None]
    return (*lines, *([f"One of the two has no interval for {name_list(absent)}."] if absent else []))


Starts = dict[int, list[float]]
"""Logarithms of what was done per core, by server start."""


def _by_start(run: Retrial) -> dict[Candidate, Starts]:
    """Return the compared logarithms of every block, by candidate and start; none of an invalid candidate."""
    invalid = {degree.candidate for degree in run.verdict.degrees if degree.word == "invalid"}
    evidence = gather(run.record, run.samples, {})
    found: dict[Candidate, Starts] = {}
    for candidate, scores in contest(evidence).scores.items():
        if candidate in invalid:
            continue
        starts = {turn.block: turn.server_start or 0 for turn, _ in evidence.candidates[candidate].turns}
        for block, value in scores.items():
            found.setdefault(candidate, {}).setdefault(starts[block], []).append(value)
    return found


def _change(candidate: Candidate, before: Starts, after: Starts, alpha: float) -> Change:
    starts = min(len(before), len(after))
    sides = []
    for side in (before, after):
        by_start = [statistics.fmean(values) for values in side.values()]
        sides.append(by_start if starts >= ENOUGH_STARTS else [value for values in side.values() for value in values])
    if min(map(len, sides)) < 2:  # noqa: PLR2004 - one value has no spread
        return Change(candidate=candidate, word="not distinguishable", ratio=None, starts=starts)
    difference = statistics.fmean(sides[1]) - statistics.fmean(sides[0])
    error = math.sqrt(sum(statistics.variance(side) / len(side) for side in sides))
    half = float(scipy.special.stdtrit(min(map(len, sides)) - 1, 1 - alpha / 2)) * error
    interval = Interval(low=difference - half, high=difference + half)
    word: Word = "not distinguishable"
    if interval.is_above(0):
        word = "better"
    elif interval.is_below(0):
        word = "worse"
    ratio = Estimate(value=math.exp(difference), interval=interval.exponentiated())
    return Change(candidate=candidate, word=word, ratio=ratio, starts=starts)


def _flat(prefix: str, value: object) -> dict[str, object]:
    """Return the keys of a section at ``prefix``, those that this release does not know among them."""
    if not isinstance(value, Section):
        return {prefix: value}
    return {key: leaf for name, inner in value for key, leaf in _flat(f"{prefix}.{name}", inner).items()}
