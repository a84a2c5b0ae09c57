"""What a sweep keeps beside its runs: which models, in which order, in which folders, and how far it is."""

import dataclasses
import json
import typing

from optimal_tp.measurement.receipt import Receipt, decode_receipt

SWEEP = "sweep.json"
"""Name of the record; the folders of the runs lie beside it."""
VERDICTS = "verdicts.json"
"""Name of the answers as data, beside it."""
SCHEMA_VERSION = 1

State = typing.Literal["waiting", "running", "ended", "failed"]
"""``ended``: the run has a verdict, whatever it is; ``failed``: it could not be measured to its end."""
_STATES = typing.get_args(State)
_GRAVEST_FIRST = (130, 5, 2, 4, 3)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """One model of a sweep."""

    model: str
    """The model's whole name."""
    folder: str
    """Name of its run's folder beside the record."""
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
    """Of all models together; None where no node was looked at."""
    schema_version: int = SCHEMA_VERSION

    def changed(self, index: int, state: State, sentence: str | None = None) -> "Sweep":
        """Return the record with the leg at ``index`` in ``state``."""
        legs = list(self.legs)
        legs[index] = dataclasses.replace(legs[index], state=state, sentence=sentence)
        return dataclasses.replace(self, legs=tuple(legs))


def encode_sweep(sweep: Sweep) -> str:
    """Return ``sweep`` as indented JSON."""
    return json.dumps(dataclasses.asdict(sweep), indent=1, sort_keys=True) + "\n"


def decode_sweep(text: str) -> Sweep:
    """Return the sweep in ``text``. Raises ValueError for a text that is cut or of an unknown schema."""
    data = json.loads(text)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        found = "none" if version is None else repr(version)
        raise ValueError(f"a sweep's record has schema_version {SCHEMA_VERSION}, and this one has {found}")
    try:
        data["legs"] = tuple(Leg(**leg) for leg in data["legs"])
        data["receipt"] = decode_receipt(data.get("receipt"))
        sweep = Sweep(**data)
    except (TypeError, KeyError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"not a sweep's record: {what}") from error
    for leg in sweep.legs:
        if (
            leg.state not in _STATES
            or not isinstance(leg.folder, str)
            or leg.folder.strip(".") == ""
            or "/" in leg.folder
        ):
            raise ValueError(f"not a sweep's record: {leg.model} has folder {leg.folder!r} and state {leg.state!r}")
    return sweep


def gravest(statuses: typing.Iterable[int]) -> int:
    """Return the exit status that stands for several: interruption, failure, void and doubt go before 0."""
    found = set(statuses)
    return next((status for status in _GRAVEST_FIRST if status in found), 0)
