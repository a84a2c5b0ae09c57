"""Whether nodes can be launched as the settings say: place and price. Pure."""

import collections.abc
import json
import typing

from optimal_tp.account.preflight.rows import Row, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.settings.capacity import Neuron
from optimal_tp.settings.prices import HourPrice

_NEAR = 0.2
"""Share of the listed price that the settings may be off before it is said."""


def offering(
    instance_type: str, zones: collections.abc.Sequence[str], offered: Answer, *, region: str, key: str
) -> Row:
    """Hold ``zones``, which stand under ``key``, against those that offer the type: one entry a zone."""
    check = f"{instance_type} offered"
    required = f"offered in {', '.join(zones)}"
    if isinstance(offered, Unknown):
        return unknown(check, offered.reason, required)
    found = sorted(str(entry["Location"]) for entry in offered)
    missing = [zone for zone in zones if zone not in found]
    remedy = f"leave {', '.join(missing)} out of {key}, or move the stack" if missing else ""
    return Row(
        check=check,
        state="wrong" if missing else "fine",
        found=", ".join(found) if found else f"nowhere in {region}",
        required=required,
        remedy=remedy,
    )


def gate(neuron: Neuron, records: Answer, *, own_karpenter: bool) -> Row:
    """Say what opens Karpenter's price gate: it never launches what has no price, but for what is reserved.

    A price of the settings is told to it as a NodeOverlay, an alpha feature that a Karpenter of others may not have
    switched on: nobody outside the cluster knows.
    """
    check, required = "price gate", "a reservation, a listed price, or a NodeOverlay that Karpenter heeds"
    if not neuron.karpenter_needs_a_price:
        return Row(check=check, state="fine", found="reserved only, which needs no price", required=required)
    listed = [] if isinstance(records, Unknown) else prices(records)
    if listed:
        return Row(check=check, state="fine", found="AWS lists a price", required=required)
    overlay = f"a NodeOverlay tells Karpenter {neuron.price.usd_per_hour:g} USD an hour"
    if own_karpenter:
        return Row(check=check, state="fine", found=overlay, required=required)
    remedy = "start the Karpenter of infra.existing with its feature gate NodeOverlay open"
    found = f"unknown: {overlay}, if its feature gate is open"
    return Row(check=check, state="unknown", found=found, required=required, remedy=remedy)


def price(what: str, key: str, told: HourPrice, records: Answer, *, usage: str = "") -> Row:
    """Hold a price of the settings, under ``key``, against AWS's own where there is a record.

    ``usage`` is the end of the record's usage type.
    """
    check, required = f"price of {what}", f"near {told.usd_per_hour:g} USD an hour, {key}"
    if isinstance(records, Unknown):
        return unknown(check, records.reason, required)
    listed = prices(records, usage=usage)
    if not listed:
        return Row(check=check, state="fine", found="AWS lists none; yours counts", required=required)
    near = any(abs(usd - told.usd_per_hour) <= _NEAR * usd for usd in listed)
    return Row(
        check=check,
        state="fine" if near else "warning",
        found=", ".join(f"{usd:g}" for usd in listed[:4]) + " USD listed",
        required=required,
        remedy="" if near else f"set {key} to what you pay, unless a reservation is cheaper",
    )


def prices(records: collections.abc.Iterable[str], *, usage: str = "") -> list[float]:
    """Return the hourly on-demand prices in ``records`` of the Pricing API, in USD, ascending, each once.

    ``usage`` is the end of the usage type, which begins with a region's code ("USE2-AmazonEKS-Hours:perCluster").
    """
    decoded = [json.loads(record) for record in records]
    of_usage = [each for each in decoded if _usage_type(each).endswith(usage)]
    return sorted({usd for each in of_usage for unit in _hours(each) if (usd := float(unit.get("USD", 0))) > 0})


def _usage_type(record: typing.Any) -> str:  # noqa: ANN401 - JSON of the Pricing API
    return str(record.get("product", {}).get("attributes", {}).get("usagetype", ""))


def _hours(record: typing.Any) -> list[dict[str, str]]:  # noqa: ANN401 - likewise
    terms = record.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [dimension for term in terms for dimension in term["priceDimensions"].values()]
    return [each["pricePerUnit"] for each in dimensions if each.get("unit", "").lower() in ("hrs", "hours")]
