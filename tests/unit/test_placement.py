"""The plan of servers, nodes and turns."""

import dataclasses
import itertools
import typing

import pytest

from optimal_tp.errors import CapacityError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceType
from optimal_tp.plan.placement import Plan, Wish, cpu_millicores_per_core, memory_mib_per_core, plan
from optimal_tp.settings.spend import Layout, Placement, Shortage
from tests.fakes_candidates import TP1, TP2, TP4

SMALL = INSTANCE_TYPES["trn2.3xlarge"]
LARGE = INSTANCE_TYPES["trn2.48xlarge"]


def wish(
    layout: Layout = "one-each", placement: Placement = "packed", degrees: tuple[int, ...] = (1, 2, 4), cores: int = 4
) -> Wish:
    """Return the wish for ``degrees`` with ``cores`` each where cores are equal."""
    return Wish(candidates=tuple(map(Candidate, degrees)), layout=layout, placement=placement, equal_cores=cores)


def planned(wanted: Wish, nodes: int, shortage: Shortage = "take-turns") -> Plan:
    """Return the plan on ``nodes`` small nodes."""
    return plan(wanted, SMALL, nodes_available=nodes, limited_by="infra.pool.nodes", shortage=shortage)


def places(result: Plan) -> dict[str, tuple[int, int]]:
    """Return round_number and node by server."""
    return {server.name: (server.round_number, server.node) for server in result.servers}


def test_the_seeds_layout_takes_two_small_nodes() -> None:
    """TP4 fills one trn2.3xlarge; TP1 and TP2 share the other, as in the AWS sample."""
    result = planned(wish(), nodes=2)

    assert places(result) == {"qwen-vllm-tp1": (0, 1), "qwen-vllm-tp2": (0, 1), "qwen-vllm-tp4": (0, 0)}
    assert (result.nodes, result.runs_in_rounds) == (2, False)


def test_equal_cores_take_one_node_per_degree() -> None:
    """Four TP1, two TP2 and one TP4 hold four cores each: three full trn2.3xlarge."""
    result = planned(wish("equal-cores"), nodes=3)

    assert places(result) == {
        "qwen-vllm-tp1-0": (0, 2),
        "qwen-vllm-tp1-1": (0, 2),
        "qwen-vllm-tp1-2": (0, 2),
        "qwen-vllm-tp1-3": (0, 2),
        "qwen-vllm-tp2-0": (0, 1),
        "qwen-vllm-tp2-1": (0, 1),
        "qwen-vllm-tp4": (0, 0),
    }


def test_isolated_servers_have_a_node_each() -> None:
    """No two servers share a node, whatever room is left."""
    result = planned(wish(placement="isolated"), nodes=3)

    assert sorted(server.node for server in result.servers) == [0, 1, 2]


def test_everything_fits_one_large_node() -> None:
    """A trn2.48xlarge has 64 logical cores: both layouts fit one."""
    results = [
        plan(wish(layout), LARGE, nodes_available=1, limited_by="infra.pool.nodes")
        for layout in ("one-each", "equal-cores")
    ]

    assert [result.nodes for result in results] == [1, 1]


def test_one_node_makes_the_servers_take_turns() -> None:
    """A Capacity Block of one trn2.3xlarge holds TP1 and TP2, then TP4."""
    result = planned(wish(), nodes=1)

    assert result.rounds == ((TP1, TP2), (TP4,))
    assert places(result) == {"qwen-vllm-tp1": (0, 0), "qwen-vllm-tp2": (0, 0), "qwen-vllm-tp4": (1, 0)}
    assert (result.nodes, result.nodes_for_all) == (1, 2)


@pytest.mark.parametrize("fewer", [(1, 2), (2, 4), (4,)])
def test_servers_that_stay_keep_their_planned_node(fewer: tuple[int, ...]) -> None:
    """When a degree goes, the pods of the others need not move: they would wait for a node that it still holds."""
    before = {server.name: server.group for server in planned(wish(), nodes=2).servers}
    after = {server.name: server.group for server in planned(wish(degrees=fewer), nodes=2).servers}

    assert after == {name: before[name] for name in after}


def test_pods_of_one_planned_node_name_it_alike() -> None:
    """Servers that share a node share the name of its group, and no others do."""
    cases: tuple[tuple[int, Layout], ...] = ((2, "one-each"), (3, "equal-cores"))
    for nodes, layout in cases:
        servers = planned(wish(layout), nodes=nodes).servers
        pairs = {(server.node, server.group) for server in servers}

        assert len(pairs) == len({server.node for server in servers}) == len({server.group for server in servers})


def test_equal_cores_on_one_node_take_three_turns() -> None:
    """Each degree fills the node, so each has a turn of its own."""
    assert planned(wish("equal-cores"), nodes=1).rounds == ((TP1,), (TP2,), (TP4,))


def test_the_printed_plan_says_who_shares_a_node() -> None:
    """Preview shows nodes, servers, cores, CPUs, memory and what stays idle."""
    assert planned(wish(), nodes=2).lines() == [
        "3 servers (one-each, packed) on 2 x trn2.3xlarge with 4 logical cores each",
        "node 0: qwen-vllm-tp4 (4 cores, 10.88 CPUs, 112 GiB); 0 cores idle",
        "node 1: qwen-vllm-tp1 (1 core, 2.72 CPUs, 28 GiB), qwen-vllm-tp2 (2 cores, 5.44 CPUs, 56 GiB); 1 core idle",
    ]


def test_the_printed_plan_says_that_servers_run_in_rounds() -> None:
    """Preview says why not all run at once."""
    lines = planned(wish(), nodes=1).lines()

    assert lines[0].endswith("; all at once would need 2, so they run in rounds")
    assert [line.split(":")[0] for line in lines[1:]] == ["round 1, node 0", "round 2, node 0"]


@pytest.mark.parametrize(
    ("wanted", "nodes", "shortage", "message"),
    [
        (
            wish(degrees=(1, 8)),
            9,
            "take-turns",
            (
                "workloads.degrees: must be at most 4, the logical cores of one trn2.3xlarge (got 8); remove the "
                "degree or choose a larger infra.neuron.instance_type"
            ),
        ),
        (
            wish(),
            1,
            "refuse",
            (
                "the servers need 2 trn2.3xlarge in layout one-each, placement packed, and infra.pool.nodes allows 1; "
                "allow more nodes, drop degrees or choose another layout or placement, or "
                "serving.when_nodes_are_few: take-turns"
            ),
        ),
        (
            wish(),
            0,
            "take-turns",
            (
                "TP1 alone needs 1 trn2.3xlarge in layout one-each, placement packed, and infra.pool.nodes allows 0; "
                "allow more nodes, drop degrees or choose another layout or placement"
            ),
        ),
        (
            wish("equal-cores", "isolated"),
            2,
            "take-turns",
            (
                "TP1 alone needs 4 trn2.3xlarge in layout equal-cores, placement isolated, and infra.pool.nodes "
                "allows 2; "
                "allow more nodes, drop degrees or choose another layout or placement"
            ),
        ),
    ],
    ids=["degree above the instance", "turns refused", "no node at all", "one degree needs more"],
)
def test_what_cannot_be_held_is_refused(wanted: Wish, nodes: int, shortage: Shortage, message: str) -> None:
    """One sentence says who needs how many nodes and what allows fewer."""
    with pytest.raises(CapacityError) as caught:
        planned(wanted, nodes, shortage)

    assert str(caught.value) == message


@pytest.mark.parametrize("node", [SMALL, LARGE], ids=lambda node: node.name)
def test_cpu_keeps_karpenter_from_believing_in_more_cores(node: InstanceType) -> None:
    """All logical cores' CPUs fit the node and one core's more do not, though Karpenter counts twice the cores."""
    per_core = cpu_millicores_per_core(node)

    assert per_core * node.logical_cores < node.allocatable_cpu_millicores < per_core * (node.logical_cores + 1)
    assert memory_mib_per_core(node) * node.logical_cores < node.allocatable_memory_mib


ANY = itertools.product(
    [(1,), (2,), (4,), (1, 2), (1, 4), (2, 4), (1, 2, 4)],
    typing.get_args(Layout),
    typing.get_args(Placement),
    range(4, 10),
)


def test_every_plan_is_sound() -> None:
    """No node holds more cores than it has, no turn more nodes than there are, and every server is there once."""
    for degrees, layout, placement, nodes in ANY:
        result = planned(wish(layout, placement, degrees), nodes)
        used: dict[tuple[int, int], list[int]] = {}
        for server in result.servers:
            used.setdefault((server.round_number, server.node), []).append(server.degree)

        assert all(sum(cores) <= SMALL.logical_cores for cores in used.values())
        assert all(len(cores) == 1 for cores in used.values()) or placement == "packed"
        assert max(node for _, node in used) < min(result.nodes, nodes)
        assert sorted(each.degree for together in result.rounds for each in together) == list(degrees)
        assert len({server.name for server in result.servers}) == len(result.servers)


def test_a_degree_with_several_batches_has_servers_of_each() -> None:
    """Each batch is a candidate with cores and a round of its own, and its servers carry it in their names."""
    candidates = (Candidate(1, 4), Candidate(1, 16), TP2)
    wanted = Wish(candidates=candidates, layout="equal-cores", placement="packed", equal_cores=4)
    result = planned(wanted, nodes=1)

    assert result.rounds == tuple((each,) for each in candidates)
    assert [server.name for server in result.of(Candidate(1, 16))] == [f"qwen-vllm-tp1-b16-{n}" for n in range(4)]
    assert {server.group for server in result.of(Candidate(1, 4))} == {"qwen-vllm-tp1-b4-0"}


def chips(layout: Layout = "one-each", degrees: tuple[int, ...] = (1, 2, 4), cores: int = 4) -> Wish:
    """Return the wish of an image that takes whole chips."""
    return dataclasses.replace(wish(layout, "packed", degrees, cores), whole_chips=True)


def test_whole_chips_are_shared_with_nobody() -> None:
    """TP1 and TP2, which share a chip elsewhere, have one each; each asks for the CPUs and memory of its chip."""
    result = planned(chips(), nodes=3)

    assert places(result) == {"qwen-vllm-tp1": (0, 2), "qwen-vllm-tp2": (0, 1), "qwen-vllm-tp4": (0, 0)}
    assert {(server.chips, server.cores) for server in result.servers} == {(1, 4)}
    assert len({(server.cpu_millicores, server.memory_mib) for server in result.servers}) == 1
    assert result.nodes == 3


def test_equal_cores_of_whole_chips_are_one_server_each() -> None:
    """On one chip a degree has one server, however few cores it uses: the others of the chip are nobody's."""
    result = planned(chips("equal-cores"), nodes=1)

    assert [server.name for server in result.servers] == ["qwen-vllm-tp1", "qwen-vllm-tp2", "qwen-vllm-tp4"]
    assert result.rounds == ((TP1,), (TP2,), (TP4,))


def test_a_degree_of_several_chips_takes_them_whole() -> None:
    """TP8 takes two chips of a large node, and TP1 still one."""
    result = plan(chips(degrees=(1, 8)), LARGE, nodes_available=1, limited_by="infra.pool.nodes")

    assert [(server.degree, server.chips, server.cores) for server in result.servers] == [(1, 1, 4), (8, 2, 8)]


def test_the_preview_says_what_whole_chips_leave_idle() -> None:
    """A line tells the cores that are paid for and that no other server gets."""
    line = planned(chips(degrees=(1,)), nodes=1).lines()[1]

    assert line.startswith("node 0: qwen-vllm-tp1 (1 of the cores of a whole chip, 10.88 CPUs, 11")
    assert line.endswith("; 3 cores idle, 3 of them on chips reserved for them")
