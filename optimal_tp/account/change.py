"""The way to AWS that changes it: one call at a time, and a reason where AWS refuses."""

import functools
import typing

import botocore.exceptions

from optimal_tp.account.inquiry import UNREACHED, Clients, unreached
from optimal_tp.account.steps import Step


class Change:
    """Makes calls through ``clients``; makes each client once."""

    def __init__(self, clients: Clients) -> None:
        self._client = functools.cache(clients)

    def __call__(self, step: Step) -> str | None:
        """Make the call. Return None when it was made, else why not, as a part of a sentence."""
        client = self._client(step.service)
        try:
            answer = getattr(client, step.operation)(**step.parameters)
        except botocore.exceptions.ClientError as error:
            told = error.response["Error"]
            return f"{told.get('Code', 'an error without a code')}: {told.get('Message', '')}"
        except UNREACHED as error:
            return unreached(step.service, error)
        return _refused(answer)


def _refused(answer: typing.Any) -> str | None:  # noqa: ANN401 - as AWS answers
    """Return what was refused in an answer that is no error: calls on several things end well for some of them."""
    failed = answer.get("Errors") or answer.get("FailedEntries") or answer.get("Unsuccessful")
    return None if not failed else f"refused in part: {failed[0]}"
