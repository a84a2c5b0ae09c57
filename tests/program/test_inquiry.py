"""How AWS is asked: present, absent, denied, throttled, in pages, and who cannot ask at all."""

import json
import pathlib
import typing

import boto3
import botocore.exceptions
import botocore.session
import botocore.stub
import pytest

from infra.__main__ import main
from infra.account import questions
from infra.account.inquiry import AccountUnreachable, Inquiry, require_account
from infra.account.questions import Question, Unknown


def stub(service: str, operation: str, response: dict[str, typing.Any] | str) -> typing.Any:
    """Return a real client whose one answer is ``response``, or the error with that code."""
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "x")
    client = boto3.client(service, region_name="us-east-2", **keys)  # type: ignore[call-overload]
    stubber = botocore.stub.Stubber(client)
    if isinstance(response, str):
        stubber.add_client_error(operation, service_error_code=response)
    else:
        stubber.add_response(operation, response)
    stubber.activate()
    return client


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("UnauthorizedOperation", "no right to ec2:DescribeVolumes (UnauthorizedOperation)"),
        ("RequestLimitExceeded", "ec2 asks to slow down, after five tries (RequestLimitExceeded)"),
        ("InternalError", "ec2 answered InternalError"),
    ],
)
def test_an_error_is_unknown(code: str, reason: str) -> None:
    """Denied, throttled and broken are told apart, and none is an empty answer."""
    ask = Inquiry(lambda _: stub("ec2", "describe_volumes", code))

    assert ask(questions.VOLUMES) == Unknown(reason=reason)


def test_absent_is_an_empty_answer() -> None:
    """A cluster that is not there is no error."""
    ask = Inquiry(lambda _: stub("eks", "describe_cluster", "ResourceNotFoundException"))

    assert ask(questions.CLUSTER, name="x") == ()


def test_every_page_is_read() -> None:
    """What stands on the second page is found."""
    client = stub("ec2", "describe_volumes", {"Volumes": []})
    pages = iter([{"Volumes": [1], "NextToken": "n"}, {"Volumes": [2]}])
    client._make_api_call = lambda *_: next(pages)

    assert Inquiry(lambda _: client)(questions.VOLUMES) == (1, 2)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "RequestTimeTooSkewed",
            "AWS refuses the signature (RequestTimeTooSkewed); set this machine's clock, or renew the credentials",
        ),
        (
            "UnrecognizedClientException",
            (
                "AWS does not know these credentials in us-east-2 (UnrecognizedClientException); renew them, or enable "
                "the region for the account if it is opt-in"
            ),
        ),
    ],
)
def test_who_cannot_ask_is_told_in_a_sentence(code: str, sentence: str) -> None:
    """A wrong clock and a region that is not enabled."""
    with pytest.raises(AccountUnreachable) as error:
        require_account(lambda _: stub("sts", "get_caller_identity", code), "us-east-2")

    assert str(error.value) == sentence


def test_no_credentials_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with status 5."""

    class Nobody:
        def get_caller_identity(self) -> None:
            raise botocore.exceptions.NoCredentialsError

    assert main(["preflight", "--stack", "dev"], lambda _: Nobody()) == 5
    assert capsys.readouterr().err == (
        "there are no AWS credentials; run `aws configure` or `aws sso login`, or set AWS_PROFILE\n"
    )


def test_an_unknown_stack_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """The stacks that there are stand in the remedy."""
    assert main(["leftovers", "--stack", "stage"]) == 2
    assert capsys.readouterr().err == (
        "--stack is 'stage'; it names a readable file (No such file or directory); name one of: dev, prod\n"
    )


@pytest.mark.parametrize("question", questions.PREFLIGHT, ids=lambda each: each.operation)
def test_every_question_is_a_call_that_aws_knows(question: Question) -> None:
    """Service, operation and the key of the answer are in botocore's model."""
    model = botocore.session.get_session().get_service_model(question.service)
    names = {botocore.xform_name(name): name for name in model.operation_names}
    shape = model.operation_model(names[question.operation]).output_shape

    assert shape is not None
    assert question.key in shape.members


def test_the_policy_is_printed_without_asking(capsys: pytest.CaptureFixture[str]) -> None:
    """It works before anybody has credentials."""
    assert main(["preflight", "--policy"]) == 0
    assert "ec2:DescribeInstanceTypeOfferings" in json.loads(capsys.readouterr().out)["Statement"][0]["Action"]


def test_the_page_states_the_exit_statuses() -> None:
    """Each status of the table is on the page."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "preflight.md").read_text()

    assert [f"| {status} |" in page for status in (0, 1, 2, 3, 5)] == [True] * 5
