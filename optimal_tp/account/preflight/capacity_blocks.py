"""Capacity Blocks that AWS offers, shown if the reservations do not cover the plan. Pure."""

import datetime as dt
import math
import typing

from optimal_tp.account import questions
from optimal_tp.account.preflight.context import Scene
from optimal_tp.account.preflight.reservations import BLOCK_ENDS_EARLY
from optimal_tp.account.preflight.rows import Row, unknown
from optimal_tp.account.questions import Answer, Unknown

_DAY_HOURS = 24
"""Capacity Blocks are sold by whole days (EC2 user guide, "Capacity Blocks for ML")."""
_AHEAD = dt.timedelta(weeks=8)
"""How far ahead Capacity Blocks are sold (same guide)."""
_SHOWN = 3


def hours(expected_hours: float) -> int:
    """Return the length of the shortest block for an experiment of ``expected_hours``: whole days, in hours."""
    needed = expected_hours + BLOCK_ENDS_EARLY.total_seconds() / 3600
    return math.ceil(needed / _DAY_HOURS) * _DAY_HOURS


def row(scene: Scene) -> Row:
    """Ask for blocks that cover the plan's nodes and its expected time, and show the cheapest."""
    neuron, experiment = scene.settings.neuron, scene.experiment
    length = hours(experiment.expected_hours)
    answer = scene.ask(
        questions.BLOCKS,
        InstanceType=neuron.instance_type,
        InstanceCount=experiment.nodes,
        CapacityDurationHours=length,
        StartDateRange=scene.now,
        EndDateRange=scene.now + _AHEAD,
    )
    return offers(answer, neuron.zones, required=f"{experiment.nodes} x {neuron.instance_type} for {length} h")


def offers(answer: Answer, zones: tuple[str, ...], *, required: str) -> Row:
    """Show the cheapest offers, those in ``zones`` first: an offer elsewhere needs another zone in the settings."""
    check = "Capacity Blocks on offer"
    if isinstance(answer, Unknown):
        return unknown(check, answer.reason, required)
    if not answer:
        remedy = "try later, another region or another infra.neuron.instance_type"
        return Row(check=check, state="warning", found="none in eight weeks", required=required, remedy=remedy)
    ordered = sorted(answer, key=lambda each: (each["AvailabilityZone"] not in zones, _price(each), each["StartDate"]))
    found = "; ".join(_told(each) for each in ordered[:_SHOWN])
    best = ordered[0]
    if best["AvailabilityZone"] not in zones:
        remedy = f"add {best['AvailabilityZone']} to infra.neuron.zones (and infra.zones) to use one of them"
        return Row(check=check, state="warning", found=found, required=required, remedy=remedy)
    return Row(check=check, state="fine", found=found, required=required)


def _price(offer: typing.Any) -> float:  # noqa: ANN401 - as AWS answers
    return float(offer["UpfrontFee"])


def _told(offer: typing.Any) -> str:  # noqa: ANN401 - as AWS answers
    length, count = int(offer["CapacityBlockDurationHours"]), int(offer["InstanceCount"])
    hour = _price(offer) / (length * count)
    return (
        f"{offer['AvailabilityZone']} from {offer['StartDate']:%Y-%m-%d %H:%M} UTC, {length} h: {_price(offer):.2f} "
        f"{offer.get('CurrencyCode', 'USD')}, {hour:.2f} per node-hour"
    )
