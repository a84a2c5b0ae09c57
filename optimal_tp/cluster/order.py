"""The order of a run, a sweep or a share: a JSON file in a pod, or options on a command line."""

import argparse
import collections.abc
import json
import pathlib
import re
import typing
import urllib.parse

import pydantic

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.facts.candidates import Candidate, candidate
from optimal_tp.facts.physics import Physics
from optimal_tp.loadgen.command import access
from optimal_tp.plan.lineup import Refusal
from optimal_tp.settings.candidate_names import CandidateName
from optimal_tp.settings.models import parse_models
from optimal_tp.settings.parser import Section, broken, parse, read_yaml
from optimal_tp.settings.workload import WorkloadSettings

_TARGET = re.compile(r"([^=\s]+)=(https?://\S+)")


def targets_of(
    words: collections.abc.Sequence[str], settings: WorkloadSettings | None, problems: list[Problem]
) -> dict[Candidate, tuple[str, ...]]:
    """Return URLs by candidate, rising; several URLs of one candidate are replicas."""
    found: dict[Candidate, tuple[str, ...]] = {}
    known = None if settings is None else settings.candidates
    for index, word in enumerate(words):
        path = f"--target[{index}]"
        whose, url = _target(word)
        if whose is None or url is None:
            rule = "must be CANDIDATE=URL: a degree (2) or a degree and its batch (tp2-b16), and an http(s) URL"
            problems.append(Problem(path=path, value=word, rule=rule, remedy="write it as 1=http://127.0.0.1:8001"))
        elif known is not None and whose not in known:
            names = ", ".join(each.slug for each in known)
            rule = f"must be one of the candidates in the settings ({names})"
            problems.append(Problem(path=path, value=word, rule=rule, remedy="correct the target or the settings"))
        else:
            found[whose] = (*found.get(whose, ()), url)
    if not words:
        rule = "must name at least one server"
        problems.append(Problem(path="--target", value=None, rule=rule, remedy="add --target 1=http://127.0.0.1:8001"))
    return dict(sorted(found.items()))


def _target(word: str) -> tuple[Candidate | None, str | None]:
    """Return candidate and URL of a target; None for a part that cannot be read."""
    match = _TARGET.fullmatch(word)
    if match is None or not urllib.parse.urlsplit(match[2]).hostname:
        return None, None
    try:
        return candidate(match[1]), match[2].rstrip("/")
    except ValueError:
        return None, None


def pairs_of(
    words: collections.abc.Sequence[str], problems: list[Problem]
) -> collections.abc.Iterator[tuple[str, str]]:
    """Yield key and value of each pin."""
    for index, word in enumerate(words):
        key, equals, value = word.partition("=")
        if not equals or not key:
            remedy = "write it as image=NAME"
            problems.append(Problem(path=f"--pin[{index}]", value=word, rule="must be KEY=VALUE", remedy=remedy))
        yield key, value


def place_of(results: str | None, problems: list[Problem]) -> tuple[str, str] | None:
    """Return bucket and prefix of ``s3://bucket/prefix``; None for a folder."""
    if results is None:
        rule = "must be set: results are always kept"
        problems.append(Problem(path="--results", value=None, rule=rule, remedy="add --results out"))
        return None
    if not results.startswith("s3://"):
        return None
    name, _, prefix = results.removeprefix("s3://").partition("/")
    if not name:
        rule = "must name a bucket"
        problems.append(Problem(path="--results", value=results, rule=rule, remedy="write it as s3://bucket/prefix"))
    return name, prefix.strip("/")


class JobsOrder(Section):
    """Names of Jobs that are suspended until the experiment resumes them."""

    fetch: str
    """Fetches the model."""
    compile: dict[CandidateName, str]
    """Each compiles one candidate."""


class ModelOrder(Section):
    """One model: its experiment, and the servers that are measured."""

    settings: WorkloadSettings
    targets: dict[CandidateName, tuple[str, ...]]
    """URLs by candidate, rising; several URLs of one candidate are replicas."""
    rounds: tuple[tuple[CandidateName, ...], ...] | None = None
    """Candidates that run at the same time, started through Kubernetes; None if all servers run already."""
    gates: dict[CandidateName, Refusal] = pydantic.Field(default_factory=dict)
    """Candidates in the settings that have no servers, with the reason."""
    jobs: JobsOrder | None = None
    """Jobs to run before the servers can start; None if they were done before."""
    physics: Physics | None = None
    """Roof of a core and sizes of the model, for the report; None if they are not known."""
    whole_chips: bool = False
    """True if each server reserves whole chips, whatever its degree."""

    @pydantic.field_validator("rounds")
    @classmethod
    def _each_candidate_once(
        cls, rounds: tuple[tuple[Candidate, ...], ...] | None, info: pydantic.ValidationInfo
    ) -> tuple[tuple[Candidate, ...], ...] | None:
        targets = info.data.get("targets")
        if rounds is None or targets is None:
            return rounds
        if sorted(each for together in rounds for each in together) != sorted(targets) or not all(rounds):
            names = ", ".join(each.slug for each in targets)
            raise broken(f"every candidate with a target ({names}) must be in exactly one round")
        return rounds

    @pydantic.field_validator("gates")
    @classmethod
    def _gates_have_no_servers(
        cls, gates: dict[Candidate, Refusal], info: pydantic.ValidationInfo
    ) -> dict[Candidate, Refusal]:
        both = [each.slug for each in gates if each in info.data.get("targets", ())]
        if both:
            raise broken(f"a candidate with a gate must have no target ({', '.join(both)})")
        return gates

    @pydantic.field_validator("jobs")
    @classmethod
    def _each_candidate_is_compiled(cls, jobs: JobsOrder | None, info: pydantic.ValidationInfo) -> JobsOrder | None:
        targets = info.data.get("targets")
        if jobs is not None and targets is not None and sorted(jobs.compile) != sorted(targets):
            names = ", ".join(each.slug for each in targets)
            raise broken(f"every candidate with a target ({names}) must have one Job that compiles it")
        return jobs


class ReceiptOrder(Section):
    """The costs in the receipt."""

    node_pool: str
    """Karpenter's NodePool, whose nodes are paid for."""
    idle_usd_per_hour: float = pydantic.Field(default=0.0, ge=0)
    """Cost of everything around the nodes."""
    leave_seconds: float = pydantic.Field(default=0.0, ge=0)
    """Longest wait for the nodes of stopped servers to go."""


class PatienceOrder(Section):
    """Longest time of a candidate's steps, in seconds; a step that takes longer fails."""

    capacity_seconds: float = pydantic.Field(ge=0)
    """Time until its pods have a node."""
    compile_seconds: float = pydantic.Field(ge=0)
    """For compiling or fetching the model, from the container's start; and before it, from getting a node."""
    start_seconds: float = pydantic.Field(ge=0)
    """Time from when its pods have a node until the servers are ready."""


class PodsOrder(Section):
    """Several load generators, the pods of an Indexed Job."""

    count: int = pydantic.Field(ge=1)
    job: str
    """Name of the Job, whose start is the reference for the common start."""
    start_after_seconds: float = pydantic.Field(ge=0)
    """Time from the Job's start until all pods begin."""


class Order(Section):
    """One model to measure in a run, or several in a sweep."""

    models: tuple[ModelOrder, ...]
    """At least one, in the order in which they are measured."""
    results: str
    """Folder on this machine, or ``s3://bucket/prefix``, with a copy in the working directory."""
    publish: bool = False
    """Publish metrics to CloudWatch."""
    ignore_eos: bool = True
    """Ask servers for exactly the planned tokens; an extension of vLLM's."""
    ready_timeout_seconds: float = 60
    """Longest wait until servers that we did not start are healthy."""
    patience: PatienceOrder | None = pydantic.Field(default=None, validate_default=True)
    """None if no servers are started."""
    pins: dict[str, str] = pydantic.Field(default_factory=dict)
    """Versions and hardware of the servers, kept with every run."""
    afterwards: typing.Literal["leave", "probe", "stop"] = "leave"
    """``leave`` the servers alone and end; ``probe`` them until a signal; or ``stop`` them and wait for a signal,
    because the load generator's Deployment would restart it."""
    makes_room: bool = True
    """True if a model's servers run only while those of the other models are stopped."""
    deadline_file: pathlib.Path | None = None
    """File with the date before which measuring ends, ISO 8601."""
    receipt: ReceiptOrder | None = None
    """None: no receipt, because the servers are not paid for by the hour."""
    pods: PodsOrder | None = None
    """None: this process measures alone."""

    @pydantic.field_validator("patience")
    @classmethod
    def _patience_where_servers_are_started(
        cls, patience: PatienceOrder | None, info: pydantic.ValidationInfo
    ) -> PatienceOrder | None:
        if patience is None and any(model.rounds is not None for model in info.data.get("models", ())):
            raise broken("must have a time to wait for servers when they start in rounds")
        return patience

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Bucket and prefix of the results; None if they stay in a folder."""
        return place_of(self.results, [])

    @property
    def folder(self) -> pathlib.Path:
        """Folder of the results on this machine."""
        return pathlib.Path("." if self.bucket else self.results)


class SettingsFile(Section):
    """A settings file as the commands read it: sections, each with its own parser."""

    workloads: object = None
    local: object = None
    """A local profile's section, ignored because it does not concern servers that the user runs."""


def configure_shared(parser: argparse.ArgumentParser) -> None:
    """Add the options common to runs, sweeps and shares."""
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--settings", metavar="FILE", help="YAML file with a workloads section")
    asked.add_argument("--order", metavar="FILE", help="in a pod: JSON file with the whole order")
    where = "folder for the run, or s3://bucket/prefix, which also keeps a copy here"
    parser.add_argument("--results", metavar="DIR", help=where)
    parser.add_argument("--publish", action="store_true", help="publish metrics to CloudWatch")
    parser.add_argument("--steady", action="store_true", help="after the experiment, keep probing until stopped")
    parser.add_argument(
        "--no-ignore-eos", action="store_true", help="for servers that refuse vLLM's ignore_eos; outputs may be shorter"
    )
    access.configure(parser)
    parser.add_argument("--ready-timeout-seconds", type=float, default=60, metavar="S", help="wait for /health (60)")
    parser.add_argument(
        "--pin", action="append", default=[], metavar="KEY=VALUE", help="what the servers run on, kept with the run"
    )


def read_order(arguments: argparse.Namespace) -> Order | None:
    """Return the order in the file of --order; None without one. Raises SettingsError with every bad key of the file.

    Other options beside --order are refused.
    """
    if arguments.order is None:
        return None
    for name in ("target", "results", "publish", "steady", "no_ignore_eos", "pin", *access.OPTIONS):
        if getattr(arguments, name):
            rule, remedy = "must stand alone: the file has everything", f"remove --{name.replace('_', '-')}"
            raise SettingsError([Problem(path="--order", value=arguments.order, rule=rule, remedy=remedy)])
    try:
        data = json.loads(pathlib.Path(arguments.order).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        rule = f"must name a readable JSON file ({error})"
        problem = Problem(path="--order", value=arguments.order, rule=rule, remedy="run `pulumi up` to write it again")
        raise SettingsError([problem]) from error
    return parse(Order, data, where="", file=arguments.order)


def order_of_one(arguments: argparse.Namespace, problems: list[Problem]) -> Order:
    """Return the order of one model. Raises SettingsError with ``problems`` and all faults of file and command line."""
    settings = None
    try:
        found = settings_of(arguments.settings)
    except SettingsError as error:
        problems += error.problems
    else:
        settings = found[0]
        if len(found) > 1:
            settings, rule = None, f"must have one model; this file has {len(found)}"
            problems.append(Problem(path="--settings", value=arguments.settings, rule=rule, remedy="use sweep"))
    targets = targets_of(arguments.target, settings, problems)
    return order_of(arguments, [] if settings is None else [ModelOrder(settings=settings, targets=targets)], problems)


def order_of(
    arguments: argparse.Namespace, models: collections.abc.Sequence[ModelOrder], problems: list[Problem]
) -> Order:
    """Return the order of ``models``. Raises SettingsError with ``problems`` and all faults of the command line."""
    pins = dict(pairs_of(arguments.pin, problems))
    place_of(arguments.results, problems)
    access.access_of(arguments, problems)
    if problems:
        raise SettingsError(problems)
    data = {
        "models": models,
        "results": arguments.results,
        "publish": arguments.publish,
        "ignore_eos": not arguments.no_ignore_eos,
        "ready_timeout_seconds": arguments.ready_timeout_seconds,
        "pins": pins,
        "afterwards": "probe" if arguments.steady else "leave",
    }
    return parse(Order, data, where="", file="the command line")


def settings_of(file: str) -> tuple[WorkloadSettings, ...]:
    """Return the experiments in the YAML file, one per model. Raises SettingsError with every bad key."""
    data = read_yaml(pathlib.Path(file), key="--settings", value=file, remedy="name a YAML file")
    section = parse(SettingsFile, data, where="", file=file).workloads
    found = parse_models({} if section is None else section, file=file)
    if any(each.model.max_num_seqs == "auto" for each in found):
        rule = "must be a number for your own servers: the program does not know their memory"
        problem = Problem(path="workloads.model.max_num_seqs", value="auto", rule=rule, file=file)
        raise SettingsError([problem])
    return found
