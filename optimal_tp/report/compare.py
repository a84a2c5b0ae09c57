"""Two runs against each other: refused where what makes them comparable differs, else better, worse or neither."""

import dataclasses
import math
import statistics
import typing

from optimal_tp.errors import Problem, SettingsError, shown
from optimal_tp.measurement.estimate import Estimate, Interval, degree_list, ranged
from optimal_tp.measurement.run import RunRecord
from optimal_tp.results.retrial import Retrial
from optimal_tp.settings.parser import Section
from optimal_tp.verdict.evidence import gather
from optimal_tp.verdict.statistics import mean_sequence

UNCHECKED_PINS = frozenset({"code"})
"""Pins that may differ: the revision of this program is what one often wants to compare."""
_CHECKED_SECTIONS = ("model", "load", "limits")

Word = typing.Literal["better", "worse", "not distinguishable"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One degree in two runs: output tokens/s per core of the second over that of the first."""

    degree: int
    word: Word
    ratio: Estimate | None
    """None where one of the runs has no figure."""


def checked_keys(record: RunRecord) -> dict[str, object]:
    """Return everything in which two runs must agree to be compared, by dotted key."""
    keys: dict[str, object] = {"place": record.place}
    for section in _CHECKED_SECTIONS:
        keys |= _flat(f"settings.{section}", getattr(record.settings, section))
    keys |= {f"pins.{name}": value for name, value in record.pins.items() if name not in UNCHECKED_PINS}
    keys |= {
        f"degrees.TP{degree.degree}.cores_used": degree.cores_used for degree in record.degrees if degree.gate is None
    }
    return keys


def refuse_different(first: RunRecord, second: RunRecord, allowed: typing.Collection[str] = ()) -> None:
    """Raise SettingsError naming every checked key in which the runs differ, ``allowed`` ones left aside."""
    ours, theirs = checked_keys(first), checked_keys(second)
    problems = [
        Problem(
            path=key,
            value=ours.get(key),
            rule=f"in B it is {shown(theirs.get(key))}, and runs are compared where it is the same in both",
            remedy=f"compare other runs, or add --allow {key} if that is what you want to compare",
        )
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key) and key not in allowed
    ]
    if problems:
        raise SettingsError(problems)


def changes(first: Retrial, second: Retrial) -> tuple[Change, ...]:
    """Return how each degree measured in both runs changed.

    The interval of the log ratio is the difference of two confidence sequences, one of each run, which share the error
    budget over all degrees; so it holds whenever each run stopped. Runs share no blocks: drift between them is part of
    the change. Raises SettingsError for a void run.
    """
    for name, run in (("A", first), ("B", second)):
        if run.verdict.outcome == "void":
            raise SettingsError(
                [Problem(path=name, value="void", rule="a void run carries no figures", remedy="measure it again")]
            )
    before, after = _logs(first), _logs(second)
    both = sorted(before.keys() & after.keys())
    confidence = min(first.verdict.confidence, second.verdict.confidence)
    alpha = (1 - confidence) / max(1, 2 * len(both))
    return tuple(_change(degree, before[degree], after[degree], alpha) for degree in both)


def sentences(found: tuple[Change, ...], names: tuple[str, str]) -> tuple[str, ...]:
    """Return the comparison in words, one sentence per degree."""
    if not found:
        return (f"{names[0]} and {names[1]} have no degree in common.",)
    lines = [
        f"TP{change.degree} is {change.word} in {names[1]} than in {names[0]}: {ranged(change.ratio)} times the "
        "output tokens/s per core."
        for change in found
        if change.word != "not distinguishable"
    ]
    alike = [change for change in found if change.word == "not distinguishable"]
    lines += [
        f"TP{change.degree} is not distinguishable between {names[0]} and {names[1]}: {ranged(change.ratio)} times."
        for change in alike
        if change.ratio is not None
    ]
    absent = tuple(change.degree for change in alike if change.ratio is None)
    return (*lines, *([f"One of the two has no interval for {degree_list(absent)}."] if absent else []))


def _logs(run: Retrial) -> dict[int, list[float]]:
    """Return the log throughput per core of every block, by degree; empty for a degree whose word is invalid."""
    invalid = {degree.degree for degree in run.verdict.degrees if degree.word == "invalid"}
    evidence = gather(run.record, run.samples, {})
    return {
        number: [] if number in invalid else list(degree.log_per_core().values())
        for number, degree in evidence.degrees.items()
    }


def _change(degree: int, before: list[float], after: list[float], alpha: float) -> Change:
    old, new = mean_sequence(before, alpha=alpha), mean_sequence(after, alpha=alpha)
    if old is None or new is None:
        return Change(degree=degree, word="not distinguishable", ratio=None)
    interval = Interval(low=_less(new.low, old.high), high=_less(new.high, old.low))
    word: Word = "not distinguishable"
    if interval.is_above(0):
        word = "better"
    elif interval.is_below(0):
        word = "worse"
    value = math.exp(statistics.fmean(after) - statistics.fmean(before))
    return Change(degree=degree, word=word, ratio=Estimate(value=value, interval=interval.exponentiated()))


def _less(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def _flat(prefix: str, value: object) -> dict[str, object]:
    """Return the keys of a section at ``prefix``, those that this release does not know among them."""
    if not isinstance(value, Section):
        return {prefix: value}
    return {key: leaf for name, inner in value for key, leaf in _flat(f"{prefix}.{name}", inner).items()}
