"""Write the receipt: once with the results, and again when the nodes are gone."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import json
import pathlib
import typing

import boto3

from optimal_tp.cluster.order import Order
from optimal_tp.errors import OptimalTpError, ServerFailed, StorageFailed
from optimal_tp.experiment.turns import Halt
from optimal_tp.measurement.node_bill import RECEIPT, NodeSpan, Receipt, Tariff, bill, receipt
from optimal_tp.measurement.run import decode_run
from optimal_tp.measurement.sweep import SWEEP
from optimal_tp.pods.kubernetes import Namespace, own_namespace
from optimal_tp.report.claims import receipt_claim
from optimal_tp.report.files import write
from optimal_tp.report.physics.reached import analysed
from optimal_tp.report.sweep import write_receipt
from optimal_tp.results.folder import RECORD, Bucket, write_record, write_whole
from optimal_tp.results.retrial import retry
from optimal_tp.results.source import read
from optimal_tp.telemetry.console import Watcher

LOOK_SECONDS = 15.0
"""Interval between looks, which is also the precision of a node's end."""


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


@dataclasses.dataclass(kw_only=True)
class NodeWatch:
    """Remembers every node of ``pool`` that it has seen."""

    namespace: Namespace
    pool: str
    now: collections.abc.Callable[[], str] = _now
    spans: dict[str, NodeSpan] = dataclasses.field(default_factory=dict)
    """By the NodeClaim's name."""
    looks: int = 0
    failed: int = 0
    last_failure: str = ""
    began: str = ""

    def look(self) -> None:
        """Look once. A failed look is counted, never raised, because the receipt must not end a run."""
        moment = self.now()
        self.began = self.began or moment
        self.looks += 1
        try:
            claims = self.namespace.node_claims(self.pool)
        except ServerFailed as error:
            self.failed += 1
            self.last_failure = str(error)
            return
        here = {span.name: span for item in claims if (span := _span(item, moment)) is not None}
        for name, known in self.spans.items():
            if name not in here and known.gone is None:
                self.spans[name] = dataclasses.replace(known, gone=moment)
        self.spans |= here

    @property
    def left(self) -> int:
        """Nodes that existed at the last look."""
        return sum(span.gone is None for span in self.spans.values())

    async def watch(self, look_seconds: float = LOOK_SECONDS) -> None:
        """Look for ever."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(look_seconds)

    async def until_gone(
        self, timeout_seconds: float, stop: collections.abc.Callable[[], bool], *, look_seconds: float = 1.0
    ) -> None:
        """Wait until no node is left, ``timeout_seconds`` have passed, or ``stop`` returns True."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.left and not stop():  # noqa: ASYNC110 - a node's end sets no event
                    await asyncio.sleep(look_seconds)

    def receipt(self, tariff: Tariff, *, verdicts: int) -> Receipt:
        """Return the receipt as far as it is known now."""
        faults = []
        if self.failed:
            faults.append(f"{self.failed} of {self.looks} looks at the nodes failed, the last: {self.last_failure}")
        return receipt(
            tuple(self.spans.values()),
            tariff,
            watched_from=self.began or self.now(),
            watched_until=self.now(),
            verdicts=verdicts,
            faults=faults,
        )


def _span(item: collections.abc.Mapping[str, typing.Any], moment: str) -> NodeSpan | None:
    """Return the node behind a NodeClaim; None before it has an instance, which is when its cost begins."""
    conditions = item.get("status", {}).get("conditions") or ()
    launched = next(
        (each["lastTransitionTime"] for each in conditions if (each["type"], each["status"]) == ("Launched", "True")),
        None,
    )
    if launched is None:
        return None
    labels = item["metadata"].get("labels") or {}
    return NodeSpan(
        name=item["metadata"]["name"],
        instance_type=labels.get("node.kubernetes.io/instance-type", "unknown type"),
        capacity_type=labels.get("karpenter.sh/capacity-type"),
        launched=launched,
        seen=moment,
        gone=None,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accounts:
    """Keeps the receipt of a run or sweep."""

    watch: NodeWatch
    tariff: Tariff
    leave_seconds: float
    """How long to wait for the nodes to go; 0 if the servers keep running."""
    bucket: Bucket | None
    watcher: Watcher
    look_seconds: float = 1.0
    """How often to look whether they have gone."""

    def keep(self, folder: pathlib.Path, *, verdicts: int) -> Receipt:
        """Write the present receipt into ``folder``, and into the run, sweep and report there, if any.

        Raises StorageFailed if the folder cannot be written.
        """
        found = self.watch.receipt(self.tariff, verdicts=verdicts)
        path = _write(folder, found)
        if (folder / RECORD).exists():
            record = decode_run((folder / RECORD).read_text(encoding="utf-8"))
            write_record(folder, dataclasses.replace(record, receipt=found))
            again = retry(read(str(folder)))
            write(folder, analysed(again))
        elif (folder / SWEEP).exists():
            write_receipt(folder, found)
        if self.bucket is not None:
            self.bucket.store([path])
        self.watcher.say(receipt_claim(found))
        return found

    def salvage(self, folder: pathlib.Path) -> None:
        """Keep the cost of a failed run until now, without waiting, because the process may be started again."""
        found = self.watch.receipt(self.tariff, verdicts=0)
        try:
            path = _write(folder, found)
        except StorageFailed as error:
            self.watcher.say(f"the receipt was not kept: {error}")
            return
        if self.bucket is not None:
            self.bucket.store([path])
        self.watcher.say(receipt_claim(found))

    async def settle(self, folder: pathlib.Path, *, verdicts: int, halt: Halt) -> None:
        """Keep the receipt again once the nodes are gone or the wait is over, as ``keep_or_tell`` does."""
        if self.leave_seconds and self.watch.left:
            await self.watch.until_gone(
                self.leave_seconds,
                lambda: halt.is_interrupted,
                look_seconds=self.look_seconds,
            )
            self.keep_or_tell(folder, verdicts=verdicts)

    def keep_or_tell(self, folder: pathlib.Path, *, verdicts: int) -> None:
        """Keep the receipt; only report a failure, because the run itself has ended well."""
        try:
            self.keep(folder, verdicts=verdicts)
        except StorageFailed as error:
            self.watcher.say(f"the receipt was not kept: {error}")


def _write(folder: pathlib.Path, found: Receipt) -> pathlib.Path:
    return write_whole(folder, RECEIPT, json.dumps(dataclasses.asdict(bill(found)), indent=1) + "\n")


def accounts_of(order: Order, watcher: Watcher) -> Accounts | None:
    """Return the keeper of ``order``'s receipt; None if it asks for none. Raises ServerFailed outside a pod."""
    asked = order.receipt
    if asked is None:
        return None
    return Accounts(
        watch=NodeWatch(namespace=own_namespace(), pool=asked.node_pool),
        tariff=Tariff(price=order.models[0].settings.price, idle_usd_per_hour=asked.idle_usd_per_hour),
        leave_seconds=asked.leave_seconds,
        bucket=None if order.bucket is None else Bucket(boto3.client("s3"), *order.bucket),
        watcher=watcher,
    )


@contextlib.asynccontextmanager
async def salvaged(
    accounts: Accounts | None, folder: collections.abc.Callable[[], pathlib.Path | None]
) -> collections.abc.AsyncIterator[None]:
    """Keep the receipt if the context ends in an error; ``folder`` is None before there is one."""
    try:
        yield
    except OptimalTpError:
        where = folder()
        if accounts is not None and where is not None:
            accounts.salvage(where)
        raise


@contextlib.asynccontextmanager
async def watched(accounts: Accounts | None) -> collections.abc.AsyncIterator[None]:
    """Watch the nodes while the context is open."""
    task = None if accounts is None else asyncio.create_task(accounts.watch.watch())
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
