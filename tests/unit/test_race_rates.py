"""At which rates a candidate is driven: the bracket from its first turn to its last, and the blocks' rates."""

import math

import pytest

from optimal_tp.verdict.race.capacity import CapacityFit, Reading
from optimal_tp.verdict.race.rates import LONGEST_MOVE, MOST_DOUBLINGS, Bracket, TurnSize, block_rate
from tests.fakes_candidates import TP1

ASKED = 0.9


def searched(
    capacity: float, *, first: float = 1.0, floor: float = 0.01, most_turns: int = 8
) -> tuple[Bracket, list[float]]:
    """Return a bracket that has ended, and its rates: every rate up to ``capacity`` holds, every other misses."""
    bracket = Bracket(math.log(first), floor=math.log(floor), most_turns=most_turns)
    rates = []
    while bracket.next is not None:
        rate = bracket.next
        rates.append(math.exp(rate))
        share = 1.0 if rates[-1] <= capacity else 0.0
        bracket.add(
            Reading(candidate=TP1, block=None, log_rate=rate, asked=ASKED, hits=round(100 * share), counted=100)
        )
    return bracket, rates


def test_rates_double_until_one_misses_and_then_bisect() -> None:
    """1, 2, 4, 8 and between: the middle in logarithms, until the two sides are within a quarter."""
    _, rates = searched(5.0)

    assert rates == pytest.approx([1, 2, 4, 8, math.sqrt(32), math.sqrt(4 * math.sqrt(32))])


def test_rates_halve_while_they_miss() -> None:
    """Down to one that holds, then between."""
    _, rates = searched(0.2)

    assert rates[:4] == pytest.approx([1, 0.5, 0.25, 0.125])
    assert all(0.125 < rate < 0.25 for rate in rates[4:])


@pytest.mark.parametrize("capacity", [0.03, 0.7, 1.0, 3.3, 40.0])
def test_the_bracket_holds_the_capacity(capacity: float) -> None:
    """The highest rate that held and the lowest that missed lie on its sides, within a quarter of each other."""
    bracket, rates = searched(capacity, most_turns=30)
    held, missed = max(rate for rate in rates if rate <= capacity), min(rate for rate in rates if rate > capacity)

    assert not bracket.hopeless
    assert missed / held < 1.25 + 1e-9


def test_what_misses_at_the_floor_is_hopeless() -> None:
    """The floor itself is tried, nothing below it, and the bracket ends."""
    bracket, rates = searched(0.0, floor=0.3)

    assert rates == pytest.approx([1, 0.5, 0.3])
    assert bracket.hopeless


def test_a_floor_that_holds_is_no_hopeless_one() -> None:
    """Between it and the rate above it the bracket goes on."""
    bracket, rates = searched(0.35, floor=0.3)

    assert min(rates) == pytest.approx(0.3)
    assert not bracket.hopeless


def test_few_turns_still_find_both_sides() -> None:
    """After its turns it bisects no further, but a rate that held and one that missed it always looks for."""
    _, rates = searched(5.0, most_turns=2)

    assert rates == pytest.approx([1, 2, 4, 8])


def test_what_never_misses_ends_after_so_many_doublings() -> None:
    """The client could not follow any further."""
    bracket, rates = searched(math.inf)

    assert max(rates) == pytest.approx(2**MOST_DOUBLINGS)
    assert (bracket.next, bracket.hopeless) == (None, False)


def test_blocks_lie_on_either_side_of_the_capacity() -> None:
    """In turn; where nearly all must hold they lean to the higher side, for below it everything hits."""
    median, tail = (
        CapacityFit(log_capacity=1.0, slope=14, asked=0.9),
        CapacityFit(log_capacity=1.0, slope=14, asked=0.99),
    )

    assert [block_rate(median, block, 1.0) for block in range(4)] == pytest.approx([0.95, 1.05, 0.95, 1.05])
    assert [block_rate(tail, block, 1.0) for block in range(2)] == pytest.approx([0.97, 1.08])


def test_a_rate_at_most_doubles_or_halves() -> None:
    """A fit to few turns may be far off."""
    by = CapacityFit(log_capacity=5.0, slope=14, asked=0.9)

    assert block_rate(by, 0, 1.0) == pytest.approx(1.0 + LONGEST_MOVE)
    assert block_rate(by, 0, 9.0) == pytest.approx(9.0 - LONGEST_MOVE)


@pytest.mark.parametrize(
    ("rate", "alone", "part", "count"),
    [
        (10, 0.5, 1.0, 100),
        (2, 0.5, 1.0, 50),
        (10, 0.5, 0.5, 50),
        (2, 0.5, 0.5, 25),
        (0.5, 0.5, 1.0, 25),
        (0.01, 0.5, 1.0, 5),
    ],
)
def test_a_turn_counts_what_arrives_in_its_length(rate: float, alone: float, part: float, count: int) -> None:
    """Twenty times the time of one request, or the least number, in at most five such lengths; half for half a turn."""
    size = TurnSize(warm_in=5, length=20, least_requests=50)

    assert size.counted(rate, alone, part=part) == count
