"""``up`` on a cloud as slow as AWS, at a twentieth: the engine waits for what physics asks for, and little else."""

import pathlib

import pytest

from tests.engines import fakes_stack
from tests.engines.fakes_engines import needs
from tests.engines.fakes_nodes import Nodes, playing
from tests.engines.fakes_stack import Run, Stack
from tests.engines.test_pulumi import NEEDED, UP
from tests.fakes_pulumi import recorded
from tests.program.test_critical_path import chain, needed

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600), needs(*NEEDED)]
SCALE = 1 / 20
OWN_SECONDS = 8.0
"""What the engine adds of its own on a machine that is busy: starting the eks component's plugin, registering. It does
not shrink with the latencies: it is under 1 % of a real ``up``, and 18 % at a twentieth (seen on 2026-11-24)."""
POOL, CLUSTER = "NodePool pool-nodes", "Cluster cluster-control-plane"


def durations(run: Run) -> dict[str, float]:
    """Return how long each resource took, in seconds; the cluster component takes its cluster's time."""
    begun = {event.key: event.seconds for event in run.events if not event.is_end}
    took = {event.key: event.seconds - begun[event.key] for event in run.events if event.is_end and event.key in begun}
    role = max(took[key] for key in took if key.startswith("RolePolicyAttachment cluster-control-plane-eksRole"))
    took[CLUSTER] = took["Role cluster-control-plane-eksRole-role"] + role + took[f"{CLUSTER}-eksCluster"]
    return took


def test_up_takes_little_more_than_its_longest_chain(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Less the engine's own time, ``up`` to the node pool is at most 5 % above the longest chain of needs."""
    with fakes_stack.cluster(tmp_path / "kubernetes") as plane:
        stack = Stack(tmp_path / "stack", plane, scale=SCALE)
        with playing(Nodes(plane, stack.model)):
            run = stack.pulumi(*UP)
    assert run.status == 0, run.output
    took, needs = durations(run), needed(recorded("Pulumi.dev.yaml"))
    path = chain(needs, {key: took.get(key, 0.0) for key in needs})
    longest = sum(took[key] for key in path if key in took)
    first = min(event.seconds for event in run.events if event.op == "create")
    wall = next(event.seconds for event in run.events if event.is_end and event.key == POOL) - first
    with capsys.disabled():
        lines = [f"{took.get(key, 0.0):6.1f} s  {key}" for key in path]
        print("\n".join(["", *lines, f"{longest:6.1f} s  longest chain; {wall:.1f} s from the first operation"]))  # noqa: T201 - the figure asked for

    assert wall <= 1.05 * longest + OWN_SECONDS
