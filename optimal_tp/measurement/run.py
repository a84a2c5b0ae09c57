"""What a run keeps beside its samples: what was asked, what it ran on, its turns, and how it ended."""

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
"""Pin that says whether prompts have the planned tokens: EXACT, or other words."""
OUTPUT_TOKENS = "output_tokens"
"""Pin that says whether answers have the planned tokens: EXACT, or other words."""
EXACT = "exact"
"""The value of both where the server's count must be the plan's."""
PROFILE_PIN = "profile"
"""Pin that names the profile of a run on one machine, as its user did."""

Ending = typing.Literal["running", "settled", "budget", "blocks", "interrupted", "failed"]
"""How a run ended: settled before its budget, at the budget's end, after the last block, by a signal, by a failure."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DegreeRecord:
    """What stood behind one candidate."""

    degree: int
    gate: typing.Literal["no-fit", "misses-slo", "no-compile", "no-capacity", "no-start"] | None
    """The gate that ended it; None for a candidate that was measured to its end. ``misses-slo`` says that physics lets
    it hold no limit. Only ``no-start`` may come after some load, where the servers did not come back at a later
    start."""
    reason: str | None
    """The number that decided the gate; None when ``gate`` is None."""
    urls: tuple[str, ...]
    """One base URL per replica; empty for a candidate that was not measured."""
    cores_used: int
    """Logical cores that all replicas keep from others: degree x replicas, or those of whole chips where the image
    takes no less. The divisor of every figure per core: who keeps a core from others pays for it."""
    cores_allocated: int
    """Logical cores reserved for them."""
    ready_seconds: float | None
    """From start to ready; None for a server that somebody else started."""
    max_num_seqs: int | None = None
    """The batch of the servers, where the run has the degree with several."""

    @property
    def candidate(self) -> Candidate:
        """What was measured on it."""
        return Candidate(self.degree, self.max_num_seqs)

    def after(self, steps: tuple[Step, ...]) -> "DegreeRecord":
        """Return the same with the word of the step that ended it; itself where none did, or a gate had before."""
        end = end_of(steps, self.candidate)
        if self.gate is not None or end is None:
            return self
        return dataclasses.replace(self, gate=end.gate, reason=end.detail)


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


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TraceRecord:
    """The recorded traffic that a run's requests have their sizes from, and how much of it they could be."""

    file: str
    form: str
    """What kind of file it is, for people."""
    sha256: str
    """Of the lines that were read."""
    read: int
    """Requests of the file, from its beginning."""
    whole_file: bool
    """False where the file has more than ``load.trace_requests``."""
    fitting: int
    """Those that were sent, in their order and round again."""
    too_long: int
    """Those left out because prompt and output together exceed ``model.max_model_len_tokens``."""
    without_tokens: int
    """Those left out because they had no prompt or no output: they had failed."""
    longest_output_tokens: int
    """Of those that were sent."""

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
    """Everything needed to derive the verdict again, beside the samples."""

    run: str
    """Name: UTC start as 20260701T120000Z plus four characters."""
    started: str
    """UTC, ISO 8601."""
    place: typing.Literal["local", "cluster", "own-servers"]
    settings: WorkloadSettings
    """Keys that the release which wrote it had, and this one has not, are in its sections' ``model_extra``."""
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
    rounds: tuple[tuple[CandidateName, ...], ...] | None = None
    """Candidates whose servers run at the same time; None where all do."""
    steps: tuple[Step, ...] = ()
    """What stood before the load, in the order in which it ended; empty where somebody else started the servers."""
    trace: TraceRecord | None = None
    """None where the sizes of requests are drawn."""
    physics: Physics | None = None
    """Roof of a core and sizes of the model; None where nobody knows them, as on servers of others."""
    schema_version: int = SCHEMA_VERSION


_FORM = pydantic.TypeAdapter(RunRecord)
_NAME = "run record"


def encode_run(record: RunRecord) -> str:
    """Return ``record`` as indented JSON."""
    return encode(_FORM, record)


def decode_run(text: str) -> RunRecord:
    """Return the record in ``text``; settings that it lacks have their defaults.

    Raises ValueError for a text that is cut, of an unknown schema or no run's, SettingsError for settings that break
    a rule.
    """
    data = versioned(text, SCHEMA_VERSION, name=_NAME)
    if "settings" in data:
        data["settings"] = parse_workloads(_as_it_was(data["settings"]), file="run.json", unknown="allow")
    return decode(_FORM, data, name=_NAME)


_BEFORE: typing.Final = {"output_spread": 0, "routing": "round-robin"}
"""What a load did before a release made it a setting with another default."""


def _as_it_was(settings: object) -> object:
    """Return ``settings`` with what they lack because the release that wrote them always did the same."""
    if not isinstance(settings, dict) or not isinstance(load := settings.get("load", {}), dict):
        return settings
    return {**settings, "load": {**_BEFORE, **load}}


VERSION: typing.Literal[2] = 2
"""Of the form. A key is never renamed, removed or given another meaning within a version."""

VERDICT = "verdict.json"
"""Name of the file, in a run's folder."""
