"""The race: who is a safe choice, who leaves and stays beaten, and what a trend makes it forget."""

import dataclasses
import typing

import numpy as np
import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.verdict.race.blocks import Race, Standing
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.race.pairs import Rules, lead
from optimal_tp.verdict.race.scoring import GoodputScoring, Throughput, ThroughputScoring
from tests.fakes_candidates import TP1, TP2, TP4

CAREFUL = Rules(resolution=0.05, bias=0.02, least_blocks=12, most_looks=None, alpha=0.05)


def raced(
    logs: typing.Mapping[Candidate, typing.Sequence[float]], rules: Rules = CAREFUL
) -> tuple[Race[Throughput], list[Standing]]:
    """Return a race over blocks with these logarithms, and where it stood after each."""
    race = Race(logs, ThroughputScoring(logs), rules)
    blocks = len(next(iter(logs.values())))
    standings = [
        race.add_block(
            Throughput(candidate=candidate, block=block, log_rate=values[block])
            for candidate, values in logs.items()
            if candidate in race.racing
        )
        for block in range(blocks)
    ]
    return race, standings


def noisy(mean: float, seed: int, blocks: int = 40, spread: float = 0.01) -> list[float]:
    """Return independent logarithms around ``mean``."""
    return [float(value) for value in np.random.default_rng(seed).normal(mean, spread, blocks)]


def test_a_clear_winner_is_a_safe_choice_and_the_others_leave() -> None:
    """A lead of a tenth and more: shown soon after the least blocks, and not before."""
    race, standings = raced({TP1: noisy(0.2, 1), TP2: noisy(0.1, 2), TP4: noisy(0.0, 3)})
    first = next(index for index, standing in enumerate(standings) if standing.safe is not None)

    assert 11 <= first <= 20
    assert standings[first].safe == TP1
    assert set(standings[-1].beaten) == {TP2, TP4}
    assert race.racing == (TP1,)


def test_of_equals_the_smaller_is_the_safe_choice() -> None:
    """Neither leaves: nothing is better."""
    race, standings = raced({TP2: noisy(0.0, 1), TP1: noisy(0.0, 2)})

    assert (standings[-1].safe, race.racing) == (TP1, (TP1, TP2))


def test_a_larger_one_that_is_better_by_more_than_the_resolution_is_chosen() -> None:
    """The smaller degree is the choice among equals only."""
    _, standings = raced({TP1: noisy(0.0, 1), TP4: noisy(0.1, 2)})

    assert standings[-1].safe == TP4


def test_a_smaller_one_within_the_resolution_may_be_chosen_where_the_larger_is_no_more_than_that_better() -> None:
    """2 % are within the 5 % that the choice may cost."""
    _, standings = raced({TP1: noisy(0.0, 1, spread=0.004), TP2: noisy(0.025, 2, spread=0.004)})
    first = next(standing for standing in standings if standing.safe is not None)

    assert first.safe == TP1


def test_what_is_shown_once_stays_shown() -> None:
    """TP2 is beaten, and whatever comes after does not bring it back, nor take the choice back."""
    logs = {TP1: noisy(0.2, 1, 20) + noisy(-0.5, 4, 20), TP2: noisy(0.0, 2, 40)}
    _, standings = raced(logs)
    chosen = next(index for index, standing in enumerate(standings) if standing.safe is not None)

    assert all(standing.safe == TP1 for standing in standings[chosen:])
    assert all(TP2 in standing.beaten for standing in standings[chosen + 10 :])


def test_a_pair_of_which_one_left_is_kept_as_it_was() -> None:
    """The comparison of the winner with one that another beat is still told."""
    _, standings = raced({TP1: noisy(0.2, 1), TP2: noisy(0.1, 2), TP4: noisy(0.0, 3)})
    told = {frozenset((pair.first, pair.second)) for pair in (*standings[-1].former, *standings[-1].pairs)}

    assert {frozenset((TP1, TP2)), frozenset((TP1, TP4))} <= told


def test_fixed_looks_end() -> None:
    """Quick rules look after four to eight blocks: what shows later is not claimed."""
    quick = Rules(resolution=0.2, bias=0.15, least_blocks=4, most_looks=5, alpha=0.05)
    late = {TP1: noisy(0.0, 1, 8, 0.5) + noisy(2.0, 2, 20, 0.01), TP2: noisy(0.0, 3, 28, 0.5)}
    _, standings = raced(late, quick)

    assert standings[7].safe is None
    assert standings[-1].safe is None


@pytest.mark.parametrize(("last", "safe"), [(27, TP2), (30, None)])
def test_a_short_run_beats_nobody_who_still_warms_up(last: int, safe: Candidate | None) -> None:
    """TP1 holds fewer requests than TP2 at half the rate; when all hold in its last two turns, that is in doubt."""
    quick = Rules(resolution=0.2, bias=0.15, least_blocks=4, most_looks=5, alpha=0.05)
    race = Race((TP1, TP2), GoodputScoring((TP1, TP2), [0.9], reach=0.25), quick)
    for number, hits in enumerate((27, 26, last, last)):
        standing = race.add_block(
            Reading(candidate=candidate, block=number, log_rate=log_rate, asked=0.9, hits=held, counted=30)
            for candidate, log_rate, held in ((TP1, -1.0, hits), (TP2, 0.0, 28 if number % 2 else 26))
        )

    assert standing.safe == safe


def test_a_candidate_that_warms_up_is_forgotten_in_part() -> None:
    """Eight blocks slow, then steady: nearly all of them are thrown out, and the choice is that of the warm machine."""
    logs = {TP1: noisy(-0.3, 1, 8) + noisy(0.1, 2, 42), TP2: noisy(0.0, 3, 50)}
    _, standings = raced(logs)

    assert standings[-1].forgotten[TP1] >= 7
    assert standings[-1].safe == TP1


def test_one_alone_is_safe_after_the_least_blocks() -> None:
    """Nothing rivals it, and it was measured."""
    _, standings = raced({TP1: noisy(0.0, 1, 12)})

    assert [standing.safe for standing in standings] == [None] * 11 + [TP1]


def test_one_alone_that_was_never_scored_is_no_choice() -> None:
    """Every turn missed: its capacity is a guess, so it is not safe to choose it."""
    scoring = GoodputScoring([TP1], [0.9], reach=0.15)
    race = Race([TP1], scoring, CAREFUL)
    standings = [
        race.add_block([Reading(candidate=TP1, block=block, log_rate=0.0, asked=0.9, hits=10, counted=100)])
        for block in range(20)
    ]

    assert [standing.safe for standing in standings] == [None] * 20


def test_a_block_without_readings_counts_and_says_nothing() -> None:
    """All of its turns failed the audit."""
    race = Race([TP1, TP2], ThroughputScoring([TP1, TP2]), CAREFUL)
    for block in range(3):
        race.add_block([Throughput(candidate=each, block=block, log_rate=0.0) for each in (TP1, TP2)])
    standing = race.add_block([])

    assert (standing.blocks, standing.pairs[0].blocks) == (4, 3)


def test_numbers_that_are_missing_do_not_move_the_others() -> None:
    """Blocks 0, 1 and 4 of a record that lacks two: scores stand under their own numbers."""
    race = Race([TP1], ThroughputScoring([TP1]), CAREFUL)
    for block in (0, 1, 4):
        standing = race.add_block([Throughput(candidate=TP1, block=block, log_rate=float(block))], block)

    assert race.scoring.scores(TP1, 0) == {0: 0.0, 1: 1.0, 4: 4.0}
    assert standing.blocks == 5


@pytest.mark.parametrize("seed", range(3))
def test_the_same_turns_give_the_same_standings(seed: int) -> None:
    """A run is judged again from its record."""
    logs = {TP1: noisy(0.05, seed), TP2: noisy(0.0, seed + 100)}

    assert raced(logs)[1] == raced(logs)[1]


def test_ties_are_rarely_told_apart() -> None:
    """150 seeded runs of two equals over 30 blocks: hardly one calls either better."""
    wrong = 0
    for seed in range(150):
        draws = np.random.default_rng(seed).normal(0, 0.03, (2, 30))
        _, standings = raced({TP1: list(map(float, draws[0])), TP2: list(map(float, draws[1]))})
        wrong += bool(standings[-1].beaten)

    assert wrong / 150 <= 0.05


def test_starts_that_differ_are_no_trend() -> None:
    """Three starts, each slower than the one before: nothing is forgotten; the same in one start is a trend."""
    levels = [0.1, 0.05, 0.0]
    logs = {TP1: [value + levels[block // 8] for block, value in enumerate(noisy(0.0, 1, 24))], TP2: noisy(0.0, 2, 24)}
    forgotten = []
    for blocks_a_start in (8, 24):
        race = Race(logs, ThroughputScoring(logs), CAREFUL)
        for block in range(24):
            standing = race.add_block(
                Throughput(candidate=each, block=block, log_rate=logs[each][block], start=block // blocks_a_start)
                for each in race.racing
            )
        forgotten.append(standing.forgotten[TP1])

    assert forgotten[0] == 0
    assert forgotten[1] > 0


@pytest.mark.parametrize(("first_level", "differ"), [(-0.05, True), (0.35, False)])
def test_a_lead_that_another_start_turns_around_is_known(first_level: float, differ: bool) -> None:  # noqa: FBT001
    """TP2 leads a little on the first start, TP1 by far on the others; or TP1 on each of them."""
    levels = [first_level, 0.4, 0.4]
    logs = {TP1: [value + levels[block // 4] for block, value in enumerate(noisy(0.0, 5, 12))], TP2: noisy(0.0, 6, 12)}
    race = Race(logs, ThroughputScoring(logs), dataclasses.replace(CAREFUL, least_blocks=13))
    for block in range(12):
        standing = race.add_block(
            Throughput(candidate=each, block=block, log_rate=logs[each][block], start=block // 4) for each in logs
        )

    assert standing.pairs[0].starts_differ == differ


def test_on_starts_that_differ_nothing_is_better() -> None:
    """However far apart the two are together."""
    far = lead(TP1, TP2, {block: 1.0 + 0.01 * (block % 2) for block in range(24)}, CAREFUL)

    assert far.is_better
    assert not dataclasses.replace(far, starts_differ=True).is_better


def shares_raced(lead_of_first: float, *, by_start: bool = False) -> list[Standing]:
    """Return 24 blocks in which TP1's share swings from turn to turn and not within one, and TP2's only within.

    ``by_start``: it swings from one start of the servers to the next instead, every four blocks.
    """
    race = Race((TP1, TP2), GoodputScoring((TP1, TP2), [0.9], reach=0.15), CAREFUL)
    standings = []
    for block in range(24):
        start = block // 4 if by_start else 0
        swing = 0.06 if (start if by_start else block) % 2 else -0.06
        readings = [
            Reading(
                candidate=candidate,
                block=block,
                log_rate=log_rate,
                asked=0.9,
                hits=hits,
                counted=1000,
                early_hits=hits // 2 + apart,
                start=start,
            )
            for candidate, log_rate, hits, apart in (
                (TP1, lead_of_first, round(1000 * (0.9 + swing)), 0),
                (TP2, 0.0, 905 if block % 2 else 895, 40),
            )
        ]
        standings.append(race.add_block(readings))
    return standings


def test_equals_of_which_one_wanders_are_no_safe_choice() -> None:
    """A dozen blocks are worth one or two: this machine wanders, and that is said."""
    last = shares_raced(0.0)[-1]

    assert (last.wandering, last.safe, last.beaten) == ((TP1,), None, {})
    assert (last.pairs[0].why_open or "").startswith("this machine wanders: TP1 moved")


def test_starts_that_differ_are_no_wandering_within_one() -> None:
    """Nothing is called better on them, but what each start shows is as steady as its turns."""
    last = shares_raced(0.0, by_start=True)[-1]

    assert (last.pairs[0].wanders, last.pairs[0].is_unsteady) == (True, False)
    assert "wanders" not in (last.pairs[0].why_open or "")


def test_a_lead_beyond_any_wandering_is_a_safe_choice() -> None:
    """Half as much again is not feigned; better it is not called."""
    last = shares_raced(0.4)[-1]

    assert (last.wandering, last.safe, last.beaten) == ((TP1,), TP1, {})


class Late(ThroughputScoring):
    """Scores nothing before so many blocks, so that all pairs are shown at one look."""

    blocks = 0

    def add(self, block: int, readings: typing.Iterable[Throughput]) -> None:
        """Take a block's readings."""
        super().add(block, readings)
        self.blocks = block + 1

    def scores(self, candidate: Candidate, oldest: int) -> dict[int, float]:
        """Return the candidate's scores, once there are enough blocks."""
        return super().scores(candidate, oldest) if self.blocks >= 60 else {}


def test_a_ranking_in_a_circle_beats_nobody_and_chooses_nobody() -> None:
    """Each pair met in blocks of its own, in which another of the two was ahead each time."""
    race = Race((TP1, TP2, TP4), Late((TP1, TP2, TP4)), CAREFUL)
    ahead, behind = noisy(0.3, 1, 60), noisy(0.0, 2, 60)
    meetings = ((TP1, TP2), (TP2, TP4), (TP4, TP1))
    for block in range(60):
        first, second = meetings[block % 3]
        standing = race.add_block(
            [
                Throughput(candidate=first, block=block, log_rate=ahead[block]),
                Throughput(candidate=second, block=block, log_rate=behind[block]),
            ]
        )

    assert set(standing.cycle) == {TP1, TP2, TP4}
    assert (standing.beaten, standing.safe, race.racing) == ({}, None, (TP1, TP2, TP4))
