"""What a run made and did not write down: the next run takes it over or is refused; it makes no second that holds."""

import pytest

from tests.fakes_pulumi import recorded
from tests.fakes_stack_files import STACK_FILES


@pytest.mark.parametrize("file", STACK_FILES)
def test_objects_in_the_cluster_are_taken_over(file: str) -> None:
    """In the stack's own cluster what is there is updated, and fields that an earlier try still holds are forced."""
    provider = next(each for each in recorded(file).resources if each.type == "pulumi:providers:kubernetes")

    assert provider.inputs["upsertExistingObjects"] == "true"
    assert provider.inputs["enablePatchForce"] == "true"


@pytest.mark.parametrize("file", STACK_FILES)
def test_a_second_node_group_is_refused(file: str) -> None:
    """Its name is the program's own: two groups of one name cannot be, and another instance type is another name."""
    (group,) = recorded(file).of_type("eks/nodeGroup:NodeGroup")

    assert group.inputs["nodeGroupName"] == f"system-{group.inputs['instanceTypes'][0].replace('.', '-')}"


@pytest.mark.parametrize("kind", ["cloudwatch/eventTarget:EventTarget", "iam/rolePolicy:RolePolicy"])
@pytest.mark.parametrize("file", STACK_FILES)
def test_what_is_put_twice_is_there_once(file: str, kind: str) -> None:
    """Targets and inline policies are puts under ids of the program's own."""
    found = recorded(file).of_type(kind)

    assert found
    assert all(each.inputs.get("targetId") or each.inputs.get("name") for each in found)
