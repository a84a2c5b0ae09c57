"""Real Karpenter, given the program's objects, launches the nodes that the plan says, and none without an offer."""

import collections.abc
import contextlib
import dataclasses
import pathlib
import typing

import pytest

from infra.capacity import Neuron
from infra.hardware import NEURONCORE_RESOURCE
from tests.engines.fakes_api_server import ControlPlane, control_plane
from tests.engines.fakes_cluster import apply_all, manifests, placed, planned, scheduling, servers, until
from tests.engines.fakes_karpenter import FILTERED, claims, furnish, karpenter, missing_for_karpenter, nodes
from tests.engines.fakes_region import Reservation, region
from tests.fakes_pulumi import Recording, run_main, stack_config
from tests.fakes_workloads import EXISTING, changed

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        bool(missing_for_karpenter()), reason=f"no {', '.join(missing_for_karpenter())}: run make engines"
    ),
]

HELD = "cr-0123456789abcdef0"
"""The reservation that the dev stack file names."""
ON_DEMAND: typing.Final[dict[str, typing.Any]] = {
    "infra__neuron__capacity_types": ["on-demand"],
    "infra__neuron__reservation_ids": [],
}
_LAUNCH_SECONDS = 120.0
"""A simulated instance joins after 30 s."""
_DECISION_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """A control plane with Karpenter, to which the program's pool and servers were given."""

    plane: ControlPlane
    recording: Recording
    log: pathlib.Path

    def has_given_up(self) -> bool:
        """Return whether Karpenter found nothing to launch for some pod."""
        return FILTERED in self.log.read_text(encoding="utf-8")

    def together(self) -> set[frozenset[str]]:
        """Return the servers that share a node, by node."""
        where = placed(self.plane)
        found = {node for node in where.values() if node is not None}
        return {frozenset(name for name in where if where[name] == node) for node in found}

    def serves(self, servers: int) -> bool:
        """Look after the nodes, and return whether as many servers are placed."""
        furnish(self.plane)
        return len([node for node in placed(self.plane).values() if node is not None]) >= servers


@contextlib.contextmanager
def cluster(
    folder: pathlib.Path,
    *,
    reservations: collections.abc.Sequence[Reservation] = (),
    prices: collections.abc.Mapping[str, float] | None = None,
    **changes: object,
) -> collections.abc.Iterator[Cluster]:
    """Give the program's objects for a cluster that is there to Karpenter; the overlay is left out."""
    dev = stack_config("Pulumi.dev.yaml")["optimal-tp:infra"]
    ami = Neuron(**dev["neuron"]).ami
    with contextlib.ExitStack() as running:
        aws = running.enter_context(
            region(ami=ami, kubernetes=dev["kubernetes"], reservations=reservations, prices=prices)
        )
        plane = running.enter_context(control_plane(folder))
        log = running.enter_context(karpenter(plane, aws))
        running.enter_context(scheduling(plane))
        there = {
            **EXISTING,
            "cluster_name": aws.cluster,
            "subnet_ids": [aws.subnet],
            "security_group_ids": [aws.group],
            "instance_profile": aws.profile,
        }
        config = changed("Pulumi.dev.yaml", infra__existing=there, **changes)
        for key in ("cluster_name", "network", "control_plane", "system_nodes", "addons", "prices"):
            config["optimal-tp:infra"].pop(key, None)
        recording = run_main(config, stack="dev")
        # Karpenter's kwok program gives its offers no overlay: a price comes from the Pricing endpoint or not at all.
        pool = [each for each in manifests(recording) if each["kind"] in {"EC2NodeClass", "NodePool"}]
        apply_all(plane, sorted(pool, key=lambda each: str(each["kind"])))
        apply_all(plane, servers(recording))
        yield Cluster(plane=plane, recording=recording, log=log)


def test_without_price_and_reservation_nothing_is_launched(tmp_path: pathlib.Path) -> None:
    """AWS publishes no on-demand price for trn2: Karpenter finds nothing to launch, and no node claim is made."""
    with cluster(tmp_path, **ON_DEMAND) as running:
        until(running.has_given_up, "Karpenter has looked for an offer", seconds=_DECISION_SECONDS)

        assert claims(running.plane) == []


def test_a_price_opens_the_gate(tmp_path: pathlib.Path) -> None:
    """The same objects and a price: as many nodes of the pinned type as the plan says, on demand."""
    with cluster(tmp_path, prices={"trn2.3xlarge": 2.235, "trn2.48xlarge": 35.76}, **ON_DEMAND) as running:
        count = len(planned(running.recording))
        until(lambda: len(claims(running.plane)) >= count, f"{count} claims", seconds=_DECISION_SECONDS)

        assert _launched(running) == [("trn2.3xlarge", "on-demand")] * count


def _launched(running: Cluster) -> list[tuple[str, str]]:
    def are_launched() -> bool:
        found = [each["metadata"]["labels"] for each in claims(running.plane)]
        return all("node.kubernetes.io/instance-type" in labels for labels in found)

    until(are_launched, "every claim has an instance", seconds=_DECISION_SECONDS)
    labels = [each["metadata"]["labels"] for each in claims(running.plane)]
    return [(each["node.kubernetes.io/instance-type"], each["karpenter.sh/capacity-type"]) for each in labels]


def test_a_reservation_is_filled_as_planned_and_no_pod_is_stranded(tmp_path: pathlib.Path) -> None:
    """Karpenter counts 8 cores of a trn2.3xlarge, the device plugin offers 4: the servers land as planned even so."""
    with cluster(tmp_path, reservations=[Reservation(id=HELD, instances=2)]) as running:
        plan = planned(running.recording)
        until(lambda: running.serves(3), "every server has a node", seconds=_LAUNCH_SECONDS)

        assert running.together() == plan
        assert _launched(running) == [("trn2.3xlarge", "reserved")] * len(plan)
        assert [each["status"]["allocatable"][NEURONCORE_RESOURCE] for each in claims(running.plane)] == ["8", "8"]
        assert [each["status"]["allocatable"][NEURONCORE_RESOURCE] for each in nodes(running.plane)] == ["4", "4"]


def test_a_reservation_of_one_serves_one_planned_node(tmp_path: pathlib.Path) -> None:
    """A Capacity Block of one instance: one planned node is served whole, the other's pods wait; the log says why."""
    block = Reservation(id=HELD, instances=1, kind="capacity-block")
    with cluster(tmp_path, reservations=[block]) as running:
        until(running.has_given_up, "Karpenter has found the block full", seconds=_DECISION_SECONDS)
        until(lambda: running.serves(1), "a server has a node", seconds=_LAUNCH_SECONDS)
        [served] = [each for each in planned(running.recording) if each & next(iter(running.together()))]
        until(lambda: running.serves(len(served)), "its neighbours have it too", seconds=_LAUNCH_SECONDS)

        assert running.together() == {served}
        assert _launched(running) == [("trn2.3xlarge", "reserved")]
