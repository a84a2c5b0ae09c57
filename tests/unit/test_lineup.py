"""Several models on the same nodes: at once where they hold them all, else one after the other."""

import pytest

from optimal_tp.errors import CapacityError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import INSTANCE_TYPES, InstanceType
from optimal_tp.plan.lineup import Lineup, line_up
from optimal_tp.plan.placement import Wish
from optimal_tp.settings.spend import Placement, Shortage
from optimal_tp.settings.workload import Model, WorkloadSettings
from tests.fakes_candidates import TP1, TP2, TP4, TP8

SMALL, LARGE = INSTANCE_TYPES["trn2.3xlarge"], INSTANCE_TYPES["trn2.48xlarge"]


def lineup(
    *degrees: tuple[int, ...],
    kind: InstanceType = SMALL,
    nodes: int = 2,
    shortage: Shortage = "take-turns",
    placement: Placement = "packed",
) -> Lineup:
    """Return the lineup of models a, b and so on, each with its degrees."""
    asked = [
        (
            WorkloadSettings(model=Model(name=f"me/{word}"), degrees=own),
            word,
            Wish(
                candidates=tuple(map(Candidate, own)),
                layout="one-each",
                placement=placement,
                equal_cores=4,
                family=f"qwen-vllm-{word}",
            ),
        )
        for word, own in zip("abc", degrees, strict=False)
    ]
    return line_up(asked, kind, nodes_available=nodes, limited_by="the limit", shortage=shortage)


def places(found: Lineup) -> dict[str, tuple[int, int]]:
    """Return turn and node of every server by name."""
    return {server.name: (server.round_number, server.node) for server in found.servers}


def test_models_that_fit_together_run_at_once() -> None:
    """On a large node both have their cores side by side: no turns, no two on one core, one node."""
    found = lineup((1, 2, 4), (2, 4, 8), kind=LARGE, nodes=1)

    assert (found.nodes, found.runs_in_rounds, found.rounds) == (1, False, ((TP1, TP2, TP4, TP2, TP4, TP8),))
    assert set(places(found).values()) == {(0, 0)}
    assert found.lines()[0] == "2 models on 1 x trn2.48xlarge, all at once"


def test_models_that_run_at_once_share_no_core() -> None:
    """On small nodes each node has at most its four cores, whoever's servers are on it."""
    found = lineup((1, 2), (1, 4), nodes=2)
    used: dict[int, int] = {}
    for server in found.servers:
        used[server.node] = used.get(server.node, 0) + server.degree

    assert used == {0: 4, 1: 4}
    assert places(found)["qwen-vllm-a-tp1"][1] == places(found)["qwen-vllm-b-tp1"][1] == 1


def test_isolated_servers_keep_a_node_each_among_models() -> None:
    """``isolated`` holds for all models together."""
    assert lineup((1,), (1,), nodes=2, placement="isolated").nodes == 2
    assert lineup((1,), (1,), nodes=1, placement="isolated").runs_in_rounds


def test_models_take_turns_where_nodes_are_few() -> None:
    """Each has the nodes to itself; only the first one's servers run before any turn is taken."""
    found = lineup((1, 2, 4), (4,), nodes=2)

    assert (found.nodes, found.nodes_for_all, found.runs_in_rounds) == (2, 3, True)
    assert found.rounds == ((TP1, TP2, TP4), (TP4,))
    assert found.lines() == [
        "2 models one after the other on 2 x trn2.3xlarge; all at once would need 3",
        "me/a: 3 servers (one-each, packed) on 2 x trn2.3xlarge with 4 logical cores each",
        "me/a: node 0: qwen-vllm-a-tp4 (4 cores, 10.88 CPUs, 112 GiB); 0 cores idle",
        (
            "me/a: node 1: qwen-vllm-a-tp1 (1 core, 2.72 CPUs, 28 GiB), qwen-vllm-a-tp2 (2 cores, 5.44 CPUs, 56 GiB); "
            "1 core idle"
        ),
        "me/b: 1 server (one-each, packed) on 1 x trn2.3xlarge with 4 logical cores each",
        "me/b: node 0: qwen-vllm-b-tp4 (4 cores, 10.88 CPUs, 112 GiB); 0 cores idle",
    ]


def test_turns_within_a_model_are_turns_of_the_sweep() -> None:
    """With one node TP4 of the first model has its turn before the second model's."""
    found = lineup((1, 2, 4), (2,), nodes=1)

    assert found.rounds == ((TP1, TP2), (TP4,), (TP2,))


def test_one_model_alone_is_its_plan() -> None:
    """Its lines are the plan's, with no word of a sweep."""
    found = lineup((1, 2, 4), nodes=1)

    assert found.lines() == found.models[0].plan.lines()
    assert found.rounds == ((TP1, TP2), (TP4,))
    assert found.runs_in_rounds


def test_every_model_that_no_node_holds_is_named() -> None:
    """One error has a sentence for each."""
    with pytest.raises(CapacityError) as caught:
        lineup((8,), (1,), (1, 16))

    assert str(caught.value).splitlines() == [
        f"me/{name}: workloads.degrees: must be at most 4, the logical cores of one trn2.3xlarge (got {degree}); "
        f"remove the degree or choose a larger infra.neuron.instance_type"
        for name, degree in (("a", 8), ("c", 16))
    ]


def test_turns_of_models_can_be_refused() -> None:
    """Whoever wants all at once is told what that takes."""
    with pytest.raises(CapacityError) as caught:
        lineup((1, 2, 4), (4,), nodes=2, shortage="refuse")

    assert str(caught.value) == (
        "the servers of all 2 models need 3 trn2.3xlarge, and the limit allows 2; allow more nodes, remove models or "
        "degrees or let them take turns (serving.when_nodes_are_few: take-turns)"
    )
