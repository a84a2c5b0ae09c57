"""What stood before the load, as ``verdict.json`` has it: time and dollars of each candidate and start."""

import dataclasses

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.steps import StepGate, What


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartUp:
    """One step before the load: a "fetch" or a "compile" is a Job; a "start" is a server's load until it is ready."""

    degree: int | None
    """None for the fetch of the model, which is every candidate's."""
    max_num_seqs: int | None
    what: What
    number: int
    """Which start it is, from 0."""
    began: str
    """UTC, ISO 8601."""
    node_seconds: float | None
    """Until its container ran; None where it never did."""
    seconds: float | None
    """From then until it had ended, or until the servers were ready."""
    usd: float | None
    """Of the cores that it held; None without a price."""
    gate: StepGate | None
    detail: str | None


def start_up(record: RunRecord) -> tuple[StartUp, ...]:
    """Return every step of ``record`` in the published form."""
    return tuple(
        StartUp(
            degree=None if step.candidate is None else step.candidate.degree,
            max_num_seqs=None if step.candidate is None else step.candidate.max_num_seqs,
            what=step.what,
            number=step.number,
            began=step.began,
            node_seconds=step.node_seconds,
            seconds=step.seconds,
            usd=step.usd,
            gate=step.gate,
            detail=step.detail,
        )
        for step in record.steps
    )
