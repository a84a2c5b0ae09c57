"""The pod that goes on after several load generators: it judges, stops the servers, and keeps the receipt."""

import argparse
import asyncio
import collections.abc
import dataclasses
import functools
import json
import pathlib

import pytest
from rich.console import Console

from optimal_tp.cli import share
from optimal_tp.cluster import accounting, assembly, job
from optimal_tp.cluster.assembly import Assembly, assembled
from optimal_tp.cluster.memory import Memory, MemoryPlace
from optimal_tp.errors import Interrupted, OptimalTpError, Problem, ServerFailed, SettingsError
from optimal_tp.experiment import session
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.samples import encode
from optimal_tp.measurement.steps import decode_steps, encode_steps
from optimal_tp.report import files
from optimal_tp.results.folder import samples_name, write_record
from optimal_tp.results.source import read
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_candidates import TP1
from tests.fakes_cluster_life import step
from tests.fakes_kubernetes import FakeCluster, served
from tests.fakes_run import parsed, price, settings
from tests.fakes_s3 import FakeS3
from tests.unit.test_accounting import CLAIMS, claim
from tests.unit.test_memory import DEADLINE
from tests.unit.test_parts import LOAD, pod_of, whole_run

JOB = "/apis/batch/v1/namespaces/optimal-tp/jobs/loadgen"
RUN = "20270115T074500Z-abcd"
ENDED = {"startTime": "2027-01-15T08:00:00Z", "conditions": [{"type": "Complete", "status": "True"}]}
STEPS = (step(TP1, "compile"), step(TP1, "start"))
SPACE = "/apis/apps/v1/namespaces/optimal-tp/deployments"


@pytest.fixture
def ended(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> collections.abc.Iterator[tuple[FakeCluster, pathlib.Path, argparse.Namespace]]:
    """Yield a cluster whose Job of two pods has ended, the folder of what they kept, and the line of what is after."""
    monkeypatch.setattr(files, "plots", lambda _analysis: ())
    monkeypatch.setattr(assembly, "until_signalled", lambda _halt: asyncio.sleep(0))
    told = {
        "metadata": {"name": "loadgen", "annotations": {job.RUN: RUN, job.STEPS: encode_steps(STEPS)}},
        "status": {**ENDED},
    }
    cluster = FakeCluster(
        objects={
            JOB: told,
            CLAIMS: {"items": [claim("a", "2026-07-01T09:00:00Z")]},
            **{f"{SPACE}/tp{degree}/scale": {"spec": {"replicas": 1}} for degree in (1, 2)},
        }
    )
    section = settings(degrees=[1, 2], load=LOAD, price=price(3.6, 4))
    (tmp_path / "deadline").write_text(DEADLINE)
    order = {
        "models": [
            {
                "settings": section,
                "targets": {"1": ["http://tp1:8000"], "2": ["http://tp2:8000"]},
                "rounds": [["1", "2"]],
            }
        ],
        "patience": {"capacity_seconds": 900, "compile_seconds": 5100, "start_seconds": 1800},
        "results": str(tmp_path / "out"),
        "afterwards": "stop",
        "receipt": {"node_pool": "neuron-trn-2", "idle_usd_per_hour": 0.4},
        "pods": {"count": 2, "job": "loadgen", "start_after_seconds": 0},
    }
    (tmp_path / "order.json").write_text(json.dumps(order))
    parser = argparse.ArgumentParser()
    share.configure(parser)
    line = parser.parse_args(["--order", str(tmp_path / "order.json"), "--after"])
    with served(cluster, tmp_path) as namespace:
        for module in (accounting, assembly, job):
            monkeypatch.setattr(module, "own_namespace", lambda: namespace)
        folder = tmp_path / "out" / RUN
        record, samples = whole_run()
        record = dataclasses.replace(record, settings=parsed(section))
        for pod in range(2):
            own = folder / f"pod-{pod}"
            own.mkdir(parents=True)
            kept = pod_of(record, samples, pod)
            write_record(own, kept.record)
            (own / samples_name(0)).write_text("".join(f"{encode(sample)}\n" for sample in kept.samples))
        yield cluster, folder, line


def after(line: argparse.Namespace) -> int:
    """Run the pod that comes after the Job."""
    order, options = share.asked(line, {})
    return asyncio.run(assembled(order, functools.partial(job.judge_after, options)))


def test_several_load_generators_have_a_receipt(
    ended: tuple[FakeCluster, pathlib.Path, argparse.Namespace],
) -> None:
    """The servers are stopped; receipt.json, the report and the run that is read again have what the node cost."""
    cluster, folder, line = ended
    status = after(line)
    receipt = json.loads((folder / "receipt.json").read_text())
    again = read(str(folder)).record.receipt

    assert [cluster.objects[f"{SPACE}/tp{degree}/scale"]["spec"]["replicas"] for degree in (1, 2)] == [0, 0]
    assert [node["name"] for node in receipt["nodes"]] == ["a"]
    assert receipt["verdicts"] == int(status == 0)
    assert again is not None
    assert again.total_usd == pytest.approx(receipt["usd"])
    assert "1 x trn2.3xlarge" in (folder / "report.md").read_text()


def test_a_pod_in_its_place_does_nothing(
    ended: tuple[FakeCluster, pathlib.Path, argparse.Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first marks the verdict; one that takes its place neither asks Kubernetes nor writes another receipt."""
    cluster, folder, line = ended
    store = FakeS3()
    place = MemoryPlace(store=store, bucket="b", prefix="runs", pod="loadgen-7d9f-a", deadline=DEADLINE)
    monkeypatch.setattr(Memory, "load", lambda _order, watcher: Memory.at(place, watcher))
    after(line)
    asked, kept = len(cluster.asked), (folder / "receipt.json").stat().st_mtime_ns

    assert json.loads(store.kept["b/runs/memory/loadgen-7d9f.json"])["run"] == folder.name
    assert after(line) == 0
    assert (len(cluster.asked), (folder / "receipt.json").stat().st_mtime_ns) == (asked, kept)


def test_whoever_is_told_to_end_first_stops_nothing(
    ended: tuple[FakeCluster, pathlib.Path, argparse.Namespace],
) -> None:
    """The Job's pods go on: their servers stay, and no report is written of half a run."""
    cluster, folder, line = ended
    cluster.objects[JOB]["status"].pop("conditions")
    order, options = share.asked(line, {})

    async def signalled() -> int:
        halt = Halt(event=asyncio.Event())
        asyncio.get_running_loop().call_later(0.1, halt.set, "interrupted", "SIGTERM ended the run")
        whole = Assembly(order=order, watching=PlainWatcher(Console(quiet=True)), halt=halt)
        return await job.judge_after(options, whole)

    with pytest.raises(
        Interrupted, match=r"^stopped before the Job loadgen ended; its pods run on, and nothing is judged$"
    ):
        asyncio.run(signalled())

    assert cluster.changed == []
    assert sorted(path.name for path in folder.iterdir()) == ["pod-0", "pod-1", "receipt.json"]


@pytest.fixture
def suspended(
    ended: tuple[FakeCluster, pathlib.Path, argparse.Namespace], monkeypatch: pytest.MonkeyPatch
) -> tuple[FakeCluster, pathlib.Path, argparse.Namespace]:
    """Return the same before anything was begun, with servers that are ready as soon as they are asked for."""
    cluster, folder, line = ended
    cluster.objects[JOB] = {"metadata": {"name": "loadgen"}, "spec": {"suspend": True}, "status": {}}
    for degree in (1, 2):
        cluster.objects[f"{SPACE}/tp{degree}/scale"]["spec"]["replicas"] = 0

    async def healthy(_: object) -> bool:
        await asyncio.sleep(0)
        return True

    async def checked(targets: object, *_: object, **__: object) -> None:
        assert targets

    async def tokens(*_: object, **__: object) -> list[int]:
        await asyncio.sleep(0)
        return [1, 2, 3]

    monkeypatch.setattr("optimal_tp.loadgen.calls.Server.healthy", healthy)
    monkeypatch.setattr(session, "check_targets", checked)
    monkeypatch.setattr("optimal_tp.loadgen.calls.Server.tokens", tokens)
    monkeypatch.setattr(job, "_LOOK_SECONDS", 0.01)
    return cluster, folder, line


def test_the_job_is_resumed_when_the_servers_are_ready(
    suspended: tuple[FakeCluster, pathlib.Path, argparse.Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the run's name and what stood before the load, for its pods to read; nothing is begun twice."""
    cluster, folder, line = suspended

    def ends(_: Halt) -> bool:
        cluster.objects[JOB]["status"] = ENDED
        return False

    monkeypatch.setattr(Halt, "is_interrupted", property(ends))
    after(line)
    told = cluster.objects[JOB]["metadata"]["annotations"]
    (run,) = {path.name for path in folder.parent.iterdir()} - {RUN}

    assert cluster.changed[:3] == [f"{SPACE}/tp1/scale", f"{SPACE}/tp2/scale", JOB]
    assert told[job.RUN] == run
    assert [(each.what, each.gate) for each in decode_steps(told[job.STEPS])] == [("start", None)] * 2


@pytest.mark.parametrize(
    "error",
    [
        SettingsError([Problem(path="tp1", value=1, rule="it serves", remedy="see its log")]),
        ServerFailed("target 1: no connection"),
    ],
    ids=["another server", "nobody there"],
)
def test_without_a_candidate_the_job_stays_suspended(
    suspended: tuple[FakeCluster, pathlib.Path, argparse.Namespace],
    monkeypatch: pytest.MonkeyPatch,
    error: OptimalTpError,
) -> None:
    """The run ends with each candidate's word, and a report that says it."""
    cluster, folder, line = suspended

    async def checked(*_: object, **__: object) -> None:
        await asyncio.sleep(0)
        raise error

    monkeypatch.setattr(session, "check_targets", checked)
    status = after(line)
    (own,) = (path for path in folder.parent.iterdir() if path.name != RUN)
    verdict = json.loads((own / "verdict.json").read_text())

    assert status == 3
    assert cluster.objects[JOB]["spec"]["suspend"] is True
    assert [each["word"] for each in verdict["verdict"]["degrees"]] == ["no-start", "no-start"]
    assert [each["what"] for each in verdict["start_up"]] == ["start"] * 4
    assert "Start-up" in (own / "report.md").read_text()


def test_a_run_that_cannot_be_judged_stops_its_servers(
    ended: tuple[FakeCluster, pathlib.Path, argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    """The Job kept nothing that can be read: that is said, and nothing goes on billing for it."""
    cluster, folder, line = ended
    for pod in range(2):
        (folder / f"pod-{pod}" / "run.json").write_text("{")

    assert after(line) == 2
    assert "must hold a run in its run.json: " in capsys.readouterr().out
    assert [cluster.objects[f"{SPACE}/tp{degree}/scale"]["spec"]["replicas"] for degree in (1, 2)] == [0, 0]


def test_a_broken_receipt_is_left_out_and_said(
    ended: tuple[FakeCluster, pathlib.Path, argparse.Namespace],
) -> None:
    """The verdict does not hang on it."""
    _, folder, _ = ended
    (folder / "receipt.json").write_text('{"nodes": 1}')
    found = read(str(folder))

    assert found.record.receipt is None
    assert (
        found.notes[-1]
        == "receipt.json is left out because it does not hold a receipt (nodes must not be 1 in a receipt)"
    )
