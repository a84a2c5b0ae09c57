"""Looking at the nodes: when one begins, when it ends, and what is said when nobody answers."""

import asyncio
import json
import pathlib
import typing

import pytest
from rich.console import Console

from optimal_tp.cluster.accounting import Accounts, NodeWatch
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.node_bill import Tariff
from optimal_tp.measurement.run import decode_run
from optimal_tp.pods.kubernetes import Namespace
from optimal_tp.results.folder import Bucket, write_record
from optimal_tp.settings.workload import Price
from optimal_tp.telemetry.console import PlainWatcher
from tests.fakes_kubernetes import FakeCluster, served
from tests.fakes_run import planted_run, settings
from tests.fakes_s3 import FakeS3

CLAIMS = "/apis/karpenter.sh/v1/nodeclaims?labelSelector=karpenter.sh%2Fnodepool%3Dneuron-trn-2"
TARIFF = Tariff(
    price=Price(usd_per_hour=3.6, billed_cores=4, source="a test", date="2026-10-03"), idle_usd_per_hour=0.0
)


def claim(name: str, launched: str | None) -> dict[str, typing.Any]:
    """Return a NodeClaim, with an instance since ``launched``."""
    status = "Unknown" if launched is None else "True"
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-11-24T08:59:00Z",
            "labels": {"node.kubernetes.io/instance-type": "trn2.3xlarge", "karpenter.sh/capacity-type": "reserved"},
        },
        "status": {"conditions": [{"type": "Launched", "status": status, "lastTransitionTime": launched or "never"}]},
    }


def cluster(*claims: dict[str, typing.Any]) -> FakeCluster:
    """Return a cluster with these NodeClaims in our pool."""
    return FakeCluster(objects={CLAIMS: {"items": list(claims)}})


def watch_of(namespace: Namespace, *moments: str) -> NodeWatch:
    """Return a watch whose clock reads these minutes after nine, the last for ever."""
    clock = iter(moments)
    return NodeWatch(
        namespace=namespace,
        pool="neuron-trn-2",
        now=lambda: f"2026-11-24T09:{next(clock, moments[-1])}:00+00:00",
    )


def test_a_node_begins_with_its_instance_and_ends_when_it_is_missed(tmp_path: pathlib.Path) -> None:
    """Not with its NodeClaim, which may wait for capacity for long without costing anything."""
    there = cluster(claim("a", "2026-11-24T09:01:00Z"), claim("b", None))
    with served(there, tmp_path) as namespace:
        watch = watch_of(namespace, "10", "20")
        watch.look()
        there.objects[CLAIMS]["items"] = [claim("b", "2026-11-24T09:15:00Z")]
        watch.look()

    assert {name: (span.launched, span.gone) for name, span in watch.spans.items()} == {
        "a": ("2026-11-24T09:01:00Z", "2026-11-24T09:20:00+00:00"),
        "b": ("2026-11-24T09:15:00Z", None),
    }
    assert watch.left == 1


def test_a_look_that_fails_ends_no_node(tmp_path: pathlib.Path) -> None:
    """Not being told of a node is not being told that it is gone; the receipt says how often nobody answered."""
    there = cluster(claim("a", "2026-11-24T09:01:00Z"))
    with served(there, tmp_path) as namespace:
        watch = watch_of(namespace, "10")
        watch.look()
        there.refused = {CLAIMS}
        watch.look()
        found = watch.receipt(TARIFF, verdicts=1)

    assert watch.left == 1
    assert found.unknown[-1] == (
        '1 of 2 looks at the nodes failed, the last: the Kubernetes API did not list the nodes: 403 {"message": '
        '"forbidden"}; `pulumi up` restores its rights'
    )


def test_waiting_for_the_nodes_ends(tmp_path: pathlib.Path) -> None:
    """When they are gone, when it takes too long, or when somebody stops it."""

    async def waits(watch: NodeWatch) -> tuple[int, bool]:
        await watch.until_gone(0.01, lambda: False, look_seconds=0.001)
        asked = iter([False, False, True])
        await watch.until_gone(60, lambda: next(asked), look_seconds=0)
        left = watch.left
        watch.spans.clear()
        await watch.until_gone(60, lambda: False)
        return left, next(asked, True)

    with served(cluster(claim("a", "2026-11-24T09:01:00Z")), tmp_path) as namespace:
        watch = watch_of(namespace, "10")
        watch.look()
        assert asyncio.run(waits(watch)) == (1, True)


@pytest.mark.parametrize("whole_run", [True, False])
def test_the_receipt_is_kept_at_once_and_again_at_the_end(tmp_path: pathlib.Path, *, whole_run: bool) -> None:
    """Both times in the run and its report, where there is one, and where one command finds it."""
    store, there = FakeS3(), cluster(claim("a", "2026-11-24T09:00:00Z"))
    folder = tmp_path / "run"
    folder.mkdir()
    record, _ = planted_run(section=settings())
    if whole_run:
        write_record(folder, record)

    async def settled(watch: NodeWatch) -> None:
        watch.look()
        accounts = Accounts(
            watch=watch,
            tariff=TARIFF,
            leave_seconds=60,
            bucket=Bucket(store, "results", "runs"),
            watcher=PlainWatcher(Console(quiet=True)),
            look_seconds=0,
        )
        accounts.keep_or_tell(folder, verdicts=1)
        ending = asyncio.create_task(accounts.settle(folder, verdicts=1, halt=Halt(event=asyncio.Event())))
        await asyncio.sleep(0)
        first.append(json.loads(store.kept["results/runs/receipt.json"]))
        there.objects[CLAIMS]["items"] = []
        watch.look()
        await ending

    first: list[dict[str, typing.Any]] = []
    with served(there, tmp_path) as namespace:
        asyncio.run(settled(watch_of(namespace, "10", "10", "20", "30")))
    last = json.loads(store.kept["results/runs/receipt.json"])

    assert (first[0]["nodes"][0]["gone"], first[0]["usd"]) == (None, pytest.approx(0.6))
    assert (last["nodes"][0]["gone"], last["usd"]) == ("2026-11-24T09:20:00+00:00", pytest.approx(1.2))
    assert json.loads((folder / "receipt.json").read_text()) == last
    if whole_run:
        kept = decode_run((folder / "run.json").read_text()).receipt
        assert kept is not None
        assert kept.total_usd == pytest.approx(1.2)
        assert "$1.20 per verdict" in (folder / "report.md").read_text()
