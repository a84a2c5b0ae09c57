"""What a run must not forget: whoever takes a process's place finds it, and only that one."""

import pathlib
import typing

import botocore.exceptions
import pytest
from rich.console import Console

from optimal_tp.cluster.memory import Memory, MemoryPlace
from optimal_tp.cluster.order import ModelOrder, Order
from optimal_tp.errors import CapacityError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.steps import Step
from optimal_tp.settings.workload import parse_workloads
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_candidates import TP1
from tests.fakes_run import settings
from tests.fakes_s3 import FakeS3

DEADLINE = "2026-11-24T12:00:00+00:00"
RUN = "20261124T090000Z-aaaa"
KEY = "b/runs/memory/qwen-vllm-loadgen-7d9f.json"
MODEL = "me/small"
COMPILED = Step(candidate=Candidate(2, 16), what="compile", began=DEADLINE, node_seconds=40.0, seconds=900.5, usd=None)
FAILED = Step(
    candidate=TP1,
    what="start",
    number=2,
    began=DEADLINE,
    node_seconds=None,
    seconds=None,
    usd=0.25,
    gate="no-capacity",
    detail="no node in 20 min",
)


def memory(
    store: FakeS3, *, pod: str = "qwen-vllm-loadgen-7d9f-abcde", deadline: str = DEADLINE, said: list[str] | None = None
) -> Memory:
    """Return the memory of a pod; what is said goes to ``said``."""
    watcher = PlainWatcher(Console(quiet=True))
    if said is not None:
        watcher.say = said.append  # type: ignore[method-assign, assignment]
    return Memory.at(MemoryPlace(store=store, bucket="b", prefix="runs", pod=pod, deadline=deadline), watcher)


@pytest.mark.parametrize(
    ("pod", "deadline", "run"),
    [
        ("qwen-vllm-loadgen-7d9f-zzzzz", DEADLINE, RUN),
        ("qwen-vllm-loadgen-8888-abcde", DEADLINE, None),
        ("qwen-vllm-loadgen-7d9f-zzzzz", "2026-11-25T12:00:00+00:00", None),
    ],
    ids=["in its place", "another template", "another budget or stack"],
)
def test_the_next_pod_finds_the_run_under_way(pod: str, deadline: str, run: str | None) -> None:
    """A pod of the same template under the same deadline is in its place; any other begins a run."""
    store = FakeS3()
    memory(store).begin(RUN)

    assert list(store.kept) == [KEY]
    assert memory(store, pod=pod, deadline=deadline).run == run


def test_steps_come_back_as_they_were() -> None:
    """By model, in their order, with the words in them; they stay when the run is begun anew."""
    store = FakeS3()
    first = memory(store)
    first.begin(RUN)
    first.add_step(MODEL, COMPILED)
    first.add_step(MODEL, FAILED)
    first.add_step("me/large", FAILED)
    memory(store).begin("another")
    found = memory(store)

    assert found.run == "another"
    assert (found.steps(MODEL), found.steps("me/large"), found.steps("me/none")) == ((COMPILED, FAILED), (FAILED,), ())
    assert not found.is_finished


def test_a_verdict_is_remembered() -> None:
    """Whoever comes after it measures nothing."""
    store = FakeS3()
    first = memory(store)
    first.begin(RUN)
    first.finish()

    assert (memory(store).run, memory(store).is_finished) == (RUN, True)


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'{"run": "r"}',
        b"\xff",
        b'{"schema_version": 2}',
        b'{"schema_version": 1, "deadline": "d", "new": 1}',
    ],
)
def test_a_broken_memory_is_none(text: bytes) -> None:
    """It is said, and a new run begins."""
    store, said = FakeS3(), list[str]()
    store.kept[KEY] = text

    assert memory(store, said=said).run is None
    assert said[0].startswith("earlier progress cannot be read (")
    assert said[0].endswith("); a new run begins")


def test_a_bucket_that_is_not_there_ends_nothing() -> None:
    """What could not be stored is said, and is stored with the next change."""
    store, said = FakeS3(), list[str]()
    store.error = botocore.exceptions.EndpointConnectionError(endpoint_url="https://s3")
    first = memory(store, said=said)
    first.begin(RUN)
    store.error = None
    first.add_step(MODEL, COMPILED)

    assert said[1].startswith("progress cannot be stored, so a restart would begin a new run (")
    assert (memory(store).run, memory(store).steps(MODEL)) == (RUN, (COMPILED,))


def order(folder: pathlib.Path, **changes: typing.Any) -> Order:
    """Return the order of a pod that stays after its verdict."""
    model = ModelOrder(settings=parse_workloads(settings(), file="test"), targets={1: ("http://a",)})
    order = Order(models=(model,), results="s3://b/runs", afterwards="stop", deadline_file=folder / "deadline")
    return order.model_copy(update=changes)


def test_only_who_stays_within_a_budget_remembers(tmp_path: pathlib.Path) -> None:
    """On this machine, with an endless probe and without a deadline each process begins a run of its own."""
    (tmp_path / "deadline").write_text(DEADLINE)
    quiet = PlainWatcher(Console(quiet=True))
    kept = {}
    changes: dict[str, dict[str, typing.Any]] = {
        "stays": {},
        "leaves": {"afterwards": "leave"},
        "no bucket": {"results": "out"},
        "no deadline": {"deadline_file": None},
    }
    for name, change in changes.items():
        store = FakeS3()
        asked = order(tmp_path, **change)
        Memory.load(asked, quiet, store=store).begin(RUN)
        kept[name] = (len(store.kept), Memory.load(asked, quiet, store=store).run)

    assert kept == {"stays": (1, RUN), "leaves": (0, None), "no bucket": (0, None), "no deadline": (0, None)}


def test_a_deadline_that_cannot_be_read_starts_nothing(tmp_path: pathlib.Path) -> None:
    """As everywhere."""
    with pytest.raises(CapacityError, match=r"^the budget's deadline in .* cannot be read, so nothing is "):
        Memory.load(order(tmp_path), PlainWatcher(Console(quiet=True)), store=FakeS3())
