"""The way to AWS that changes it: one call at a time, and a reason where AWS refuses."""

import typing

import botocore.exceptions
import botocore.parsers

from infra.account.inquiry import Clients
from infra.account.step import Step


class Change:
    """Makes calls through ``clients``; makes each client once."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._made: dict[str, typing.Any] = {}

    def __call__(self, step: Step) -> str | None:
        """Make the call. Return None when it was made, else why not, as a part of a sentence."""
        if step.service not in self._made:
            self._made[step.service] = self._clients(step.service)
        try:
            answer = getattr(self._made[step.service], step.operation)(**step.parameters)
        except botocore.exceptions.ClientError as error:
            told = error.response["Error"]
            return f"{told.get('Code', 'an error without a code')}: {told.get('Message', '')}"
        except botocore.exceptions.BotoCoreError as error:
            return f"{step.service} cannot be reached ({type(error).__name__})"
        except botocore.parsers.ResponseParserError:
            return f"{step.service} answered what is no answer of AWS: a proxy, perhaps"
        return _refused(answer)


def _refused(answer: typing.Any) -> str | None:  # noqa: ANN401 - as AWS answers
    """Return what was refused in an answer that is no error: calls on several things end well for some of them."""
    failed = answer.get("Errors") or answer.get("FailedEntries") or answer.get("Unsuccessful")
    return None if not failed else f"refused in part: {failed[0]}"
