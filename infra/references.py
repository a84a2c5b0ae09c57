"""The outputs of another stack, asked of the engine that runs this program."""

import pulumi

from optimal_tp.account.stack_outputs import StackOutputs

_QUESTION = "pulumi:pulumi:readStackOutputs"
"""A question that the engine answers itself; a StackReference resolves too late for what a preview plans with."""


def stack_outputs(name: str) -> StackOutputs:
    """Return what the stack ``name`` puts out, without the values of its secrets. The engine refuses unknown stacks."""
    answer = pulumi.runtime.invoke(_QUESTION, {"name": name}).value
    secrets = frozenset(answer.get("secretOutputNames") or ())
    values = {key: value for key, value in (answer.get("outputs") or {}).items() if key not in secrets}
    return StackOutputs(values=values, secrets=secrets)
