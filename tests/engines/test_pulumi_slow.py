"""``up`` on a cloud as slow as AWS, scaled down: the engine waits for what physics asks for, and little else."""

import dataclasses
import pathlib
import time

import pytest

from tests.engines import fakes_stack
from tests.engines.fakes_engines import needs
from tests.engines.fakes_nodes import Nodes, playing
from tests.engines.fakes_stack import Run, Stack
from tests.engines.test_pulumi import NEEDED, UP
from tests.fakes_workloads import PROGRAMS
from tests.program.test_critical_path import CONDUCTOR, IN_CLUSTER, chain, needed

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900), needs(*NEEDED)]
POOL, CLUSTER = "NodePool pool-nodes", "Cluster cluster-control-plane"
PARTS = ("Role cluster-control-plane-eksRole-role", "RolePolicyAttachment cluster-control-plane-eksRole", CLUSTER)
"""What the cluster component makes one after the other, by the beginning of its key."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """One resource of the longest chain. Times are seconds."""

    key: str
    took: float
    waited: float
    """From the end of the link before to the beginning of this one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Path:
    """The longest chain of needs to one resource, as an ``up`` went through it."""

    links: list[Link]
    wall_seconds: float
    """From the first operation to the end of the resource."""
    own_seconds: float
    """What another ``up`` took that had nothing to do: the program, plugins, registering, on this machine, as busy as
    it is. It does not shrink with the latencies: 18 % of ``up`` at a twentieth, under 1 % at AWS's own speed."""

    @property
    def longest_seconds(self) -> float:
        """Return what the chain's resources took themselves."""
        return sum(link.took for link in self.links)

    def __str__(self) -> str:
        lines = [f"{link.took:7.1f} s after {link.waited:4.1f} s  {link.key}" for link in self.links]
        over = 100 * (self.wall_seconds / self.longest_seconds - 1)
        total = (
            f"{self.longest_seconds:7.1f} s longest chain; {self.wall_seconds:.1f} s of wall time, {over:.1f} % more; "
            f"an up with nothing to do took {self.own_seconds:.1f} s"
        )
        return "\n".join([*lines, total])


def walked(run: Run, own_seconds: float, last: str) -> Path:
    """Return the longest chain of needs to ``last``, timed in ``run``, beside what an ``up`` of nothing takes."""
    begun = {event.key: event.seconds for event in run.events if not event.is_end}
    ended = {event.key: event.seconds for event in run.events if event.is_end and event.key in begun}
    needs_of = needed(PROGRAMS["one-each"]())
    names = {CLUSTER: [key for part in PARTS for key in ended if key.startswith(part)]}
    cost = {key: sum(ended[each] - begun[each] for each in names.get(key, [key]) if each in ended) for key in needs_of}
    keys = [each for key in chain(needs_of, cost, last) for each in names.get(key, [key]) if each in ended]
    keys.sort(key=lambda key: begun[key])
    first = min(event.seconds for event in run.events if event.op == "create")
    before = [first, *(ended[key] for key in keys)]
    links = [
        Link(key=key, took=ended[key] - begun[key], waited=begun[key] - then)
        for key, then in zip(keys, before, strict=False)
    ]
    return Path(links=links, wall_seconds=ended[last] - first, own_seconds=own_seconds)


def gone_up(folder: pathlib.Path, scale: float) -> list[Path]:
    """Take the program up with AWS's latencies at ``scale``; return the ways to the pool and to the conductor."""
    with fakes_stack.cluster(folder / "kubernetes") as plane:
        stack = Stack(folder / "stack", plane, scale=scale)
        # A chart is ready when its pods are, which pull their images first.
        with playing(Nodes(plane, stack.model, start_seconds=scale * IN_CLUSTER["Release"])):
            run = stack.pulumi(*UP)
            asked = time.monotonic()
            again = stack.pulumi(*UP)
            own_seconds = time.monotonic() - asked
    assert run.status == 0, run.output
    assert again.changed() == {}
    return [walked(run, own_seconds, last) for last in (POOL, CONDUCTOR)]


def test_up_adds_only_its_own_time_to_the_longest_chain(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a twentieth, ``up`` takes the longest chain of needs, to pool and conductor, and what an ``up`` of nothing."""
    for path in gone_up(tmp_path, 1 / 20):
        with capsys.disabled():
            print(f"\n{path}")  # noqa: T201 - the figure asked for

        assert path.wall_seconds <= 1.05 * path.longest_seconds + path.own_seconds


@pytest.mark.slow
def test_up_takes_little_more_than_its_longest_chain(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a fifth, where the engine's own seconds are few, the pool is at most 5 % above its longest chain of needs.

    Behind it come many objects of no time at all, which are the engine's own work.
    """
    to_pool, to_end = gone_up(tmp_path, 1 / 5)
    with capsys.disabled():
        print(f"\n{to_pool}\n{to_end}")  # noqa: T201 - the figures asked for

    assert to_pool.wall_seconds <= 1.05 * to_pool.longest_seconds
    assert to_end.wall_seconds <= 1.05 * to_end.longest_seconds + to_end.own_seconds
