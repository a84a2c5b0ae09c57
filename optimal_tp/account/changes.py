"""One call that changes an account, and the command that makes the same call."""

import collections.abc
import dataclasses
import json
import re
import shlex
import typing

_COMMANDS: typing.Final = {"s3": "s3api"}
"""Services with another name in the ``aws`` command than in boto3."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangingCall:
    """One call that changes AWS, as boto3 names it."""

    service: str
    operation: str
    parameters: collections.abc.Mapping[str, typing.Any]
    shown: str | None = None
    """The command, if it is not the same call."""

    def command(self, region: str) -> str:
        """Return the ``aws`` command that makes this call in ``region``."""
        if self.shown is not None:
            return self.shown
        service = _COMMANDS.get(self.service, self.service)
        words = ["aws", service, self.operation.replace("_", "-"), "--region", region]
        for name, value in self.parameters.items():
            words += [f"--{_dashed(name)}", *_words(value)]
        return " ".join(shlex.quote(word) for word in words)


def call(service: str, operation: str, /, **parameters: object) -> ChangingCall:
    """Return the step for this call; its command makes the same call."""
    return ChangingCall(service=service, operation=operation, parameters=parameters)


def _dashed(name: str) -> str:
    """Return a parameter as the ``aws`` command spells it: ``roleName`` is role-name, ``OpenIDName`` open-id-name."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1-\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", words).lower()


def _words(value: object) -> list[str]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return list(value)
    if isinstance(value, str | int):
        return [str(value)]
    return [json.dumps(value)]
