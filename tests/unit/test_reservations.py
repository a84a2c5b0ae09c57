"""What is reserved: there, fitting, large enough, and until when."""

import datetime as dt
import typing

import pytest

from optimal_tp.account.preflight.context import ExperimentNeeds
from optimal_tp.account.preflight.reservations import EXAMPLE, enough, free, reservations
from optimal_tp.account.questions import Answer, Unknown
from optimal_tp.settings.node_capacity import Neuron
from optimal_tp.settings.prices import HourPrice

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
PRICE = HourPrice(usd_per_hour=2.25, source="here", date="2026-11-24")
ENTRY: typing.Final = {
    "CapacityReservationId": "cr-1",
    "State": "active",
    "InstanceType": "trn2.3xlarge",
    "InstancePlatform": "Linux/UNIX",
    "Tenancy": "default",
    "AvailabilityZone": "ap-southeast-4c",
    "TotalInstanceCount": 2,
    "AvailableInstanceCount": 2,
    "ReservationType": "default",
}
BLOCK: typing.Final = {**ENTRY, "ReservationType": "capacity-block"}


def neuron(*ids: str, kinds: tuple[str, ...] = ("reserved",)) -> Neuron:
    """Return the settings of the nodes."""
    return Neuron.model_validate(
        {"zones": ("ap-southeast-4c",), "capacity_types": kinds, "reservation_ids": ids, "price": PRICE}
    )


def experiment(*, longest_hours: float | None = 4.5) -> ExperimentNeeds:
    """Return an experiment of two nodes and two hours, of 4.5 at most."""
    return ExperimentNeeds(
        up_hours=0.4,
        nodes=2,
        expected_hours=2.0,
        longest_hours=longest_hours,
        own_image=None,
        bucket=None,
        dashboard="ours",
        alarms=(),
    )


def told(answer: Answer, name: str = "cr-1", *, longest_hours: float | None = 4.5) -> tuple[str, str, str]:
    """Return state, finding and remedy of one reservation."""
    [row] = reservations(neuron(name), experiment(longest_hours=longest_hours), {name: answer}, NOW)
    return row.state, row.found, row.remedy


def until(entry: dict[str, typing.Any], hours: float) -> Answer:
    """Return ``entry`` with its end so far away."""
    return ({**entry, "EndDate": NOW + dt.timedelta(hours=hours)},)


def test_a_reservation_without_end_is_fine() -> None:
    """Kind, state, size, place and end are said."""
    assert told((ENTRY,)) == (
        "fine",
        "On-Demand reservation, active, 2 x trn2.3xlarge in ap-southeast-4c, no end",
        "",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"State": "scheduled", "StartDate": NOW + dt.timedelta(days=1), "InstanceType": "trn2.48xlarge"},
        {"InstanceType": "trn2.48xlarge"},
        {"AvailabilityZone": "ap-southeast-4a"},
        {"InstancePlatform": "Windows"},
        {"Tenancy": "dedicated"},
    ],
    ids=str,
)
def test_a_reservation_that_does_not_fit_is_wrong(wrong: dict[str, object]) -> None:
    """Type, zone, platform and tenancy all count."""
    state, _, remedy = told(({**ENTRY, **wrong},))

    assert (state, remedy) == ("wrong", "choose a reservation that matches or change infra.neuron to match it")


@pytest.mark.parametrize("state", ["expired", "cancelled", "failed", "payment-failed", "assessing", "delayed"])
def test_a_reservation_that_is_gone_or_not_granted_is_wrong(state: str) -> None:
    """Another id helps, no other type or zone does."""
    answer = ({**ENTRY, "State": state},)

    assert told(answer)[::2] == (
        "wrong",
        "put the id of one that is active or scheduled into infra.neuron.reservation_ids",
    )
    assert free([answer], (), "ours") == 0


SCHEDULED: typing.Final = {
    **BLOCK,
    "State": "scheduled",
    "StartDate": NOW + dt.timedelta(days=1),
    "AvailableInstanceCount": 0,
}
"""A Capacity Block that was bought a day before its start."""


def test_a_block_that_has_not_begun_is_a_warning_with_its_start() -> None:
    """A Capacity Block is bought days before; `up` waits for its start."""
    assert told(until(SCHEDULED, 48)) == (
        "warning",
        (
            "Capacity Block, scheduled, from 2026-11-25 00:00 UTC, 2 x trn2.3xlarge in ap-southeast-4c, "
            "until 2026-11-26 00:00 UTC: 23.3 h left"
        ),
        "it starts at 2026-11-25 00:00 UTC: run `pulumi up` when it starts, not before",
    )


@pytest.mark.parametrize(("hours", "state"), [(24 + 5.2, "warning"), (24 + 2.7, "warning"), (24 + 2.6, "wrong")])
def test_a_scheduled_block_must_hold_the_experiment_from_its_start(hours: float, state: str) -> None:
    """The hours before its start are none of its own."""
    assert told(until(SCHEDULED, hours))[0] == state


def test_what_else_a_scheduled_block_is_warned_of_stands_beside_its_start() -> None:
    """The longest experiment outlasts it."""
    assert told(until(SCHEDULED, 24 + 2.7))[2] == (
        "it starts at 2026-11-25 00:00 UTC: run `pulumi up` when it starts, not before; "
        "the experiment may last up to 4.5 h, and its nodes end then"
    )


def test_a_scheduled_block_counts_whole() -> None:
    """Nothing of it is available before its start, and nobody should buy another one."""
    available = free([(SCHEDULED,)], (), "ours")

    assert available == 2
    assert enough(neuron("cr-1"), experiment(), available).state == "fine"


UNPAID: typing.Final = {**SCHEDULED, "State": "payment-pending"}
"""The same block in the hours after its purchase."""


def test_a_block_whose_payment_is_pending_is_a_warning() -> None:
    """It is bought, so it counts whole and nobody should buy another one; it cannot be used before it is paid."""
    state, found, remedy = told(until(UNPAID, 48))

    assert (state, remedy) == (
        "warning",
        (
            "it is bought, but AWS has not processed the payment, and releases it after 12 hours without one: "
            "run `pulumi up` when it is active"
        ),
    )
    assert found.startswith("Capacity Block, payment-pending, from 2026-11-25 00:00 UTC, ")
    assert free([(UNPAID,)], (), "ours") == 2


@pytest.mark.parametrize(
    ("change", "hours"), [({"InstanceType": "trn2.48xlarge"}, 48), ({}, 24 + 2.6)], ids=["type", "too short"]
)
def test_a_block_that_would_not_do_is_wrong_before_it_is_paid(change: dict[str, object], hours: float) -> None:
    """Paying for it would not help."""
    assert told(until({**UNPAID, **change}, hours))[0] == "wrong"


def test_a_reservation_in_its_first_minutes_is_a_warning() -> None:
    """EC2 calls a new On-Demand reservation pending for up to five minutes."""
    pending = ({**ENTRY, "State": "pending", "AvailableInstanceCount": 0},)

    assert told(pending)[::2] == ("warning", "run `pulumi up` when it is active, in about 5 minutes")
    assert free([pending], (), "ours") == 2


@pytest.mark.parametrize(
    ("kind", "hours", "state"),
    [
        ("block", 5.2, "fine"),
        ("block", 5.1, "warning"),
        ("block", 2.7, "warning"),
        ("block", 2.6, "wrong"),
        ("block", 0.6, "wrong"),
        ("reservation", 4.5, "fine"),
        ("reservation", 4.4, "warning"),
        ("reservation", 0.1, "warning"),
        ("reservation", 0.0, "wrong"),
    ],
)
def test_the_end_is_held_against_the_experiment(kind: str, hours: float, state: str) -> None:
    """Two hours are expected, 4.5 the most: a block ends its nodes, 40 minutes early; others run on at another rate."""
    assert told(until(BLOCK if kind == "block" else ENTRY, hours))[0] == state


def test_the_end_of_a_block_and_of_a_reservation_mean_different_things() -> None:
    """One takes the nodes away in the middle of a measurement, the other makes them dearer."""
    assert told(until(BLOCK, 4.0))[1:] == (
        ("Capacity Block, active, 2 x trn2.3xlarge in ap-southeast-4c, until 2026-11-24 04:00 UTC: 3.3 h left"),
        "the experiment may last up to 4.5 h, and its nodes end then",
    )
    assert told(until(ENTRY, 4.0))[2] == (
        "the experiment may last up to 4.5 h, and then running nodes cost the on-demand rate and none is launched"
    )


def test_an_endless_probe_outlasts_every_end() -> None:
    """With keep_running nobody stops it."""
    assert told(until(BLOCK, 1000), longest_hours=None)[2] == (
        "the experiment may last without end, and its nodes end then"
    )


@pytest.mark.parametrize(
    ("answer", "name", "state", "found"),
    [
        ((), "cr-1", "wrong", "no such reservation here"),
        ((), EXAMPLE, "wrong", "the example's id"),
        (Unknown(reason="no right"), "cr-1", "unknown", "unknown: no right"),
    ],
)
def test_what_is_not_there_is_told(answer: Answer, name: str, state: str, found: str) -> None:
    """Absent, an example, and unknown are three things."""
    assert told(answer, name)[:2] == (state, found)


def _instance(cluster: str, reservation: str = "cr-1") -> dict[str, object]:
    return {"CapacityReservationId": reservation, "Tags": [{"Key": "eks:eks-cluster-name", "Value": cluster}]}


def test_what_the_stack_itself_uses_is_free_to_it() -> None:
    """A stack that is up holds its own reservation; another's instances, and other reservations, do not count."""
    own: Answer = (_instance("ours"), _instance("theirs"), _instance("ours", "cr-2"))
    taken: Answer = ({**ENTRY, "AvailableInstanceCount": 0},)

    assert free([taken], own, "ours") == 1
    assert free([({**ENTRY, "State": "expired"},)], (), "ours") == 0
    assert free([taken], Unknown(reason="no right"), "ours") == Unknown(reason="no right")
    assert free([Unknown(reason="no right")], (), "ours") == Unknown(reason="no right")


@pytest.mark.parametrize(
    ("available", "kinds", "state", "remedy"),
    [
        (2, ("reserved",), "fine", ""),
        (
            1,
            ("reserved",),
            "wrong",
            "set infra.neuron.maximum_nodes to 1 so that servers take turns; or reserve more",
        ),
        (0, ("reserved",), "wrong", "reserve more"),
        (0, ("reserved", "on-demand"), "fine", ""),
    ],
)
def test_too_few_are_told_with_the_way_out(available: int, kinds: tuple[str, ...], state: str, remedy: str) -> None:
    """Two nodes are planned; where something else fills up, the quotas say whether it can."""
    row = enough(neuron("cr-1", kinds=kinds), experiment(), available)

    assert (row.state, row.remedy) == (state, remedy)
    assert enough(neuron("cr-1"), experiment(), Unknown(reason="no right")).state == "unknown"


def test_a_fleet_needs_its_reservation_too() -> None:
    """Its nodes run beside the experiment's, so three are missing where only the experiment's two are free."""
    settings = neuron("cr-1").model_copy(update={"fleet_nodes": 3})
    row = enough(settings, experiment(), 4)

    assert (row.state, row.required) == ("wrong", "5 nodes for the plan and the 3 of the fleet")
    assert row.remedy == "set infra.neuron.maximum_nodes to 1 so that servers take turns; or reserve more"
    assert enough(settings, experiment(), 5).state == "fine"
