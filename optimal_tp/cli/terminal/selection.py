"""Find the stack of a command: the named one, that of OPTIMAL_TP_STACK, or the one that Pulumi has selected."""

import os
import pathlib
import shutil
import subprocess
import typing

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.settings.stack_config import known_stacks

VARIABLE: typing.Final = "OPTIMAL_TP_STACK"
STACK_HELP: typing.Final = f"the stack (default: {VARIABLE}, or the one that Pulumi has selected)"
_PATIENCE_SECONDS = 30.0


def selected_stack(named: str | None, folder: pathlib.Path) -> str:
    """Return ``named``, else the stack of the environment, else Pulumi's selection in ``folder``.

    Raises SettingsError if there is none.
    """
    found = named or os.environ.get(VARIABLE) or _by_pulumi(folder)
    if found is not None:
        return found
    known = known_stacks(folder)
    remedy = f"stacks here: {', '.join(known)}" if known else "optimal-tp init writes a stack file"
    rule = f"must be set, unless {VARIABLE} or `pulumi stack select` names a stack"
    raise SettingsError([Problem(path="--stack", value=None, rule=rule, remedy=remedy)])


def _by_pulumi(folder: pathlib.Path) -> str | None:
    command = shutil.which("pulumi")
    if command is None:
        return None
    words = [command, "stack", "--show-name", "--non-interactive"]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
