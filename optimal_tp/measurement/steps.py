"""What stands before a candidate's load: its model fetched, itself compiled, its servers started; time and money."""

import dataclasses
import typing

from optimal_tp.settings.candidates import CandidateName

What = typing.Literal["fetch", "compile", "start"]
StepGate = typing.Literal["no-compile", "no-capacity", "no-start"]
"""A word that a step ends a candidate with."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of one candidate, ended."""

    candidate: CandidateName | None
    """None for the fetch: it is every candidate's of the model."""
    what: What
    number: int = 0
    """Which start it is, from 0; 0 for what happens once."""
    began: str
    """UTC, ISO 8601: when the conductor asked Kubernetes for it."""
    node_seconds: float | None
    """From then until its container ran: a node, the image. None where it never ran, or nobody saw when it began to."""
    seconds: float | None
    """From its container's start until it had ended, or until the servers were ready. None where it never ran."""
    usd: float | None
    """What the cores that it holds cost meanwhile; None without a price, and for the fetch, which holds none."""
    gate: StepGate | None = None
    """The word that it ended the candidate with; None where it ended well."""
    detail: str | None = None
    """Why it ended so, in one sentence; None where it ended well and there is nothing to tell."""
