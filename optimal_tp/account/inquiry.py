"""Call AWS: read-only questions with all pages of their answers, the caller's identity, and single changes."""

import dataclasses
import functools
import typing

import boto3
import botocore.config
import botocore.exceptions
import botocore.parsers

from optimal_tp.account.changes import ChangingCall
from optimal_tp.account.questions import IDENTITY, Answer, Question, Unknown
from optimal_tp.errors import OptimalTpError, aws_code

# S3 answers a HEAD without a body, so its only code is the status.
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403")
_THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown")
_CLOCK = ("RequestTimeTooSkewed", "SignatureDoesNotMatch", "RequestExpired")
_REFUSED = ("AuthFailure", "UnrecognizedClientException", "InvalidClientTokenId")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException")
_CONFIG = botocore.config.Config(
    retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=20
)
_PRICING_REGION = "us-east-1"
"""The Pricing API has endpoints in few regions; this one has the prices of the whole partition."""

UNREACHED: typing.Final = (botocore.exceptions.BotoCoreError, botocore.parsers.ResponseParserError)
"""The exceptions of a call that AWS did not answer."""

Clients = typing.Callable[[str], typing.Any]
"""Service to client; a seam for tests."""


class AccountUnreachable(OptimalTpError):  # noqa: N818 - reads as what happened
    """AWS cannot be called: no credentials, a refused key, a wrong clock, or no network."""


def session_of(profile: str | None) -> boto3.session.Session:
    """Return a session of ``profile``; None: the environment's. Raises AccountUnreachable if there is no such profile.

    A named profile takes precedence over keys in the environment, as in Pulumi's AWS provider.
    """
    try:
        return boto3.session.Session(profile_name=profile)
    except botocore.exceptions.BotoCoreError as error:
        other = "AWS_PROFILE" if profile is None else "aws:profile"
        raise AccountUnreachable(f"cannot connect to AWS: {error}; choose another {other}") from None


def clients(region: str, session: boto3.session.Session) -> Clients:
    """Return clients of ``region`` with the credentials of ``session``."""

    def client(service: str) -> typing.Any:  # noqa: ANN401 - every service has a class of its own
        """Return the client of ``service``; prices have a region of their own."""
        place = _PRICING_REGION if service == "pricing" else region
        return session.client(service, region_name=place, config=_CONFIG)  # type: ignore[call-overload]

    return client


def unreached(service: str, error: Exception) -> str:
    """Return the reason for one of UNREACHED, as part of a sentence."""
    if isinstance(error, botocore.parsers.ResponseParserError):
        return f"{service} sent an answer that AWS never sends: check for a proxy"
    return f"{service} cannot be reached ({type(error).__name__})"


class Inquiry:
    """Asks AWS questions through ``clients``; creates each client once."""

    def __init__(self, clients: Clients) -> None:
        self._client = functools.cache(clients)

    def __call__(self, question: Question, **parameters: object) -> Answer:
        """Return the answer to ``question`` from all pages, or the reason why there is none."""
        try:
            return self._found(question, parameters)
        except botocore.exceptions.ClientError as error:
            code = aws_code(error)
            return () if code in question.absent else Unknown(reason=_reason(question, code))
        except UNREACHED as error:
            return Unknown(reason=unreached(question.service, error))

    def _found(self, question: Question, parameters: dict[str, object]) -> Answer:
        client = self._client(question.service)
        if client.can_paginate(question.operation):
            pages = client.get_paginator(question.operation).paginate(**parameters)
            return tuple(entry for page in pages for entry in page.get(question.key, []))
        response = getattr(client, question.operation)(**parameters)
        if question.key not in response and question.leaves_out:
            return ()
        if question.key not in response:
            # An empty answer would be good news where the question is whether a name is free.
            return Unknown(reason=f"the answer of {question.service} has no {question.key}")
        found = response[question.key]
        return tuple(found) if isinstance(found, list) else (found,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caller:
    """The identity behind the credentials."""

    account: str
    """12 digits."""
    arn: str
    """ARN of the user, or of the role's session."""


def require_caller(make: Clients, region: str) -> Caller:
    """Return the caller's identity. Raises AccountUnreachable with one sentence if AWS does not tell."""
    try:
        told = make(IDENTITY.service).get_caller_identity()
        return Caller(account=str(told["Account"]), arn=str(told["Arn"]))
    except botocore.exceptions.NoCredentialsError:
        what = "there are no AWS credentials; run `aws configure` or `aws sso login`, or set AWS_PROFILE"
    except botocore.exceptions.ClientError as error:
        what = _refusal(aws_code(error), region)
    except botocore.exceptions.BotoCoreError as error:
        what = f"cannot connect to AWS in {region} ({type(error).__name__}); check credentials, network and region"
    raise AccountUnreachable(what)


def _refusal(code: str, region: str) -> str:
    if code in _CLOCK:
        return f"AWS rejects the signature ({code}); set this machine's clock or renew the credentials"
    if code in _EXPIRED:
        return f"the AWS credentials have expired ({code}); renew them, for example with `aws sso login`"
    if code in _REFUSED:
        return (
            f"AWS does not know these credentials in {region} ({code}); renew them, or enable the region for the "
            "account if it is opt-in"
        )
    return f"AWS did not identify the caller in {region} ({code}); check the credentials"


def _reason(question: Question, code: str) -> str:
    if code in _DENIED:
        return f"not allowed to call {question.action} ({code})"
    if code in _THROTTLED:
        return f"{question.service} still throttles after five tries ({code})"
    return f"{question.service} answered {code or 'an error without a code'}"


class ChangingClient:
    """Makes changes through ``clients``; creates each client once."""

    def __init__(self, clients: Clients) -> None:
        self._client = functools.cache(clients)

    def __call__(self, step: ChangingCall) -> str | None:
        """Make the call. Return None on success, else the reason, as part of a sentence."""
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
    """Return the refused part of a successful answer: a call on several things may succeed for only some of them."""
    failed = answer.get("Errors") or answer.get("FailedEntries") or answer.get("Unsuccessful")
    return None if not failed else f"refused in part: {failed[0]}"
