"""Resume a run after its process died: its name, the conditions, and its clock."""

import collections.abc
import datetime as dt
import secrets

from optimal_tp.errors import ResumeFailed
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.turns import of
from optimal_tp.plan.timetable import Rounds
from optimal_tp.settings.workload import WorkloadSettings


def refuse_other_run(
    record: RunRecord, settings: WorkloadSettings, rounds: Rounds | None, pins: collections.abc.Mapping[str, str]
) -> None:
    """Raise ResumeFailed, naming the differences, if ``record`` is of a run with other settings, rounds or pins.

    ``pins`` are those known before any server is asked.
    """
    differing = [f"pin {name}" for name in sorted(pins) if record.pins.get(name) != pins[name]]
    if record.settings != settings:
        differing.append("settings")
    if record.rounds != rounds:
        differing.append("rounds of servers")
    if record.part is not None:
        differing.append("number of load generators")
    if differing:
        raise ResumeFailed(
            f"run {record.run} began with other {', '.join(differing)}: its measurements are kept; a new run begins"
        )


def last_known_seconds(record: RunRecord) -> float:
    """Return the last moment in ``record``, in seconds from the run's origin."""
    return max((turn.end_seconds for turn in record.turns), default=0.0)


def resumed_origin(record: RunRecord, now_epoch_seconds: float, clock: float) -> float:
    """Return the reading of the clock at the origin of ``record``; ``clock`` is its reading now.

    The run's times continue and include the gap, which the wall clock gives. A wall clock that was set back does not
    turn the run's time back.
    """
    origins = [
        turn.start_epoch_seconds - turn.start_seconds for turn in record.turns if turn.start_epoch_seconds is not None
    ]
    began = origins[-1] if origins else dt.datetime.fromisoformat(record.started).timestamp()
    return clock - max(now_epoch_seconds - began, last_known_seconds(record))


def requests_of(record: RunRecord, candidate: Candidate) -> int:
    """Return the known number of requests that were sent to the servers of ``candidate``."""
    return sum(turn.requests for turn in record.turns if of(turn) == candidate)


def run_name(now: dt.datetime) -> str:
    """Return a name for a run that starts ``now``: UTC time and four characters, so that no two collide."""
    return f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def began_of(name: str) -> dt.datetime:
    """Return when the run or the sweep called ``name`` began, to the second."""
    return dt.datetime.strptime(name[: len("20260701T120000Z")], "%Y%m%dT%H%M%S%z")
