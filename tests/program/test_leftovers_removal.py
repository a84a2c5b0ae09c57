"""``leftovers --remove`` against moto: it asks, changes nothing without a yes, and goes in an order that AWS takes."""

import collections.abc
import json

import pytest

from optimal_tp.account.changes import ChangingCall
from optimal_tp.account.inquiry import ChangingClient, Inquiry
from optimal_tp.account.leftovers.kinds import Kind, Leftover
from optimal_tp.account.leftovers.removal import Hands, remove
from optimal_tp.account.leftovers.scope import KindSearch, Scope
from optimal_tp.account.leftovers.search import KINDS, LEFTOVERS, REMOVALS, search
from optimal_tp.account.questions import least_policy
from optimal_tp.cli import leftovers
from tests.fakes_command import asked
from tests.fakes_leftovers import Account, account
from tests.fakes_whole import everything

CHANGES = ("Delete", "Terminate", "Release", "Revoke", "Detach", "Disassociate", "Remove", "Schedule")
"""How the names of calls begin that take something away."""


def removing(at: Account, answers: collections.abc.Iterator[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command with somebody at the terminal who gives ``answers``."""

    def answer(_: str) -> str:
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return asked(leftovers, ["--stack", "prod", "--remove"], at.clients)


def yes() -> collections.abc.Iterator[str]:
    """Agree for ever."""
    while True:
        yield "y"


def changes(at: Account) -> list[str]:
    """Return the calls that took something away, in order."""
    return [operation for _, operation in at.asked if operation.startswith(CHANGES)]


def test_everything_that_is_left_can_be_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """AWS refuses what another thing still holds: in this order it refuses nothing."""
    with account("prod") as at:
        everything(at)
        status = removing(at, yes(), monkeypatch)
        printed = capsys.readouterr().out
        found, unknown = search(at.scope, Inquiry(at.clients))

    # The bucket is kept by the stack file.
    assert "not removed" not in printed
    assert ([each.kind for each in found], unknown) == (["bucket"], [])
    assert status == 0
    assert "kept: bucket results-bucket-1a2b3c4 (loadtest.results.on_destroy keeps it)" in printed


def test_one_of_each_kind_is_left() -> None:
    """The test above speaks of every kind but the reservation, which nobody may remove."""
    with account("prod") as at:
        made = everything(at)
        found, unknown = search(at.scope, Inquiry(at.clients))

    assert ({(each.kind, each.name) for each in found}, unknown) == (made, [])
    assert {kind for kind, _ in made} == {kind.name for kind in KINDS} - {"capacity reservation"}


@pytest.mark.parametrize("answers", [[], ["n"] * 99, ["", "no", "yess", *["N"] * 99]], ids=["nobody", "no", "unclear"])
def test_nothing_is_removed_without_a_yes(answers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal, a no, and anything else than a yes leave all as it is."""
    with account("prod") as at:
        made = everything(at)
        status = removing(at, iter(answers), monkeypatch)
        found, _ = search(at.scope, Inquiry(at.clients))

    assert {(each.kind, each.name) for each in found} == made
    assert (changes(at), status) == ([], 1)


def test_looking_changes_nothing() -> None:
    """Removing is never the default."""
    with account("prod") as at:
        everything(at)
        status = asked(leftovers, ["--stack", "prod"], at.clients)

    assert (changes(at), status) == ([], 1)


def test_each_kind_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A yes is for one kind: the first kinds are removed, the others stay."""
    with account("prod") as at:
        made = everything(at)
        removing(at, iter(["y", "y"]), monkeypatch)
        found, _ = search(at.scope, Inquiry(at.clients))

    assert {kind for kind, _ in made} - {each.kind for each in found} == {"load balancer", "target group"}


def test_a_bucket_that_a_setting_deletes_is_emptied_first() -> None:
    """Versions and delete markers go before the bucket."""
    with account("prod") as at:
        everything(at)
        said: list[str] = []
        hands = Hands(
            ask=Inquiry(at.clients),
            change=ChangingClient(at.clients),
            agree=lambda question: "bucket" in question,
            say=said.append,
            pause=lambda _: None,
        )
        remove(at.scope, hands)
        buckets = at.aws("s3").list_buckets()["Buckets"]

    assert buckets == []
    assert changes(at) == ["DeleteObjects", "DeleteBucket"]
    assert "  bucket results-bucket-1a2b3c4: less than 0.01 USD a month" in said


def test_dearest_and_holding_things_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that AWS asks for where moto would take any."""
    with account("prod") as at:
        everything(at)
        removing(at, yes(), monkeypatch)
        calls = changes(at)

    order = [
        *(("DeleteNodegroup", "TerminateInstances"), ("DeleteNodegroup", "DeleteCluster")),
        *(("TerminateInstances", "DeleteCluster"), ("DeleteCluster", "DeleteLogGroup")),
        *(("DeleteFlowLogs", "DeleteLogGroup"), ("DeleteMountTarget", "DeleteFileSystem")),
        *(("DeleteMountTarget", "DeleteSubnet"), ("DeleteNatGateway", "ReleaseAddress")),
        *(("ReleaseAddress", "DetachInternetGateway"), ("DeleteNatGateway", "DeleteSubnet")),
        *(("RevokeSecurityGroupIngress", "DeleteSecurityGroup"), ("DeleteNetworkInterface", "DeleteSecurityGroup")),
        *(("DeleteSubnet", "DeleteVpc"), ("DeleteLoadBalancer", "DeleteTargetGroup")),
        *(("RemoveRoleFromInstanceProfile", "DeleteRole"), ("DetachRolePolicy", "DeletePolicy")),
        *(("RemoveTargets", "DeleteRule"), ("DeleteCluster", "ScheduleKeyDeletion")),
    ]
    assert [pair for pair in order if calls.index(pair[0]) > calls.index(pair[1])] == []


def test_the_policy_is_what_is_called() -> None:
    """Each call that is made has its right in the printed policy, and each right has its call."""
    with account("prod") as at:
        everything(at)
        asked(leftovers, ["--stack", "prod"], at.clients)
        reads = actions(at)
        hands = Hands(
            ask=Inquiry(at.clients),
            change=ChangingClient(at.clients),
            agree=lambda _: True,
            say=lambda _: None,
            pause=lambda _: None,
        )
        remove(at.scope, hands)
        (both,) = least_policy(LEFTOVERS, changes=REMOVALS)["Statement"]

    (asking,) = least_policy(LEFTOVERS)["Statement"]
    assert set(asking["Action"]) == reads
    assert set(both["Action"]) == actions(at)


_SIGNED_AS = {"monitoring": "cloudwatch", "tagging": "tag"}
_ACTIONS = {
    "s3:ListBuckets": {"s3:ListAllMyBuckets"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    "s3:DeleteObjects": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    "sts:GetCallerIdentity": set[str](),
}
"""Calls whose rights have other names (service authorization reference, Amazon S3)."""


def actions(at: Account) -> set[str]:
    """Return the IAM actions of all calls, from botocore's names of service and operation."""
    called = {f"{_SIGNED_AS.get(service, service)}:{operation}" for service, operation in at.asked}
    return {action for call in called for action in _ACTIONS.get(call, {call})}


def test_the_policy_with_removal_is_printed_without_asking(capsys: pytest.CaptureFixture[str]) -> None:
    """``--remove --policy`` has the rights to remove besides; without ``--remove`` nothing that changes is in it."""
    assert asked(leftovers, ["--remove", "--policy"]) == 0
    removing_ = set(json.loads(capsys.readouterr().out)["Statement"][0]["Action"])
    assert asked(leftovers, ["--policy"]) == 0
    looking = set(json.loads(capsys.readouterr().out)["Statement"][0]["Action"])

    assert removing_ - looking == {*REMOVALS}
    assert [action for action in looking if not action.split(":")[1].startswith(("Describe", "Get", "List"))] == []


def test_removal_refuses_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Removing asks at the terminal, which a program that reads JSON cannot answer."""
    assert asked(leftovers, ["--stack", "dev", "--remove", "--json"]) == 2
    assert capsys.readouterr().err == ("--remove: must go without --json and --quiet: it asks at the terminal\n")


class Slow:
    """A kind whose one thing is there for so many looks after its removal."""

    def __init__(self, looks: int) -> None:
        self.looks, self.is_going = looks, False

    def look(self, _: Scope, __: KindSearch) -> list[Leftover]:
        """Return the thing, until it is gone."""
        if self.is_going:
            self.looks -= 1
        if self.looks < 0:
            return []
        step = ChangingCall(service="ec2", operation="terminate_instances", parameters={"InstanceIds": ["i-1"]})
        return [Leftover(kind="instance", name="i-1", bills=True, steps=(step,), is_going=self.is_going)]

    def change(self, _: ChangingCall) -> None:
        """Begin to take it away."""
        self.is_going = True


@pytest.mark.parametrize(
    ("looks", "pauses", "last"),
    [(0, 0, "  instance i-1: bills, price not known here"), (2, 2, "  waiting for 1 instance to go")],
)
def test_what_goes_slowly_is_waited_for(looks: int, pauses: int, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is refused until it is gone."""
    said, paused = _slowly(Slow(looks), monkeypatch)

    assert (len(paused), said[-1]) == (pauses, last)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still there after the kind's patience is named, and the next kind gets its turn."""
    said, paused = _slowly(Slow(99), monkeypatch)

    assert (len(paused), said[-1]) == (3, "  not gone after 30 s: i-1")


def _slowly(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[float]]:
    kind = Kind(name="instance", look=slow.look, asks=(), rights=(), patience_seconds=30)
    monkeypatch.setattr("optimal_tp.account.leftovers.removal.KINDS", (kind,))
    said: list[str] = []
    paused: list[float] = []
    with account("dev") as at:
        hands = Hands(
            ask=Inquiry(at.clients), change=slow.change, agree=lambda _: True, say=said.append, pause=paused.append
        )
        remove(at.scope, hands)
    return said, paused


def test_a_refusal_is_told_and_the_rest_goes_on() -> None:
    """One thing that AWS keeps does not keep the others."""
    said: list[str] = []
    with account("prod") as at:
        everything(at)
        change = ChangingClient(at.clients)

        def refusing(step: ChangingCall) -> str | None:
            return "DependencyViolation: x" if step.operation == "delete_vpc" else change(step)

        hands = Hands(
            ask=Inquiry(at.clients), change=refusing, agree=lambda _: True, say=said.append, pause=lambda _: None
        )
        remove(at.scope, hands)
        found, _ = search(at.scope, Inquiry(at.clients))

    assert [each.kind for each in found] == ["VPC"]
    assert [line for line in said if "not removed" in line] == [
        f"  not removed: VPC {found[0].name}: DependencyViolation: x"
    ]
