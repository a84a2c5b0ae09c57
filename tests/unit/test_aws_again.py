"""The model of AWS asked twice for the same: puts are done again, taken keys are refused, the rest are twins."""

import typing

import pytest

from tests.engines.fakes_aws import account
from tests.engines.fakes_aws.world import RefusedError, World

TRUST = '{"Version": "2012-10-17"}'


def made(world: World, kind: str, /, **inputs: typing.Any) -> str:
    """Make a resource, and return its id."""
    return account.create(world, kind, f"urn::{kind}", inputs).id


@pytest.fixture
def world() -> World:
    """Return an account with a role, a rule, a queue and a VPC with one subnet."""
    here = World()
    made(here, "Role", name="role", assumeRolePolicy=TRUST)
    made(here, "EventRule", name="rule")
    made(here, "Queue", name="queue")
    vpc = made(here, "Vpc", cidrBlock="10.0.0.0/16")
    made(here, "Subnet", vpcId=vpc, cidrBlock="10.0.0.0/24", availabilityZone="ap-southeast-4a")
    return here


PUT: dict[str, dict[str, str]] = {
    "RolePolicyAttachment": {"role": "role", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
    "RolePolicy": {"role": "role", "name": "rights", "policy": "{}"},
    "EventTarget": {"rule": "rule", "targetId": "one", "arn": "arn:aws:sqs:ap-southeast-4:111122223333:queue"},
}


@pytest.mark.parametrize("kind", PUT)
def test_a_put_is_done_again(world: World, kind: str) -> None:
    """IAM takes an attachment twice, EventBridge a target: there is one, with one id."""
    assert made(world, kind, **PUT[kind]) == made(world, kind, **PUT[kind])
    assert len(world.of(kind)) == 1


def test_a_target_without_an_id_of_ours_is_another_each_time(world: World) -> None:
    """The provider makes an id up: the second target stays, and keeps the rule from being deleted."""
    target = {name: value for name, value in PUT["EventTarget"].items() if name != "targetId"}

    assert made(world, "EventTarget", **target) != made(world, "EventTarget", **target)


def test_a_taken_key_is_refused_by_the_id_that_has_it(world: World) -> None:
    """Two subnets of one VPC cannot have one block; another block is another subnet."""
    subnet = world.of("Subnet")[0]

    with pytest.raises(RefusedError) as refused:
        made(world, "Subnet", **subnet.inputs)

    assert str(refused.value) == f"InvalidSubnet.Conflict: Subnet {subnet.id} already exists"
    assert made(world, "Subnet", **{**subnet.inputs, "cidrBlock": "10.0.1.0/24"}) != subnet.id


def test_what_has_no_key_is_made_twice(world: World) -> None:
    """A VPC asked for twice is two VPCs."""
    made(world, "Vpc", cidrBlock="10.0.0.0/16")

    assert len(world.of("Vpc")) == 2
