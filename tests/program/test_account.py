"""The program on the model of AWS, without an engine: what it makes holds AWS's rules, and destroy leaves nothing."""

import functools
import random

import pytest

from tests.fakes_account import Account, up
from tests.fakes_pulumi import Recorded, Recording
from tests.fakes_stack_files import STACK_FILES

KEPT = frozenset(
    {
        "Bucket",
        "BucketVersioning",
        "BucketServerSideEncryptionConfiguration",
        "BucketPublicAccessBlock",
        "BucketPolicy",
        "BucketLifecycleConfiguration",
    }
)
"""What ``on_destroy: keep`` leaves in the account."""


def shuffled(recording: Recording, seed: int) -> list[Recorded]:
    """Return an order of deletion that the dependencies allow: of what may go next, any."""
    outlive, random_ = recording.must_outlive(), random.Random(seed)
    waiting = {each.urn: each for each in recording.resources}
    order: list[Recorded] = []
    while waiting:
        held = {urn for each in waiting for urn in outlive[each]}
        urn = random_.choice(sorted(waiting.keys() - held))
        order.append(waiting.pop(urn))
    return order


@functools.cache
def made(file: str) -> Account:
    """Return the account after ``up``; nobody changes it."""
    return up(file)


@pytest.mark.parametrize("file", STACK_FILES)
def test_what_is_made_holds_the_rules_of_aws(file: str) -> None:
    """Every name, policy and reference is one that AWS takes, and nodes join: the way out is there before they are."""
    world = made(file).world

    assert len(world.of("NodeGroup")) == 1
    assert len(world.billing()) == 4
    assert world.harms == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("file", STACK_FILES)
def test_any_order_that_is_allowed_leaves_nothing(file: str, seed: int) -> None:
    """Whatever the engine picks among what may go next: nothing is refused, nothing breaks, nothing bills on."""
    account = up(file)

    account.destroy(shuffled(account.recording, seed))

    assert account.refused == []
    assert account.world.harms == []
    assert account.world.billing() == []
    assert {thing.kind for thing in account.world.things.values()} <= KEPT


def test_karpenter_gone_first_leaves_instances_that_bill() -> None:
    """The model can tell: without Karpenter the pool's instances run on, and AWS refuses what they hold."""
    account = up("Pulumi.dev.yaml")
    right = shuffled(account.recording, 0)
    chart = next(each for each in right if each.name == "karpenter-controller")

    account.destroy([chart, *(each for each in right if each is not chart)])

    assert len(account.world.billing()) >= 2
    assert account.refused != []


def test_a_protected_cluster_stops_destroy_with_nothing_billing_but_itself() -> None:
    """Destroy ends at the cluster that is protected; by then the Neuron nodes and the system nodes are gone."""
    account = up("Pulumi.prod.yaml", is_protected=True)

    account.destroy(shuffled(account.recording, 0))

    sentence = "InvalidRequestException: Cluster cluster-control-plane-eksCluster is protected against deletion"
    assert account.refused == [sentence]
    assert account.world.billing() == []
    assert account.world.harms == []
