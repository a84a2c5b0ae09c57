"""What stands before a candidate's load: its model fetched, itself compiled, its servers started; time and money."""

import collections.abc
import dataclasses
import typing

import pydantic

from optimal_tp.facts.candidates import Candidate
from optimal_tp.settings.candidate_names import CandidateName

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
    removed: str | None = None
    """What was deleted to free the cores that an earlier pod had left behind: "pod NAME" or "node NAME"; the start
    after it has the same number. None where nothing was."""


def end_of(steps: collections.abc.Iterable[Step], candidate: Candidate) -> Step | None:
    """Return the step that ended ``candidate`` with a word; None while none has. The fetch ends every candidate."""
    return next((each for each in steps if each.gate is not None and each.candidate in (None, candidate)), None)


_FORM = pydantic.TypeAdapter(tuple[Step, ...])


def encode_steps(steps: tuple[Step, ...]) -> str:
    """Return ``steps`` as JSON in one line."""
    return _FORM.dump_json(steps).decode()


def decode_steps(text: str) -> tuple[Step, ...]:
    """Return the steps in ``text``. Raises ValueError for another text."""
    return _FORM.validate_json(text)
