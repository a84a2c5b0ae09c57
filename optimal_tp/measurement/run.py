"""What a run keeps beside its samples: what was asked, what it ran on, its turns, and how it ended."""

import dataclasses
import json
import typing

from optimal_tp.measurement.receipt import Receipt, decode_receipt
from optimal_tp.measurement.turns import Turn

SCHEMA_VERSION = 1

PROMPT_TOKENS = "prompt_tokens"
"""Pin that says whether prompts have the planned tokens: EXACT, or other words."""
OUTPUT_TOKENS = "output_tokens"
"""Pin that says whether answers have the planned tokens: EXACT, or other words."""
EXACT = "exact"
"""The value of both where the server's count must be the plan's."""

Ending = typing.Literal["running", "settled", "budget", "blocks", "interrupted", "failed"]
"""How a run ended: settled before its budget, at the budget's end, after the last block, by a signal, by a failure."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DegreeRecord:
    """What stood behind one degree."""

    degree: int
    gate: typing.Literal["no-fit", "no-compile", "no-capacity"] | None
    """The gate that ended it before any load; None for a degree that was measured."""
    reason: str | None
    """The number that decided the gate; None when ``gate`` is None."""
    urls: tuple[str, ...]
    """One base URL per replica; empty for a degree that was not measured."""
    cores_used: int
    """Logical cores of all replicas: degree x replicas."""
    cores_allocated: int
    """Logical cores reserved for them."""
    ready_seconds: float | None
    """From start to ready; None for a server that somebody else started."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Which part of a run that several processes share one of them has."""

    pod: int
    """From 0."""
    pods: int
    start: str
    """Origin of everybody's times: UTC, ISO 8601."""
    machine: str
    """Identity of the machine since it started: processes with the same one share a clock."""
    clock_error_ms: float | None
    """Most that the machine's clock is wrong, as its kernel says; None where the kernel does not vouch for it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything needed to derive the verdict again, beside the samples."""

    run: str
    """Name: UTC start as 20260701T120000Z plus four characters."""
    started: str
    """UTC, ISO 8601."""
    place: typing.Literal["local", "cluster", "own-servers"]
    settings: dict[str, typing.Any]
    """The parsed ``workloads`` section, as data."""
    pins: dict[str, str]
    """What ran: code revision, versions of vLLM, Python and libraries, image, AMI, instance, processor."""
    degrees: tuple[DegreeRecord, ...]
    turns: tuple[Turn, ...]
    ending: Ending
    ending_detail: str | None
    """One sentence for an ending that is not ``settled``."""
    elapsed_seconds: float
    part: Part | None = None
    """None for a whole run."""
    receipt: Receipt | None = None
    """None where no node was looked at: on this machine, and on servers of others."""
    rounds: tuple[tuple[int, ...], ...] | None = None
    """Degrees whose servers run at the same time; None where all do."""
    schema_version: int = SCHEMA_VERSION


def encode_run(record: RunRecord) -> str:
    """Return ``record`` as indented JSON."""
    return json.dumps(dataclasses.asdict(record), indent=1, sort_keys=True, allow_nan=False)


def decode_run(text: str) -> RunRecord:
    """Return the record in ``text``. Raises ValueError for a text that is cut or of an unknown schema."""
    data = json.loads(text)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        found = "none" if version is None else repr(version)
        raise ValueError(f"a run record has schema_version {SCHEMA_VERSION}, and this one has {found}")
    try:
        data["degrees"] = tuple(DegreeRecord(**{**item, "urls": tuple(item["urls"])}) for item in data["degrees"])
        data["turns"] = tuple(Turn(**item) for item in data["turns"])
        data["part"] = Part(**data["part"]) if data.get("part") is not None else None
        data["receipt"] = decode_receipt(data.get("receipt"))
        data["rounds"] = tuple(map(tuple, data["rounds"])) if data.get("rounds") is not None else None
        return RunRecord(**data)
    except (TypeError, KeyError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"not a run record: {what}") from error
