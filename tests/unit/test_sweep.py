"""The record of a sweep: it comes back as it was, and a broken one is refused."""

import dataclasses

import pytest

from optimal_tp.errors import Exit, gravest
from optimal_tp.measurement.node_bill import NodeSpan, Tariff, receipt
from optimal_tp.measurement.sweep import Leg, Sweep, decode_sweep, encode_sweep
from tests.fakes_samples import whole

SWEEP = Sweep(sweep="20260701T120000Z-test", legs=(Leg(model="a/b", folder="b"), Leg(model="a/c", folder="c")))


def test_a_record_comes_back() -> None:
    """Text and back is the same, states and sentences with it."""
    sweep = SWEEP.changed(0, "ended").changed(1, "failed", "it died")

    assert decode_sweep(encode_sweep(sweep)) == sweep
    assert [leg.state for leg in SWEEP.legs] == ["waiting", "waiting"]


def test_its_receipt_comes_back() -> None:
    """With its nodes and their sums; records of before have none."""
    node = NodeSpan(
        name="a",
        instance_type="trn2.3xlarge",
        capacity_type=None,
        launched="2026-11-24T09:00:00Z",
        seen="2026-11-24T09:30:00Z",
        gone=None,
    )
    tariff = Tariff(price=None, idle_usd_per_hour=0.4)
    found = receipt([node], tariff, watched_from=node.launched, watched_until=node.seen, verdicts=2)
    sweep = dataclasses.replace(SWEEP, receipt=found)

    assert decode_sweep(encode_sweep(sweep)) == sweep
    assert decode_sweep(encode_sweep(SWEEP).replace('"receipt": null,\n', "")).receipt is None


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema_version must be 1 in a sweep's record, but it is 2"),
        ('"schema_version": 1', '"version": 1', "schema_version must be 1 in a sweep's record, but it is not set"),
        ('"waiting"', '"asleep"', "legs.0.state must not be 'asleep' in a sweep's record"),
        ('"b"', '"../b"', "legs.0.folder must not be '../b' in a sweep's record"),
        ('"b"', '".."', "legs.0.folder must not be '..' in a sweep's record"),
        ('"legs"', '"arms"', "legs must be set in a sweep's record"),
    ],
)
def test_a_broken_record_is_refused(old: str, new: str, what: str) -> None:
    """Another schema, an unknown state, a folder elsewhere, a missing key."""
    with pytest.raises(ValueError, match=whole(what)):
        decode_sweep(encode_sweep(SWEEP).replace(old, new))


def test_a_folder_outside_the_sweep_is_named() -> None:
    """By its place in the record."""
    text = encode_sweep(SWEEP).replace('"c"', '"../c"')

    with pytest.raises(ValueError, match=r"^legs\.1\.folder must not be '\.\./c' in a sweep's record$"):
        decode_sweep(text)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([Exit.GOOD, Exit.GOOD], Exit.GOOD),
        ([Exit.GOOD, Exit.OPEN], Exit.OPEN),
        ([Exit.OPEN, Exit.VOID], Exit.VOID),
        ([Exit.VOID, Exit.FAILED, Exit.OPEN], Exit.FAILED),
        ([Exit.BAD_INPUT, Exit.OPEN], Exit.BAD_INPUT),
        ([Exit.FAILED, Exit.INTERRUPTED], Exit.INTERRUPTED),
        ([], Exit.GOOD),
    ],
)
def test_the_gravest_status_stands_for_all(statuses: list[Exit], status: Exit) -> None:
    """A shell that asks whether everything is settled gets the truth."""
    assert gravest(statuses) == status
