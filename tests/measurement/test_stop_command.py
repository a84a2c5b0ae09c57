"""The ``run`` command with a budget: servers start with it and stop with it, and a receipt is kept."""

import argparse
import asyncio
import collections.abc
import contextlib
import datetime as dt
import functools
import json
import os
import pathlib
import signal

import pytest

from optimal_tp.cli import run as run_command
from optimal_tp.cluster import accounting as accounts_module
from optimal_tp.cluster import assembly
from optimal_tp.cluster.assembly import Assembly, assembled
from optimal_tp.cluster.deadline import Cores
from optimal_tp.cluster.memory import Memory, MemoryPlace
from optimal_tp.cluster.order import Order
from optimal_tp.errors import CapacityError, Interrupted, ServerFailed
from optimal_tp.measurement.run import decode_run
from optimal_tp.report import files
from optimal_tp.telemetry.console import Watcher
from tests.fakes_kubernetes import FakeCluster, served
from tests.fakes_s3 import FakeS3
from tests.fakes_server import Script, ScriptedServer
from tests.measurement.test_sweep_command import SETTINGS
from tests.unit.test_accounting import CLAIMS, claim

SPACE = "/apis/apps/v1/namespaces/optimal-tp/deployments"


@contextlib.contextmanager
def ordered(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *, left_minutes: float
) -> collections.abc.Iterator[tuple[Order, FakeCluster]]:
    """Yield an order for two servers of a cluster whose money ends in ``left_minutes``, and the cluster."""
    monkeypatch.setattr(files, "plots", lambda _analysis: ())
    settings = {key: value for key, value in SETTINGS.items() if key != "models"}
    settings["model"] = {"name": "me/small", "revision": "none"}
    settings["price"] = {"usd_per_hour": 3.6, "billed_cores": 4, "source": "a test", "date": "2026-10-03"}
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=left_minutes)
    (folder / "deadline").write_text(deadline.isoformat())
    cluster = FakeCluster(objects={CLAIMS: {"items": [claim("a", "2026-07-01T09:00:00Z")]}})
    with contextlib.ExitStack() as stack:
        targets = {}
        for degree, seconds in ((1, 0.008), (2, 0.012)):
            script = Script(model="me/small", ttft_seconds=seconds, gap_seconds=seconds, slots=1)
            url = stack.enter_context(ScriptedServer(script)).url
            targets[degree] = [url]
            cluster.objects[f"{SPACE}/{_name(url)}/scale"] = {"spec": {"replicas": 0}}
        namespace = stack.enter_context(served(cluster, folder))
        monkeypatch.setattr(assembly, "own_namespace", lambda: namespace)
        monkeypatch.setattr(accounts_module, "own_namespace", lambda: namespace)
        monkeypatch.setattr(assembly, "deployments", lambda urls: tuple(_name(url) for url in urls))
        order = {
            "models": [{"settings": settings, "targets": targets, "rounds": [[1, 2]]}],
            "results": str(folder / "out"),
            "afterwards": "stop",
            "deadline_file": str(folder / "deadline"),
            "receipt": {"node_pool": "neuron-trn-2"},
            "patience": {"capacity_seconds": 60, "compile_seconds": 60, "start_seconds": 0},
        }
        (folder / "order.json").write_text(json.dumps(order))
        parser = argparse.ArgumentParser()
        run_command.configure(parser)
        yield run_command.asked(parser.parse_args(["--order", str(folder / "order.json")])), cluster


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what was waited for; nothing takes time: the signal is there already."""
    waited: list[object] = []

    async def signalled(halt: object) -> None:
        waited.append(halt)

    monkeypatch.setattr(assembly, "until_signalled", signalled)
    return waited


def _name(url: str) -> str:
    return f"server-{url.rsplit(':', maxsplit=1)[1]}"


def asked(cluster: FakeCluster) -> list[int]:
    """Return how many pods each server has now."""
    return [each["spec"]["replicas"] for path, each in cluster.objects.items() if path.endswith("/scale")]


def test_servers_start_and_stop_with_the_run_and_a_receipt_is_kept(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was started is stopped; run, report and receipt.json have what the node and each start cost."""
    with ordered(tmp_path, monkeypatch, left_minutes=60) as (order, cluster):
        status = asyncio.run(assembled(order, Assembly.run))
    (folder,) = (tmp_path / "out").iterdir()
    record = decode_run((folder / "run.json").read_text())
    receipt = json.loads((folder / "receipt.json").read_text())

    assert status in (0, 3, 4)
    assert (asked(cluster), cluster.changed[-2:]) == ([0, 0], sorted(cluster.changed[-2:], key=cluster.changed.index))
    assert [step.what for step in record.steps] == ["start"] * (len(cluster.changed) // 2)
    assert record.receipt is not None
    assert [node.name for node in record.receipt.nodes] == ["a"]
    assert receipt["verdicts"] == int(status == 0)
    assert "trn2.3xlarge" in (folder / "report.md").read_text()


def test_money_that_ends_ends_the_run_and_stops_the_servers(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute before the deadline; what was measured until then is judged."""
    with ordered(tmp_path, monkeypatch, left_minutes=1 + 0.3 / 60) as (order, cluster):
        asyncio.run(assembled(order, Assembly.run))
    (folder,) = (tmp_path / "out").iterdir()
    record = decode_run((folder / "run.json").read_text())

    assert record.ending == "budget"
    assert str(record.ending_detail).startswith("the budget ends at 20")
    assert asked(cluster) == [0, 0]
    assert (folder / "report.md").exists()


def test_a_run_that_fails_leaves_a_receipt(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot be started ends the run with its sentence; what the nodes cost until then is kept."""
    monkeypatch.setattr(assembly, "Cores", functools.partial(Cores, pauses_seconds=()))
    with ordered(tmp_path, monkeypatch, left_minutes=60) as (order, cluster):
        cluster.refused |= {path for path in cluster.objects if path.endswith("/scale")}
        with pytest.raises(ServerFailed, match="the Kubernetes API did not scale server-"):
            asyncio.run(assembled(order, Assembly.run))
    (folder,) = (tmp_path / "out").iterdir()
    receipt = json.loads((folder / "receipt.json").read_text())

    assert [node["name"] for node in receipt["nodes"]] == ["a"]
    assert (receipt["verdicts"], receipt["usd_per_verdict"]) == (0, None)
    assert receipt["usd"] > 0
    assert not (folder / "report.md").exists()


def test_a_pod_in_place_of_one_that_measured_starts_no_server(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, waits: list[object]
) -> None:
    """The first pod marks its verdict; one that takes its place waits, with the servers as they are."""
    store = FakeS3()

    def remembered(_: object, watcher: Watcher) -> Memory:
        return Memory.at(MemoryPlace(store=store, bucket="b", prefix="runs", pod="a-b-c", deadline="d"), watcher)

    monkeypatch.setattr(Memory, "load", remembered)
    with ordered(tmp_path, monkeypatch, left_minutes=60) as (order, cluster):
        asyncio.run(assembled(order, Assembly.run))
        changed = len(cluster.changed)
        status = asyncio.run(assembled(order, Assembly.run))
    (folder,) = (tmp_path / "out").iterdir()

    assert json.loads(store.kept["b/runs/memory/a-b.json"])["run"] == folder.name
    assert (status, len(cluster.changed), len(waits)) == (0, changed, 2)


def test_a_run_that_was_interrupted_is_not_marked(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that is evicted in the middle of its run is to be followed by one that measures."""
    store = FakeS3()

    def remembered(_: object, watcher: Watcher) -> Memory:
        asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGTERM)
        return Memory.at(MemoryPlace(store=store, bucket="b", prefix="runs", pod="a-b-c", deadline="d"), watcher)

    monkeypatch.setattr(Memory, "load", remembered)
    with (
        ordered(tmp_path, monkeypatch, left_minutes=60) as (order, _),
        contextlib.suppress(Interrupted),
    ):
        asyncio.run(assembled(order, Assembly.run))

    kept = json.loads(store.kept["b/runs/memory/a-b.json"])
    assert (kept["run"] is not None, kept["finished"]) == (True, False)


def test_after_the_deadline_no_server_is_started(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that is started again by whomever asks for nothing."""
    with (
        ordered(tmp_path, monkeypatch, left_minutes=0) as (order, cluster),
        pytest.raises(CapacityError, match="so nothing is started"),
    ):
        asyncio.run(assembled(order, Assembly.run))

    assert cluster.changed == []
