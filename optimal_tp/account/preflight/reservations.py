"""Check that Capacity Blocks and reservations exist, fit, are large enough and last long enough. Pure."""

import collections.abc
import dataclasses
import datetime as dt
import typing

from optimal_tp.account.preflight.context import ExperimentNeeds
from optimal_tp.account.preflight.quotas import of_cluster
from optimal_tp.account.preflight.rows import Row, unknown
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.errors import quantity
from optimal_tp.settings.node_capacity import Neuron

EXAMPLE: typing.Final = "cr-0123456789abcdef0"
"""The example id in the stack files, to be replaced."""
ON_DEMAND: typing.Final = (
    "AWS publishes no on-demand price for trn2, and such capacity is rarely available: docs/how-to/capacity-block.md "
    "says how to reserve nodes"
)
"""What to know of nodes without a reservation: the end of a sentence."""
BLOCK_ENDS_EARLY: typing.Final = dt.timedelta(minutes=40)
"""EC2 begins to end a Capacity Block's instances 30 minutes before its end, and Karpenter drains their nodes 10 minutes
before that (Karpenter 1.14, docs/tasks/odcrs.md)."""

_SCHEDULED: typing.Final = "scheduled"
"""Bought, and not begun yet (EC2 API, CapacityReservation)."""
_UNPAID: typing.Final = "payment-pending"
"""A Capacity Block that was bought, and whose payment AWS has not processed yet; after 12 hours it is released."""
_PENDING: typing.Final = "pending"
"""An On-Demand reservation in its first minutes (EC2 user guide, "View the state of a Capacity Reservation")."""
_COMING: typing.Final = (_SCHEDULED, _UNPAID, _PENDING)
_USABLE: typing.Final = ("active", *_COMING)


def reservations(
    neuron: Neuron,
    experiment: ExperimentNeeds,
    answers: collections.abc.Mapping[str, Answer],
    now: dt.datetime,
) -> list[Row]:
    """Check each reservation in the settings: type, zone, state, and whether it outlasts the experiment."""
    return [_reservation(neuron, experiment, name, answers[name], now) for name in neuron.reservation_ids]


def free(answers: collections.abc.Iterable[Answer], own: Answer, cluster: str) -> int | Unknown:
    """Return how many reserved instances are free or in use by ``cluster`` itself; ``own`` are all instances.

    A reservation that is bought and not active yet counts whole, as it has nothing available before; of the others
    only active ones count.
    """
    known: list[typing.Any] = []
    for answer in (*answers, own):
        if isinstance(answer, Unknown):
            return answer
    for answer in answers:
        known += [entry for entry in typing.cast("tuple[typing.Any, ...]", answer) if entry["State"] in _USABLE]
    ids = {entry["CapacityReservationId"] for entry in known}
    held = [
        entry
        for entry in typing.cast("tuple[typing.Any, ...]", own)
        if entry.get("CapacityReservationId") in ids and of_cluster(entry, cluster)
    ]
    sizes = {"active": "AvailableInstanceCount", **dict.fromkeys(_COMING, "TotalInstanceCount")}
    return sum(int(entry[sizes[entry["State"]]]) for entry in known) + len(held)


def unused(answers: collections.abc.Iterable[Answer]) -> int | Unknown:
    """Return the number of unused instances in On-Demand reservations, which count against the on-demand quota.

    Capacity Blocks count against no quota (EC2 user guide, "Capacity Reservation limits" and "Capacity Blocks").
    """
    found = 0
    for answer in answers:
        if isinstance(answer, Unknown):
            return answer
        own = [each for each in answer if each["State"] == "active" and each.get("ReservationType") != "capacity-block"]
        found += sum(int(each["AvailableInstanceCount"]) for each in own)
    return found


def enough(neuron: Neuron, experiment: ExperimentNeeds, available: int | Unknown) -> Row:
    """Compare the reserved instances with the nodes of the plan."""
    check, needed = "reserved instances", experiment.nodes + neuron.fleet_nodes
    fleet = f" and the {neuron.fleet_nodes} of the fleet" if neuron.fleet_nodes else ""
    required = f"{quantity(needed, 'node', 'nodes')} for the plan{fleet}"
    if isinstance(available, Unknown):
        return unknown(check, available.reason, required)
    found = f"{available} free or to come"
    if available >= needed:
        return Row(check=check, state="fine", found=found, required=required)
    others = [each for each in neuron.capacity_types if each != "reserved"]
    if others:
        # The rows of the quotas say whether there is room for the rest.
        return Row(check=check, state="fine", found=f"{found}; {' or '.join(others)} adds more", required=required)
    # Seen with Karpenter 1.14.1: the pods of the second node stay pending for ever (tests/engines/test_karpenter.py).
    room = available - neuron.fleet_nodes
    fewer = f"set infra.neuron.maximum_nodes to {room} so that servers take turns" if room > 0 else ""
    remedy = "; or ".join(filter(None, [fewer, "reserve more"]))
    return Row(check=check, state="wrong", found=found, required=required, remedy=remedy)


def _reservation(neuron: Neuron, experiment: ExperimentNeeds, name: str, answer: Answer, now: dt.datetime) -> Row:
    check = f"reservation {name}"
    required = f"active, {neuron.instance_type}, Linux, in {', '.join(neuron.zones)}"
    if name == EXAMPLE:
        remedy = "set infra.neuron.reservation_ids to the id of your reservation or Capacity Block"
        return Row(check=check, state="wrong", found="the example's id", required=required, remedy=remedy)
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if not answer:
        remedy = "correct infra.neuron.reservation_ids; a reservation is visible only in its own region and account"
        return Row(check=check, state="wrong", found="no such reservation here", required=required, remedy=remedy)
    entry = answer[0]
    is_block = entry.get("ReservationType") == "capacity-block"
    end = entry.get("EndDate")
    until = "no end" if end is None else f"until {end:%Y-%m-%d %H:%M} UTC"
    what = "Capacity Block" if is_block else "On-Demand reservation"
    size = f"{entry['TotalInstanceCount']} x {entry['InstanceType']} in {entry['AvailabilityZone']}"
    found = f"{what}, {_state(entry)}, {size}, {until}"
    if entry["State"] not in _USABLE:
        remedy = "put the id of one that is active or scheduled into infra.neuron.reservation_ids"
        return Row(check=check, state="wrong", found=found, required=required, remedy=remedy)
    if not _fits(neuron, entry):
        remedy = "choose a reservation that matches or change infra.neuron to match it"
        return Row(check=check, state="wrong", found=found, required=required, remedy=remedy)
    row = Row(check=check, state="fine", found=found, required=required)
    begins = max(now, entry["StartDate"]) if entry["State"] in _COMING and entry.get("StartDate") else now
    if end is not None:
        row = _lasting(row, experiment, end - begins, is_block=is_block)
    return row if entry["State"] == "active" else _later(row, entry["State"], begins)


def _state(entry: typing.Any) -> str:  # noqa: ANN401 - as AWS answers
    starts = entry.get("StartDate")
    if entry["State"] == "active" or starts is None:
        return str(entry["State"])
    return f"{entry['State']}, from {starts:%Y-%m-%d %H:%M} UTC"


def _later(row: Row, state: str, begins: dt.datetime) -> Row:
    """Return ``row`` of a reservation that ``begins`` later: nothing can be launched before, so `up` waits for it."""
    if row.state == "wrong":
        return row
    waits = {
        _SCHEDULED: f"it starts at {begins:%Y-%m-%d %H:%M} UTC: run `pulumi up` when it starts, not before",
        _UNPAID: "it is bought, but AWS has not processed the payment, and releases it after 12 hours without one: "
        "run `pulumi up` when it is active",
        _PENDING: "run `pulumi up` when it is active, in about 5 minutes",
    }
    remedy = "; ".join(filter(None, [waits[state], row.remedy]))
    return dataclasses.replace(row, state="warning", remedy=remedy)


def _fits(neuron: Neuron, entry: typing.Any) -> bool:  # noqa: ANN401 - as AWS answers
    return (
        entry["InstanceType"] == neuron.instance_type
        and entry["AvailabilityZone"] in neuron.zones
        and entry.get("InstancePlatform", "Linux/UNIX") == "Linux/UNIX"
        and entry.get("Tenancy", "default") == "default"
    )


def _lasting(row: Row, experiment: ExperimentNeeds, left: dt.timedelta, *, is_block: bool) -> Row:
    """Return ``row`` with the effect of the reservation's end on an experiment that has ``left`` until then.

    When a Capacity Block ends, so do its instances; those of other reservations run on at the on-demand rate.
    """
    usable_hours = (left - (BLOCK_ENDS_EARLY if is_block else dt.timedelta())).total_seconds() / 3600
    expected, longest = experiment.expected_hours, experiment.longest_hours
    required = f"{row.required}, for the expected {expected:.1f} h"
    found = f"{row.found}: {max(usable_hours, 0):.1f} h left"
    if usable_hours <= 0 or (is_block and usable_hours < expected):
        remedy = "reserve for longer, lower workloads.decision.budget_seconds or wait for the next reservation"
        return Row(check=row.check, state="wrong", found=found, required=required, remedy=remedy)
    if longest is None or usable_hours < max(longest, expected):
        after = "its nodes end then" if is_block else "then running nodes cost the on-demand rate and none is launched"
        at_most = "without end" if longest is None else f"up to {longest:.1f} h"
        remedy = f"the experiment may last {at_most}, and {after}"
        return Row(check=row.check, state="warning", found=found, required=required, remedy=remedy)
    return Row(check=row.check, state="fine", found=found, required=required)
