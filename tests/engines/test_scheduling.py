"""The real scheduler puts the servers where the plan says, on nodes with as many logical cores as trn2 has."""

import collections.abc
import copy
import re

import pytest

from optimal_tp.facts.hardware import INSTANCE_TYPES
from optimal_tp.plan.placement import DAEMONS_CPU_MILLICORES, DAEMONS_MEMORY_MIB
from tests.engines.fakes_api_server import ControlPlane, control_plane
from tests.engines.fakes_cluster import (
    DAEMONS,
    apply_all,
    daemon,
    node,
    placed,
    planned,
    scheduling,
    servers,
    until,
)
from tests.engines.fakes_engines import CONTROL_PLANE, needs
from tests.fakes_pulumi import Recording
from tests.fakes_workloads import PROGRAMS, program

pytestmark = [pytest.mark.engines, pytest.mark.timeout(180), needs(CONTROL_PLANE)]

LAYOUTS: dict[str, collections.abc.Callable[[], Recording]] = {
    "one-each on trn2.3xlarge": PROGRAMS["one-each"],
    "equal-cores on trn2.3xlarge": PROGRAMS["equal-cores"],
    "one-each on trn2.48xlarge": lambda: program("Pulumi.prod.yaml", serving__layout="one-each"),
    "equal-cores on trn2.48xlarge": PROGRAMS["plugin-on-large-node"],
}


@pytest.fixture
def plane(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[ControlPlane]:
    """Return a control plane with a scheduler, fresh for each test: a node that is full stays full."""
    with control_plane(tmp_path_factory.mktemp("plane")) as running, scheduling(running):
        yield running


def nodes(plane: ControlPlane, recording: Recording, *, daemons_millicores: int = DAEMONS_CPU_MILLICORES) -> None:
    """Make the nodes that the plan counts, with DaemonSets that ask together for all that the plan keeps for them."""
    found = re.search(r"on (\d+) x (\S+) with", recording.outputs["plan"][0])
    assert found is not None
    kind = next(each for each in INSTANCE_TYPES.values() if each.name == found[2])
    for number in range(int(found[1])):
        node(plane, f"node-{number}", kind)
        for name in DAEMONS:
            cpu, memory = daemons_millicores // len(DAEMONS), DAEMONS_MEMORY_MIB // len(DAEMONS)
            daemon(plane, f"node-{number}", name, cpu=f"{cpu}m", memory=f"{memory}Mi")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_servers_land_where_the_plan_says(plane: ControlPlane, layout: str) -> None:
    """Every server has a node, and shares it with those that the printed plan names and no other."""
    recording = LAYOUTS[layout]()
    nodes(plane, recording)
    apply_all(plane, servers(recording))
    names = frozenset().union(*planned(recording))
    until(lambda: placed(plane).keys() == names and None not in placed(plane).values(), f"{placed(plane)} all placed")
    where = placed(plane)
    together = {frozenset(name for name in where if where[name] == each) for each in set(where.values())}

    assert together == planned(recording)
    assert len(names) >= 3


def _unschedulable(plane: ControlPlane) -> dict[str, str]:
    """Return why each pod that the scheduler gave up on has no node."""
    pods = plane.ask("GET", "/api/v1/namespaces/optimal-tp/pods")[1]["items"]
    return {
        pod["metadata"]["labels"]["app"]: condition["message"]
        for pod in pods
        for condition in pod["status"].get("conditions", [])
        if condition.get("reason") == "Unschedulable"
    }


def test_what_daemons_ask_for_is_counted(plane: ControlPlane) -> None:
    """DaemonSets that ask for one CPU more than the plan keeps for them leave TP4 no room, and CPU is the reason."""
    recording = PROGRAMS["one-each"]()
    nodes(plane, recording, daemons_millicores=DAEMONS_CPU_MILLICORES + 1000)
    apply_all(plane, servers(recording))
    # The first reason may be that the claim is not bound yet; the one that stays is the CPU.
    until(lambda: "Insufficient cpu" in _unschedulable(plane).get("qwen-vllm-tp4", ""), "TP4 lacks CPU")

    assert placed(plane)["qwen-vllm-tp4"] is None


def test_without_affinity_a_server_is_stranded(plane: ControlPlane) -> None:
    """What the affinity is for: without it TP1 and TP2 get a node each and TP4 fits on neither."""
    recording = PROGRAMS["one-each"]()
    nodes(plane, recording)
    bare = copy.deepcopy(servers(recording))
    for each in bare:
        if each["kind"] == "Deployment":
            del each["spec"]["template"]["spec"]["affinity"]
    last = [each for each in bare if each["metadata"]["name"] == "qwen-vllm-tp4"]
    apply_all(plane, [each for each in bare if each not in last])
    until(lambda: len([each for each in placed(plane).values() if each]) == 2, "TP1 and TP2 placed")
    apply_all(plane, last)
    lacking = "Insufficient aws.amazon.com/neuroncore"
    until(lambda: lacking in _unschedulable(plane).get("qwen-vllm-tp4", ""), "TP4 lacks cores")

    assert placed(plane)["qwen-vllm-tp1"] != placed(plane)["qwen-vllm-tp2"]
    assert placed(plane)["qwen-vllm-tp4"] is None
