"""Whether samples can be what they say."""

import dataclasses

import pytest

from optimal_tp.verdict.evidence import examine, sample_fault, turn_name
from tests.fakes_run import SEED_EXPERIMENT, planted_run
from tests.fakes_samples import make_sample


def test_a_clean_run_keeps_every_turn() -> None:
    """Idle turns and blocks alike; nothing is said."""
    record, samples = planted_run(blocks=3)
    found = examine(record, samples)

    assert (len(found.turns), found.unsound, found.notes) == (12, (), ())


def test_warm_ups_are_not_evidence() -> None:
    """They are thrown away, without a word."""
    record, samples = planted_run(SEED_EXPERIMENT[:1], blocks=1)
    warm = dataclasses.replace(record.turns[0], stage="warm_up")
    found = examine(dataclasses.replace(record, turns=(warm, *record.turns[1:])), samples)

    assert [turn.stage for turn, _ in found.turns] == ["block"]
    assert found.unsound == ()


def test_a_turn_recorded_twice_is_left_out() -> None:
    """Which of the two is true cannot be known."""
    record, samples = planted_run(SEED_EXPERIMENT[:1], blocks=2)
    found = examine(dataclasses.replace(record, turns=(*record.turns, record.turns[-1])), samples)

    assert [fault for _, fault in found.unsound] == ["TP1 block 1: it is recorded twice"] * 2


def test_samples_of_a_turn_that_did_not_end_are_counted() -> None:
    """An interrupted run has samples whose turn was never recorded."""
    record, samples = planted_run(SEED_EXPERIMENT[:1], blocks=2)
    found = examine(dataclasses.replace(record, turns=record.turns[:-1]), samples)

    assert found.notes == ("20 samples belong to turns that did not end: left out",)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, None),
        ({"sent_seconds": None, "token_seconds": (), "status": "refused"}, None),
        ({"sent_seconds": -1.0}, "request 0 has times out of order: the clock stepped"),
        ({"token_seconds": (0.09, 0.05)}, "request 0 has times out of order: the clock stepped"),
        ({"token_seconds": (0.05, 0.5)}, "request 0 has times out of order: the clock stepped"),
        ({"prompt_tokens": -3}, "request 0 has -3 prompt tokens"),
    ],
    ids=["good", "never sent", "sent before intended", "tokens backwards", "token after the end", "negative prompt"],
)
def test_a_sample_is_checked_in_the_order_of_its_times(values: dict[str, object], fault: str | None) -> None:
    """Intended, sent, tokens, end."""
    assert sample_fault(make_sample(**values)) == fault


def test_turns_have_names_a_reader_can_find() -> None:
    """By degree, stage and block."""
    record, _ = planted_run(SEED_EXPERIMENT[:1], blocks=1)

    assert [turn_name(turn) for turn in record.turns] == ["TP1 idle", "TP1 block 0"]
