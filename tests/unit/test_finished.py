"""The mark that an experiment has its verdict: whoever takes a pod's place finds it, and only that one."""

import pathlib
import typing

import botocore.exceptions
import pytest
from rich.console import Console

from optimal_tp.cluster.finished import Mark, is_measured, mark_of
from optimal_tp.cluster.order import ModelOrder, Order
from optimal_tp.errors import CapacityError
from optimal_tp.settings.workload import parse_workloads
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_run import settings
from tests.fakes_s3 import FakeS3

DEADLINE = "2026-11-24T12:00:00+00:00"


def mark(
    store: FakeS3, *, pod: str = "qwen-vllm-loadgen-7d9f-abcde", deadline: str = DEADLINE, said: list[str] | None = None
) -> Mark:
    """Return the mark of a pod; what is said goes to ``said``."""
    watcher = PlainWatcher(Console(quiet=True))
    if said is not None:
        watcher.say = said.append  # type: ignore[method-assign, assignment]
    return Mark(store=store, bucket="b", prefix="runs", pod=pod, deadline=deadline, watcher=watcher)


@pytest.mark.parametrize(
    ("pod", "deadline", "run"),
    [
        ("qwen-vllm-loadgen-7d9f-zzzzz", DEADLINE, "20261124T090000Z-aaaa"),
        ("qwen-vllm-loadgen-8888-abcde", DEADLINE, None),
        ("qwen-vllm-loadgen-7d9f-zzzzz", "2026-11-25T12:00:00+00:00", None),
    ],
    ids=["in its place", "another template", "another budget or stack"],
)
def test_the_next_pod_finds_what_was_measured(pod: str, deadline: str, run: str | None) -> None:
    """A pod of the same template under the same deadline is in its place; any other measures."""
    store = FakeS3()
    mark(store).put("20261124T090000Z-aaaa")

    assert list(store.kept) == ["b/runs/measured/qwen-vllm-loadgen-7d9f.json"]
    assert mark(store, pod=pod, deadline=deadline).found() == run


def test_what_was_measured_is_said() -> None:
    """With what measures anew."""
    store, said = FakeS3(), list[str]()
    assert not is_measured(mark(store, said=said))
    mark(store).put("r")

    assert is_measured(mark(store, said=said))
    assert said == ["r has the verdict already: nothing is measured; name another loadtest.run to measure anew"]
    assert not is_measured(None)


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"run": "r"}', b"\xff"])
def test_a_broken_mark_is_none(text: bytes) -> None:
    """It is said, and the experiment is measured."""
    store, said = FakeS3(), list[str]()
    store.kept["b/runs/measured/qwen-vllm-loadgen-7d9f.json"] = text

    assert mark(store, said=said).found() is None
    assert said[0].startswith("whether this was measured before is not known (")


def test_a_bucket_that_is_not_there_ends_nothing() -> None:
    """Neither the beginning nor the end of a run."""
    store, said = FakeS3(), list[str]()
    store.error = botocore.exceptions.EndpointConnectionError(endpoint_url="https://s3")

    assert mark(store, said=said).found() is None
    mark(store, said=said).put("r")
    assert said[1].startswith("a pod in place of this one would measure again (")


def order(folder: pathlib.Path, **changes: typing.Any) -> Order:
    """Return the order of a pod that stays after its verdict."""
    model = ModelOrder(settings=parse_workloads(settings(), file="test"), targets={1: ("http://a",)})
    order = Order(models=(model,), results="s3://b/runs", afterwards="stop", deadline_file=folder / "deadline")
    return order.model_copy(update=changes)


def test_only_who_stays_within_a_budget_has_a_mark(tmp_path: pathlib.Path) -> None:
    """On this machine, with an endless probe and without a deadline everything is as it was."""
    (tmp_path / "deadline").write_text(DEADLINE)
    quiet, store = PlainWatcher(Console(quiet=True)), FakeS3()
    found = mark_of(order(tmp_path), quiet, store=store)

    assert found is not None
    assert (found.bucket, found.prefix, found.deadline) == ("b", "runs", DEADLINE)
    assert mark_of(order(tmp_path, afterwards="leave"), quiet, store=store) is None
    assert mark_of(order(tmp_path, results="out"), quiet, store=store) is None
    assert mark_of(order(tmp_path, deadline_file=None), quiet, store=store) is None


def test_a_deadline_that_cannot_be_read_starts_nothing(tmp_path: pathlib.Path) -> None:
    """As everywhere."""
    with pytest.raises(CapacityError, match=r"^the deadline of the budget in .* cannot be read, so nothing is "):
        mark_of(order(tmp_path), PlainWatcher(Console(quiet=True)), store=FakeS3())
