"""The ``workloads`` section of a settings file: the experiment, on this machine or in a cluster."""

import itertools
import re
import typing

import pydantic

from optimal_tp.facts.candidates import Candidate
from optimal_tp.settings.batches import Batches, Degree, batches_of
from optimal_tp.settings.parser import Section, broken, parse
from optimal_tp.settings.presets import PRESETS, Preset, with_preset
from optimal_tp.settings.prices import HourPrice

Routing = typing.Literal["least-in-flight", "round-robin", "random"]
"""``least-in-flight``: the replica with the fewest requests in flight, among equals the least recently used one;
``round-robin``: one after the other; ``random``: any, drawn from the seed."""
Api = typing.Literal["completions", "chat"]
"""Endpoint of the requests: POST /v1/completions with a prompt, or POST /v1/chat/completions with one user message."""
TraceUse = typing.Literal["lengths", "arrivals"]
"""``lengths``: only the token counts of requests, in the trace's order; ``arrivals``: also their send times, stretched
to the tested rate, so that the trace's bursts stay."""
LimitedMetric = typing.Literal["total_latency_ms", "ttft_ms", "tpot_ms"]


class Model(Section):
    """The model that every degree serves."""

    name: str = pydantic.Field(default="Qwen/Qwen3-0.6B", min_length=1)
    """The name that servers answer to and requests carry."""
    revision: str = pydantic.Field(default="c1899de289a04d12100db370d81485cdf75e47ca", min_length=1)
    """Commit of the model's repository, or a label for weights that have none ("random-weights")."""
    max_model_len_tokens: int = pydantic.Field(default=128, ge=2)
    """Prompt and output together, as vLLM's --max-model-len counts."""
    max_num_seqs: Batches = 1
    """Requests that one server works on at a time, as vLLM's --max-num-seqs: a number; a list, to measure every degree
    with each; a map of either by degree (``{1: 4, 2: [8, 16]}``); or ``auto``: 1, 4, 16 and so on, as memory allows."""

    @property
    def title(self) -> str:
        """The last part of the name, for people: "Qwen3-0.6B"."""
        return self.name.rstrip("/").rpartition("/")[2]

    @property
    def slug(self) -> str:
        """The title as Kubernetes, folders and addresses take it: "qwen3-0-6b"."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def candidates(self, degree: int) -> tuple[Candidate, ...]:
        """Return ``degree`` with each of its batches, which the candidate names only where there are several."""
        batches = batches_of(self.max_num_seqs, degree)
        return (Candidate(degree),) if len(batches) == 1 else tuple(Candidate(degree, batch) for batch in batches)

    def batch_of(self, candidate: Candidate) -> int:
        """Return the batch of the servers of ``candidate``, which is one of ``candidates``."""
        return candidate.max_num_seqs or batches_of(self.max_num_seqs, candidate.degree)[0]

    def served_names(self, candidate: Candidate) -> tuple[str, str]:
        """Return the names a server answers to: the model's, and one that identifies the candidate."""
        return self.name, f"{self.name}-{candidate.slug}"


class Load(Section):
    """The load and its stages. Every duration is per degree."""

    seed: int = pydantic.Field(default=20260701, ge=0)
    """Seeds arrivals, prompts and the order of degrees in blocks; the same seed gives the same run plan."""
    api: Api = "completions"
    """Endpoint of the requests. ``chat`` sends messages, which the server puts into its own template."""
    prompt: typing.Literal["synthetic", "seed", "file"] = "synthetic"
    """``synthetic``: random words, unique to each request; ``seed``: the AWS sample's sentence; ``file``."""
    prompt_file: str | None = None
    """Path of a text file with one prompt a line; absent unless ``prompt`` is ``file``."""
    prompt_tokens: int = pydantic.Field(default=30, ge=1)
    """Tokens of a synthetic prompt, as the server counts them."""
    output_tokens: int = pydantic.Field(default=50, ge=1)
    """Tokens that a request asks for, on average."""
    output_spread: float = pydantic.Field(default=0.5, ge=0, lt=1)
    """How much a request's number may differ from ``output_tokens``, as a share of it; 0: all ask for the same."""
    trace: str | None = None
    """Path of a trace or a table of lengths that replaces the tokens above: CSV of Azure or BurstGPT, JSON Lines of
    Mooncake or AIPerf, or your own with ``prompt_tokens`` and ``output_tokens``."""
    trace_use: TraceUse = "lengths"
    """``lengths``: recorded token counts, random arrivals; ``arrivals``: also the recorded send times, stretched to the
    tested rate."""
    trace_requests: int = pydantic.Field(default=20_000, ge=1, le=1_000_000)
    """How many requests to read from the start of the trace."""
    warm_up_requests: int = pydantic.Field(default=3, ge=1)
    """Requests at the start of a degree's first turn whose results are discarded."""
    idle_requests: int = pydantic.Field(default=20, ge=1)
    """Requests sent one at a time, as in the AWS sample's own measurement."""
    warm_in: float = pydantic.Field(default=5, ge=0, le=1000)
    """Uncounted start of a turn, as a multiple of the time that one request alone takes at the slowest candidate."""
    turn_length: float = pydantic.Field(default=20, gt=0, le=10_000)
    """Counted part of a turn, as a multiple of the same time."""
    turn_requests: int = pydantic.Field(default=50, ge=5)
    """Least number of counted requests in a turn; at a low rate the turn takes longer."""
    bracket_turns: int = pydantic.Field(default=8, ge=1)
    """Most turns per candidate that search for its capacity; they do not count as evidence."""
    rates_per_second_per_core: tuple[float, ...] | None = None
    """With limits: request rates to measure at, ascending; absent: the run finds them. Several load generators need
    them, because they follow a timetable. The turn held out of the fleet plan's model lies below the lowest, also
    without limits."""
    concurrency: tuple[int, ...] | None = None
    """Without limits: numbers of requests in flight to measure at, over all servers of a candidate, ascending; absent:
    the run doubles the number until throughput no longer grows. Several load generators need them."""
    routing: Routing = "least-in-flight"
    """How requests at a rate are spread over a candidate's replicas; in a closed loop each slot keeps its replica."""
    block_seconds: float = pydantic.Field(default=20, gt=0, le=3600)
    """Length of a turn if several load generators follow a timetable."""
    pause_seconds: float = pydantic.Field(default=0.5, ge=0, le=60)
    """Pause before each turn, so that the previous one has died down."""
    request_timeout_seconds: float = pydantic.Field(default=60, gt=0, le=3600)
    """A request that takes longer counts as failed."""

    @property
    def output_range(self) -> tuple[int, int]:
        """Least and most output tokens of a request: ``round(output_tokens * (1 -+ output_spread))``, at least 1."""
        least, most = (round(self.output_tokens * (1 + sign * self.output_spread)) for sign in (-1, 1))
        return max(1, least), max(1, most)

    @pydantic.field_validator("concurrency", "rates_per_second_per_core")
    @classmethod
    def _ascending(cls, steps: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if steps is not None and (not steps or steps[0] <= 0 or any(b <= a for a, b in itertools.pairwise(steps))):
            raise broken("must be rising numbers above 0, at least one, for example [1, 2, 4]")
        return steps

    @pydantic.field_validator("prompt_file")
    @classmethod
    def _file_with_file(cls, path: str | None, info: pydantic.ValidationInfo) -> str | None:
        if (info.data.get("prompt") == "file") != (path is not None):
            raise broken("must be set if load.prompt is file, and absent otherwise")
        return path

    @pydantic.field_validator("trace")
    @classmethod
    def _synthetic_with_trace(cls, path: str | None, info: pydantic.ValidationInfo) -> str | None:
        if path is not None and info.data.get("prompt", "synthetic") != "synthetic":
            raise broken("must go with load.prompt synthetic: the trace sets the length of prompts")
        return path

    @pydantic.field_validator("trace_use")
    @classmethod
    def _arrivals_of_a_trace(cls, use: TraceUse, info: pydantic.ValidationInfo) -> TraceUse:
        if use == "arrivals" and "trace" in info.data and info.data["trace"] is None:
            raise broken("must go with load.trace: it is the source of the arrivals")
        return use


class Limit(Section):
    """A latency limit: ``percentile`` % of the requests must take ``at_most_ms`` or less."""

    percentile: float = pydantic.Field(default=99, gt=0, lt=100)
    """Share of the requests in percent."""
    at_most_ms: float = pydantic.Field(gt=0)
    """Highest latency of these requests."""


class Limits(Section):
    """The latency limits; an absent one is not checked."""

    total_latency_ms: Limit | None = None
    """From the intended send to the last token."""
    ttft_ms: Limit | None = None
    """From the intended send to the first token."""
    tpot_ms: Limit | None = None
    """Mean time between tokens after the first."""

    def asked(self) -> dict[LimitedMetric, Limit]:
        """Return the limits that are set, by metric."""
        pairs: tuple[tuple[LimitedMetric, Limit | None], ...] = (
            ("total_latency_ms", self.total_latency_ms),
            ("ttft_ms", self.ttft_ms),
            ("tpot_ms", self.tpot_ms),
        )
        return {metric: limit for metric, limit in pairs if limit is not None}


class Decision(Section):
    """When the verdict is settled, and when to give up."""

    confidence: float = pydantic.Field(default=0.95, gt=0.5, lt=1)
    """Least probability, on a steady machine, that everything the comparison declares is right."""
    resolution: float = pydantic.Field(default=0.05, gt=0, lt=1)
    """A candidate is a safe choice if no other can be better by more than this share."""
    least_lead: float = pydantic.Field(default=0.02, ge=0, lt=1)
    """A lead below this share is never called better, because short turns alone may cause it."""
    minimum_blocks: int = pydantic.Field(default=12, ge=4)
    """Blocks before the first look at the results."""
    fixed_looks: int | None = pydantic.Field(default=None, ge=1)
    """For short runs: the number of looks, the first after ``minimum_blocks``, then one after each block. Sharper below
    a dozen blocks. Absent: a look after every block."""
    maximum_blocks: int = pydantic.Field(default=400, ge=4)
    """Blocks after which the comparison ends, settled or not."""
    budget_seconds: float = pydantic.Field(default=3600, gt=0)
    """Time from the first warm-up until the last turn must have ended."""
    proof_seconds: float = pydantic.Field(default=1200, ge=0)
    """Most of the budget that, after a choice, goes into proving the chosen candidate's goodput; 0: no proof."""
    stop_when_settled: bool = True
    """False: comparing continues after a safe choice, to find which candidates are better or equal."""

    @pydantic.field_validator("maximum_blocks")
    @classmethod
    def _room_for_the_minimum(cls, most: int, info: pydantic.ValidationInfo) -> int:
        if most < info.data.get("minimum_blocks", 0):
            raise broken(f"must be at least minimum_blocks ({info.data['minimum_blocks']})")
        return most

    @property
    def last_block(self) -> int:
        """Blocks after which the comparison ends: at the last of ``fixed_looks``, or after ``maximum_blocks``."""
        if self.fixed_looks is None:
            return self.maximum_blocks
        return min(self.maximum_blocks, self.minimum_blocks + self.fixed_looks - 1)


class Price(HourPrice):
    """Hourly price of one billed unit: an instance with ``billed_cores`` logical cores."""

    billed_cores: int = pydantic.Field(ge=1)
    """Logical cores that this price buys, idle ones included."""


class WorkloadSettings(Section):
    """The experiment: model, tensor-parallel degrees, load, latency limits and rules of the decision."""

    preset: Preset | None = None
    """``chat``, ``code``, ``summarise`` or ``batch``: limits and lengths where the sections below state none."""
    model: Model = Model()
    degrees: tuple[Degree, ...] = (1, 2, 4)
    """Tensor-parallel degrees to compare: logical cores of one server."""
    load: Load = Load()
    limits: Limits = Limits()
    decision: Decision = Decision()
    price: Price | None = None
    """Hourly price of the cores; absent: no cost is reported. A stack file has it in infra.neuron.price."""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every degree with each of its batches, rising. Raises ValueError while they are still ``auto``."""
        return tuple(each for degree in self.degrees for each in self.model.candidates(degree))

    @pydantic.model_validator(mode="before")
    @classmethod
    def _filled(cls, data: object) -> object:
        preset = data.get("preset") if isinstance(data, dict) else None
        return (
            with_preset(data, preset) if isinstance(data, dict) and preset is not None and preset in PRESETS else data
        )

    @pydantic.field_validator("degrees")
    @classmethod
    def _rising(cls, degrees: tuple[int, ...]) -> tuple[int, ...]:
        if not degrees or sorted(set(degrees)) != list(degrees):
            raise broken("must be a list of rising degrees, each once, for example [1, 2, 4]")
        return degrees

    @pydantic.field_validator("degrees")
    @classmethod
    def _with_batches(cls, degrees: tuple[int, ...], info: pydantic.ValidationInfo) -> tuple[int, ...]:
        model = info.data.get("model")
        if model is not None and isinstance(model.max_num_seqs, dict) and set(model.max_num_seqs) != set(degrees):
            have = ", ".join(map(str, sorted(model.max_num_seqs))) or "none"
            raise broken(
                f"must be the degrees of model.max_num_seqs, which has batches for {have}", value=list(degrees)
            )
        return degrees

    @pydantic.field_validator("limits")
    @classmethod
    def _arrivals_with_limits(cls, limits: Limits, info: pydantic.ValidationInfo) -> Limits:
        load = info.data.get("load")
        if load is not None and load.trace_use == "arrivals" and not limits.asked():
            raise broken(
                "must have a limit with load.trace_use arrivals: without one, each request waits for an answer",
                value={},
            )
        return limits

    @pydantic.field_validator("load")
    @classmethod
    def _fits_the_model(cls, load: Load, info: pydantic.ValidationInfo) -> Load:
        model = info.data.get("model")
        most = load.output_range[1]
        if model is not None and load.trace is None and load.prompt_tokens + most > model.max_model_len_tokens:
            rule = (
                f"must fit into model.max_model_len_tokens ({model.max_model_len_tokens}) together with the longest "
                f"output ({most} tokens; output_spread is {load.output_spread:g})"
            )
            raise broken(rule, path="prompt_tokens", value=load.prompt_tokens)
        return load


def parse_workloads(
    data: object, *, file: str, unknown: typing.Literal["forbid", "allow"] = "forbid"
) -> WorkloadSettings:
    """Return the ``workloads`` section of ``file``; ``unknown`` is that of ``parse``.

    Raises SettingsError with every bad key.
    """
    return parse(WorkloadSettings, data, where="workloads", file=file, unknown=unknown)


def unknown_keys(section: Section, path: str = "workloads") -> tuple[str, ...]:
    """Return the dotted keys of ``section``, which stands at ``path``, that are not settings."""
    own = tuple(f"{path}.{name}" for name in section.model_extra or ())
    parts = ((name, part) for name, part in section if isinstance(part, Section))
    return own + tuple(key for name, part in parts for key in unknown_keys(part, f"{path}.{name}"))
