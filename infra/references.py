"""Read the outputs of another stack from the Pulumi engine that runs this program."""

import pulumi

from optimal_tp.account.stack_outputs import StackOutputs

_QUESTION = "pulumi:pulumi:readStackOutputs"
"""A call that the engine answers itself; a StackReference would resolve too late for the plan of a preview."""


def stack_outputs(name: str) -> StackOutputs:
    """Return the outputs of the stack ``name`` without the values of secrets. The engine refuses unknown stacks."""
    answer = pulumi.runtime.invoke(_QUESTION, {"name": name}).value
    secrets = frozenset(answer.get("secretOutputNames") or ())
    values = {key: value for key, value in (answer.get("outputs") or {}).items() if key not in secrets}
    return StackOutputs(values=values, secrets=secrets)
