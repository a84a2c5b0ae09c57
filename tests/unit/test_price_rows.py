"""Prices: what opens Karpenter's gate, and the settings against AWS's list."""

import json

import pytest

from optimal_tp.account.preflight.nodes import gate, offering, price, prices
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.settings.node_capacity import Neuron
from optimal_tp.settings.prices import HourPrice

TOLD = HourPrice(usd_per_hour=2.0, source="here", date="2026-11-24")


def record(usd: float, *, usage: str = "BoxUsage", unit: str = "Hrs") -> str:
    """Return one record of the Pricing API."""
    rate = {"unit": unit, "pricePerUnit": {"USD": str(usd)}}
    return json.dumps(
        {
            "product": {"attributes": {"usagetype": usage}},
            "terms": {"OnDemand": {"offer": {"priceDimensions": {"rate": rate}}}},
        }
    )


def test_hours_of_the_usage_are_read_ascending_and_each_once() -> None:
    """Gigabytes, other usages and prices of nothing are no hourly price."""
    records = [
        record(6.0, usage="USE2-AmazonEKS-Hours:extendedSupport"),
        record(0.2, usage="USE2-AmazonEKS-Hours:perCluster"),
        record(0.1, usage="AmazonEKS-Hours:perCluster", unit="Hours"),
        record(0.1, usage="USE1-AmazonEKS-Hours:perCluster"),
        record(0.0, usage="AmazonEKS-Hours:perCluster"),
        record(0.5, usage="AmazonEKS-Hours:perCluster", unit="GB"),
        json.dumps({"product": {}, "terms": {}}),
    ]

    assert prices(records, usage="AmazonEKS-Hours:perCluster") == [0.1, 0.2]


@pytest.mark.parametrize(
    ("records", "state", "found"),
    [
        ((record(2.1),), "fine", "2.1 USD listed"),
        ((record(9.0), record(2.1)), "fine", "2.1, 9 USD listed"),
        ((record(4.0),), "warning", "4 USD listed"),
        ((), "fine", "AWS lists none, so yours is used"),
        (Unknown(reason="no right"), "unknown", "unknown: no right"),
    ],
)
def test_a_price_is_held_against_the_list(records: Answer, state: str, found: str) -> None:
    """Within a fifth of one that is listed; where none is, nothing is wrong with it."""
    row = price("trn2", "infra.neuron.price", TOLD, records)

    assert (row.state, row.found, row.required) == (state, found, "near 2 USD an hour, infra.neuron.price")


@pytest.mark.parametrize(
    ("kinds", "records", "own", "state"),
    [
        (("reserved",), (), False, "fine"),
        (("on-demand",), (), True, "fine"),
        (("on-demand",), (), False, "unknown"),
        (("on-demand",), (record(2.0),), False, "fine"),
        (("spot",), Unknown(reason="no right"), False, "unknown"),
    ],
    ids=["reserved", "our Karpenter", "another's", "another's, listed", "another's, list unknown"],
)
def test_the_gate_is_open_by_reservation_list_or_overlay(
    kinds: tuple[str, ...],
    records: Answer,
    own: bool,  # noqa: FBT001 - a column of the table
    state: str,
) -> None:
    """Whether a Karpenter that was there heeds an overlay, no answer of AWS says."""
    ids = ("cr-1",) if "reserved" in kinds else ()
    neuron = Neuron.model_validate(
        {"zones": ("ap-southeast-4c",), "capacity_types": kinds, "reservation_ids": ids, "price": TOLD}
    )

    assert gate(neuron, records, own_karpenter=own).state == state


@pytest.mark.parametrize(
    ("offered", "state", "found", "remedy"),
    [
        (("a", "b"), "fine", "a, b", ""),
        (("b",), "wrong", "b", "remove a from infra.zones or choose another region"),
        ((), "wrong", "nowhere in r", "remove a from infra.zones or choose another region"),
    ],
)
def test_a_type_is_offered_in_every_zone(offered: tuple[str, ...], state: str, found: str, remedy: str) -> None:
    """One zone without it is one too many."""
    row = offering("trn2", ["a"], tuple({"Location": zone} for zone in offered), region="r", key="infra.zones")

    assert (row.state, row.found, row.remedy) == (state, found, remedy)
    assert offering("trn2", ["a"], Unknown(reason="no right"), region="r", key="infra.zones").state == "unknown"
