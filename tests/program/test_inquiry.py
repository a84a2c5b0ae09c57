"""How AWS is asked, and leftovers against its answers: present, absent, denied, throttled, in pages."""

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
from infra.leftovers.findings import exit_status as leftovers_status
from infra.leftovers.search import search
from infra.settings import parse_infra
from tests.fakes_workloads import EXISTING

STACKS = ("dev", "prod")


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
    """The printed policy of leftovers names the actions of the calls that are made, no more and no fewer."""
    account = Account({})
    for stack in STACKS:
        search(stack_settings(stack), account)
    (statement,) = questions.least_policy(account.asked)["Statement"]

    assert questions.least_policy(questions.LEFTOVERS)["Statement"] == [statement]


@pytest.mark.parametrize(
    "question", dict.fromkeys((*questions.PREFLIGHT, *questions.LEFTOVERS)), ids=lambda each: each.operation
)
def test_every_question_is_a_call_that_aws_knows(question: Question) -> None:
    """Service, operation and the key of the answer are in botocore's model."""
    model = botocore.session.get_session().get_service_model(question.service)
    names = {botocore.xform_name(name): name for name in model.operation_names}
    shape = model.operation_model(names[question.operation]).output_shape

    assert shape is not None
    assert question.key in shape.members


@pytest.mark.parametrize("stack", STACKS)
def test_an_instance_that_is_left_is_found_with_its_command(stack: str) -> None:
    """A running one bills; a terminated one is gone."""
    settings = stack_settings(stack)
    running = {"InstanceId": "i-1", "State": {"Name": "running"}}
    gone = {"InstanceId": "i-2", "State": {"Name": "terminated"}}
    found, unknown = search(settings, Account({"describe_instances": ({"Instances": [running, gone]},)}))

    assert [each.remove for each in found] == [
        f"aws ec2 terminate-instances --region {settings.region} --instance-ids i-1"
    ]
    assert unknown == []
    assert leftovers_status(found, unknown) == 1


def test_what_others_own_is_left_alone() -> None:
    """Names that only begin alike and file systems with other tags are not ours."""
    account = Account(
        {
            "list_dashboards": ({"DashboardName": "optimal-tp-dev-2"},),
            "describe_log_groups": ({"logGroupName": "/aws/eks/optimal-tp-dev/cluster-2"},),
            "describe_file_systems": ({"FileSystemId": "fs-1", "LifeCycleState": "available", "Tags": []},),
        }
    )

    assert search(stack_settings("dev"), account) == ([], [])


def test_nodes_of_a_cluster_that_was_there_are_not_ours() -> None:
    """On an existing cluster only what our node pool launched is looked for: its other nodes are somebody's."""
    asked: list[list[dict[str, object]]] = []

    def ask(question: Question, **words: object) -> Answer:
        if question.service == "ec2":
            asked.append(typing.cast("list[dict[str, object]]", words["Filters"]))
        return ()

    settings = parse_infra(
        {
            "zones": ["ap-southeast-4c", "ap-southeast-4a"],
            "neuron": stack_settings("dev").neuron.model_dump(mode="json"),
            "existing": EXISTING,
        },
        file="Pulumi.dev.yaml",
    )
    search(settings, ask)

    assert len(asked) == 4
    assert all(
        filters
        == [
            {"Name": "tag:eks:eks-cluster-name", "Values": ["theirs"]},
            {"Name": "tag:karpenter.sh/nodepool", "Values": ["neuron-trn-2"]},
        ]
        for filters in asked
    )


def test_each_kind_is_found_and_priced() -> None:
    """A cluster, a gateway, a file system and the rest, with a price where one is known."""
    ours = [{"Key": "project", "Value": "optimal-tp"}, {"Key": "stack", "Value": "dev"}]
    account = Account(
        {
            "describe_volumes": ({"VolumeId": "vol-1", "State": "available"},),
            "describe_network_interfaces": (
                {"NetworkInterfaceId": "eni-1", "Status": "available"},
                {"NetworkInterfaceId": "eni-2", "Status": "in-use"},
            ),
            "describe_launch_templates": ({"LaunchTemplateId": "lt-1"},),
            "describe_capacity_reservations": ({"CapacityReservationId": "cr-1", "State": "active"},),
            "list_dashboards": ({"DashboardName": "optimal-tp-dev"},),
            "describe_cluster": ({"name": "optimal-tp-dev"},),
            "describe_log_groups": ({"logGroupName": "/aws/eks/optimal-tp-dev/cluster"},),
            "describe_nat_gateways": ({"NatGatewayId": "nat-1", "State": "available"},),
            "describe_addresses": ({"AllocationId": "eip-1"},),
            "describe_file_systems": ({"FileSystemId": "fs-1", "LifeCycleState": "available", "Tags": ours},),
        }
    )
    found, _ = search(stack_settings("dev"), account)

    assert {each.name: each.usd_per_month for each in found if each.usd_per_month} == {
        "optimal-tp-dev": pytest.approx(73.0),
        "nat-1": pytest.approx(32.85),
    }
    # The reservation is the user's own, and an interface in use is its instance's: neither is listed.
    assert {each.name for each in found}.isdisjoint({"cr-1", "eni-2"})
    assert len(found) == 9


def test_leftovers_that_nobody_may_ask_for_are_unknown() -> None:
    """Nothing found and nothing known is not clean."""
    denied = Account(dict.fromkeys((each.operation for each in questions.LEFTOVERS), Unknown(reason="no right")))
    found, unknown = search(stack_settings("dev"), denied)

    assert found == []
    assert leftovers_status(found, unknown) == 3


def test_the_policy_is_printed_without_asking(capsys: pytest.CaptureFixture[str]) -> None:
    """It works before anybody has credentials."""
    assert main(["preflight", "--policy"]) == 0
    assert "ec2:DescribeInstanceTypeOfferings" in json.loads(capsys.readouterr().out)["Statement"][0]["Action"]


def test_the_page_states_the_exit_statuses() -> None:
    """Each status of the table is on the page."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "preflight.md").read_text()

    assert [f"| {status} |" in page for status in (0, 1, 2, 3, 5)] == [True] * 5
