"""Restore a run whose process died from its folder or its bucket, so that it can continue."""

import collections.abc
import dataclasses
import itertools
import pathlib
import re

from optimal_tp.errors import ResumeFailed, SettingsError, quantity
from optimal_tp.measurement.run import Ending, RunRecord, decode_run
from optimal_tp.measurement.samples import Sample, brief, encode
from optimal_tp.measurement.turns import Turn, key
from optimal_tp.results.folder import RECORD, Bucket, storage_failed, write_record, write_whole
from optimal_tp.results.source import samples_in
from optimal_tp.results.turnlog import TURN_LOG, TurnLog, with_logged

_PART = re.compile(r"samples-(\d+)\.jsonl")
_OVER: tuple[Ending, ...] = ("settled", "budget", "blocks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restored:
    """The stored part of a run."""

    record: RunRecord
    """With every turn, including the one that was cut short; its ending is ``running`` if the run can continue."""
    samples: tuple[tuple[Sample, ...], ...]
    """Samples of each turn of the record, as ``brief`` returns them."""
    parts: int
    """Number of the next file of samples."""

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, so that nothing is left to measure."""
        return self.record.ending in _OVER


def restored(folder: pathlib.Path, bucket: Bucket | None) -> Restored | None:
    """Return the run in ``folder``, otherwise the one in ``bucket``, repaired in ``folder``; None where none was begun.

    An incomplete sample at the end of a file is left out. Samples after those of the last whole turn belong to a turn
    during which the process ended: they become a turn of the stage ``cut``. So does a turn that a signal cut short.
    Turns whose samples are lost are left out. Raises ResumeFailed for a record that this release cannot read or whose
    samples belong to another turn, StorageFailed where the bucket or the folder fails.
    """
    if bucket is not None and not (folder / RECORD).exists():
        bucket.fetch(folder, lambda name: name in (RECORD, TURN_LOG) or _PART.fullmatch(name) is not None, RECORD)
    try:
        texts = _texts(folder)
    except OSError as error:
        raise storage_failed(folder, error) from None
    if RECORD not in texts:
        return None
    record = _record(folder, texts)
    if record.ending in _OVER:
        return Restored(record=record, samples=(), parts=0)
    parts = {name: samples_in(text, name)[0] for name, text in texts.items() if _PART.fullmatch(name)}
    turns, samples = _whole_turns(folder, record.turns, [own for part in parts.values() for own in part])
    whole = sum(map(len, samples))
    cut = [dataclasses.replace(own, stage="cut") for own in list(itertools.chain(*parts.values()))[whole:]]
    _write_parts(folder, texts, parts, whole, cut)
    if cut:
        turns, samples = (*turns, _cut_turn(cut)), (*samples, tuple(map(brief, cut)))
    record = dataclasses.replace(record, turns=turns, ending="running", ending_detail=None)
    write_record(folder, record)
    TurnLog(folder).clear()
    return Restored(record=record, samples=samples, parts=max((_number(name) + 1 for name in parts), default=0))


def _number(name: str) -> int:
    match = _PART.fullmatch(name)
    return -1 if match is None else int(match[1])


def _texts(folder: pathlib.Path) -> dict[str, str]:
    """Return record, log and samples by name, parts in their order. A killed process may leave broken bytes."""
    names = sorted((path.name for path in folder.iterdir()), key=lambda name: (_number(name), name))
    wanted = [name for name in names if name in (RECORD, TURN_LOG) or _number(name) >= 0]
    return {name: (folder / name).read_text(encoding="utf-8", errors="replace") for name in wanted}


def _record(folder: pathlib.Path, texts: collections.abc.Mapping[str, str]) -> RunRecord:
    try:
        return with_logged(decode_run(texts[RECORD]), texts.get(TURN_LOG, ""))
    except (ValueError, SettingsError) as error:
        why = f"{folder / RECORD} does not hold a run that this release can continue ({error})"
        raise ResumeFailed(f"{why}; a new run begins") from error


def _whole_turns(
    folder: pathlib.Path, recorded: tuple[Turn, ...], samples: collections.abc.Sequence[Sample]
) -> tuple[tuple[Turn, ...], tuple[tuple[Sample, ...], ...]]:
    """Return the whole turns, from the first on, each with its samples, which are stored in the order of turns."""
    turns: list[Turn] = []
    own: list[tuple[Sample, ...]] = []
    first = 0
    for index, turn in enumerate(recorded):
        end = first + turn.requests
        is_halted = turn.cut_short and turn.stage != "cut" and index == len(recorded) - 1
        if end > len(samples) or is_halted:
            break
        found = samples[first:end]
        if any(key(sample) != key(turn) for sample in found):
            has = quantity(turn.requests, "request", "requests")
            raise ResumeFailed(
                f"turn {index} of {folder / RECORD} ({turn.stage}, TP{turn.degree}) has {has}, but its samples belong "
                "to another turn, so a file is missing; a new run begins"
            )
        turns.append(turn)
        own.append(tuple(map(brief, found)))
        first = end
    return tuple(turns), tuple(own)


def _write_parts(
    folder: pathlib.Path,
    texts: collections.abc.Mapping[str, str],
    parts: collections.abc.Mapping[str, list[Sample]],
    whole: int,
    cut: collections.abc.Sequence[Sample],
) -> None:
    """Rewrite the files that end in the middle of a sample, or hold samples of the turn that was cut short."""
    first = 0
    for name, own in parts.items():
        end = first + len(own)
        if end > whole or texts[name].count("\n") != len(own):
            samples = (*own[: max(0, whole - first)], *cut[max(0, first - whole) : max(0, end - whole)])
            write_whole(folder, name, "".join(f"{encode(sample)}\n" for sample in samples))
        first = end


def _cut_turn(samples: collections.abc.Sequence[Sample]) -> Turn:
    """Return the turn of ``samples``, at least one, as far as they show it: its load, its start and its end."""
    first = samples[0]
    return Turn(
        stage="cut",
        degree=first.degree,
        max_num_seqs=first.max_num_seqs,
        block=first.block,
        concurrency=first.concurrency,
        rate_per_second=first.rate_per_second,
        start_seconds=min(sample.intended_seconds for sample in samples),
        end_seconds=max(sample.end_seconds for sample in samples),
        requests=len(samples),
        send_lag_p99_ms=None,
        foreign_cpu_share=None,
        cut_short=True,
    )
