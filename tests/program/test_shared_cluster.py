"""Two stacks on one cluster that was there before: neither has a name of the other's, and each means its own nodes."""

import collections.abc
import json
import re
import typing

import pytest

from optimal_tp.errors import SettingsError
from tests.fakes_pulumi import Recording
from tests.fakes_schemas import PREFIX
from tests.fakes_workloads import on_existing, order, program
from tests.program.test_self_named import named

SECOND: typing.Final = {"namespace": "second"}


def placed(recording: Recording) -> set[tuple[str, str, str]]:
    """Return type, namespace and name of every object of Kubernetes in ``recording``."""
    found = [(each.type, each.inputs.get("metadata", {})) for each in recording.resources]
    return {
        (kind, str(meta.get("namespace", "")), str(meta["name"]))
        for kind, meta in found
        if kind.startswith(PREFIX) and "name" in meta
    }


def test_nothing_has_the_same_name() -> None:
    """In the cluster and in the account: the API server and CloudWatch would let one stack overwrite the other."""
    first, second = on_existing(), on_existing(serving=SECOND)

    assert len(placed(first)) > 30
    assert placed(first) & placed(second) == set()
    assert len(named(first)) > 1
    assert named(first) & named(second) == set()


def test_the_second_stack_means_its_own_nodes_everywhere() -> None:
    """Pool, class, servers, guard, load generator and the right to give nodes back."""
    second = on_existing(serving=SECOND)
    said = [each.inputs for each in second.resources if "-code-" not in each.name]
    receipt = order(second).receipt

    assert receipt is not None
    assert second.outputs["node_pool_name"] == receipt.node_pool == "neuron-trn-2-in-second"
    assert second.one("NodePool pool-nodes").inputs["metadata"]["name"] == "neuron-trn-2-in-second"
    assert second.one("EC2NodeClass pool-class").inputs["metadata"]["name"] == "neuron-al2023-in-second"
    assert second.one("Dashboard dashboard-board").inputs["dashboardName"] == "theirs-in-second"
    assert re.findall(r"neuron-(?:trn-2|al2023)(?!-in-second)", json.dumps([*said, second.outputs], default=str)) == []


def test_the_second_stacks_price_is_of_its_own_pools() -> None:
    """Karpenter refuses one of two prices for a type that have the same weight; without a weight it is 0."""
    on_demand = {"infra__neuron__capacity_types": ["on-demand"], "infra__neuron__reservation_ids": []}
    first, second = (
        on_existing(**on_demand, serving=serving).one("NodeOverlay pool-price").inputs for serving in ({}, SECOND)
    )

    assert (first["metadata"]["name"], "weight" in first["spec"]) == ("neuron-trn-2-price", False)
    assert (second["metadata"]["name"], second["spec"]["weight"]) == ("neuron-trn-2-price-in-second", 1)
    assert second["spec"]["requirements"][1:] == [
        {
            "key": "karpenter.sh/nodepool",
            "operator": "In",
            "values": ["neuron-trn-2-in-second", "neuron-trn-2-fleet-in-second"],
        }
    ]


@pytest.mark.parametrize(
    ("recording", "dashboard"),
    [(on_existing, "theirs"), (lambda: program(serving=SECOND), "optimal-tp-dev")],
    ids=["the first on a cluster", "a cluster of its own"],
)
def test_names_are_plain_where_no_second_stack_is(
    recording: collections.abc.Callable[[], Recording], dashboard: str
) -> None:
    """Stacks that are up keep their nodes."""
    found = recording()

    assert found.one("NodePool pool-nodes").inputs["metadata"]["name"] == "neuron-trn-2"
    assert found.one("EC2NodeClass pool-class").inputs["metadata"]["name"] == "neuron-al2023"
    assert found.one("Dashboard dashboard-board").inputs["dashboardName"] == dashboard


def test_the_preview_says_which_name_must_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what gives another one."""
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.info", said.append)
    on_existing(serving=SECOND)

    assert [line for line in said if "NodePool" in line] == [
        (
            "expected: no NodePool neuron-trn-2-in-second of another stack (another serving.namespace gives it another "
            "name)"
        )
    ]


def test_a_namespace_too_long_to_end_a_name_is_refused() -> None:
    """A pool's name is the value of a label, which has 63 letters; in a cluster of its own it ends none."""
    longest = {"namespace": "a" * 41}
    assert on_existing(serving=longest).outputs["node_pool_name"] == f"neuron-trn-2-in-{'a' * 41}"

    with pytest.raises(SettingsError) as refused:
        on_existing(serving={"namespace": "a" * 42})

    assert str(refused.value) == (
        "Pulumi.dev.yaml serving.namespace: must have at most 41 letters on an existing cluster, where it ends the "
        f"names of nodes (got '{'a' * 42}')"
    )
