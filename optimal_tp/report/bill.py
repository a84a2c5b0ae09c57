"""The receipt as a report shows it: sums and a sentence; its table stands with the others."""

import dataclasses

from optimal_tp.measurement.estimate import duration, usd
from optimal_tp.measurement.receipt import NodeSeconds, NodeSpan, Receipt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bill:
    """A receipt with its sums, as ``verdict.json`` holds it. What is not known is null."""

    nodes: tuple[NodeSpan, ...]
    totals: tuple[NodeSeconds, ...]
    neuron_usd: float | None
    idle_usd: float | None
    usd: float | None
    verdicts: int
    usd_per_verdict: float | None
    unknown: tuple[str, ...]


def bill(receipt: Receipt) -> Bill:
    """Return ``receipt`` with its sums."""
    return Bill(**{field.name: getattr(receipt, field.name) for field in dataclasses.fields(Bill)})


def receipt_claim(receipt: Receipt | None) -> str:
    """Return which nodes were there for how long, what they cost, and what is not known; empty without a receipt."""
    if receipt is None:
        return ""
    unknown = "; ".join(receipt.unknown)
    if not receipt.nodes:
        return f"No Neuron node was seen. Not known: {unknown}."
    nodes = ", ".join(
        f"{total.nodes} x {total.instance_type}, {duration(total.seconds)} together" for total in receipt.totals
    )
    if receipt.usd is None:
        return f"{nodes}. Not known: {unknown}."
    each = (
        "no verdict was settled" if receipt.usd_per_verdict is None else f"{usd(receipt.usd_per_verdict)} per verdict"
    )
    around = "" if not receipt.idle_usd else f" and about {usd(receipt.idle_usd)} for what ran around them"
    return f"{nodes}: {usd(receipt.neuron_usd)}{around}; {each}. Not known: {unknown}."
