"""What to do with the answer: the server's flags, the stack file's lines, the command that plans a fleet."""

import dataclasses
import importlib.metadata
import shlex

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import INSTANCE_TYPES
from optimal_tp.measurement.run import PROFILE_PIN
from optimal_tp.report.headline import degree_of
from optimal_tp.report.words import practice
from optimal_tp.settings.workload import LimitedMetric
from optimal_tp.verdict.analysis import Analysis

PLANNED: dict[LimitedMetric, str] = {"total_latency_ms": "total", "ttft_ms": "ttft", "tpot_ms": "tpot"}
"""A limited metric as ``optimal-tp plan --limit`` writes it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Action:
    """Something to copy, and what it is for."""

    title: str
    text: str


def actions(analysis: Analysis, folder: str | None = None) -> tuple[Action, ...]:
    """Return what to do next: with a choice how to serve it, without one how to go on.

    A practice run's choice is none for Trainium2, so it is only planned with.
    ``folder`` is where the run is kept, as a command names it; None: where runs of its place usually are.
    """
    verdict = analysis.verdict
    if verdict.chosen is None:
        return (Action(title="Measure again", text=again(analysis)),)
    candidate = degree_of(verdict, verdict.chosen).candidate
    planned = Action(title="Plan a fleet for your rate", text=_plan(analysis, candidate, folder))
    if practice(analysis.record) is not None:
        return (planned,)
    return (
        Action(title="Serve it", text=_serve(analysis, candidate)),
        Action(title="Keep it in the stack file", text=_stack(analysis, candidate)),
        planned,
    )


def _serve(analysis: Analysis, candidate: Candidate) -> str:
    model = analysis.record.settings.model
    return (
        f"vllm serve {shlex.quote(model.name)} --tensor-parallel-size {candidate.degree} "
        f"--max-num-seqs {model.batch_of(candidate)} --max-model-len {model.max_model_len_tokens}"
    )


def _stack(analysis: Analysis, candidate: Candidate) -> str:
    batch = analysis.record.settings.model.batch_of(candidate)
    lines = ["optimal-tp:workloads:", f"  degrees: [{candidate.degree}]", f"  model: {{ max_num_seqs: {batch} }}"]
    limits = analysis.record.settings.limits.asked()
    if limits:
        lines.append("  limits:")
        lines += [
            f"    {metric}: {{ percentile: {limit.percentile:g}, at_most_ms: {limit.at_most_ms:g} }}"
            for metric, limit in limits.items()
        ]
    return "\n".join(lines)


def _plan(analysis: Analysis, candidate: Candidate, folder: str | None) -> str:
    asked = analysis.record.settings.limits.asked()
    limits = [f"p{one.percentile:g}_{PLANNED[metric]}_ms={one.at_most_ms:g}" for metric, one in asked.items()]
    limits = limits or ["p99_total_ms=YOUR_LIMIT"]
    named = " ".join(f"--limit {limit}" for limit in limits)
    return (
        f"optimal-tp plan {folder or usual_folder(analysis)} --rate 5/s {named} --degrees {candidate.degree} "
        f"--usd-per-hour {_node_price(analysis)}"
    )


def _node_price(analysis: Analysis) -> str:
    """Return the run's price where it buys the node that is planned with; in capitals where there is none."""
    price, instance = analysis.record.settings.price, analysis.record.pins.get("instance")
    node = next((each for name, each in INSTANCE_TYPES.items() if name == instance), INSTANCE_TYPES["trn2.3xlarge"])
    if price is None or price.billed_cores != node.logical_cores:
        return "YOUR_PRICE"
    return f"{price.usd_per_hour:.10g}"


def usual_folder(analysis: Analysis) -> str:
    """Return where a run of this name is kept unless somebody said otherwise: a fetched one below out/cluster."""
    record = analysis.record
    return f"out/cluster/{record.run}" if record.place == "cluster" else f"out/{record.run}"


def again(analysis: Analysis) -> str:
    """Return the command that measures the same again; in capitals what the record does not know."""
    record = analysis.record
    if record.place == "local":
        profile = record.pins.get(PROFILE_PIN)
        named = [] if profile is None else ["--profile", shlex.quote(profile)]
        own = ["--model", "YOUR_FOLDER"] if record.settings.model.revision == "folder" else []
        return " ".join(["optimal-tp local", *named, *own])
    if record.place == "cluster":
        return "pulumi up"
    targets = [
        f"--target {_targeted(each.candidate)}={shlex.quote(url)}" for each in record.degrees for url in each.urls
    ]
    return " ".join(["optimal-tp run --settings YOUR_SETTINGS.yaml", *targets, "--results out"])


def _targeted(candidate: Candidate) -> str:
    return str(candidate.degree) if candidate.max_num_seqs is None else candidate.slug


def summary(analysis: Analysis, lines: tuple[str, ...]) -> str:
    """Return the report in a few lines, to paste into a message or a ticket; ``lines`` are its first ones."""
    record = analysis.record
    version = f"optimal-tp {_version()}, run {record.run}, {record.settings.model.name}, {record.place}"
    return "\n".join([*lines, version])


def _version() -> str:
    try:
        return importlib.metadata.version("optimal-tp")
    except importlib.metadata.PackageNotFoundError:
        return "from a clone"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Footer:
    """Where the page comes from."""

    version: str
    commit: str | None
    """Revision of the program that measured; None where it is not known."""
    recompute: str
    again: str


def footer(analysis: Analysis, folder: str | None = None) -> Footer:
    """Return the version that wrote the page, the commit that measured, and how to get both again.

    ``folder`` as in ``actions``.
    """
    return Footer(
        version=_version(),
        commit=analysis.record.pins.get("code"),
        recompute=f"optimal-tp report {folder or usual_folder(analysis)}",
        again=again(analysis),
    )
