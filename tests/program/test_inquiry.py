"""Preflight against answers of AWS: present, absent, denied, throttled, in pages."""

import datetime as dt
import json
import pathlib
import typing

import boto3
import botocore.exceptions
import botocore.session
import botocore.stub
import pytest

from infra.__main__ import main, stack_settings
from infra.account import questions
from infra.account.inquiry import AccountUnreachable, Inquiry, require_account
from infra.account.questions import Answer, Question, Unknown
from infra.preflight import rows
from infra.preflight.checks import checks
from infra.settings import InfraSettings

STACKS = ("dev", "prod")
NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


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


class Account:
    """Answers each question as ``answers`` says, by operation; records what was asked."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers, self.asked = answers, set[Question]()

    def __call__(self, question: Question, **_: object) -> Answer:
        """Return the planted answer."""
        self.asked.add(question)
        return self.answers.get(question.operation, ())


def ready(stack: str) -> tuple[InfraSettings, Account]:
    """Return settings with the examples replaced, and an account in which all is well."""
    settings = stack_settings(stack)
    neuron = settings.neuron.model_copy(update={"reservation_ids": ("cr-1",)})
    plane = settings.control_plane.model_copy(update={"public_access_cidrs": ("198.18.0.0/24",)})
    settings = settings.model_copy(update={"neuron": neuron, "control_plane": plane})
    reservation = {
        "State": "active",
        "InstanceType": neuron.instance_type,
        "AvailabilityZone": neuron.zones[0],
        "TotalInstanceCount": 4,
        "AvailableInstanceCount": 4,
    }
    answers: dict[str, Answer] = {
        "describe_instance_type_offerings": tuple({"Location": zone} for zone in neuron.zones),
        "get_service_quota": ({"Value": 1000.0},),
        "describe_capacity_reservations": (reservation,),
        "get_parameter": ({"Value": "ami-1"},),
        "describe_cluster_versions": ({"endOfStandardSupportDate": dt.datetime(2027, 3, 27, tzinfo=dt.UTC)},),
        "describe_addon_versions": ({"addonVersions": [{"addonVersion": "v1"}]},),
    }
    return settings, Account(answers)


def states(settings: InfraSettings, account: Account, aws: str | None = "/usr/bin/aws") -> dict[str, str]:
    """Return the state of each check."""
    return {row.check: row.state for row in checks(settings, account, now=NOW, aws_command=aws)}


@pytest.mark.parametrize("stack", STACKS)
def test_an_account_in_which_all_is_well_is_green(stack: str) -> None:
    """Every check can be fine."""
    settings, account = ready(stack)
    found = checks(settings, account, now=NOW, aws_command="/usr/bin/aws")

    assert {row.check: row.found for row in found if row.state != "fine"} == {}
    assert rows.exit_status(found) == 0


@pytest.mark.parametrize("stack", STACKS)
def test_an_empty_account_is_red(stack: str) -> None:
    """What is asked for and absent is wrong; a quota that nobody knows is unknown."""
    settings, _ = ready(stack)
    found = states(settings, Account({}), aws=None)
    fine = {check for check, state in found.items() if state == "fine"}

    assert fine == {
        "image and AMI",
        "name of the cluster",
        "name of the log group",
        "access to the API server",
        "price",
    }
    assert found["aws command"] == "wrong"


@pytest.mark.parametrize("stack", STACKS)
def test_what_nobody_may_ask_is_never_fine(stack: str) -> None:
    """Without any right every check that asks AWS is unknown."""
    settings, account = ready(stack)
    denied = Account(dict.fromkeys((each.operation for each in questions.PREFLIGHT), Unknown(reason="no right")))
    fine = {check for check, state in states(settings, denied).items() if state == "fine"}

    assert fine == {"image and AMI", "access to the API server", "aws command"}
    assert len(states(settings, account)) >= len(fine)


@pytest.mark.parametrize(
    ("operation", "answer", "check", "state"),
    [
        ("describe_instance_type_offerings", ({"Location": "us-east-2a"},), "trn2.48xlarge offered", "wrong"),
        ("get_service_quota", ({"Value": 191.0},), "quota L-2C3B7624 (on-demand)", "wrong"),
        ("describe_cluster", ({"name": "optimal-tp-prod"},), "name of the cluster", "warning"),
        (
            "describe_log_groups",
            ({"logGroupName": "/aws/eks/optimal-tp-prod/cluster"},),
            "name of the log group",
            "warning",
        ),
        (
            "describe_log_groups",
            ({"logGroupName": "/aws/eks/optimal-tp-prod/cluster-2"},),
            "name of the log group",
            "fine",
        ),
        (
            "describe_cluster_versions",
            ({"endOfStandardSupportDate": dt.datetime(2026, 12, 2, tzinfo=dt.UTC)},),
            "Kubernetes 1.35",
            "warning",
        ),
        (
            "get_products",
            (json.dumps({"terms": {"OnDemand": {"a": {"priceDimensions": {"b": {"pricePerUnit": {"USD": "99"}}}}}}}),),
            "price",
            "warning",
        ),
    ],
)
def test_each_check_can_be_red(operation: str, answer: Answer, check: str, state: str) -> None:
    """One answer that is not as it must be turns its own check; a neighbour's name does not."""
    settings, account = ready("prod")
    account.answers[operation] = answer

    assert states(settings, account)[check] == state


@pytest.mark.parametrize(
    "wrong", [{"State": "expired"}, {"InstanceType": "trn2.3xlarge"}, {"AvailabilityZone": "x"}, {"EndDate": NOW}]
)
def test_a_reservation_that_does_not_fit_is_wrong(wrong: dict[str, object]) -> None:
    """State, type, zone and end all count."""
    settings, account = ready("prod")
    (entry,) = typing.cast("tuple[dict[str, object]]", account.answers["describe_capacity_reservations"])
    account.answers["describe_capacity_reservations"] = ({**entry, **wrong},)

    assert states(settings, account)["reservation cr-1"] == "wrong"


def test_a_reservation_smaller_than_the_limit_is_told() -> None:
    """Two nodes wanted, one reserved, nothing else allowed."""
    settings, account = ready("dev")
    (entry,) = typing.cast("tuple[dict[str, object]]", account.answers["describe_capacity_reservations"])
    account.answers["describe_capacity_reservations"] = ({**entry, "AvailableInstanceCount": 1},)

    assert states(settings, account)["reserved instances"] == "warning"


def test_the_examples_of_the_stack_file_are_told() -> None:
    """A reservation and a network that are only examples are wrong, whatever AWS says."""
    _, account = ready("dev")
    found = states(stack_settings("dev"), account)

    assert found["reservation cr-0123456789abcdef0"] == "wrong"
    assert found["access to the API server"] == "wrong"


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


def test_the_policy_is_what_is_asked() -> None:
    """The printed policy names the actions of the calls that are made, no more and no fewer."""
    account = Account({})
    for stack in STACKS:
        states(ready(stack)[0], account)
    (statement,) = questions.least_policy(account.asked)["Statement"]

    assert questions.least_policy(questions.PREFLIGHT)["Statement"] == [statement]


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
