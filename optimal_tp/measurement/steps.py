"""The steps before a candidate's load, with their time and cost: fetch the model, compile it, start the servers."""

import collections.abc
import dataclasses
import typing

import pydantic

from optimal_tp.facts.candidates import Candidate
from optimal_tp.settings.candidate_names import CandidateName

What = typing.Literal["fetch", "compile", "start"]
StepGate = typing.Literal["no-compile", "no-capacity", "no-start"]
"""The word of a candidate that a step ended."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of one candidate, ended."""

    candidate: CandidateName | None
    """None for the fetch, which serves every candidate of the model."""
    what: What
    number: int = 0
    """Number of the start, from 0; 0 for a step that happens once."""
    began: str
    """UTC, ISO 8601: when the conductor asked Kubernetes for it."""
    node_seconds: float | None
    """Time from then until its container ran: a node had to start, an image to be pulled. None where it never ran, or
    its beginning was not seen."""
    seconds: float | None
    """Time from its container's start until the step had ended, or until the servers were ready. None where it never
    ran."""
    usd: float | None
    """Cost of the cores that it held meanwhile; None without a price, and for the fetch, which holds none."""
    gate: StepGate | None = None
    """The word of the candidate that it ended; None where the step succeeded."""
    detail: str | None = None
    """Why it ended so, in one sentence; None where it succeeded and nothing needs saying."""
    removed: str | None = None
    """The "pod NAME" or "node NAME" that was deleted to free cores which an earlier pod still held; the start after it
    has the same number. None where nothing was deleted."""


def end_of(steps: collections.abc.Iterable[Step], candidate: Candidate) -> Step | None:
    """Return the step that ended ``candidate``; None while none has. A fetch that fails ends every candidate."""
    return next((each for each in steps if each.gate is not None and each.candidate in (None, candidate)), None)


_FORM = pydantic.TypeAdapter(tuple[Step, ...])


def encode_steps(steps: tuple[Step, ...]) -> str:
    """Return ``steps`` as JSON in one line."""
    return _FORM.dump_json(steps).decode()


def decode_steps(text: str) -> tuple[Step, ...]:
    """Return the steps in ``text``. Raises ValueError for a text of another form."""
    return _FORM.validate_json(text)
