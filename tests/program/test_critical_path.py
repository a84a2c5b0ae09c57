"""How long ``up`` takes on a cloud as slow as AWS: the program's longest chain beside the one that physics asks for.

Physics: a resource needs what its inputs come from, and what has to outlive it (``test_destroy_order`` says what breaks
the other way round). Everything else that the program lets wait makes ``up`` longer than it has to be.
"""

import collections.abc
import typing

import pytest

from optimal_tp.settings.spend import ExpectedMinutes
from tests.engines.fakes_aws.kinds import OTHER_SECONDS, SECONDS
from tests.engines.fakes_aws.plugin import kind_of
from tests.fakes_pulumi import Recorded, Recording, recorded
from tests.fakes_stack_files import ROOT
from tests.program import test_workloads
from tests.program.test_destroy_order import CLUSTER, PAIRS, POOL

DEV = "Pulumi.dev.yaml"
CONDUCTOR = "Deployment loadgen-pods"
IN_CLUSTER: typing.Final = {"Release": 60.0, "NodePool": 5.0, "EC2NodeClass": 10.0}
"""Seconds that objects in the cluster take to become ready; a chart's pods pull their images."""
INSTALLED_SECONDS = 60.0
"""The load generator's pod installs its packages. No other Deployment and no Job is waited for."""


def seconds(resource: Recorded) -> float:
    """Return how long AWS takes to make ``resource``; components take no time."""
    if not resource.custom and kind_of(resource.type) != "Cluster":
        return 0
    if resource.key == CONDUCTOR:
        return INSTALLED_SECONDS
    return IN_CLUSTER.get(kind_of(resource.type), SECONDS.get(kind_of(resource.type), OTHER_SECONDS)[0])


def needed(recording: Recording) -> dict[str, set[str]]:
    """Return what each resource needs by its inputs and by what must outlive it, by key; parents are transparent."""
    by_urn = {each.urn: each for each in recording.resources}
    needs = {
        each.key: {by_urn[urn].key for urn in {*each.inputs_from, _provider(each)} & by_urn.keys()}
        for each in recording.resources
    }
    for first, then, _ in (*PAIRS, *test_workloads.PAIRS):
        if {first, then} <= needs.keys():
            needs[first].add(then)
    for each in recording.resources:
        # Named by its name, which is no output, so that Pulumi does not see it.
        if "clusterName" in each.inputs:
            needs[each.key].add(CLUSTER)
    return needs


def _provider(resource: Recorded) -> str:
    return resource.provider.rsplit("::", maxsplit=1)[0]


def chain(
    needs: collections.abc.Mapping[str, set[str]], cost: collections.abc.Mapping[str, float], last: str = POOL
) -> list[str]:
    """Return the longest chain to the resource ``last``, first to last."""
    ends: dict[str, tuple[float, list[str]]] = {}

    def end(key: str) -> tuple[float, list[str]]:
        if key not in ends:
            before, path = max((end(other) for other in needs[key]), default=(0.0, []))
            ends[key] = (before + cost[key], [*path, key])
        return ends[key]

    return end(last)[1]


def asked(recording: Recording) -> dict[str, set[str]]:
    """Return what the program lets each resource wait for."""
    by_urn = {each.urn: each for each in recording.resources}
    return {
        each.key: {by_urn[urn].key for urn in {*each.depends_on, _provider(each)} & by_urn.keys()}
        for each in recording.resources
    }


@pytest.mark.parametrize("last", [POOL, CONDUCTOR])
def test_up_takes_no_longer_than_physics_asks_for(last: str) -> None:
    """The longest chain to the node pool, and to the load generator, is at most 5 % above what nothing can shorten."""
    recording = recorded(DEV)
    cost = {each.key: seconds(each) for each in recording.resources}
    shortest, real = chain(needed(recording), cost, last), chain(asked(recording), cost, last)
    wanted, found = sum(cost[key] for key in shortest), sum(cost[key] for key in real)

    assert found <= 1.05 * wanted, f"{found:.0f} s by {real}; physics asks for {wanted:.0f} s by {shortest}"


def test_up_ends_minutes_after_the_pool_is_there() -> None:
    """Behind it come objects and one pod: the model, its compilation and the servers are no part of `up` any more.

    They were its longest part: with the program's own estimates 40 minutes for each round, 105 for each wait at most.
    """
    recording = recorded(DEV)
    cost = {each.key: seconds(each) for each in recording.resources}
    to_pool, to_end = (sum(cost[key] for key in chain(asked(recording), cost, last)) for last in (POOL, CONDUCTOR))

    assert to_end - to_pool < 120


def test_the_documents_say_how_long_up_takes_to_the_pool() -> None:
    """The chain's minutes, and the margin up to the setting's, which the forecast and the other pages count with."""
    recording = recorded(DEV)
    cost = {each.key: seconds(each) for each in recording.resources}
    minutes = round(sum(cost[key] for key in chain(asked(recording), cost, POOL)) / 60)
    stated = f"sum to {minutes}, and {ExpectedMinutes().cluster - minutes:g} are a margin"

    assert stated in (ROOT / "docs/evidence/not-run-on-aws.md").read_text(encoding="utf-8")
