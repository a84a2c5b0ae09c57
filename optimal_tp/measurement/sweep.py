"""The record of a sweep beside its runs: its models, their order and folders, and how far it is."""

import dataclasses
import typing

import pydantic

from optimal_tp.measurement.node_bill import Receipt
from optimal_tp.measurement.record import decode, encode, versioned

SWEEP = "sweep.json"
"""Name of the record; the folders of the runs lie beside it."""
VERDICTS = "verdicts.json"
"""Name of the file with all verdicts as data, beside the record."""
SCHEMA_VERSION = 1

State = typing.Literal["waiting", "running", "ended", "failed"]
"""``ended``: the run has a verdict, whatever it is; ``failed``: it could not be measured to its end."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """One model of a sweep."""

    model: str
    """The model's whole name."""
    folder: typing.Annotated[str, pydantic.Field(pattern=r"^[^/]*[^/.][^/]*$")]
    """Name of its run's folder beside the record, never of a folder above it."""
    state: State = "waiting"
    sentence: str | None = None
    """Why it failed; None otherwise."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """The record of a sweep: an ordinary run per model, one after the other."""

    sweep: str
    """Name: UTC start as 20260701T120000Z plus four characters."""
    legs: tuple[Leg, ...]
    """In the order in which they are measured."""
    receipt: Receipt | None = None
    """Receipt of all models together; None where no node was watched."""
    schema_version: int = SCHEMA_VERSION

    def changed(self, index: int, state: State, sentence: str | None = None) -> "Sweep":
        """Return the record with the leg at ``index`` in ``state``."""
        legs = list(self.legs)
        legs[index] = dataclasses.replace(legs[index], state=state, sentence=sentence)
        return dataclasses.replace(self, legs=tuple(legs))


_FORM = pydantic.TypeAdapter(Sweep)
_NAME = "sweep's record"


def encode_sweep(sweep: Sweep) -> str:
    """Return ``sweep`` as indented JSON."""
    return encode(_FORM, sweep) + "\n"


def decode_sweep(text: str) -> Sweep:
    """Return the sweep in ``text``.

    Raises ValueError for a text that is truncated, has an unknown schema or does not hold a sweep.
    """
    return decode(_FORM, versioned(text, SCHEMA_VERSION, name=_NAME), name=_NAME)
