"""The receipt: which nodes existed, for how long, and what they cost."""

import collections.abc
import dataclasses
import datetime as dt
import json

import pydantic

from optimal_tp.measurement.record import decode
from optimal_tp.settings.workload import Price

RECEIPT = "receipt.json"
"""Name of the file with the last receipt and its sums, in the run's folder and right below the bucket's prefix."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeSpan:
    """One Neuron node, as the cluster reported it. Times are UTC, ISO 8601."""

    name: str
    instance_type: str
    capacity_type: str | None
    """reserved, on-demand or spot; None where the cluster did not say."""
    launched: str
    """When Karpenter had launched its instance."""
    seen: str
    """When it was last seen."""
    gone: str | None
    """When it was first found missing; None while it exists."""

    @property
    def seconds(self) -> float:
        """How long it is known to have existed."""
        return max(0.0, seconds_between(self.launched, self.seen if self.gone is None else self.gone))


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeSeconds:
    """All nodes of one type together."""

    instance_type: str
    nodes: int
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the nodes cost, and which costs are unknown."""

    nodes: tuple[NodeSpan, ...]
    totals: tuple[NodeSeconds, ...]
    """By instance type."""
    neuron_usd: float | None
    """Cost of all nodes at the price in the settings; None without a price."""
    idle_usd: float | None
    """Cost of the rest of the cluster from the first launch to the last look, at the estimated rate; None without a
    node."""
    verdicts: int
    """Runs that ended settled."""
    unknown: tuple[str, ...]
    """A sentence for each cost that the sums leave out."""

    @property
    def total_usd(self) -> float | None:
        """Cost of the nodes and of the rest of the cluster."""
        return None if self.neuron_usd is None else self.neuron_usd + (self.idle_usd or 0.0)

    @property
    def total_usd_per_verdict(self) -> float | None:
        """None where no verdict was settled."""
        return None if self.total_usd is None or self.verdicts == 0 else self.total_usd / self.verdicts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bill(Receipt):
    """A receipt with its sums, as ``verdict.json`` holds it. An unknown figure is null."""

    usd: float | None
    usd_per_verdict: float | None


_FORM = pydantic.TypeAdapter(Receipt)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tariff:
    """Prices by the hour in this run."""

    price: Price | None
    """Of one node; None without a price."""
    idle_usd_per_hour: float


def seconds_between(start: str, end: str) -> float:
    """Return the seconds from ``start`` to ``end``, both ISO 8601 with a time zone."""
    return (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)).total_seconds()


def receipt(
    nodes: collections.abc.Sequence[NodeSpan],
    tariff: Tariff,
    *,
    watched_from: str,
    watched_until: str,
    verdicts: int,
    faults: collections.abc.Sequence[str] = (),
) -> Receipt:
    """Return the receipt of ``nodes``, watched between two times; ``faults`` say when the cluster did not answer."""
    by_type: dict[str, list[NodeSpan]] = {}
    for node in sorted(nodes, key=lambda node: (node.launched, node.name)):
        by_type.setdefault(node.instance_type, []).append(node)
    totals = tuple(
        NodeSeconds(instance_type=kind, nodes=len(own), seconds=sum(node.seconds for node in own))
        for kind, own in sorted(by_type.items())
    )
    hours = sum(total.seconds for total in totals) / 3600
    first = min((node.launched for node in nodes), default=None)
    idle_hours = None if first is None else seconds_between(first, watched_until) / 3600
    return Receipt(
        nodes=tuple(node for own in by_type.values() for node in own),
        totals=totals,
        neuron_usd=None if tariff.price is None else hours * tariff.price.usd_per_hour,
        idle_usd=None if idle_hours is None else idle_hours * tariff.idle_usd_per_hour,
        verdicts=verdicts,
        unknown=(*_unseen(nodes, watched_from, watched_until), *_unpriced(totals, tariff), *faults),
    )


def bill(found: Receipt) -> Bill:
    """Return ``found`` with its sums."""
    return Bill(**vars(found), usd=found.total_usd, usd_per_verdict=found.total_usd_per_verdict)


def decode_receipt(text: str) -> Receipt:
    """Return the receipt in ``text``, with or without its sums. Raises ValueError for a text without a receipt."""
    return decode(_FORM, json.loads(text), name="receipt", unknown="ignore")


def _unseen(
    nodes: collections.abc.Sequence[NodeSpan], watched_from: str, watched_until: str
) -> collections.abc.Iterator[str]:
    yield f"nodes that ended before {watched_from}"
    left = sum(node.gone is None for node in nodes)
    if left:
        were = "it was" if left == 1 else "they were"
        yield f"the cost of {left} of {len(nodes)} nodes after {watched_until}, when {were} still there"


def _unpriced(totals: collections.abc.Sequence[NodeSeconds], tariff: Tariff) -> collections.abc.Iterator[str]:
    if tariff.price is None:
        yield "the price of a node"
    elif len(totals) > 1:
        yield f"the prices of {len(totals)} node types: all are counted at the price of one"
