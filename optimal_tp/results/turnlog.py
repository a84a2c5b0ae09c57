"""A log of turns that the record does not hold yet: one line for each, so that a process that dies loses none."""

import dataclasses
import json
import os
import pathlib

import pydantic

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.turns import Turn
from optimal_tp.results.folder import storage_failed

TURN_LOG = "turns.jsonl"
"""Name of the file, in the folder of a run under way."""
_TURN = pydantic.TypeAdapter(Turn)


class TurnLog:
    """Appends turns. Every method raises StorageFailed when the folder takes no more."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Write into ``folder``."""
        self._path = folder / TURN_LOG

    def add(self, number: int, turn: Turn) -> None:
        """Write turn ``number`` of the run, from 0: it survives this process, though not a failing machine."""
        line = json.dumps([number, _TURN.dump_python(turn, mode="json")], allow_nan=False) + "\n"
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise storage_failed(self._path.parent, error) from None

    def clear(self) -> None:
        """Remove all turns: the record holds them now."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_failed(self._path.parent, error) from None


def with_logged(record: RunRecord, text: str) -> RunRecord:
    """Return ``record`` with the turns that only the log's ``text`` holds; an incomplete line ends the log.

    A line may repeat a turn of the record: the log was not cleared yet when the process died.
    """
    turns = list(record.turns)
    for line in text.splitlines():
        try:
            number, found = json.loads(line)
            turn = _TURN.validate_python(found)
        except (ValueError, TypeError):
            break
        if number == len(turns):
            turns.append(turn)
    return dataclasses.replace(record, turns=tuple(turns))
