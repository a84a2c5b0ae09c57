"""What the program asks of the Pulumi engine that runs it: where its project lies, and another stack's outputs."""

import os

import pulumi

from optimal_tp.account.stack_outputs import StackOutputs

_QUESTION = "pulumi:pulumi:readStackOutputs"
"""A call that the engine answers itself; a StackReference would resolve too late for the plan of a preview."""


def enter_project() -> str:
    """Make the project's folder the current one and return it: a stack file's relative paths begin there.

    Commands run there too. Pulumi starts the program in its own folder, which may be another one.
    """
    folder = pulumi.get_root_directory()
    os.chdir(folder)
    return folder


def stack_outputs(name: str) -> StackOutputs:
    """Return the outputs of the stack ``name`` without the values of secrets. The engine refuses unknown stacks."""
    answer = pulumi.runtime.invoke(_QUESTION, {"name": name}).value
    secrets = frozenset(answer.get("secretOutputNames") or ())
    values = {key: value for key, value in (answer.get("outputs") or {}).items() if key not in secrets}
    return StackOutputs(values=values, secrets=secrets)
