"""A fault at every operation of ``up`` and ``destroy``: what it takes to end clean, and that no instance is orphaned.

``refuse``: the provider fails and did nothing. ``lose``: it did it, and its answer is lost. ``kill``: it did it, and
engine and plugins end by SIGKILL; the lock of the state is then taken away by ``pulumi cancel``, as a person would.
Operations are those on the model of AWS, and those of the Kubernetes plugin, Helm's single requests included. Each goes
wrong the first time it is tried; then the same command is run again, until it ends well.
"""

import contextlib
import dataclasses
import itertools
import pathlib

import pytest

from tests.engines import fakes_stack
from tests.engines.fakes_aws.faults import How
from tests.engines.fakes_engines import needs
from tests.engines.fakes_gateway import gateway
from tests.engines.fakes_nodes import Nodes, playing
from tests.engines.fakes_repair import Course, counted, driven, orphans
from tests.engines.fakes_stack import Stack
from tests.engines.test_pulumi import DESTROY, KEPT, NEEDED, UP

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900), needs(*NEEDED)]
END = 10_000
SAMPLE: tuple[tuple[How, range], ...] = (("refuse", range(40)), ("lose", range(60, 70)), ("kill", range(100, 104)))
CHUNKS: dict[How, tuple[int, ...]] = {"refuse": (0, END), "lose": (0, 60, 110, END), "kill": (*range(0, 180, 20), END)}
"""Places between which one stack lives: a few minutes each."""
ALL: tuple[tuple[How, range], ...] = tuple(
    (how, range(*span)) for how, ends in CHUNKS.items() for span in itertools.pairwise(ends)
)


def _ids(cases: tuple[tuple[How, range], ...]) -> list[str]:
    return [f"{how}-{each.start}-to-{'the-end' if each.stop == END else each.stop}" for how, each in cases]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """One stack up and down with faults in both."""

    up: Course
    down: Course
    changed: dict[str, list[str]]
    """What a further ``up`` did."""
    left: list[str]
    """What is in the account at the end, in no state and not meant to be kept: twins that nobody asked for, by kind."""
    billing: int
    outlived: list[str]
    harms: list[str]


def lived(folder: pathlib.Path, how: How, places: range) -> Outcome:
    """Take a stack up and down, with faults at ``places`` of each."""
    model = folder / "stack" / "world.json"
    with contextlib.ExitStack() as running:
        plane = running.enter_context(fakes_stack.cluster(folder / "kubernetes"))
        (folder / "stack").mkdir()
        stack = Stack(folder / "stack", running.enter_context(gateway(folder, plane, model)))
        nodes = running.enter_context(playing(Nodes(plane, stack.model)))
        up = driven(stack, plane, UP, how, places)
        changed = stack.pulumi(*UP).changed()
        down = driven(stack, plane, DESTROY, how, places)
        world = stack.world()
        left = [world.things[name].kind for name in orphans(stack, world) if str(world.things[name]) not in KEPT]
    return Outcome(up=up, down=down, changed=changed, left=left, billing=len(world.billing()),
                   outlived=nodes.outlived, harms=world.harms)  # fmt: skip


def check(folder: pathlib.Path, how: How, places: range) -> None:
    """Hold one life to what is said of all of them, and print its counts."""
    found = lived(folder, how, places)
    for name, course in (("up", found.up), ("destroy", found.down)):
        print(f"{how} {name}: {len(course.struck)} operations, {course.runs} runs, by hand {counted(course.hands)}")  # noqa: T201 - the figures asked for
    print(f"{how}: left {counted(found.left)}")  # noqa: T201 - likewise

    assert found.up.struck
    assert found.billing == 0
    assert found.outlived == []
    assert found.harms == []
    assert found.changed == {}
    if how == "refuse":
        assert found.up.hands + found.down.hands == []
        assert found.left == []


@pytest.mark.parametrize(("how", "places"), SAMPLE, ids=_ids(SAMPLE))
def test_a_fault_is_mended_by_the_same_command(tmp_path: pathlib.Path, how: How, places: range) -> None:
    """After each fault the same command goes on; nothing bills at the end, no instance ever ran without its claim."""
    check(tmp_path, how, places)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "places"), ALL, ids=_ids(ALL))
def test_every_fault_is_mended(tmp_path: pathlib.Path, how: How, places: range) -> None:
    """The same for every operation."""
    check(tmp_path, how, places)
