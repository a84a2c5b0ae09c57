"""From nothing to servers on the nodes of the plan and back: real Karpenter, scheduler and controllers."""

import collections.abc
import contextlib
import dataclasses
import http
import pathlib
import time
import typing

import pytest

from optimal_tp.facts.hardware import NEURON_RESOURCE, NEURONCORE_RESOURCE, PHYSICAL_CORES_PER_CHIP
from optimal_tp.plan.placement import DAEMONS_CPU_MILLICORES, DAEMONS_MEMORY_MIB
from tests.engines.fakes_cluster import Manifest, apply_all, daemon_sets, path_of, placed, planned, servers, until
from tests.engines.fakes_engines import CONTROL_PLANE, KARPENTER, needs
from tests.engines.fakes_karpenter import claims, instances, nodes
from tests.engines.fakes_launch import HELD, Launch, by_turns, launching

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(300),
    needs(CONTROL_PLANE, KARPENTER),
]

LAYOUTS: dict[str, tuple[str, dict[str, typing.Any]]] = {
    "one-each on trn2.3xlarge": ("Pulumi.dev.yaml", {"infra__neuron__maximum_nodes": 3}),
    "equal-cores on trn2.3xlarge": (
        "Pulumi.dev.yaml",
        {"serving": {"layout": "equal-cores"}, "infra__neuron__maximum_nodes": 4},
    ),
    "one-each on trn2.48xlarge": (
        "Pulumi.prod.yaml",
        {"serving__layout": "one-each", "infra__neuron__maximum_nodes": 2},
    ),
    "equal-cores on trn2.48xlarge": ("Pulumi.prod.yaml", {"infra__neuron__maximum_nodes": 2}),
}
"""Each may have one node more than is planned: nothing but the plan keeps Karpenter from it."""
_SETTLED_SECONDS = 5.0
"""Karpenter decides again a second after the last pod that it cannot place."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Life:
    """What was seen of one layout, in this order."""

    launch: Launch
    launched: list[tuple[str, str]]
    together: set[frozenset[str]]
    believed: list[dict[str, str]]
    """What Karpenter counted on, for each node, before there was one."""
    offered: list[dict[str, str]]
    changed: list[str]
    """Objects that a second apply changed."""
    launched_later: int
    """Node claims when all had been still for a while."""
    order: list[list[str]]
    left: bool


@pytest.fixture(
    scope="module",
    # Of trn2.48xlarge the stack file's own layout is enough for every run.
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name == "one-each on trn2.48xlarge")) for name in LAYOUTS],
)
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Live through one layout; each test looks at its part."""
    file, changes = LAYOUTS[request.param]
    changes = {**changes, "infra__neuron__reservation_ids": [HELD]}
    with launching(tmp_path_factory.mktemp("life"), file, reserved=4, **changes) as running:
        plane = running.plane
        apply_all(plane, daemon_sets(cpu_millicores=DAEMONS_CPU_MILLICORES, memory_mib=DAEMONS_MEMORY_MIB))
        running.give()
        launched = running.decides(len(planned(running.recording)))
        believed = [each["status"]["allocatable"] for each in claims(plane)]
        together = running.places(sum(len(each) for each in planned(running.recording)))
        offered = [each["status"]["allocatable"] for each in nodes(plane)]
        time.sleep(_SETTLED_SECONDS)
        later = len(claims(plane))
        turns = by_turns(running.recording)
        changed = [path_of(each) for turn in turns for each in turn if _changes(running, each)]
        for turn in turns:
            running.take(turn)
        return Life(
            launch=running,
            launched=launched,
            together=together,
            believed=believed,
            offered=offered,
            changed=changed,
            launched_later=later,
            order=[sorted({each["kind"] for each in turn}) for turn in turns],
            left=not running.is_empty(),
        )


def _changes(running: Launch, manifest: Manifest) -> bool:
    """Apply ``manifest`` again without force; return whether the object is another then, or somebody owns a field."""
    plane, path = running.plane, path_of(manifest)
    before = plane.ask("GET", path)[1]["metadata"]
    status = plane.apply(path, manifest)
    after = plane.ask("GET", path)[1]["metadata"]
    return status != http.HTTPStatus.OK or before.get("generation") != after.get("generation")


def test_the_nodes_of_the_plan_are_launched(life: Life) -> None:
    """Type and number are those of the plan printed at preview, and nothing more is launched when all pods run."""
    assert life.launched == life.launch.planned()
    assert life.launched_later == len(life.launched)


def test_servers_share_nodes_as_planned(life: Life) -> None:
    """Karpenter counts twice the cores that the device plugin offers: every server has a node of the plan even so."""
    assert life.together == planned(life.launch.recording)
    assert sum(map(len, life.together)) >= 3


def test_hardware_is_what_karpenter_counts_on(life: Life) -> None:
    """The plan's arithmetic has Karpenter's own figures, and the device plugin's for cores."""
    hardware = life.launch.settings.neuron.hardware
    counted = {
        "cpu": f"{hardware.allocatable_cpu_millicores}m",
        "memory": f"{hardware.allocatable_memory_mib}Mi",
        "pods": str(hardware.allocatable_pods),
        NEURON_RESOURCE: str(hardware.chips),
        NEURONCORE_RESOURCE: str(hardware.chips * PHYSICAL_CORES_PER_CHIP),
    }

    assert [{name: each[name] for name in counted} for each in life.believed] == [counted] * len(life.launched)
    assert {each[NEURONCORE_RESOURCE] for each in life.offered} == {str(hardware.logical_cores)}


def test_nothing_changes_by_itself(life: Life) -> None:
    """What Karpenter has written into the objects is no change and no conflict to a second ``up``."""
    assert life.changed == []


def test_destroy_leaves_nothing(life: Life) -> None:
    """In the program's order servers go first, then pool, class; no claim, node or instance is left."""
    turns = {kind: number for number, turn in enumerate(life.order) for kind in turn}

    assert turns["Deployment"] < turns["NodePool"] < turns["EC2NodeClass"]
    assert not life.left


def _held_up(running: Launch) -> dict[str, str]:
    """Return what Karpenter's events say of each node that does not drain."""
    events = running.plane.ask("GET", "/api/v1/events")[1]["items"]
    found = [each for each in events if each["reason"] == "FailedDraining" and each["involvedObject"]["kind"] == "Node"]
    return {each["involvedObject"]["name"]: each["message"] for each in found}


@contextlib.contextmanager
def _pool_that_goes_first(
    folder: pathlib.Path, **changes: typing.Any
) -> collections.abc.Iterator[tuple[Launch, Manifest]]:
    """Bring all servers up, and delete their pool; yields when both its nodes are held up."""
    with launching(folder, reserved=2, infra__neuron__reservation_ids=[HELD], **changes) as running:
        running.give()
        running.places(3)
        until(lambda: len(instances(running.plane)) == 2, "both instances are written down")
        [pool] = [each for each in running.pool() if each["kind"] == "NodePool"]
        running.plane.ask("DELETE", path_of(pool), {"propagationPolicy": "Foreground"})
        until(lambda: len(_held_up(running)) == 2, "both nodes are held up")
        yield running, pool


def test_pods_hold_up_a_pool_that_goes_before_them(tmp_path: pathlib.Path) -> None:
    """What the order of destroy is for: with servers still there no node drains, and instances bill until they go."""
    with _pool_that_goes_first(tmp_path) as (running, pool):
        time.sleep(_SETTLED_SECONDS)
        held, billing = sorted(_held_up(running).values()), len(instances(running.plane))
        running.take([each for each in servers(running.recording) if each["kind"] == "Deployment"])
        running.take([pool])

        assert held == [f"Failed to drain node, {pods} pods are waiting to be evicted" for pods in (1, 2)]
        assert billing == 2
        assert running.is_empty()


@pytest.mark.slow
def test_a_pool_is_held_up_no_longer_than_its_grace_period(tmp_path: pathlib.Path) -> None:
    """After ``termination_grace_minutes`` instances end whatever protects their pods, which wait for nodes again."""
    with _pool_that_goes_first(tmp_path, infra__neuron__termination_grace_minutes=1) as (running, pool):
        until(running.is_empty, "every instance is gone", seconds=120)
        running.take([pool])

        assert set(placed(running.plane).values()) == {None}
