"""Whether the Neuron nodes of the settings can be launched: place, quota, reservation, price. Pure."""

import collections.abc
import datetime as dt
import json
import typing

from infra.account.questions import Answer, Unknown
from infra.capacity import Neuron
from infra.preflight.rows import Row, unknown

EXAMPLE_RESERVATION = "cr-0123456789abcdef0"
"""The id in the stack files, there to be replaced."""
_NEAR = 0.2
"""Share of the listed price that the settings may be off before it is said."""
QUOTAS: typing.Final = {"on-demand": "L-2C3B7624", "spot": "L-6B0D517C"}
"""Service quotas, in vCPUs, of running Trn instances. Reserved instances count against the on-demand one, Capacity
Blocks against none (EC2 user guide, "Capacity Blocks"; not tried here)."""


def offering(neuron: Neuron, region: str, offered: Answer) -> list[Row]:
    """Hold the zones of the settings against those that offer the type; ``offered`` has one entry a zone."""
    check = f"{neuron.instance_type} offered"
    required = f"offered in {', '.join(neuron.zones)}"
    if isinstance(offered, Unknown):
        return [unknown(check, offered.reason, required)]
    zones = sorted(str(entry["Location"]) for entry in offered)
    missing = [zone for zone in neuron.zones if zone not in zones]
    found = f"{', '.join(zones)}" if zones else f"nowhere in {region}"
    remedy = f"leave {', '.join(missing)} out of infra.neuron.zones, or move the stack" if missing else ""
    return [
        Row(check=check, state="wrong" if missing else "fine", found=found, required=required, remedy=remedy),
    ]


def quota(neuron: Neuron, kind: str, answer: Answer) -> Row:
    """Hold the vCPU quota of ``kind`` ("on-demand", "spot") against the most nodes that the settings allow."""
    needed = neuron.maximum_nodes * neuron.hardware.vcpus
    check, required = f"quota {QUOTAS[kind]} ({kind})", f"at least {needed} vCPUs"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if not answer:
        return unknown(check, "the account has no such quota", required, f"look for {QUOTAS[kind]} in Service Quotas")
    allowed = float(answer[0]["Value"])
    short = allowed < needed
    remedy = f"request an increase of {QUOTAS[kind]}, or lower infra.neuron.maximum_nodes" if short else ""
    state: typing.Literal["wrong", "fine"] = "wrong" if short else "fine"
    return Row(check=check, state=state, found=f"{allowed:g} vCPUs", required=required, remedy=remedy)


def reservations(neuron: Neuron, answers: collections.abc.Mapping[str, Answer], now: dt.datetime) -> list[Row]:
    """Hold each reservation against type, zone, state and time, and all of them against the most nodes."""
    rows = [_reservation(neuron, name, answers[name], now) for name in neuron.reservation_ids]
    if not rows or any(row.state in ("wrong", "unknown") for row in rows):
        return rows
    free = sum(int(entry["AvailableInstanceCount"]) for answer in answers.values() for entry in _entries(answer))
    needed = neuron.maximum_nodes
    enough = free >= needed or len(neuron.capacity_types) > 1
    row = Row(
        check="reserved instances",
        state="fine" if enough else "warning",
        found=f"{free} free",
        required=f"infra.neuron.maximum_nodes is {needed}",
        remedy="" if enough else "lower infra.neuron.maximum_nodes, so that servers take turns instead of pending",
    )
    return [*rows, row]


def _entries(answer: Answer) -> tuple[typing.Any, ...]:
    return () if isinstance(answer, Unknown) else answer


def _reservation(neuron: Neuron, name: str, answer: Answer, now: dt.datetime) -> Row:
    check = f"reservation {name}"
    required = f"active, {neuron.instance_type}, in {', '.join(neuron.zones)}"
    if name == EXAMPLE_RESERVATION:
        remedy = "put the id of your reservation or Capacity Block into infra.neuron.reservation_ids"
        return Row(check=check, state="wrong", found="the example's id", required=required, remedy=remedy)
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if not answer:
        remedy = "mend infra.neuron.reservation_ids; a reservation is found in its own region and account only"
        return Row(check=check, state="wrong", found="no such reservation here", required=required, remedy=remedy)
    entry = answer[0]
    state, kind, zone = (str(entry[key]) for key in ("State", "InstanceType", "AvailabilityZone"))
    end = entry.get("EndDate")
    until = "no end" if end is None else f"until {end:%Y-%m-%d %H:%M} UTC"
    fits = state == "active" and kind == neuron.instance_type and zone in neuron.zones
    gone = end is not None and end <= now
    return Row(
        check=check,
        state="fine" if fits and not gone else "wrong",
        found=f"{state}, {entry['TotalInstanceCount']} x {kind} in {zone}, {until}",
        required=required,
        remedy="" if fits and not gone else "choose a reservation that is, or change infra.neuron to fit it",
    )


def price(neuron: Neuron, records: Answer) -> Row:
    """Hold the price of the settings, which opens Karpenter's price gate, against AWS's own where there is a record.

    Reserved offers need no price; others are told this one (Karpenter 1.14.1, offering/base_resolver.go).
    """
    told = neuron.price.usd_per_hour
    check, required = "price", f"near {told:g} USD an hour, infra.neuron.price"
    if isinstance(records, Unknown):
        return unknown(check, records.reason, required)
    listed = [usd for record in records for usd in _on_demand(json.loads(record)) if usd > 0]
    if not listed:
        return Row(check=check, state="fine", found="AWS publishes none; Karpenter is told this one", required=required)
    near = any(abs(usd - told) <= _NEAR * usd for usd in listed)
    return Row(
        check=check,
        state="fine" if near else "warning",
        found=", ".join(f"{usd:g}" for usd in sorted(set(listed))[:4]) + " USD on demand",
        required=required,
        remedy="" if near else "set infra.neuron.price to what you pay, unless a reservation is cheaper",
    )


def _on_demand(record: typing.Any) -> list[float]:  # noqa: ANN401 - JSON of the Pricing API
    terms = record.get("terms", {}).get("OnDemand", {}).values()
    units = [unit for term in terms for unit in term["priceDimensions"].values()]
    return [float(unit["pricePerUnit"]["USD"]) for unit in units if "USD" in unit["pricePerUnit"]]
