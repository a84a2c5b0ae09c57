"""What a rule is, and what it sees of a stack: resources as the engine hands them to a policy pack."""

import collections.abc
import dataclasses
import json
import typing

Properties = collections.abc.Mapping[str, typing.Any]
Found = collections.abc.Iterator[str]
"""Sentences, one for each way in which a rule is broken: where, the value and the rule."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of a stack."""

    type: str
    """Pulumi's type token, such as ``aws:s3/bucket:Bucket``."""
    name: str
    properties: Properties
    depends_on: frozenset[str]
    """URNs of what it needs."""
    urn: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a user of the pack may set."""

    required_tags: tuple[str, ...] = ("project", "stack")
    """Keys that every taggable AWS resource carries."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceRule:
    """A rule that one resource keeps or breaks by itself."""

    name: str
    description: str
    remedy: str
    check: collections.abc.Callable[[Resource, Options], Found]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackRule:
    """A rule that takes the whole stack to judge."""

    name: str
    description: str
    remedy: str
    check: collections.abc.Callable[[collections.abc.Sequence[Resource], Options], Found]


def inner(properties: Properties, path: str) -> typing.Any:  # noqa: ANN401 - whatever JSON may hold
    """Return what lies at ``path`` ("spec.template.spec"), or None where a part of it is missing."""
    value: typing.Any = properties
    for key in path.split("."):
        value = value.get(key) if isinstance(value, collections.abc.Mapping) else None
    return value


def shown(value: object) -> str:
    """Return ``value`` for a sentence, as YAML has it: "got true", or "not set" for what is missing."""
    return "not set" if value is None else f"got {json.dumps(value)}"


def listed(value: object) -> list[typing.Any]:
    """Return ``value`` as a list: IAM documents write one item without brackets."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
