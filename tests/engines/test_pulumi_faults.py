"""A fault at every operation of ``up`` and ``destroy``: what it takes to end clean, and that no instance is orphaned.

``refuse``: the provider fails and did nothing. ``lose``: it did it, and its answer is lost. ``kill``: it did it, and
engine and plugins end by SIGKILL; the lock of the state is then taken away by ``pulumi cancel``, as a person would.
Operations are those on the model of AWS, and those of the Kubernetes plugin, Helm's single requests included. Each goes
wrong the first time it is tried; then the same command is run again, until it ends well.
"""

import collections
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
Fault = tuple[How, range]
"""What goes wrong, and at which operations in the order in which they are first tried."""
END = 10_000
CHUNKS: dict[How, tuple[int, ...]] = {
    "refuse": (0, 80, END),
    "lose": (0, 80, END),
    "kill": (*range(0, 136, 15), END),
}
"""Places between which one stack lives: a few minutes each."""
ALL: tuple[Fault, ...] = tuple((how, range(*span)) for how, ends in CHUNKS.items() for span in itertools.pairwise(ends))


def _id(fault: Fault) -> str:
    how, places = fault
    return f"{how}-{places.start}-to-{'the-end' if places.stop == END else places.stop}"


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


def lived(folder: pathlib.Path, up_fault: Fault, down_fault: Fault) -> Outcome:
    """Take a stack up and down, with a fault of its own in each."""
    model = folder / "stack" / "world.json"
    with contextlib.ExitStack() as running:
        plane = running.enter_context(fakes_stack.cluster(folder / "kubernetes"))
        (folder / "stack").mkdir()
        stack = Stack(folder / "stack", running.enter_context(gateway(folder, plane, model)))
        nodes = running.enter_context(playing(Nodes(plane, stack.model)))
        up = driven(stack, plane, UP, *up_fault)
        changed = stack.pulumi(*UP).changed()
        down = driven(stack, plane, DESTROY, *down_fault)
        world = stack.world()
        there = collections.Counter(str(world.things[name]) for name in orphans(stack, world))
        left = [name.split()[0] for name in (there - collections.Counter(KEPT)).elements()]
    return Outcome(up=up, down=down, changed=changed, left=left, billing=len(world.billing()),
                   outlived=nodes.outlived, harms=world.harms)  # fmt: skip


def check(found: Outcome) -> None:
    """Hold one life to what is said of all of them, and print its counts."""
    for name, course in (("up", found.up), ("destroy", found.down)):
        where = dict(collections.Counter(key.split()[0] for key in course.struck))
        print(f"{name}: {len(course.struck)} faults {where}, {course.runs} runs, by hand {counted(course.hands)}")  # noqa: T201 - the figures asked for
    print(f"left: {counted(found.left)}")  # noqa: T201 - likewise

    assert found.up.struck + found.down.struck
    assert found.billing == 0
    assert found.outlived == []
    assert found.harms == []
    assert found.changed == {}


def test_faults_in_both_are_mended(tmp_path: pathlib.Path) -> None:
    """``up`` is killed twice, half way and at a chart; ``destroy`` loses every thirtieth answer: both end well."""
    found = lived(tmp_path, ("kill", range(60, 96, 30)), ("lose", range(5, END, 30)))

    check(found)
    assert len(found.up.struck) == 2
    assert len(found.down.struck) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", ALL, ids=_id)
def test_every_fault_is_mended(tmp_path: pathlib.Path, fault: Fault) -> None:
    """The same for every operation; where the provider did nothing, nobody has to help and nothing is left."""
    found = lived(tmp_path, fault, fault)

    check(found)
    if fault[0] == "refuse":
        assert found.up.hands + found.down.hands == []
        assert found.left == []
