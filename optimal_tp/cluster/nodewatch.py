"""Looks which Neuron nodes there are, from Karpenter's own objects, for the receipt."""

import asyncio
import collections.abc
import contextlib
import dataclasses
import datetime as dt
import typing
import urllib.parse

from optimal_tp.errors import ServerFailed
from optimal_tp.measurement.receipt import NodeSpan, Receipt, Tariff, receipt
from optimal_tp.pods.kubernetes import Namespace

LOOK_SECONDS = 15.0
"""How often: a node's end is known that well."""
_GROUP = "karpenter.sh/v1"
_POOL_LABEL = "karpenter.sh/nodepool"


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
        """Look once. What cannot be asked is counted, never raised: a receipt must not end a run."""
        moment = self.now()
        self.began = self.began or moment
        self.looks += 1
        query = urllib.parse.urlencode({"labelSelector": f"{_POOL_LABEL}={self.pool}"})
        try:
            answer = self.namespace.ask_cluster("list the nodes", f"{_GROUP}/nodeclaims?{query}")
        except ServerFailed as error:
            self.failed += 1
            self.last_failure = str(error)
            return
        here = {span.name: span for item in answer.get("items") or () if (span := _span(item, moment)) is not None}
        for name, known in self.spans.items():
            if name not in here and known.gone is None:
                self.spans[name] = dataclasses.replace(known, gone=moment)
        self.spans |= here

    @property
    def left(self) -> int:
        """Nodes that were there at the last look."""
        return sum(span.gone is None for span in self.spans.values())

    async def watch(self, look_seconds: float = LOOK_SECONDS) -> None:
        """Look for ever."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(look_seconds)

    async def until_gone(
        self, timeout_seconds: float, stop: collections.abc.Callable[[], bool], *, look_seconds: float = 1.0
    ) -> None:
        """Wait until no node is there, at most ``timeout_seconds`` and as long as ``stop`` says no."""
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
