"""What leftovers says of each thing: does it bill, how much, is it kept; and what it says where nobody can tell."""

import dataclasses
import json
import pathlib
import re
import typing

import boto3
import botocore.session
import botocore.stub
import pytest
import yaml

from optimal_tp.account import questions as shared
from optimal_tp.account.changes import ChangingCall
from optimal_tp.account.inquiry import Inquiry
from optimal_tp.account.leftovers import monthly_prices, questions
from optimal_tp.account.leftovers.kinds import Kind, Leftover, exit_status
from optimal_tp.account.leftovers.scope import Scope, is_made_of
from optimal_tp.account.leftovers.search import KINDS, LEFTOVERS, look_for, search
from optimal_tp.account.questions import Answer, Question, Unknown
from optimal_tp.cli import leftovers
from optimal_tp.cli.leftovers import stack_scope
from optimal_tp.errors import SettingsError
from optimal_tp.settings.infra import parse_infra
from optimal_tp.settings.stack_config import stack_config
from tests.fakes_command import asked
from tests.fakes_leftovers import account, scope
from tests.fakes_stack_files import EXISTING, ROOT
from tests.fakes_whole import everything

_SESSION = botocore.session.get_session()
BY_NAME = {kind.name: kind for kind in KINDS}


class Planted:
    """Answers each question as planted, and nothing to the others; keeps what was asked."""

    def __init__(self, answers: dict[Question, Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[Question, dict[str, typing.Any]]] = []

    def __call__(self, question: Question, **parameters: object) -> Answer:
        """Return the planted answer."""
        self.asked.append((question, parameters))
        return self.answers.get(question, ())


def only(kind: str, answers: dict[Question, Answer], at: Scope | None = None) -> Leftover:
    """Return the one thing of ``kind`` that is found among ``answers``."""
    found, unknown = look_for(BY_NAME[kind], scope("dev") if at is None else at, Planted(answers))
    (one,) = found

    assert unknown == []
    return one


def tags(at: Scope) -> list[dict[str, str]]:
    """Return the stack's tags as AWS answers them."""
    return [{"Key": key, "Value": value} for key, value in at.settings.tags.items()]


OURS = tags(scope("dev"))
NEURON = {"InstanceId": "i-1", "InstanceType": "trn2.3xlarge", "State": {"Name": "running"}}
SYSTEM = {**NEURON, "InstanceType": "m7i.large"}
OTHER = {**NEURON, "InstanceType": "x9.large"}
STOPPED = {**NEURON, "State": {"Name": "stopped"}}
FILES = {"FileSystemId": "fs-1", "LifeCycleState": "available", "Tags": OURS, "SizeInBytes": {"Value": 100 * 10**9}}
INTERFACE = {"VpcEndpointId": "vpce-1", "State": "available", "VpcEndpointType": "Interface", "SubnetIds": ["a", "b"]}
BLOCK = {
    "CapacityReservationId": "cr-1",
    "State": "active",
    "InstanceType": "trn2.3xlarge",
    "TotalInstanceCount": 2,
    "ReservationType": "capacity-block",
}
BOARDS = [{"DashboardName": name} for name in ("optimal-tp-dev", "b", "c", "d")]
FIFTY = json.dumps({"widgets": [{"properties": {"metrics": [["n", "m"]] * 50 + [[{"expression": "e"}]]}}]})
FIFTY_ONE = json.dumps({"widgets": [{"properties": {"metrics": [["n", "m"]] * 51}}]})
VOLUME = {"VolumeId": "vol-1", "State": "in-use", "Size": 200, "VolumeType": "gp3"}
ALARM = {"AlarmName": "optimal-tp-dev-void-tp1"}


@pytest.mark.parametrize(
    ("kind", "answers", "bills", "usd_per_month"),
    [
        ("instance", {questions.INSTANCES: ({"Instances": [NEURON]},)}, True, 2.25 * 730),
        ("instance", {questions.INSTANCES: ({"Instances": [SYSTEM]},)}, True, 0.1008 * 730),
        ("instance", {questions.INSTANCES: ({"Instances": [OTHER]},)}, True, None),
        ("instance", {questions.INSTANCES: ({"Instances": [STOPPED]},)}, False, 0),
        ("cluster", {questions.CLUSTER: ({"name": "optimal-tp-dev"},)}, True, 73),
        ("volume", {questions.VOLUMES: (VOLUME,)}, True, 16),
        ("volume", {questions.VOLUMES: ({**VOLUME, "VolumeType": "io2"},)}, True, None),
        ("snapshot", {questions.SNAPSHOTS: ({"SnapshotId": "snap-1", "VolumeSize": 200},)}, True, 10),
        (
            "snapshot",
            {questions.SNAPSHOTS: ({"SnapshotId": "snap-1", "VolumeSize": 200, "StorageTier": "archive"},)},
            True,
            None,
        ),
        (
            "log group",
            {questions.LOG_GROUPS: ({"logGroupName": "/aws/eks/optimal-tp-dev/cluster", "storedBytes": 10**10},)},
            True,
            0.3,
        ),
        ("launch template", {questions.TEMPLATES: ({"LaunchTemplateId": "lt-1"},)}, False, 0),
        ("capacity reservation", {questions.RESERVATIONS: (BLOCK,)}, False, 0),
        (
            "capacity reservation",
            {questions.RESERVATIONS: ({**BLOCK, "ReservationType": "default"},)},
            True,
            2 * 2.25 * 730,
        ),
        ("NAT gateway", {questions.NAT_GATEWAYS: ({"NatGatewayId": "nat-1", "State": "available"},)}, True, 32.85),
        ("Elastic IP", {questions.ADDRESSES: ({"AllocationId": "eip-1"},)}, True, 3.65),
        ("VPC endpoint", {questions.ENDPOINTS: (INTERFACE,)}, True, 14.6),
        ("VPC endpoint", {questions.ENDPOINTS: ({**INTERFACE, "VpcEndpointType": "Gateway"},)}, False, 0),
        ("VPC endpoint", {questions.ENDPOINTS: ({**INTERFACE, "VpcEndpointType": "Resource"},)}, True, None),
        ("network interface", {questions.INTERFACES: ({"NetworkInterfaceId": "e", "Status": "available"},)}, False, 0),
        ("file system", {questions.FILE_SYSTEMS: (FILES,)}, True, 30),
        ("file system", {questions.FILE_SYSTEMS: ({**FILES, "SizeInBytes": {}},)}, True, None),
        ("log group", {questions.LOG_GROUPS: ({"logGroupName": "/aws/eks/optimal-tp-dev/cluster"},)}, True, None),
        (
            "log group",
            {questions.LOG_GROUPS: ({"logGroupName": "/aws/eks/optimal-tp-dev/cluster", "storedBytes": 0},)},
            False,
            0,
        ),
        ("dashboard", {questions.DASHBOARDS: tuple(BOARDS[:3]), questions.DASHBOARD: (FIFTY,)}, False, 0),
        ("dashboard", {questions.DASHBOARDS: tuple(BOARDS[:3]), questions.DASHBOARD: (FIFTY_ONE,)}, True, 3),
        ("dashboard", {questions.DASHBOARDS: tuple(BOARDS), questions.DASHBOARD: (FIFTY,)}, True, 3),
        ("dashboard", {questions.DASHBOARDS: tuple(BOARDS[:3])}, None, 3),
        ("alarm", {questions.ALARMS: (ALARM, *({"AlarmName": f"x{n}"} for n in range(9)))}, None, 0.1),
        ("alarm", {questions.ALARMS: (ALARM, *({"AlarmName": f"x{n}"} for n in range(10)))}, True, 0.1),
        (
            "alarm",
            {questions.ALARMS: (ALARM, {"AlarmName": "x", "Metrics": [{"MetricStat": {}}] * 10})},
            True,
            0.1,
        ),
        (
            "key",
            {questions.TAGGED: ({"ResourceARN": "k"},), questions.KEY: ({"KeyId": "k", "KeyState": "Enabled"},)},
            True,
            1,
        ),
    ],
)
def test_what_each_thing_costs(
    *, kind: str, answers: dict[Question, Answer], bills: bool | None, usd_per_month: float | None
) -> None:
    """What is free does not bill, what may be free is in doubt, and a price that nobody knows is None, never 0."""
    found = only(kind, answers)

    assert found.bills is bills
    assert found.usd_per_month == pytest.approx(usd_per_month)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (Leftover(kind="x", name="y"), "costs nothing"),
        (Leftover(kind="x", name="y", bills=True), "bills, price not known here"),
        (Leftover(kind="x", name="y", bills=None), "may bill, price not known here"),
        (Leftover(kind="x", name="y", bills=True, price=monthly_prices.KEY), "1.00 USD a month"),
        (Leftover(kind="x", name="y", bills=None, price=monthly_prices.KEY), "at most 1.00 USD a month"),
        (
            Leftover(kind="x", name="y", bills=True, price=monthly_prices.KEY, is_at_most=True),
            "at most 1.00 USD a month",
        ),
        (Leftover(kind="x", name="y", bills=True, price=monthly_prices.KEY.times(0.001)), "less than 0.01 USD a month"),
    ],
)
def test_the_cost_in_words(left: Leftover, words: str) -> None:
    """Nothing is free that is only unknown, and what is an upper bound is called one."""
    assert left.cost() == words


def test_every_price_has_a_source_and_a_day() -> None:
    """A figure without them is a rumour."""
    known = [each for each in vars(monthly_prices).values() if isinstance(each, monthly_prices.MonthlyPrice)]

    assert len(known) == 12
    assert [each for each in known if not each.source or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", each.date)] == []


@pytest.mark.parametrize(
    ("state", "answers", "kind"),
    [
        ("terminated", {questions.INSTANCES: ({"Instances": [{**NEURON, "State": {"Name": "terminated"}}]},)}, None),
        (
            "shutting-down",
            {questions.INSTANCES: ({"Instances": [{**NEURON, "State": {"Name": "shutting-down"}}]},)},
            None,
        ),
        ("deleting", {questions.NAT_GATEWAYS: ({"NatGatewayId": "nat-1", "State": "deleting"},)}, None),
        ("deleted", {questions.NAT_GATEWAYS: ({"NatGatewayId": "nat-1", "State": "deleted"},)}, None),
        ("expired", {questions.RESERVATIONS: ({**BLOCK, "State": "expired"},)}, None),
        ("in use", {questions.INTERFACES: ({"NetworkInterfaceId": "eni-1", "Status": "in-use"},)}, None),
        (
            "a service's own",
            {questions.INTERFACES: ({"NetworkInterfaceId": "e", "Status": "available", "RequesterManaged": True},)},
            None,
        ),
        (
            "a key that waits for its deletion",
            {
                questions.TAGGED: ({"ResourceARN": "k"},),
                questions.KEY: ({"KeyId": "k", "KeyState": "PendingDeletion"},),
            },
            None,
        ),
    ],
)
def test_what_is_gone_or_going_is_not_left(state: str, answers: dict[Question, Answer], kind: None) -> None:
    """AWS goes on listing things for a while after they are gone."""
    assert (search(scope("dev"), Planted(answers)), state, kind) == (([], []), state, None)


@pytest.mark.parametrize(("on_destroy", "status"), [("keep", 0), ("delete", 1)])
def test_a_bucket_is_kept_by_its_setting(on_destroy: str, status: int) -> None:
    """A bucket that is kept on purpose is shown as kept, with its cost, and is no reason for alarm."""
    at = Scope(settings=scope("dev").settings, bucket="mine", keeps_bucket=on_destroy == "keep")
    answers: dict[Question, Answer] = {
        questions.BUCKETS: ({"Name": "mine"}, {"Name": "results-bucket-1a2b3c4"}),
        questions.BUCKET_TAGS: tuple(OURS),
        questions.VERSIONS: ({"Key": "a", "VersionId": "1", "Size": 10**9},),
    }
    found, unknown = search(at, Planted(answers))
    (bucket,) = found

    assert (bucket.name, bucket.is_kept, bucket.cost()) == ("mine", status == 0, "0.02 USD a month")
    assert exit_status(found, unknown) == status


def test_an_empty_bucket_costs_nothing() -> None:
    """What is in it bills; where nobody may look into it, that is unknown, and it counts."""
    answers: dict[Question, Answer] = {
        questions.BUCKETS: ({"Name": "results-bucket-1a2b3c4"},),
        questions.BUCKET_TAGS: tuple(OURS),
    }
    hidden, unknown = search(scope("dev"), Planted({**answers, questions.VERSIONS: Unknown(reason="no right")}))

    assert only("bucket", answers).bills is False
    assert ([each.cost() for each in hidden], unknown) == (["bills, price not known here"], ["buckets: no right"])


def scope_with(folder: pathlib.Path, **sections: object) -> Scope:
    """Return the scope of the dev stack's file with other ``sections``."""
    content = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
    content["config"] |= {f"optimal-tp:{name}": section for name, section in sections.items()}
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return stack_scope(stack_config("dev", folder))


def test_an_unknown_word_for_the_bucket_is_refused(tmp_path: pathlib.Path) -> None:
    """A typo must not let a bucket be deleted."""
    with pytest.raises(SettingsError) as error:
        scope_with(tmp_path, loadtest={"results": {"on_destroy": "keeep"}})

    assert str(error.value) == (
        "Pulumi.dev.yaml loadtest.results.on_destroy: must be one of keep, delete (got 'keeep'); did you mean 'keep'?"
    )


def test_what_is_left_is_told_whatever_the_experiment_has_become(
    tmp_path: pathlib.Path,
) -> None:
    """The bucket's own section is all that is read of it."""
    found = scope_with(tmp_path, workloads="nonsense", loadtest={"results": {"on_destroy": "delete", "bucket": "mine"}})

    assert (found.bucket, found.keeps_bucket) == ("mine", False)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_nobody_may_ask_is_unknown(kind: Kind) -> None:
    """Without a right to any one call of a kind, in an account full of things, that kind is unknown: never clean."""
    with account("prod") as at:
        everything(at)
        at.reservations.append({**BLOCK, "CapacityReservationId": at.scope.settings.neuron.reservation_ids[0]})
        real = Inquiry(at.clients)
        for denied in kind.asks:
            _, unknown = look_for(
                kind,
                at.scope,
                lambda question, denied=denied, **words: (
                    Unknown(reason="no right") if question == denied else real(question, **words)
                ),
            )

            assert (denied.operation, unknown) == (denied.operation, [f"{kind.plural}: no right"])


def test_nothing_found_and_nothing_known_is_not_clean() -> None:
    """The status says so, and the sentences name every kind."""
    denied = Planted(dict.fromkeys(LEFTOVERS, Unknown(reason="no right")))
    found, unknown = search(scope("dev"), denied)

    assert (found, exit_status(found, unknown)) == ([], 3)
    assert {sentence.split(":")[0] for sentence in unknown} == {kind.plural for kind in KINDS}


@pytest.mark.parametrize(
    ("bills", "is_kept", "unknown", "status"),
    [
        (True, False, [], 1),
        (True, False, ["x"], 1),
        (None, False, [], 3),
        (False, False, ["x"], 3),
        (False, False, [], 0),
        (True, True, [], 0),
        (True, True, ["x"], 3),
    ],
)
def test_the_status(*, bills: bool | None, is_kept: bool, unknown: list[str], status: int) -> None:
    """1 for what bills, 3 for doubt, 0 for what is free or kept on purpose."""
    assert exit_status([Leftover(kind="x", name="y", bills=bills, is_kept=is_kept)], unknown) == status


@pytest.mark.parametrize(
    ("physical", "is_ours"),
    [
        ("karpenter-node-1a2b3c4", True),
        ("karpenter-node-lifecycle-1a2b3c4", False),
        ("karpenter-node-1a2b3c4d", False),
        ("karpenter-node-one-two", False),
        ("karpenter-node", False),
    ],
)
def test_a_name_is_matched_whole(physical: str, *, is_ours: bool) -> None:
    """What Pulumi appends is seven digits, and nothing else is a name of that resource."""
    assert is_made_of(physical, "karpenter-node") is is_ours


def test_without_tags_ours_cannot_be_told() -> None:
    """Where the stack file has no tags, what only tags tell is unknown, and what names tell is looked for still."""
    settings = scope("dev").settings.model_copy(update={"tags": {}})
    at = Scope(settings=settings, bucket=None, keeps_bucket=True)
    answers: dict[Question, Answer] = {
        questions.INSTANCES: ({"Instances": [NEURON]},),
        questions.FILE_SYSTEMS: (FILES,),
        questions.ROLES: ({"RoleName": "karpenter-node-1a2b3c4"},),
    }
    found, unknown = search(at, Planted(answers))

    assert [each.kind for each in found] == ["instance"]
    assert "VPCs: infra.tags is empty, so this stack's resources cannot be recognized" in unknown
    assert "IAM roles: infra.tags is empty, so this stack's resources cannot be recognized" in unknown
    assert "file systems: infra.tags is empty, so this stack's resources cannot be recognized" in unknown


def existing() -> Scope:
    """Return a stack on a cluster that was there before."""
    section = {
        "zones": ["ap-southeast-4c", "ap-southeast-4a"],
        "neuron": scope("dev").settings.neuron.model_dump(mode="json"),
        "tags": scope("dev").settings.tags,
        "existing": EXISTING,
    }
    settings = parse_infra(section, file="Pulumi.dev.yaml")
    return Scope(settings=settings, bucket=None, keeps_bucket=True)


def test_nodes_of_a_cluster_that_was_there_are_not_ours() -> None:
    """On an existing cluster only what our node pool launched is looked for: its other nodes are somebody's."""
    ask = Planted({})
    search(existing(), ask)
    asked = [words["Filters"] for question, words in ask.asked if question.service == "ec2" and "Filters" in words]
    ours = [
        {"Name": "tag:eks:eks-cluster-name", "Values": ["theirs"]},
        {"Name": "tag:karpenter.sh/nodepool", "Values": ["neuron-trn-2"]},
    ]
    by_tags = [{"Name": f"tag:{key}", "Values": [value]} for key, value in scope("dev").settings.tags.items()]

    assert len(asked) == 6
    assert [filters for filters in asked if filters not in (ours, by_tags)] == []


def test_of_two_stacks_on_a_cluster_each_finds_its_own() -> None:
    """`--remove` must not end the nodes of the other one, nor delete its dashboard and alarms."""
    answers: dict[Question, Answer] = {
        questions.DASHBOARDS: ({"DashboardName": "theirs"}, {"DashboardName": "theirs-in-second"}),
        questions.ALARMS: ({"AlarmName": "theirs-void-tp1"}, {"AlarmName": "theirs-in-second-void-tp1"}),
    }
    first, second = Planted(answers), Planted(answers)
    of_first, _ = search(existing(), first)
    of_second, _ = search(dataclasses.replace(existing(), ending="-in-second"), second)
    pools = [
        {
            words["Values"][0]
            for _, asked in of.asked
            for words in asked.get("Filters", ())
            if words["Name"] == "tag:karpenter.sh/nodepool"
        }
        for of in (first, second)
    ]

    assert [each.name for each in of_first] == ["theirs", "theirs-void-tp1"]
    assert [each.name for each in of_second] == ["theirs-in-second", "theirs-in-second-void-tp1"]
    assert pools == [{"neuron-trn-2"}, {"neuron-trn-2-in-second"}]


def test_the_namespace_of_a_stack_on_a_shared_cluster_ends_its_names(tmp_path: pathlib.Path) -> None:
    """As in the program; in a cluster of its own nothing does."""
    shared = {
        "zones": ["ap-southeast-4c", "ap-southeast-4a"],
        "neuron": scope("dev").settings.neuron.model_dump(mode="json"),
        "existing": EXISTING,
    }

    assert scope_with(tmp_path, serving={"namespace": "second"}, infra=shared).dashboard == "theirs-in-second"
    assert scope_with(tmp_path, serving={"namespace": "second"}).dashboard == "optimal-tp-dev"


def test_on_a_cluster_that_was_there_the_experiments_own_is_found() -> None:
    """Access point, role, bucket, dashboard and alarms are ours there too; the cluster and its files are not."""
    name = existing().cluster_name
    answers: dict[Question, Answer] = {
        questions.CLUSTER: ({"name": name},),
        questions.FILE_SYSTEMS: (FILES,),
        questions.ACCESS_POINTS: (
            {"AccessPointId": "fsap-1", "LifeCycleState": "available", "Tags": OURS},
            {"AccessPointId": "fsap-2", "LifeCycleState": "available", "Tags": []},
        ),
        questions.ROLES: ({"RoleName": "loadgen-role-1a2b3c4"}, {"RoleName": "cluster-control-plane-eksRole-role-1"}),
        questions.ROLE_TAGS: tuple(OURS),
        questions.BUCKETS: ({"Name": "results-bucket-1a2b3c4"},),
        questions.BUCKET_TAGS: tuple(OURS),
        questions.DASHBOARDS: ({"DashboardName": name},),
        questions.ALARMS: ({"AlarmName": f"{name}-void-tp1"},),
    }
    found, _ = search(existing(), Planted(answers))

    assert [(each.kind, each.name) for each in found] == [
        ("access point", "fsap-1"),
        ("bucket", "results-bucket-1a2b3c4"),
        ("IAM role", "loadgen-role-1a2b3c4"),
        ("dashboard", name),
        ("alarm", f"{name}-void-tp1"),
    ]


def stubbed(*answers: dict[str, typing.Any] | str) -> typing.Any:
    """Return a real IAM client that answers ListRoles so, one after the other."""
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "x")
    client = boto3.client("iam", region_name="us-east-2", **keys)  # type: ignore[call-overload]
    stubber = botocore.stub.Stubber(client)
    for answer in answers:
        if isinstance(answer, str):
            stubber.add_client_error("list_roles", service_error_code=answer)
        else:
            stubber.add_response("list_roles", answer)
    stubber.activate()
    return client


def _role(name: str) -> dict[str, typing.Any]:
    when = "2026-11-24T00:00:00Z"
    return {"Path": "/", "RoleName": name, "RoleId": "A" * 16, "Arn": "a" * 20, "CreateDate": when}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AccessDenied", "not allowed to call iam:ListRoles (AccessDenied)"),
        ("Throttling", "iam still throttles after five tries (Throttling)"),
    ],
)
def test_denied_and_throttled_are_told_apart(code: str, reason: str) -> None:
    """Each is unknown, with its own sentence."""
    found, unknown = look_for(BY_NAME["IAM role"], scope("dev"), Inquiry(lambda _: stubbed(code)))

    assert (found, unknown) == ([], [f"IAM roles: {reason}"])


def test_a_queue_without_tags_is_somebodys() -> None:
    """SQS leaves the tags out of its answer where a queue has none: that is no doubt."""
    name = "https://sqs.ap-southeast-4.amazonaws.com/1/karpenter-interruptions-1a2b3c4"
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "x")
    client = boto3.client("sqs", region_name="ap-southeast-4", **keys)  # type: ignore[call-overload]
    with botocore.stub.Stubber(client) as stubber:
        stubber.add_response("list_queues", {"QueueUrls": [name]})
        stubber.add_response("list_queue_tags", {})

        assert look_for(BY_NAME["queue"], scope("dev"), Inquiry(lambda _: client)) == ([], [])


def test_the_second_page_counts() -> None:
    """What stands on a later page is left too."""
    first = {"Roles": [_role("somebody-else")], "IsTruncated": True, "Marker": "m"}
    client = stubbed(first, {"Roles": [_role("karpenter-node-1a2b3c4")], "IsTruncated": False})
    real = Inquiry(lambda _: client)
    planted = Planted({questions.ROLE_TAGS: tuple(OURS)})
    found, unknown = look_for(
        BY_NAME["IAM role"],
        scope("dev"),
        lambda question, **words: (
            real(question, **words) if question == questions.ROLES else planted(question, **words)
        ),
    )

    assert ([each.name for each in found], unknown) == (["karpenter-node-1a2b3c4"], [])


@pytest.mark.parametrize("question", LEFTOVERS, ids=lambda each: f"{each.service} {each.operation} {each.key}")
def test_every_question_is_a_call_that_aws_knows(question: Question) -> None:
    """Service, operation and the key of the answer are in botocore's model."""
    model = _SESSION.get_service_model(question.service)
    names = {botocore.xform_name(name): name for name in model.operation_names}
    shape = model.operation_model(names[question.operation]).output_shape

    assert shape is not None
    assert question.key in shape.members


def test_each_command_is_one_that_the_aws_command_knows() -> None:
    """Operations and parameters of all commands are in botocore's model, from which the ``aws`` command is made."""
    with account("prod") as at:
        everything(at)
        found, _ = search(at.scope, Inquiry(at.clients))
    wrong = []
    models = {question.service: _SESSION.get_service_model(question.service) for question in LEFTOVERS}
    for step in (step for each in found for step in each.steps):
        model = models[step.service]
        names = {botocore.xform_name(name): name for name in model.operation_names}
        shape = model.operation_model(names[step.operation]).input_shape
        members = set() if shape is None else {botocore.xform_name(member, "-") for member in shape.members}
        said = set(re.findall(r" --([a-z0-9-]+)", step.command("us-east-2"))) - {"region"}
        wrong += [] if step.shown or said <= members else [step.command("us-east-2")]

    assert wrong == []


@pytest.mark.parametrize(
    ("step", "command"),
    [
        (
            ChangingCall(service="ec2", operation="terminate_instances", parameters={"InstanceIds": ["i-1", "i-2"]}),
            "aws ec2 terminate-instances --region r --instance-ids i-1 i-2",
        ),
        (
            ChangingCall(
                service="eks", operation="delete_nodegroup", parameters={"clusterName": "c", "nodegroupName": "n"}
            ),
            "aws eks delete-nodegroup --region r --cluster-name c --nodegroup-name n",
        ),
        (
            ChangingCall(
                service="kms", operation="schedule_key_deletion", parameters={"KeyId": "k", "PendingWindowInDays": 7}
            ),
            "aws kms schedule-key-deletion --region r --key-id k --pending-window-in-days 7",
        ),
        (
            ChangingCall(service="s3", operation="delete_bucket", parameters={"Bucket": "a b"}),
            "aws s3api delete-bucket --region r --bucket 'a b'",
        ),
        (
            ChangingCall(
                service="iam",
                operation="delete_open_id_connect_provider",
                parameters={"OpenIDConnectProviderArn": "arn"},
            ),
            "aws iam delete-open-id-connect-provider --region r --open-id-connect-provider-arn arn",
        ),
    ],
)
def test_a_command_is_spelt_as_the_aws_command_spells_it(step: ChangingCall, command: str) -> None:
    """People copy it."""
    assert step.command("r") == command


def test_the_command_that_empties_a_bucket_lists_every_version() -> None:
    """Its query makes of S3's listing what DeleteObjects takes, delete markers included."""
    import jmespath  # noqa: PLC0415 - botocore's own, and the aws command's

    with account("prod") as at:
        everything(at)
        (bucket,) = look_for(BY_NAME["bucket"], at.scope, Inquiry(at.clients))[0]
        (query,) = re.findall(r"--query '([^']+)'", bucket.steps[0].command("r"))
        listing = at.aws("s3").list_object_versions(Bucket=bucket.name)
        chosen = jmespath.search(query, listing)

    def by_version(objects: list[dict[str, str]]) -> list[dict[str, str]]:
        return sorted(objects, key=lambda each: each["VersionId"])

    assert len(chosen["Objects"]) == 4
    assert by_version(chosen["Objects"]) == by_version(list(bucket.steps[0].parameters["Delete"]["Objects"]))
    assert jmespath.search(query, {}) == {"Objects": []}


def test_the_report_has_sum_sources_and_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Each thing has its line; the sum says what it leaves out."""
    with account("prod") as at:
        everything(at)
        status = asked(leftovers, ["--stack", "prod"], at.clients)
    lines = capsys.readouterr().out.splitlines()

    assert status == 1
    assert lines[0] == "account 123456789012, region us-east-2"
    assert "left: NAT gateway" in "\n".join(lines)
    assert [line for line in lines if line.startswith(("left:", "kept:")) and "remove it with: aws " not in line] == []
    assert any(
        re.fullmatch(r"in total [\d.]+ USD a month, without \d+ of \d+, for want of a known price", each)
        for each in lines
    )
    assert "prices from cloudburn.io, aws-kms-pricing, 2026-03-14" in lines


def test_nothing_left_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty account ends with a plain sentence and status 0."""
    with account("dev") as at:
        status = asked(leftovers, ["--stack", "dev"], at.clients)

    assert status == 0
    assert capsys.readouterr().out.splitlines() == [
        "account 123456789012, region ap-southeast-4",
        "nothing is left of the kinds that this command checks (docs/reference/leftovers.md)",
    ]


def test_json_has_what_the_lines_have(capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown prices are null, and what nobody can tell is listed."""
    with account("prod") as at:
        everything(at)
        asked(leftovers, ["--stack", "prod", "--json"], at.clients)
    told = json.loads(capsys.readouterr().out)
    by_kind = {row["kind"]: row for row in told["left"]}

    assert told["unknown"] == []
    assert (by_kind["composite alarm"]["bills"], by_kind["composite alarm"]["usd_per_month"]) == (True, None)
    assert by_kind["cluster"]["remove"] == ["aws eks delete-cluster --region us-east-2 --name optimal-tp-prod"]
    assert by_kind["bucket"]["is_kept"]


def test_a_reservation_is_nobodys_to_remove() -> None:
    """It was made outside the stack: a running one bills and is told, a paid one cannot be given back."""
    running = only("capacity reservation", {questions.RESERVATIONS: ({**BLOCK, "ReservationType": "default"},)})
    paid = only("capacity reservation", {questions.RESERVATIONS: (BLOCK,)})

    assert (running.spared, paid.spared) == ("it was made outside this stack",) * 2
    assert running.commands("r") == "aws ec2 cancel-capacity-reservation --region r --capacity-reservation-id cr-1"
    assert paid.steps == ()


def test_the_scope_of_a_stack_file_is_read() -> None:
    """Both stack files keep the bucket."""
    scopes = [stack_scope(stack_config(name, ROOT)) for name in ("dev", "prod")]

    assert [(each.bucket, each.keeps_bucket) for each in scopes] == [(None, True)] * 2
    assert shared.IDENTITY in LEFTOVERS
