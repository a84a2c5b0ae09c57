"""Join the parts of one run that several processes stored: each turn once, with the samples of all processes."""

import collections
import dataclasses
import math
import typing

from optimal_tp.errors import quantity
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.counters.reading import ServerCounts, of_all
from optimal_tp.measurement.run import Ending, Part, RunRecord
from optimal_tp.measurement.run_audit import turn_reasons
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.shares import Share
from optimal_tp.measurement.turns import Key, Turn, key, of, own_turn, samples_by_turn
from optimal_tp.settings.workload import WorkloadSettings
from optimal_tp.verdict.race.capacity import fit
from optimal_tp.verdict.readings import reading, throughput

CLOCK_TOLERANCE_MS = 100.0
"""Clocks of one run may differ by this: a hundredth of a turn of ten seconds."""

Faults = typing.Mapping[Key, tuple[str, ...]]
_GRAVEST: tuple[Ending, ...] = ("failed", "interrupted", "running", "budget", "blocks", "settled")


class OfPod(typing.NamedTuple):
    """The part of a run that one process stored."""

    part: Part
    record: RunRecord
    samples: tuple[Sample, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined:
    """A whole run."""

    record: RunRecord
    samples: tuple[Sample, ...]
    void: tuple[str, ...]
    """Why the parts are not one run; empty if they are."""
    faults: Faults
    """Why a turn cannot be trusted, by turn: from each process's own audit and from the clocks."""
    notes: tuple[str, ...]


def join(parts: typing.Sequence[OfPod]) -> Joined:
    """Return the run that ``parts``, at least one, make up."""
    ordered = sorted(parts, key=lambda each: each.part.pod)
    first = ordered[0].record
    turns, faults, unfinished = _turns(ordered, first.settings)
    samples = tuple(sample for each in ordered for sample in each.samples)
    chosen = _compared(turns, samples, first)
    dropped = {key(turn) for turn in turns} - {key(turn) for turn in chosen}
    notes = []
    if unfinished:
        notes.append(f"{quantity(unfinished, 'turn is', 'turns are')} left out because not every pod finished them")
    if dropped:
        other = quantity(len(dropped), "block turn", "block turns")
        notes.append(
            f"{other} at other loads than the candidate's best: not judged, because pods follow a plan "
            "made before the run, so blocks measure every stated load"
        )
    if first.settings.load.rates_per_second_per_core is None:
        notes.append(
            "no turn was held out of the fleet planning model: with several load generators it needs a stated rate, "
            "even without limits; set workloads.load.rates_per_second_per_core"
        )
    ending, detail = _ending(ordered)
    return Joined(
        record=dataclasses.replace(
            first,
            turns=tuple(chosen),
            ending=ending,
            ending_detail=detail,
            elapsed_seconds=max(each.record.elapsed_seconds for each in ordered),
            pins={**first.pins, "pods": str(ordered[0].part.pods)},
            part=None,
        ),
        samples=tuple(sample for sample in samples if key(sample) not in dropped),
        void=tuple(_void(ordered)),
        faults=faults,
        notes=tuple(notes),
    )


def _void(parts: typing.Sequence[OfPod]) -> typing.Iterator[str]:
    first = parts[0]
    pods = [each.part.pod for each in parts]
    missing = sorted(set(range(first.part.pods)) - set(pods))
    if missing:
        names = ", ".join(f"pod {pod}" for pod in missing)
        yield f"{names} of {first.part.pods} stored nothing, so their share of every turn is unknown; measure again"
    for pod, count in collections.Counter(pods).items():
        if count > 1:
            yield f"pod {pod} must be there once (got {count}); keep one folder of each pod"
    for each in parts[1:]:
        other = [name for name in _ALIKE if _ALIKE[name](each) != _ALIKE[name](first)]
        if other:
            yield f"pod {each.part.pod} differs from pod {first.part.pod} in its {', '.join(other)}: not one run"
    if len({each.part.machine for each in parts}) > 1:
        yield from _clocks(parts)


_ALIKE: typing.Final[dict[str, typing.Callable[[OfPod], object]]] = {
    "name": lambda each: each.record.run,
    "settings": lambda each: each.record.settings,
    "pins": lambda each: each.record.pins,
    "servers": lambda each: [(one.candidate, one.gate, one.urls) for one in each.record.degrees],
    "number of pods": lambda each: each.part.pods,
    "common start": lambda each: each.part.start,
}


def _clocks(parts: typing.Sequence[OfPod]) -> typing.Iterator[str]:
    """Compare the clock errors that the kernels state with the tolerance; processes on one machine share a clock."""
    for each in parts:
        error = each.part.clock_error_ms
        if error is None:
            yield (
                f"the clock of pod {each.part.pod} is not synchronized, as its kernel says, so its turns may not begin "
                "with the others'; start chrony or another NTP client on its machine"
            )
        elif 2 * error > CLOCK_TOLERANCE_MS:
            yield (
                f"the clock of pod {each.part.pod} may be wrong by {error:.0f} ms, as its kernel says; clocks of one "
                f"run must differ by at most {CLOCK_TOLERANCE_MS:g} ms"
            )


def _turns(parts: typing.Sequence[OfPod], settings: WorkloadSettings) -> tuple[list[Turn], Faults, int]:
    """Return the turns that all their processes took, by start, their faults, and the number of the other turns."""
    grouped = [samples_by_turn(each.samples) for each in parts]
    taken: dict[Key, list[tuple[int, Turn]]] = {}
    for index, each in enumerate(parts):
        for turn in each.record.turns:
            taken.setdefault(key(turn), []).append((index, turn))
    whole: list[Turn] = []
    faults: dict[Key, tuple[str, ...]] = {}
    unfinished = 0
    present = {each.part.pod for each in parts}
    for name, own in taken.items():
        pods = [parts[index].part.pod for index, _ in own]
        count = parts[0].part.pods
        slots = own[0][1].concurrency
        wanted = present & set(range(count if slots is None else min(count, slots)))
        if set(pods) != wanted:
            unfinished += 1
            continue
        whole.append(_joined([turn for _, turn in own]))
        faults[name] = tuple(_apart(own[0][1], [turn for _, turn in own])) + tuple(
            f"pod {pod}: {reason}"
            for pod, (index, turn) in zip(pods, own, strict=True)
            for reason in turn_reasons(
                own_turn(turn, Share(index=pod, count=count)),
                grouped[index].get(name, ()),
                settings,
                parts[index].record.pins,
            )
        )
    return sorted(whole, key=lambda turn: turn.start_seconds), faults, unfinished


def _joined(own: typing.Sequence[Turn]) -> Turn:
    lags = [turn.send_lag_p99_ms for turn in own if turn.send_lag_p99_ms is not None]
    foreign = [turn.foreign_cpu_share for turn in own if turn.foreign_cpu_share is not None]
    periods = [turn.throttled_periods for turn in own if turn.throttled_periods is not None]
    held = [turn.throttled_seconds for turn in own if turn.throttled_seconds is not None]
    return dataclasses.replace(
        own[0],
        start_seconds=min(turn.start_seconds for turn in own),
        end_seconds=max(turn.end_seconds for turn in own),
        requests=sum(turn.requests for turn in own),
        cut_short=any(turn.cut_short for turn in own),
        send_lag_p99_ms=max(lags, default=None),
        longest_lag_ms=max((turn.longest_lag_ms for turn in own if turn.longest_lag_ms is not None), default=None),
        foreign_cpu_share=max(foreign, default=None),
        throttled_periods=max(periods, default=None),
        throttled_seconds=max(held, default=None),
        servers=_counted_together(own),
    )


def _counted_together(own: typing.Sequence[Turn]) -> tuple[ServerCounts | None, ...]:
    """Return what the servers counted; nothing where one of the processes could not read them."""
    if len({len(turn.servers) for turn in own}) > 1:
        return ()
    return tuple(map(of_all, zip(*(turn.servers for turn in own), strict=True)))


def _apart(turn: Turn, own: typing.Sequence[Turn]) -> typing.Iterator[str]:
    """Compare the starts of a turn: a clock that was set meanwhile shows here."""
    starts = [each.start_epoch_seconds for each in own]
    known = [start for start in starts if start is not None]
    if len(known) < len(starts):
        yield f"{len(starts) - len(known)} of its {len(starts)} pods did not record when it started"
    apart_ms = 1000 * (max(known, default=0.0) - min(known, default=0.0))
    if apart_ms > CLOCK_TOLERANCE_MS:
        yield (
            f"its pods began {of(turn).name} {turn.stage} {apart_ms:.0f} ms apart by their clocks; a valid turn has at "
            f"most {CLOCK_TOLERANCE_MS:g} ms"
        )


def _compared(turns: list[Turn], samples: tuple[Sample, ...], record: RunRecord) -> list[Turn]:
    """Return ``turns`` with one block turn for each candidate and block: the one at its best stated load.

    With limits the best load is the rate nearest to the capacity that the rising load shows; without limits, the load
    with the most throughput.
    """
    grouped = samples_by_turn(samples)
    cores = {each.candidate: each.cores_used for each in record.degrees}
    best: dict[Candidate, float] = {}
    limits = record.settings.limits.asked()
    for candidate in {of(turn) for turn in turns}:
        rising = [turn for turn in turns if turn.stage == "rising" and of(turn) == candidate]
        pairs = [(turn, grouped.get(key(turn), [])) for turn in rising]
        if limits:
            seen = [one for turn, own in pairs if (one := reading(turn, own, limits, cores[candidate])) is not None]
            if seen:
                each = zip(*(one.by_share for one in seen), strict=True)
                aim = min(fit(own, own[0].asked).log_capacity for own in each)
                best[candidate] = min(seen, key=lambda one: abs(one.log_rate - aim)).log_rate
        else:
            speeds = [(throughput(turn, own, 1), turn.concurrency) for turn, own in pairs]
            known = [(one.log_rate, slots) for one, slots in speeds if one is not None and slots is not None]
            if known:
                best[candidate] = max(known)[1]

    def load(turn: Turn) -> float | None:
        """Return the load of ``turn``: its slots, or the logarithm of its rate per core."""
        return turn.concurrency if turn.rate_per_second is None else math.log(turn.rate_per_second / cores[of(turn)])

    return [turn for turn in turns if turn.stage != "block" or load(turn) == best.get(of(turn), load(turn))]


def _ending(parts: typing.Sequence[OfPod]) -> tuple[Ending, str | None]:
    worst = min(parts, key=lambda each: _GRAVEST.index(each.record.ending))
    ending, detail = worst.record.ending, worst.record.ending_detail
    if ending in ("failed", "interrupted", "running"):
        return ending, f"pod {worst.part.pod}: {detail or 'it was still running'}"
    return ending, detail
