"""The form of a rule, and its view of a stack: resources as the engine passes them to a policy pack."""

import collections.abc
import dataclasses
import json
import typing

Properties = collections.abc.Mapping[str, typing.Any]
Found = collections.abc.Iterator[str]
"""One sentence for each violation: where, the value and the rule."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of a stack."""

    type: str
    """Pulumi's type token, such as ``aws:s3/bucket:Bucket``."""
    name: str
    properties: Properties
    depends_on: frozenset[str]
    """URNs of its dependencies."""
    urn: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the pack."""

    required_tags: tuple[str, ...] = ("project", "stack")
    """Tag keys that every taggable AWS resource must have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceRule:
    """A rule for a single resource."""

    name: str
    description: str
    remedy: str
    check: collections.abc.Callable[[Resource, Options], Found]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackRule:
    """A rule for the whole stack."""

    name: str
    description: str
    remedy: str
    check: collections.abc.Callable[[collections.abc.Sequence[Resource], Options], Found]


def inner(properties: Properties, path: str) -> typing.Any:  # noqa: ANN401 - whatever JSON may hold
    """Return the value at ``path`` ("spec.template.spec"); None if a part of the path is missing."""
    value: typing.Any = properties
    for key in path.split("."):
        value = value.get(key) if isinstance(value, collections.abc.Mapping) else None
    return value


def shown(value: object) -> str:
    """Return ``value`` for a sentence, as YAML writes it: "got true", or "not set" if it is missing."""
    return "not set" if value is None else f"got {json.dumps(value)}"


def listed(value: object) -> list[typing.Any]:
    """Return ``value`` as a list: IAM documents write one item without brackets."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
