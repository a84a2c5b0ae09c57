"""Why AWS cannot be asked at all. What preflight and leftovers find are rows of tables, with tests of their own."""

import http.client
import typing
import unittest.mock

import boto3
import botocore.exceptions

from optimal_tp.account import registry
from optimal_tp.account.inquiry import Clients, clients, require_account
from tests.fakes_messages.told import Case


def refused(error: Exception) -> None:
    """Ask an account that answers with ``error`` who asks."""

    def make(_: str) -> typing.Any:
        return unittest.mock.Mock(get_caller_identity=unittest.mock.Mock(side_effect=error))

    require_account(typing.cast("Clients", make), "ap-southeast-4")


def code(name: str) -> Exception:
    """Return what boto3 raises for an error code."""
    return botocore.exceptions.ClientError({"Error": {"Code": name, "Message": "m"}}, "GetCallerIdentity")


def no_profile() -> None:
    """Ask with a profile that is not there."""
    error = botocore.exceptions.ProfileNotFound(profile="mine")
    with unittest.mock.patch.object(boto3.session, "Session", side_effect=error):
        clients("ap-southeast-4")


def foreign() -> None:
    """Ask a registry that does not speak HTTP."""
    with unittest.mock.patch("urllib.request.urlopen", side_effect=http.client.BadStatusLine("SSH-2.0")):
        registry.fetch("HEAD", "https://registry.example.org/v2/", {})


CASES: typing.Final[tuple[Case, ...]] = (
    lambda _: refused(botocore.exceptions.NoCredentialsError()),
    lambda _: refused(code("SignatureDoesNotMatch")),
    lambda _: refused(code("UnrecognizedClientException")),
    lambda _: refused(code("AccessDenied")),
    lambda _: refused(botocore.exceptions.EndpointConnectionError(endpoint_url="https://sts")),
    lambda _: no_profile(),
    lambda _: foreign(),
)
