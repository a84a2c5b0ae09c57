"""Read the ids of ``infra.existing`` from another stack's outputs. Asks Pulumi, never AWS."""

import collections.abc
import contextlib
import dataclasses
import json
import re
import shutil
import subprocess
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.settings.aws.existing import STACK_NAME
from optimal_tp.settings.parser import rule_of
from optimal_tp.settings.stack_config import COMMAND, HIDDEN

WANTED: typing.Final = (
    *("cluster_name", "oidc_provider_arn", "file_system_id"),
    *("subnet_ids", "security_group_ids", "instance_profile"),
)
"""Keys of ``infra.existing`` that an output of the same name fills."""
PATIENCE_SECONDS = 120.0
"""Longest time that Pulumi may take to print a stack's outputs."""
_NAMED = "name a stack that `pulumi stack output` knows, or write the ids"
INSTALL: typing.Final = "https://www.pulumi.com/docs/iac/download-install"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """The outputs of a stack. ``values`` contains no secrets."""

    values: collections.abc.Mapping[str, object]
    secrets: frozenset[str] = frozenset()
    """Names of the outputs that are secret."""


Outputs = collections.abc.Callable[[str], StackOutputs]
"""Returns the outputs of a stack by its full name. Raises SettingsError if they cannot be read."""


def with_outputs(infra: object, outputs: Outputs, *, file: str) -> object:
    """Return the section ``infra`` with absent keys of ``existing`` filled from the outputs of ``existing.stack``.

    The key ``stack`` is removed. A section without it is returned as it is. Raises SettingsError for a name that cannot
    be a stack's, and for all outputs that are missing or secret, because the preview shows these ids.
    """
    existing = infra.get("existing") if isinstance(infra, dict) else None
    if not isinstance(infra, dict) or not isinstance(existing, dict) or "stack" not in existing:
        return infra
    name, path = existing["stack"], "infra.existing.stack"
    if not isinstance(name, str) or not re.fullmatch(STACK_NAME, name):
        raise SettingsError([Problem(path=path, value=name, rule=rule_of(STACK_NAME), file=file)])
    own = {key: value for key, value in existing.items() if key != "stack"}
    try:
        found = outputs(name)
    except SettingsError as error:
        raise SettingsError([dataclasses.replace(each, file=file) for each in error.problems]) from None
    absent = [key for key in WANTED if own.get(key) is None]
    problems = [_problem(key, name, found, file) for key in absent if found.values.get(key) is None]
    if problems:
        raise SettingsError(problems)
    return {**infra, "existing": {**{key: found.values[key] for key in absent}, **own}}


def _problem(key: str, name: str, found: StackOutputs, file: str) -> Problem:
    instead = f"or set infra.existing.{key} in {file}"
    if key in found.secrets:
        rule = f"must not be secret, because {key} is visible in the resources made with it"
        return Problem(
            path=f"output {key} of {name}", value=HIDDEN, rule=rule, remedy=f"export it as a plain output, {instead}"
        )
    rule = f"must be there: infra.existing takes {key} from an output of that name"
    return Problem(path=f"output {key} of {name}", value=None, rule=rule, remedy=f"export it there, {instead}")


def by_command(
    name: str, *, path: str = "infra.existing.stack", remedy: str = _NAMED, instead: str = "write the ids"
) -> StackOutputs:
    """Return the outputs of the stack ``name`` from ``pulumi stack output``, without secrets.

    ``remedy`` is for a stack that Pulumi does not know, ``instead`` is what works where Pulumi is not installed.

    Raises SettingsError about ``path`` if there is no answer within two minutes: a backend may be down, and a command
    that asks for a passphrase would wait for ever.
    """
    told = _told(name)
    if isinstance(told, str):
        rule = f"must be a stack whose outputs can be read, but {told}"
        if shutil.which(COMMAND) is None:
            remedy = f"install Pulumi ({INSTALL}) or {instead}"
        raise SettingsError([Problem(path=path, value=name, rule=rule, remedy=remedy)])
    secrets = frozenset(key for key, value in told.items() if value == HIDDEN)
    return StackOutputs(values={key: told[key] for key in told if key not in secrets}, secrets=secrets)


def _told(name: str) -> dict[str, object] | str:
    """Return the outputs that Pulumi prints for the stack ``name``, or the reason why it prints none."""
    command = shutil.which(COMMAND)
    if command is None:
        return "there is no pulumi command on PATH"
    words = [command, "stack", "output", "--json", "--non-interactive", "--stack", name]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    except OSError as error:
        return f"the pulumi command does not start ({error.strerror})"
    except subprocess.TimeoutExpired:
        return f"the pulumi command did not end within {PATIENCE_SECONDS:g} s"
    if done.returncode != 0:
        return f"pulumi said: {' '.join(done.stderr.split()) or 'no word'}"
    with contextlib.suppress(ValueError):
        if isinstance(told := json.loads(done.stdout), dict):
            return told
    return "the pulumi command did not print a JSON object"
