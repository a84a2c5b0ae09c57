"""Find the results of a stack: in the bucket of its outputs, or in the one that is named. Explain a client's errors.

The commands `watch`, `fetch` and `receipt` use it.
"""

import argparse
import collections.abc
import contextlib
import dataclasses
import pathlib
import typing

import boto3.exceptions
import boto3.session
import botocore.exceptions

from optimal_tp.account.inquiry import session_of
from optimal_tp.account.stack_outputs import by_command
from optimal_tp.cli.terminal.selection import STACK_HELP, selected_stack
from optimal_tp.errors import OptimalTpError, Problem, SettingsError, aws_code
from optimal_tp.settings.stack_config import stack_config

_GONE = {
    "NoSuchBucket": "must be an existing bucket: it was deleted or belongs to another account",
    "AccessDenied": "must be readable with these credentials",
    "ExpiredToken": "must be read with valid credentials; these have expired",
    "ExpiredTokenException": "must be read with valid credentials; these have expired",
    "InvalidAccessKeyId": "must be read with credentials that AWS knows",
    "InvalidClientTokenId": "must be read with credentials that AWS knows",
}
"""Error codes that waiting cannot cure, in words."""
UNREAD: typing.Final = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    boto3.exceptions.Boto3Error,
)
"""The exceptions of an S3 client."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultsPlace:
    """The place of results, with the session that reads them."""

    uri: str
    """``s3://bucket/prefix``, without a slash at its end."""
    session: boto3.session.Session
    profile: str | None
    """The stack's own profile, so that the account that is read is the one that it was made in."""
    outputs: collections.abc.Mapping[str, typing.Any]
    """Outputs of the stack; empty if the bucket was named."""

    @property
    def bucket(self) -> str:
        """Return the name of the bucket."""
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def start(self) -> str:
        """Return the common start of all keys: the prefix and a slash, or nothing."""
        prefix = self.uri.removeprefix("s3://").partition("/")[2]
        return f"{prefix}/" if prefix else ""


def configure_place(parser: argparse.ArgumentParser) -> None:
    """Add the options for the place of the results."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--stack", help=STACK_HELP)
    where.add_argument("--results", metavar="s3://BUCKET/PREFIX", help="where the runs are, without Pulumi")


def place_of(asked: argparse.Namespace) -> ResultsPlace:
    """Return the place of the results that the options name. Raises SettingsError."""
    if asked.results is None:
        stack = selected_stack(asked.stack, pathlib.Path())
        outputs = outputs_of(stack)
        uri, profile = outputs["results_uri"], stack_config(stack, pathlib.Path(), needed=()).profile
    else:
        uri, profile, outputs = asked.results, None, {}
    if not uri.startswith("s3://") or not uri.removeprefix("s3://").strip("/"):
        rule = "must be s3://bucket/prefix"
        raise SettingsError([Problem(path="--results", value=uri, rule=rule, remedy="")])
    return ResultsPlace(uri=uri.rstrip("/"), session=session_of(profile), profile=profile, outputs=outputs)


def outputs_of(stack: str) -> dict[str, typing.Any]:
    """Return the outputs of ``stack`` without secrets, ``results_uri`` among them.

    Raises SettingsError if Pulumi has none.
    """
    instead = "name the bucket with --results s3://bucket/prefix"
    remedy = f"run it in the project's folder or {instead}"
    outputs: dict[str, typing.Any] = dict(by_command(stack, path="--stack", remedy=remedy, instead=instead).values)
    if not isinstance(outputs.get("results_uri"), str):
        rule = "must have the output results_uri, which a finished `pulumi up` leaves"
        raise SettingsError([Problem(path="--stack", value=stack, rule=rule, remedy="run pulumi up or " + remedy)])
    return outputs


@contextlib.contextmanager
def readable(uri: str) -> collections.abc.Iterator[None]:
    """Turn an S3 client's exceptions into one sentence about ``uri``."""
    try:
        yield
    except UNREAD as error:
        raise unreadable(uri, error) from error


def is_final(error: Exception) -> bool:
    """Return whether ``error`` is permanent."""
    return aws_code(error) in _GONE or isinstance(error, botocore.exceptions.NoCredentialsError)


def unreadable(uri: str, error: Exception) -> OptimalTpError:
    """Return why the results at ``uri`` cannot be read."""
    if isinstance(error, botocore.exceptions.NoCredentialsError):
        rule, remedy = "must be read with AWS credentials, but none are set here", "log in or set AWS_PROFILE"
    else:
        rule = _GONE.get(aws_code(error), f"must be readable: {error}")
        remedy = "check the name, the account and its region; `pulumi stack output results_uri` prints the place"
    return SettingsError([Problem(path="results", value=uri, rule=rule, remedy=remedy)])
