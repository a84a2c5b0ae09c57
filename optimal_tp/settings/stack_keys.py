"""Check the keys of a stack: each of ours must be known, and AWS credentials must be a profile."""

import collections.abc
import pathlib
import typing

import yaml

from optimal_tp.errors import Problem, likely
from optimal_tp.settings.described.line_numbers import tree

PROJECT: typing.Final = "optimal-tp"
SECTIONS: typing.Final = ("infra", "workloads", "serving", "loadtest", "spend")
HUB_TOKEN: typing.Final = "hub_token"  # noqa: S105 - a key's name
"""Outside the sections, so that no text of a section is a secret."""
_KNOWN: typing.Final = (*SECTIONS, HUB_TOKEN)
PROFILE: typing.Final = "aws:profile"
"""The AWS profile: provider, kubeconfig, preflight, leftovers and watch all use it."""

_WHO_ASKS: typing.Final = (
    *("assumeRole", "assumeRoles", "assumeRoleWithWebIdentity"),
    *("accessKey", "secretKey", "token", "sharedConfigFiles", "sharedCredentialsFiles"),
)
"""Keys of Pulumi's AWS provider that name other credentials, in a way that ``aws eks get-token`` cannot follow."""


def unknown_keys(
    keys: collections.abc.Iterable[str], *, project: str, file: str, folder: str | pathlib.Path | None
) -> list[Problem]:
    """Return every key of ours that the program does not read, and every one that it cannot honour.

    ``keys`` are all keys of a stack. ``project`` is the Pulumi project's name, the namespace of a key without one.
    ``file`` in ``folder`` (None: where the process runs) is the stack file; nobody reads its keys outside ``config:``.
    A file that cannot be read has none.
    """
    outside = misplaced_keys(pathlib.Path(folder or "", file), project=project, file=file)
    return outside + [found for key in keys if (found := _problem(key, project, file)) is not None]


def misplaced_keys(path: pathlib.Path, *, project: str, file: str) -> list[Problem]:
    """Return every key of ours, or of AWS, that the stack file ``path`` has beside ``config:``, with its line."""
    root = tree(path)
    if not isinstance(root, yaml.MappingNode):
        return []
    return [
        Problem(
            path=key.value,
            value=...,
            rule="must be under config:, because Pulumi reads nothing else",
            remedy="indent it and the lines below it by two spaces",
            file=file,
            line=key.start_mark.line + 1,
        )
        for key, _ in root.value
        if isinstance(key.value, str) and _is_misplaced(key.value, project)
    ]


def _is_misplaced(key: str, project: str) -> bool:
    space, colon, _ = key.rpartition(":")
    return key in _KNOWN or (bool(colon) and (space == "aws" or _is_ours(space, project)))


def _problem(key: str, project: str, file: str) -> Problem | None:
    space, _, name = key.rpartition(":")
    if space == "aws" and name in _WHO_ASKS:
        rule = "must be absent: the program reads AWS credentials from a profile"
        remedy = (
            f"put it into a profile of ~/.aws/config (role_arn and source_profile for a role) and set {PROFILE} to it"
        )
        return Problem(path=key, value=..., rule=rule, remedy=remedy, file=file)
    if (space == PROJECT and name in _KNOWN) or not _is_ours(space, project):
        return None
    rule = f"must be one of {', '.join(f'{PROJECT}:{each}' for each in _KNOWN)}"
    section, _, below = name.partition(".")
    like, remedy = likely(section, _KNOWN), ""
    if below and like in SECTIONS:
        remedy = f"put it below {PROJECT}:{like}: pulumi config set --path {PROJECT}:{like}.{below}"
    elif like:
        remedy = f"did you mean {PROJECT}:{like}?"
    return Problem(path=key, value=..., rule=rule, remedy=remedy, file=file)


def _is_ours(space: str, project: str) -> bool:
    """Return whether a key's namespace is ours, the project's own, left out, or ours misspelt."""
    return space in ("", PROJECT, project) or likely(space, [PROJECT]) is not None
