"""The models of a settings file: ``workloads`` is one experiment, or the defaults of each entry in ``models``."""

import dataclasses
import re
import typing

import pydantic

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.settings.parser import Section, parse
from optimal_tp.settings.workload import Model, WorkloadSettings

LONGEST_SLUG = 30
"""Characters: with prefix, degree, replica and "-compile" around it a name stays within Kubernetes' 63."""
_SLUG = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MERGED = ("model", "load", "decision")
"""Sections of an entry that override key by key; the others replace."""


class ModelEntry(Section):
    """One model of a sweep. A key that an entry leaves out is taken from the rest of ``workloads``."""

    model: dict[str, typing.Any]
    """Keys of ``workloads.model``. Name a model together with its revision."""
    degrees: list[typing.Any] | None = None
    """Replaces ``workloads.degrees``."""
    limits: dict[str, typing.Any] | None = None
    """Replaces all of ``workloads.limits``."""
    load: dict[str, typing.Any] | None = None
    """Keys of ``workloads.load``."""
    decision: dict[str, typing.Any] | None = None
    """Keys of ``workloads.decision``; each model has a budget of its own."""


class Workloads(WorkloadSettings):
    """The ``workloads`` section as a file has it: one model, or several in a sweep."""

    models: tuple[ModelEntry, ...] | None = pydantic.Field(default=None, min_length=1)
    """Several models, measured one after the other; absent: ``model`` alone."""


def parse_models(data: object, *, file: str) -> tuple[WorkloadSettings, ...]:
    """Return one experiment per model of the ``workloads`` section of ``file``, in the order of the file.

    Without ``models`` that is one. Raises SettingsError with every bad key of every model; a key that all models share
    is reported once.
    """
    if not isinstance(data, dict) or data.get("models") is None:
        return (_alone(parse(Workloads, data, where="workloads", file=file)),)
    shared = {key: value for key, value in data.items() if key != "models"}
    entries = _entries(data["models"], file)
    problems = _nameless(shared, entries, file)
    known = {str(problem) for problem in _problems_of(shared, file)}
    found: list[WorkloadSettings] = []
    for index, entry in enumerate(entries):
        try:
            found.append(_alone(parse(Workloads, _merged(shared, entry), where="workloads", file=file)))
        except SettingsError as error:
            problems += [_placed(problem, index, known) for problem in error.problems]
    problems = list({str(problem): problem for problem in problems}.values())
    if not problems:
        problems = _confusable(found, file)
    if problems:
        raise SettingsError(problems)
    return tuple(found)


def _alone(section: Workloads) -> WorkloadSettings:
    return WorkloadSettings.model_validate(section.model_dump(exclude={"models"}))


def _entries(models: object, file: str) -> list[ModelEntry]:
    """Return the entries; their sections are looked at only once they are whole."""
    if not isinstance(models, (list, tuple)) or not models:
        rule = "must be a list of at least one model"
        raise SettingsError([Problem(path="workloads.models", value=models, rule=rule, file=file)])
    found: list[ModelEntry] = []
    problems: list[Problem] = []
    for index, entry in enumerate(models):
        try:
            found.append(parse(ModelEntry, entry, where=f"workloads.models[{index}]", file=file))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return found


def _merged(shared: dict[str, typing.Any], entry: ModelEntry) -> dict[str, typing.Any]:
    own = entry.model_dump(exclude_none=True)
    merged = {**shared, **own}
    for key in _MERGED:
        section = shared.get(key)
        if key in own and isinstance(section, dict):
            merged[key] = {**section, **own[key]}
    return merged


def _problems_of(shared: dict[str, typing.Any], file: str) -> tuple[Problem, ...]:
    try:
        parse(Workloads, shared, where="workloads", file=file)
    except SettingsError as error:
        return error.problems
    return ()


def _placed(problem: Problem, index: int, known: set[str]) -> Problem:
    """Return ``problem`` at its entry, unless the shared keys have it without any entry."""
    if str(problem) in known:
        return problem
    path = problem.path.replace("workloads", f"workloads.models[{index}]", 1)
    return dataclasses.replace(problem, path=path)


def _nameless(shared: dict[str, typing.Any], entries: list[ModelEntry], file: str) -> list[Problem]:
    """Return the entries that would fetch their weights at another model's revision."""
    section = shared.get("model")
    if isinstance(section, dict) and "revision" in section:
        return []
    name = Model.model_fields["name"].default
    rule = "must be set to a commit of the model's repository, because workloads.model.name differs from the default"
    return [
        Problem(path=f"workloads.models[{index}].model.revision", value=None, rule=rule, file=file)
        for index, entry in enumerate(entries)
        if entry.model.get("name", name) != name and "revision" not in entry.model
    ]


def _confusable(found: list[WorkloadSettings], file: str) -> list[Problem]:
    """Return the models whose servers would share a name, or could not have one."""
    problems = []
    seen: dict[str, int] = {}
    for index, settings in enumerate(found):
        slug = settings.model.slug
        path, name = f"workloads.models[{index}].model.name", settings.model.name
        rule = None
        if slug in seen:
            rule = f"must be another name: the servers of models[{seen[slug]}] are already called {slug}"
        elif len(found) > 1 and (len(slug) > LONGEST_SLUG or not _SLUG.fullmatch(slug)):
            rule = (
                f"must end in 1 to {LONGEST_SLUG} letters, digits and hyphens, which name its servers; it ends in "
                f"'{slug}'"
            )
        if rule is not None:
            problems.append(Problem(path=path, value=name, rule=rule, file=file))
        seen.setdefault(slug, index)
    return problems
