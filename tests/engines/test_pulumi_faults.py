"""The engine with a fault after the n-th operation: what it takes to end clean, and that no instance is ever orphaned.

``refuse``: the provider fails and did nothing. ``lose``: it did it, and its answer is lost. ``kill``: engine and
plugins end by SIGKILL. After a kill the lock of the state is taken away by ``pulumi cancel``, as a person would.
"""

import collections.abc
import pathlib
import re
import typing

import pytest

from tests.engines import fakes_control_plane, fakes_stack
from tests.engines.fakes_control_plane import ControlPlane
from tests.engines.fakes_nodes import Nodes, playing
from tests.engines.fakes_stack import Run, Stack
from tests.engines.test_pulumi import DESTROY, KEPT, MISSING, UP

pytestmark = [
    pytest.mark.engines,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]
How = typing.Literal["refuse", "lose", "kill"]
SAMPLE: tuple[tuple[How, int], ...] = (("refuse", 60), ("kill", 100))
ALL: tuple[tuple[How, int], ...] = tuple((how, n) for how in ("refuse", "kill") for n in range(1, 131, 1))
_TWICE = re.compile(r"(ResourceInUseException|EntityAlreadyExists): (\w+) (\S+) already exists")


@pytest.fixture
def plane(tmp_path: pathlib.Path) -> collections.abc.Iterator[ControlPlane]:
    """Run a control plane of its own."""
    (tmp_path / "kubernetes").mkdir()
    with fakes_control_plane.control_plane(tmp_path / "kubernetes") as made:
        yield made


def faulty(stack: Stack, command: tuple[str, ...], how: How, after: int) -> Run:
    """Run ``command`` with the fault, and what a person does after it."""
    if how != "kill":
        stack.order_fault(after=after, how=how)
        return stack.pulumi(*command)
    run = stack.pulumi(*command, kill_after=after)
    stack.pulumi("cancel", "--yes", "--stack", fakes_stack.STACK)
    return run


def check(plane: ControlPlane, folder: pathlib.Path, how: How, after: int) -> None:
    """Take a stack up and down with the fault in both, each followed by the same command without it."""
    stack = Stack(folder, plane)
    with playing(Nodes(plane, stack.model)) as nodes:
        assert faulty(stack, UP, how, after).status != 0
        again = stack.pulumi(*UP)
        assert again.status == 0, again.output
        assert stack.pulumi(*UP).changed() == {}
        faulty(stack, DESTROY, how, after)
        down = stack.pulumi(*DESTROY)
        assert down.status == 0, down.output
    world = stack.world()

    assert world.billing() == []
    assert nodes.outlived == []
    assert world.harms == []
    assert {str(each) for each in world.things.values()} == KEPT


@pytest.mark.parametrize(("how", "after"), SAMPLE, ids=[f"{how}-{after}" for how, after in SAMPLE])
def test_a_fault_is_mended_by_the_same_command(
    plane: ControlPlane, tmp_path: pathlib.Path, how: How, after: int
) -> None:
    """After the fault the same command ends clean; nothing is left, and no instance ever ran without its claim."""
    check(plane, tmp_path / "stack", how, after)


@pytest.mark.parametrize(("how", "after"), ALL, ids=[f"{how}-{after}" for how, after in ALL])
def test_every_fault_is_mended(plane: ControlPlane, tmp_path: pathlib.Path, how: How, after: int) -> None:
    """The same after each operation in turn."""
    check(plane, tmp_path / "stack", how, after)
