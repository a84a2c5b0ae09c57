"""The outputs of another stack, in place of the ids of ``infra.existing``. Asks Pulumi, and never AWS."""

import collections.abc
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
_PATIENCE_SECONDS = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """What a stack puts out. ``values`` has nothing of a secret."""

    values: collections.abc.Mapping[str, object]
    secrets: frozenset[str] = frozenset()
    """Names of the outputs that are secret."""


Outputs = collections.abc.Callable[[str], StackOutputs]
"""From a stack's full name to its outputs. Raises SettingsError where they cannot be read."""


def with_outputs(infra: object, outputs: Outputs, *, file: str) -> object:
    """Return the section ``infra`` with the keys that ``existing.stack`` leaves absent taken from that stack's outputs.

    ``stack`` itself is gone then. A section without it is returned as it is. Raises SettingsError for a name that
    cannot be a stack's, and for all outputs that are missing or secret: an id would show in the preview.
    """
    existing = infra.get("existing") if isinstance(infra, dict) else None
    if not isinstance(infra, dict) or not isinstance(existing, dict) or "stack" not in existing:
        return infra
    name, path = existing["stack"], "infra.existing.stack"
    if not isinstance(name, str) or not re.fullmatch(STACK_NAME, name):
        raise SettingsError([Problem(path=path, value=name, rule=rule_of(STACK_NAME), remedy=f"edit {file}")])
    own = {key: value for key, value in existing.items() if key != "stack"}
    found = outputs(name)
    absent = [key for key in WANTED if own.get(key) is None]
    problems = [_problem(key, name, found, file) for key in absent if found.values.get(key) is None]
    if problems:
        raise SettingsError(problems)
    return {**infra, "existing": {**{key: found.values[key] for key in absent}, **own}}


def _problem(key: str, name: str, found: StackOutputs, file: str) -> Problem:
    instead = f"or set infra.existing.{key} in {file}"
    if key in found.secrets:
        rule = f"must not be secret, because {key} shows in what is made with it"
        return Problem(
            path=f"output {key} of {name}", value=HIDDEN, rule=rule, remedy=f"put it out in plain, {instead}"
        )
    rule = f"must be there: infra.existing takes {key} from an output of that name"
    return Problem(path=f"output {key} of {name}", value=None, rule=rule, remedy=f"export it there, {instead}")


def by_command(name: str) -> StackOutputs:
    """Return the outputs of the stack ``name`` as ``pulumi stack output`` tells them, secrets left out."""
    command = shutil.which(COMMAND)
    why = "there is no pulumi command on PATH"
    if command is not None:
        words = [command, "stack", "output", "--json", "--non-interactive", "--stack", name]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
            told = json.loads(done.stdout) if done.returncode == 0 else None
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            told, why = None, f"the pulumi command did not tell them ({type(error).__name__})"
        else:
            why = f"pulumi said: {' '.join(done.stderr.split())}"
        if isinstance(told, dict):
            secrets = frozenset(key for key, value in told.items() if value == HIDDEN)
            return StackOutputs(values={key: told[key] for key in told if key not in secrets}, secrets=secrets)
    rule = f"must be a stack whose outputs can be read, but {why}"
    remedy = "name a stack that `pulumi stack output` knows, or write the ids"
    raise SettingsError([Problem(path="infra.existing.stack", value=name, rule=rule, remedy=remedy)])
