"""Where the turns of a run lie: found, followed, and in the end what the verdict says of the same turns."""

import collections
import dataclasses
import math
import random

import pytest

from optimal_tp.experiment.courses import block_orders
from optimal_tp.verdict.contest import contest
from optimal_tp.verdict.evidence import gather
from optimal_tp.verdict.rule import decide
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_guided import Guided, guided
from tests.fakes_run import SEED_EXPERIMENT, Planted, settings, total_limit

LIMITED = settings(degrees=[1, 2, 4], limits=total_limit(310, 75))
OPEN = settings(degrees=[1, 2, 4])


def finished(section: dict[str, object], seed: int = 1, most: int = 40) -> tuple[Guided, int]:
    """Return a run to its safe choice, and its blocks."""
    run = guided(SEED_EXPERIMENT, section, seed)
    run.search()
    return run, run.blocks(most)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("section", [LIMITED, OPEN, settings(limits=total_limit(270, 75))], ids=["310", "no", "270"])
def test_the_verdict_is_that_of_the_live_race(section: dict[str, object], seed: int) -> None:
    """Judged again from its record, a run has the standing it ended with, and the choice it ended for."""
    run, _ = finished(section, seed)
    record, samples = run.record()
    found, verdict = contest(gather(record, samples, {})), decide(record, samples)
    standing = run.guidance.standing

    assert standing is not None
    assert found.standing == standing
    assert verdict.chosen == (None if standing.safe is None else standing.safe.name)
    assert (verdict.outcome == "settled") == run.guidance.is_settled()


def test_turns_end_near_the_capacity() -> None:
    """The bracket comes within a fifth of a factor of the planted rate, the blocks stay within a twentieth or so."""
    run, _ = finished(LIMITED)
    for candidate, truth in run.truths.items():
        rates = [
            math.log(turn.rate_per_second / truth.degree) - truth.log_capacity
            for turn in run.recorder.turns
            if turn.stage == "block" and turn.degree == candidate.degree and turn.rate_per_second is not None
        ]

        assert max(map(abs, rates)) < 0.4
        assert abs(math.fsum(rates[-6:]) / len(rates[-6:])) < 0.06


def test_a_candidate_that_holds_at_no_rate_is_measured_one_at_a_time() -> None:
    """290 ms alone, 270 ms asked: its bracket ends at the floor, and its blocks show that even one request misses."""
    run, _ = finished(settings(degrees=[1, 2, 4], limits=total_limit(270, 75)))
    turns = [turn for turn in run.recorder.turns if turn.degree == 1 and turn.stage == "block"]

    assert run.guidance.courses[TP1].is_slow
    assert {turn.concurrency for turn in turns} == {1}
    assert run.guidance.slow() == ()


def test_what_is_beaten_leaves() -> None:
    """TP4 gives a third of TP1: after the least blocks it takes no more turns, while the others may go on."""
    run, blocks = finished(LIMITED)
    standing = run.guidance.standing

    assert standing is not None
    assert TP4 in standing.beaten
    assert TP4 not in run.guidance.racing()
    assert 12 <= blocks <= 40


def test_the_load_without_limits_rises_until_it_gains_nothing_twice() -> None:
    """A server that takes one request at a time is full at one: two, four, no more."""
    run = guided(SEED_EXPERIMENT, OPEN)
    run.search()

    assert [turn.concurrency for turn in run.recorder.turns if turn.stage == "rising" and turn.degree == 1] == [1, 2, 4]


def test_stated_loads_without_limits_are_taken_as_they_are() -> None:
    """Those and no others."""
    run = guided(SEED_EXPERIMENT[:1], settings(degrees=[1], load={"output_tokens": 50, "concurrency": [3, 5]}))
    run.search()

    assert [turn.concurrency for turn in run.recorder.turns if turn.stage == "rising"] == [3, 5]


def test_a_turn_counts_from_the_first_request_after_the_warm_in() -> None:
    """Requests that open it and those of the warm-in come first; as many count as the settings ask at least."""
    run = guided(SEED_EXPERIMENT, LIMITED)
    run.search()
    asked = run.guidance.block(TP1, 0, seed=7)
    times = asked.arrivals.times()  # type: ignore[union-attr]
    warm_in = run.guidance.settings.load.warm_in * run.guidance.alone_seconds

    assert asked.counted is not None
    assert asked.counted.count >= 5
    moments = [next(times) for _ in range(asked.counted.first + 1)]
    assert moments[-2] < warm_in <= moments[-1]
    assert asked.counted.total_ms == 310


def test_the_slowest_candidate_says_how_long_turns_are() -> None:
    """So that a turn has as many requests of every candidate, for its rate."""
    run = guided(SEED_EXPERIMENT, LIMITED)
    assert run.guidance.alone_seconds == 1.0
    run.search()

    assert run.guidance.alone_seconds == pytest.approx(0.29, rel=0.03)


def test_the_proof_has_two_turns_below_for_one_above() -> None:
    """At nine tenths of the capacity, and at eleven."""
    run, _ = finished(LIMITED)
    rates = [
        asked.arrivals.rate_per_second
        for number in range(6)
        if (asked := run.guidance.prove(TP1, number, number)) is not None
    ]
    capacity = math.exp(SEED_EXPERIMENT[0].log_capacity)

    assert rates == pytest.approx([0.9 * capacity, 0.9 * capacity, 1.1 * capacity] * 2, rel=0.05)


def test_the_proof_ends_when_the_verdict_has_both_rates() -> None:
    """What ends it live is what the report says afterwards."""
    run, blocks = finished(LIMITED)
    ended = False
    for number in range(200):
        asked = run.guidance.prove(TP1, number, number)
        assert asked is not None
        said = run.guidance.reading(*run.take("proof", TP1, asked, block=number))
        if run.guidance.note_proof(said):  # type: ignore[arg-type]
            ended = True
            break
    found = {degree.name: degree.proof for degree in decide(*run.record()).degrees}["TP1"]

    assert ended
    assert blocks < 40
    assert found is not None
    assert found.held_per_second_per_core is not None
    assert found.missed_per_second_per_core is not None
    assert found.held_per_second_per_core < math.exp(SEED_EXPERIMENT[0].log_capacity) < found.missed_per_second_per_core


def test_the_held_out_turn_is_away_from_where_it_was_fitted() -> None:
    """Seven tenths of the capacity; without limits of the rate that the saturated servers finish."""
    limited, _ = finished(LIMITED)
    closed, _ = finished(OPEN)
    asked, free = limited.guidance.held_out(TP1, 1), closed.guidance.held_out(TP1, 1)

    assert asked is not None
    assert free is not None
    assert asked.arrivals.rate_per_second == pytest.approx(0.7 * math.exp(SEED_EXPERIMENT[0].log_capacity), rel=0.05)
    assert free.arrivals.rate_per_second == pytest.approx(0.7 / 0.29, rel=0.05)


def test_a_server_that_answers_nothing_ends_its_search_at_the_floor() -> None:
    """No burst finished, no rate holds: the run goes on with one request at a time instead of dividing by nothing."""
    dead = dataclasses.replace(SEED_EXPERIMENT[0], failing=1.0)
    run = guided([dead, SEED_EXPERIMENT[1]], settings(degrees=[1, 2], limits=total_limit(310, 75)))
    run.search()

    assert run.guidance.courses[TP1].is_slow
    assert not run.guidance.courses[TP2].is_slow


def test_every_candidate_takes_every_place_equally_often() -> None:
    """Over as many blocks as there are candidates; and the first place is not always the same one's."""
    orders = block_orders((TP1, TP2, TP4), random.Random(3))
    blocks = [next(orders) for _ in range(30)]
    for start in range(0, 30, 3):
        for place in range(3):
            assert {block[place] for block in blocks[start : start + 3]} == {TP1, TP2, TP4}

    followers = collections.Counter((first, second) for block in blocks for first, second in [block[:2]])
    assert len(followers) == 6


def test_orders_are_those_of_the_seed() -> None:
    """The same seed, the same order in every block."""
    first, same, other = (block_orders((TP1, TP2, TP4), random.Random(seed)) for seed in (1, 1, 2))
    drawn = [[next(orders) for _ in range(9)] for orders in (first, same, other)]

    assert drawn[0] == drawn[1] != drawn[2]


def test_a_look_names_the_safe_choice() -> None:
    """What a watcher sees: first nothing, then the ratios, then the choice."""
    run = guided(SEED_EXPERIMENT, LIMITED)
    assert run.guidance.look(seconds_left=60).reason == "nothing compared yet"
    run.search()
    blocks = run.blocks(1)
    early = run.guidance.look(seconds_left=60)

    assert (early.blocks, early.reason) == (blocks, "no safe choice yet")
    assert [(ratio.first, ratio.second) for ratio in early.ratios] in (
        [],
        [("TP1", "TP2"), ("TP1", "TP4"), ("TP2", "TP4")],
    )
    done, _ = finished(LIMITED)
    assert done.guidance.look(seconds_left=60).reason == "TP1 is a safe choice"


def test_equal_candidates_end_in_the_smaller_one() -> None:
    """TP1 and TP2 of equal goodput per core: a safe choice without a better one."""
    tie = [Planted(degree=degree, latency_ms=200, capacity=1.0, noise=0.01) for degree in (1, 2)]
    run = guided(tie, settings(degrees=[1, 2], limits=total_limit(310, 75)))
    run.search()
    run.blocks(80)
    standing = run.guidance.standing

    assert standing is not None
    assert (standing.safe, dict(standing.beaten)) == (TP1, {})
