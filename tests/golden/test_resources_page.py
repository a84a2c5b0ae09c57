"""docs/resources.md is what the program does today, and its order is one that the engine may take."""

import pytest

from tests.fakes_graph import PAGE, edges, levels, page
from tests.fakes_pulumi import STACK_FILES, recorded


def test_the_page_is_fresh() -> None:
    """The page in the repository is the one that a recorded run draws."""
    written = PAGE.read_text(encoding="utf-8")

    assert written == page(), "run: python -m tests.fakes_graph"


@pytest.mark.parametrize("file", STACK_FILES)
def test_levels_hold_the_dependencies(file: str) -> None:
    """Nothing is made in a level before all that it needs, and nothing is missing from the levels."""
    recording = recorded(file)
    outlive = recording.must_outlive()
    grouped = levels(recording)
    level_of = {each.urn: number for number, group in enumerate(grouped) for each in group}

    assert all(level_of[other] < level for urn, level in level_of.items() for other in outlive[urn] & level_of.keys())
    assert len(level_of) == len([each for each in recording.resources if not each.type.startswith("optimal-tp:")])


def test_pods_that_use_cores_go_before_the_pool() -> None:
    """Whatever runs on Neuron nodes is made after the pool and deleted before it: a pod that stays keeps its node."""
    grouped = levels(recorded("Pulumi.dev.yaml"))
    level_of = {each.key: number for number, group in enumerate(grouped) for each in group}
    users = [
        each
        for group in grouped
        for each in group
        if each.type.endswith((":Deployment", ":Job")) and "aws.amazon.com/neuroncore" in str(each.inputs)
    ]

    assert users
    assert all(level_of[each.key] > level_of["NodePool pool-nodes"] for each in users)


def test_components_need_each_other_in_one_direction() -> None:
    """The graph of components has no circle of two."""
    found = edges(recorded("Pulumi.dev.yaml"))

    assert [edge for edge in found if (edge[1], edge[0]) in found] == []
    assert ("pool", "karpenter") in found
