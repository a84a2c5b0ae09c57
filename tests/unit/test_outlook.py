"""What would settle an open question: blocks, seconds, dollars."""

import dataclasses

import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.estimate import Interval
from optimal_tp.settings.workload import Price
from optimal_tp.verdict.outlook import billed_usd_per_hour, block_seconds, comparison_question, priced
from optimal_tp.verdict.race.pairs import Pair, Rules
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_run import SEED_EXPERIMENT, Planted, planted_run, price

RULES = Rules(resolution=0.05, bias=0.02, least_blocks=12, most_looks=None, alpha=0.05)
PRICE = Price.model_validate(price(usd_per_hour=3.6, billed_cores=4))


def pair(log_ratio: float | None, half: float | None, blocks: int = 20) -> Pair:
    """Return TP1 against TP2 with an interval of half width ``half``."""
    known = log_ratio is not None and half is not None
    interval = Interval(low=log_ratio - half, high=log_ratio + half) if known else Interval(low=None, high=None)  # type: ignore[operator]
    return Pair(
        first=TP1,
        second=TP2,
        blocks=blocks,
        log_ratio=log_ratio,
        interval=interval,
        deviation=0.1,
        surely_effective=blocks,
        why_open=None,
        rules=RULES,
    )


def test_blocks_grow_with_the_square_of_the_width() -> None:
    """A tie of half width twice the resolution: four times as many blocks, so three times as many more."""
    question, further = comparison_question(pair(0.0, 2 * 0.04879016))

    assert question == "which of TP1 and TP2 is the better"
    assert further == 60


def test_a_difference_needs_fewer_blocks_than_a_tie() -> None:
    """One of the two is a safe choice as soon as the other cannot be the resolution better."""
    tie, apart = comparison_question(pair(0.0, 0.2))[1], comparison_question(pair(0.1, 0.2))[1]

    assert tie is not None
    assert apart is not None
    assert apart < tie


@pytest.mark.parametrize(
    "one",
    [pair(None, None), pair(0.0, None), pair(0.0, 5.0), dataclasses.replace(pair(0.0, 0.1), is_unsteady=True)],
    ids=["no ratio", "open", "days", "wanders"],
)
def test_what_no_reachable_number_settles_has_none(one: Pair) -> None:
    """No figure is made up."""
    assert comparison_question(one)[1] is None


def test_what_is_nearly_settled_takes_a_block() -> None:
    """Never none, never fewer."""
    assert comparison_question(pair(0.2, 0.01))[1] == 1


def test_a_block_is_as_long_as_blocks_were() -> None:
    """Pauses between turns are part of it; before the first block nobody knows."""
    record, _ = planted_run(SEED_EXPERIMENT, blocks=4, requests=10)

    assert block_seconds(record) == pytest.approx(10 * (0.29 + 0.255 + 0.205) + 1.5, rel=0.05)
    assert block_seconds(planted_run(SEED_EXPERIMENT, blocks=0)[0]) is None


def test_servers_are_billed_in_whole_units() -> None:
    """Seven cores are two units of four; servers that take turns are there one turn at a time."""
    record, _ = planted_run(SEED_EXPERIMENT, blocks=0)
    turns = dataclasses.replace(record, rounds=((TP1, TP2), (TP4,)))

    assert billed_usd_per_hour(record, PRICE) == pytest.approx(2 * 3.6)
    assert billed_usd_per_hour(turns, PRICE) == pytest.approx(3.6)
    assert billed_usd_per_hour(record, None) is None


def test_blocks_have_a_length_and_a_price() -> None:
    """Seconds from the blocks so far, dollars from the hour."""
    truths: tuple[Planted, ...] = SEED_EXPERIMENT[:2]
    record, _ = planted_run(truths, blocks=4)
    each = block_seconds(record)
    found = priced("whether", 10, record, PRICE)

    assert each is not None
    assert found.seconds == pytest.approx(10 * each)
    assert found.usd == pytest.approx(10 * each / 1000)
    assert priced("whether", None, record, PRICE).seconds is None
    assert priced("whether", 10, record, None).usd is None
    assert Candidate(1) == TP1
