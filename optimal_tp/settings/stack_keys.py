"""Which keys a stack may have: every one of ours is known, and none that says who asks AWS is passed over."""

import collections.abc
import difflib
import typing

from optimal_tp.errors import Problem, SettingsError

PROJECT: typing.Final = "optimal-tp"
SECTIONS: typing.Final = ("infra", "workloads", "serving", "loadtest", "spend")
HUB_TOKEN: typing.Final = "hub_token"  # noqa: S105 - a key's name
"""Beside the sections, so that no text of a section is a secret."""
_KNOWN: typing.Final = (*SECTIONS, HUB_TOKEN)
PROFILE: typing.Final = "aws:profile"
"""Who asks AWS: honoured by provider, kubeconfig, preflight, leftovers and watch alike."""

_WHO_ASKS: typing.Final = (
    *("assumeRole", "assumeRoles", "assumeRoleWithWebIdentity"),
    *("accessKey", "secretKey", "token", "sharedConfigFiles", "sharedCredentialsFiles"),
)
"""Keys of Pulumi's AWS provider that name other credentials, in a way that ``aws eks get-token`` cannot follow."""
_LIKE = 0.7
"""Least likeness, as difflib counts it, of a misspelt name."""


def require_known(keys: collections.abc.Iterable[str], *, project: str, file: str) -> None:
    """Raise SettingsError with every key of ours that the program does not read, and every one that it cannot honour.

    ``keys`` are those of a whole stack, ``project`` is the Pulumi project's own name, which a key without a name gets.
    """
    problems = [found for key in keys if (found := _problem(key, project, file)) is not None]
    if problems:
        raise SettingsError(problems)


def _problem(key: str, project: str, file: str) -> Problem | None:
    space, _, name = key.rpartition(":")
    where = f"a key of {file}"
    if space == "aws" and name in _WHO_ASKS:
        rule = "who asks AWS is said by a profile, which every part of the program can use"
        remedy = f"name a profile of ~/.aws/config that has it (role_arn and source_profile, for a role) in {PROFILE}"
        return Problem(path=where, value=key, rule=rule, remedy=remedy)
    if (space == PROJECT and name in _KNOWN) or not _is_ours(space, project):
        return None
    rule = f"the program knows {', '.join(f'{PROJECT}:{each}' for each in _KNOWN)}, and would pass over any other"
    section, _, below = name.partition(".")
    like = difflib.get_close_matches(section.lower(), _KNOWN, n=1, cutoff=_LIKE)
    remedy = "remove it, or rename it"
    if below and like and like[0] in SECTIONS:
        remedy = f"put it below {PROJECT}:{like[0]}, with pulumi config set --path {PROJECT}:{like[0]}.{below}"
    elif like:
        remedy = f"did you mean {PROJECT}:{like[0]}? Rename it"
    return Problem(path=where, value=key, rule=rule, remedy=remedy)


def _is_ours(space: str, project: str) -> bool:
    """Return whether a key's namespace is ours, the project's own, left out, or ours misspelt."""
    return space in ("", PROJECT, project) or bool(difflib.get_close_matches(space.lower(), [PROJECT], cutoff=_LIKE))
