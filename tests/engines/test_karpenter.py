"""Real Karpenter, given the program's objects, launches what plan and preflight foretell, and no more."""

import collections.abc
import copy
import dataclasses
import pathlib
import typing

import pytest

from infra.nodes import node_overlay_spec
from optimal_tp.facts.hardware import NEURON_RESOURCE
from optimal_tp.facts.names import NODE_OVERLAY
from optimal_tp.plan.placement import DAEMONS_CPU_MILLICORES, DAEMONS_MEMORY_MIB
from tests.engines.fakes_cluster import Manifest, apply_all, daemon_sets, path_of, planned, servers, until
from tests.engines.fakes_engines import CONTROL_PLANE, KARPENTER, needs
from tests.engines.fakes_karpenter import claims
from tests.engines.fakes_launch import HELD, Launch, launching
from tests.engines.fakes_region import Kind

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(180),
    needs(CONTROL_PLANE, KARPENTER),
]

Launched = list[tuple[str, str]]
NO_OFFER = "nodepool requirements filtered out all available instance types"
SMALL, LARGE = "trn2.3xlarge", "trn2.48xlarge"
RESERVED: typing.Final[dict[str, typing.Any]] = {"infra__neuron__reservation_ids": [HELD]}
ON_DEMAND: typing.Final[dict[str, typing.Any]] = {
    "infra__neuron__capacity_types": ["on-demand"],
    "infra__neuron__reservation_ids": [],
}
EITHER: typing.Final = {**RESERVED, "infra__neuron__capacity_types": ["reserved", "on-demand"]}
GATE_UNKNOWN: typing.Final = {"price gate": "unknown"}
"""The cluster is there already, and whether its Karpenter heeds a NodeOverlay stands in no answer of AWS."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What is offered to the stack ``dev``, what preflight must say of it, and what Karpenter must do."""

    changes: collections.abc.Mapping[str, typing.Any]
    reserved: int | None = None
    kind: Kind = "capacity-block"
    foretold: dict[str, str]
    """Rows of preflight that are not fine, by check."""
    launched: Launched
    serves_all: bool = True
    """Whether every pod gets a node; else Karpenter warns at each that has none."""


CASES: dict[str, Case] = {
    "a Capacity Block of what the plan needs": Case(
        changes=RESERVED, reserved=2, foretold={}, launched=[(SMALL, "reserved")] * 2
    ),
    "a Capacity Block of one": Case(
        changes=RESERVED,
        reserved=1,
        foretold={"reserved instances": "wrong"},
        launched=[(SMALL, "reserved")],
        serves_all=False,
    ),
    "no such reservation": Case(
        changes=RESERVED, foretold={f"reservation {HELD}": "wrong"}, launched=[], serves_all=False
    ),
    "a zone that does not offer the type": Case(
        changes={**ON_DEMAND, "infra__neuron__zones": ["ap-southeast-4a"]},
        foretold={f"{SMALL} offered": "wrong", **GATE_UNKNOWN},
        launched=[],
        serves_all=False,
    ),
    "on demand, at a price of ours": Case(
        changes=ON_DEMAND, foretold=GATE_UNKNOWN, launched=[(SMALL, "on-demand")] * 2
    ),
    "on demand beside a reservation of one": Case(
        changes=EITHER,
        reserved=1,
        kind="default",
        foretold=GATE_UNKNOWN,
        launched=[(SMALL, "on-demand"), (SMALL, "reserved")],
    ),
    "on demand beside a reservation of enough": Case(
        changes=EITHER, reserved=2, kind="default", foretold=GATE_UNKNOWN, launched=[(SMALL, "reserved")] * 2
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_karpenter_does_what_preflight_foretells(tmp_path: pathlib.Path, name: str) -> None:
    """What is fine to preflight is launched as the plan says; what is not, leaves pods without a node."""
    case = CASES[name]
    with launching(tmp_path, reserved=case.reserved, kind=case.kind, **case.changes) as running:
        running.give()
        stranded = {} if case.serves_all else running.gives_up()
        launched = running.decides(len(case.launched))
        foretold = {check: state for check, state in running.foretold().items() if state != "fine"}

        assert launched == case.launched
        assert (len(launched) == len(planned(running.recording))) == case.serves_all
        assert stranded == running.given_up()
        assert set(stranded.values()) == (set() if case.serves_all else {NO_OFFER})
        assert foretold == case.foretold


def test_where_prices_of_ours_are_not_looked_at_nothing_is_launched(tmp_path: pathlib.Path) -> None:
    """AWS publishes no price for trn2: with the gate closed the overlay is never ready, and no node claim is made."""
    with launching(tmp_path, overlays=False, **ON_DEMAND) as running:
        overlay, *pool = running.pool()
        apply_all(running.plane, [overlay])
        running.give([*pool, *servers(running.recording)])

        assert running.foretold()["price gate"] == "unknown"
        assert overlay["kind"] == "NodeOverlay"
        assert set(running.gives_up().values()) == {NO_OFFER}
        assert claims(running.plane) == []
        assert not running.is_ready(overlay)


def _is_refused(running: Launch, overlay: Manifest) -> bool:
    """Return whether Karpenter says that ``overlay`` is in conflict with another one."""
    found = running.plane.ask("GET", path_of(overlay))[1].get("status", {}).get("conditions", [])
    return any((each["status"], each["reason"]) == ("False", "Conflict") for each in found)


def test_two_stacks_on_one_cluster_have_a_price_each(tmp_path: pathlib.Path) -> None:
    """Both are ready, as the second one's has a weight and pools of its own; of two of one weight one is refused."""
    with launching(tmp_path, serving={"namespace": "second"}, **ON_DEMAND) as running:
        [ours] = [each for each in running.pool() if each["kind"] == "NodeOverlay"]
        spec = node_overlay_spec(running.settings.neuron)
        theirs = {**ours, "metadata": {**ours["metadata"], "name": NODE_OVERLAY}, "spec": spec}
        running.give([theirs, *running.pool(), *servers(running.recording)])
        launched = running.decides(2)
        are_ready = [running.is_ready(each) for each in (theirs, ours)]
        rival = {**theirs, "metadata": {**theirs["metadata"], "name": f"{NODE_OVERLAY}-of-a-third"}}
        apply_all(running.plane, [rival])
        until(lambda: _is_refused(running, theirs) or _is_refused(running, rival), "one of two prices is refused")

        assert launched == [(SMALL, "on-demand")] * 2
        assert are_ready == [True, True]
        assert not _is_refused(running, ours)


def _anywhere(objects: list[Manifest]) -> None:
    """Leave it to CPU and memory which servers share a node."""
    for each in objects:
        if each["kind"] == "Deployment":
            del each["spec"]["template"]["spec"]["affinity"]


def _any_size(objects: list[Manifest]) -> None:
    """Ask for any trn2, and as many chips as there are."""
    _anywhere(objects)
    [pool] = [each for each in objects if each["kind"] == "NodePool"]
    del pool["spec"]["limits"]
    requirements = pool["spec"]["template"]["spec"]["requirements"]
    [pinned] = [each for each in requirements if each["key"] == "node.kubernetes.io/instance-type"]
    pinned.update(key="karpenter.k8s.aws/instance-family", values=["trn2"])


def _cores_only(objects: list[Manifest]) -> None:
    """Ask for next to no CPU and memory, so that cores decide."""
    _anywhere(objects)
    for each in objects:
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                for amounts in container["resources"].values():
                    amounts.update(cpu="100m", memory="1Gi")


WITHOUT: dict[str, tuple[collections.abc.Callable[[list[Manifest]], None], Launched]] = {
    # CPU and memory in proportion to cores are enough for the count; what the affinity adds, test_scheduling.py shows.
    "affinity": (_anywhere, [(SMALL, "on-demand")] * 2),
    # One node at eight times the price of both: Karpenter packs first and looks for prices then.
    "affinity, pinned type and limits": (_any_size, [(LARGE, "on-demand")]),
    # Eight physical cores hold TP1, TP2 and TP4; the device plugin will offer four.
    "affinity and proportion": (_cores_only, [(SMALL, "on-demand")]),
}


@pytest.mark.parametrize("lacking", WITHOUT)
def test_what_each_part_of_the_plan_is_for(tmp_path: pathlib.Path, lacking: str) -> None:
    """Without the pinned type, or CPU in proportion to cores, Karpenter launches something else than planned."""
    alter, launched = WITHOUT[lacking]
    south = {
        **ON_DEMAND,
        "infra__zones": ["ap-south-2a", "ap-south-2b"],
        "infra__neuron__zones": ["ap-south-2a"],
    }
    with launching(tmp_path, prices={SMALL: 2.235, LARGE: 35.76}, **south) as running:
        objects = copy.deepcopy([*running.pool(), *servers(running.recording)])
        alter(objects)
        running.give(objects)

        assert running.decides(len(launched)) == launched


LIMITS: dict[str, tuple[dict[str, str], int]] = {"nodes": ({"nodes": "1"}, 2), "chips": ({NEURON_RESOURCE: "1"}, 1)}
"""Limits of one node, by what they count, and the nodes that are launched."""


@pytest.mark.parametrize("counted", LIMITS)
def test_within_one_decision_chips_are_the_limit(tmp_path: pathlib.Path, counted: str) -> None:
    """Karpenter counts nodes between its decisions only, so that the first may go over; chips it counts within one."""
    limits, launched = LIMITS[counted]
    with launching(tmp_path, reserved=2, **RESERVED) as running:
        objects = copy.deepcopy([*running.pool(), *servers(running.recording)])
        [pool] = [each for each in objects if each["kind"] == "NodePool"]
        pool["spec"]["limits"] = limits
        running.give(objects)
        found = running.decides(launched)

        assert found == [(SMALL, "reserved")] * launched
        assert bool(running.given_up() if launched == 2 else running.gives_up()) == (launched == 1)


def test_what_daemons_ask_for_is_counted(tmp_path: pathlib.Path) -> None:
    """DaemonSets that ask for one CPU more than the plan keeps for them leave TP4 no room on any node."""
    with launching(tmp_path, reserved=2, **RESERVED) as running:
        apply_all(
            running.plane, daemon_sets(cpu_millicores=DAEMONS_CPU_MILLICORES + 1000, memory_mib=DAEMONS_MEMORY_MIB)
        )
        running.give()
        given_up = running.gives_up()

        assert given_up.keys() == {"qwen-vllm-tp4"}
        assert given_up["qwen-vllm-tp4"].startswith("no instance type has enough resources")
        assert running.decides(1) == [(SMALL, "reserved")]
