"""The record of a run beside its samples: settings, machine and software, turns, and how it ended."""

import dataclasses
import typing

import pydantic

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.physics import Physics
from optimal_tp.measurement.node_bill import Receipt
from optimal_tp.measurement.record import decode, encode, versioned
from optimal_tp.measurement.steps import Step, end_of
from optimal_tp.measurement.turns import Turn
from optimal_tp.settings.candidate_names import CandidateName
from optimal_tp.settings.workload import WorkloadSettings, parse_workloads

SCHEMA_VERSION = 1

PROMPT_TOKENS = "prompt_tokens"
"""Pin that says whether prompts have exactly the planned number of tokens: EXACT, or other words."""
OUTPUT_TOKENS = "output_tokens"
"""Pin that says whether answers have exactly the planned number of tokens: EXACT, or other words."""
EXACT = "exact"
"""The value of both pins where the server's count must equal the plan's."""
PROFILE_PIN = "profile"
"""Pin that names the profile of a run on one machine, as the user named it."""

Ending = typing.Literal["running", "settled", "budget", "blocks", "interrupted", "failed"]
"""How a run ended: not yet, settled within its budget, at the budget's end, after the last block, by a signal, by a
failure."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DegreeRecord:
    """The servers of one candidate, or why it had none."""

    degree: int
    gate: typing.Literal["no-fit", "misses-slo", "no-compile", "no-capacity", "no-start"] | None
    """The gate that ended the candidate; None where it was measured to its end. ``misses-slo`` means here that by
    physics it cannot hold the limits. Only ``no-start`` may follow some load: the servers did not come back at a later
    start."""
    reason: str | None
    """The number that decided the gate; None when ``gate`` is None."""
    urls: tuple[str, ...]
    """One base URL per replica; empty for a candidate that was not measured."""
    cores_used: int
    """Logical cores that all replicas occupy: degree x replicas, or whole chips where the image takes no less. Every
    figure per core is divided by it: a server pays for each core that no other can use."""
    cores_allocated: int
    """Logical cores reserved for them."""
    ready_seconds: float | None
    """Time from start to ready; None for servers that optimal-tp did not start."""
    max_num_seqs: int | None = None
    """The batch of the servers, where the run compares several at this degree; None otherwise."""

    @property
    def candidate(self) -> Candidate:
        """The candidate of this record."""
        return Candidate(self.degree, self.max_num_seqs)

    def after(self, steps: tuple[Step, ...]) -> "DegreeRecord":
        """Return a copy with the gate of the step that ended it; the record itself without one, or with a gate."""
        end = end_of(steps, self.candidate)
        if self.gate is not None or end is None:
            return self
        return dataclasses.replace(self, gate=end.gate, reason=end.detail)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One process's part of a run that several processes share."""

    pod: int
    """Number of the process's pod, from 0."""
    pods: int
    start: str
    """Origin of the times of all parts: UTC, ISO 8601."""
    machine: str
    """Identity of the machine since its start: processes with the same identity share a clock."""
    clock_error_ms: float | None
    """Largest error of the machine's clock, by its kernel; None where the kernel does not vouch for the clock."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TraceRecord:
    """The recorded traffic that gives a run's requests their sizes, and how much of it could be sent."""

    file: str
    form: str
    """What kind of file it is, for people."""
    sha256: str
    """Of the lines that were read."""
    read: int
    """Requests that were read, from the beginning of the file."""
    whole_file: bool
    """False where the file has more than ``load.trace_requests``."""
    fitting: int
    """Requests that can be sent: in the file's order, and again from the first after the last."""
    too_long: int
    """Requests left out because prompt and output together exceed ``model.max_model_len_tokens``."""
    without_tokens: int
    """Requests left out because they have no prompt or no output: they had failed."""
    longest_output_tokens: int
    """Longest output of the requests that can be sent."""

    @property
    def sentence(self) -> str:
        """How much of the trace is covered, in words."""
        left = [
            f"{count:,} {words}"
            for count, words in (
                (self.too_long, "longer than the model length"),
                (self.without_tokens, "without tokens"),
            )
            if count
        ]
        which = "requests" if self.whole_file else "first requests"
        share = f"{self.fitting:,} of the {self.read:,} {which} of {self.file} ({100 * self.fitting / self.read:.3g} %)"
        return share + (f"; left out: {', '.join(left)}" if left else "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything beside the samples that recomputing the verdict needs."""

    run: str
    """Name: UTC start as 20260701T120000Z plus four characters."""
    started: str
    """UTC, ISO 8601."""
    place: typing.Literal["local", "cluster", "own-servers"]
    settings: WorkloadSettings
    """Keys that only the release that wrote the record knows are in the ``model_extra`` of their sections."""
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
    """None where no node was watched: on one machine, and with your own servers."""
    rounds: tuple[tuple[CandidateName, ...], ...] | None = None
    """Groups of candidates whose servers run at the same time; None where all do."""
    steps: tuple[Step, ...] = ()
    """Steps before the load, in the order in which they ended; empty where optimal-tp did not start the servers."""
    trace: TraceRecord | None = None
    """None where the sizes of requests are drawn at random."""
    physics: Physics | None = None
    """Roof of a core and sizes of the model; None where they are unknown, as with your own servers."""
    schema_version: int = SCHEMA_VERSION


_FORM = pydantic.TypeAdapter(RunRecord)
_NAME = "run record"


def encode_run(record: RunRecord) -> str:
    """Return ``record`` as indented JSON."""
    return encode(_FORM, record)


def decode_run(text: str) -> RunRecord:
    """Return the record in ``text``; settings that it lacks have their defaults.

    Raises ValueError for a text that is truncated, has an unknown schema or does not hold a run, SettingsError for
    settings that break a rule.
    """
    data = versioned(text, SCHEMA_VERSION, name=_NAME)
    if "settings" in data:
        data["settings"] = parse_workloads(_as_it_was(data["settings"]), file="run.json", unknown="allow")
    return decode(_FORM, data, name=_NAME)


_BEFORE: typing.Final = {"output_spread": 0, "routing": "round-robin"}
"""Behaviour of every load before a release made it a setting with another default."""


def _as_it_was(settings: object) -> object:
    """Return ``settings`` with the keys of _BEFORE where they lack them: an older release wrote them."""
    if not isinstance(settings, dict) or not isinstance(load := settings.get("load", {}), dict):
        return settings
    return {**settings, "load": {**_BEFORE, **load}}


VERSION: typing.Literal[2] = 2
"""Version of the form of ``verdict.json``. Within a version no key is renamed, removed or given another meaning."""

VERDICT = "verdict.json"
"""Name of the file, in a run's folder."""
