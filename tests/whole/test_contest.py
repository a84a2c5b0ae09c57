"""The race over a recorded run: who raced, who is slow, what disturbed turns forbid, and what still rises."""

import dataclasses
import typing

import pytest

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.settings.workload import Decision
from optimal_tp.verdict.contest import Contest, contest, flat_steps, is_filling, rules_of
from optimal_tp.verdict.evidence import gather
from optimal_tp.verdict.race.capacity import Reading
from optimal_tp.verdict.rule import decide
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_run import SEED_EXPERIMENT, Planted, Recorder, parsed, planted_run, settings, total_limit

PAIR = SEED_EXPERIMENT[:2]
SECTION = settings(degrees=[1, 2], limits=total_limit(310, 75))
LIMITS = parsed(SECTION).limits.asked()


def judged(record: RunRecord, samples: typing.Sequence[Sample]) -> Contest:
    """Return the race over a run."""
    return contest(gather(record, samples, {}))


def disturbed_run(bad: typing.Mapping[int, typing.Collection[int]]) -> tuple[RunRecord, list[Sample]]:
    """Return 24 blocks of two candidates; the blocks of ``bad``, by degree, went far too slowly."""
    recorder = Recorder()
    for truth in PAIR:
        recorder.bracket(truth, LIMITS)
    for block in range(24):
        for truth in PAIR:
            slowdown = 3.0 if block in bad.get(truth.degree, ()) else 1.0
            aside = 0.05 if block % 2 else -0.05
            recorder.open_turn(truth, "block", LIMITS, aside=aside, counted=150, block=block, slowdown=slowdown)
    return recorder.record(PAIR, SECTION), recorder.samples


def test_disturbed_turns_are_listed_and_decide_nothing() -> None:
    """Two of each: not compared, and the choice is that of the others."""
    found = judged(*disturbed_run({1: (7, 15), 2: (9, 20)}))

    assert sorted((one.candidate, one.block) for one in found.disturbed) == [(TP1, 7), (TP1, 15), (TP2, 9), (TP2, 20)]
    assert found.unlike is None
    assert {7, 15}.isdisjoint(found.scores[TP1])
    assert found.standing is not None
    assert found.standing.safe == TP1


def test_many_disturbed_turns_forbid_an_answer() -> None:
    """A third of one candidate's: what disturbs them may be its own."""
    bad = range(3, 24, 3)
    record, samples = disturbed_run({1: bad, 2: bad})
    sentence = "7 of 24 turns of TP1 were disturbed: the candidate itself may be the cause"

    assert judged(record, samples).unlike == sentence
    assert decide(record, samples).outcome == "inconclusive"
    assert sentence in decide(record, samples).reasons


def test_unevenly_disturbed_turns_forbid_an_answer() -> None:
    """Six of one and none of the other are no accident of the machine."""
    found = judged(*disturbed_run({2: (2, 5, 9, 12, 17, 21)}))

    assert found.unlike == (
        "0 of 24 turns of TP1 were disturbed and 6 of 24 of TP2: too unequal to be the machine's fault"
    )


@pytest.mark.parametrize("stated", [None, [0.01, 0.02]], ids=["found", "stated"])
def test_rates_that_do_not_bracket_are_told(stated: list[float] | None) -> None:
    """Every turn of TP2 held the limit, far below its capacity: the noise is not to blame, and the remedy is said."""
    recorder = Recorder()
    recorder.bracket(PAIR[0], LIMITS)
    for block in range(12):
        for truth, aside in zip(PAIR, (-0.05 if block % 2 else 0.05, -2.0), strict=True):
            recorder.open_turn(truth, "block", LIMITS, aside=aside, counted=50, block=block)
    load = {"output_tokens": 50, "rates_per_second_per_core": stated}
    section = settings(degrees=[1, 2], limits=total_limit(310, 75), load=load)
    verdict = decide(recorder.record(PAIR, section), recorder.samples)

    assert verdict.outcome == "inconclusive"
    assert verdict.reasons == (
        "the rates tried do not show how much TP2 can carry within the limits"
        + ("" if stated is None else "; state others (load.rates_per_second_per_core)"),
    )


def test_one_block_without_a_success_throws_nobody_out() -> None:
    """It has no throughput; the other blocks are compared."""
    record, samples = planted_run(PAIR, settings(degrees=[1, 2]))
    failed = [
        dataclasses.replace(one, status="timeout", output_tokens=None, token_seconds=(), http_status=None)
        if (one.degree, one.block) == (2, 3)
        else one
        for one in samples
    ]
    whole, lost = judged(record, samples), judged(record, failed)

    assert lost.racing == whole.racing == (TP1, TP2)
    assert sorted(lost.scores[TP2]) == [block for block in sorted(whole.scores[TP2]) if block != 3]
    assert lost.standing is not None
    assert lost.standing.safe == TP1


def test_a_candidate_that_misses_even_alone_does_not_race() -> None:
    """Its blocks had one request at a time, and show beyond doubt that it misses."""
    found = judged(*planted_run(SEED_EXPERIMENT, settings(limits=total_limit(270, 75))))

    assert (found.racing, dict(found.slow)) == ((TP2, TP4), {TP1: True})


def test_a_few_blocks_do_not_show_that_it_misses() -> None:
    """Three turns at 5 % shared by three candidates are not enough, however clear."""
    found = judged(*planted_run(SEED_EXPERIMENT, settings(limits=total_limit(270, 75)), blocks=3))

    assert dict(found.slow) == {TP1: False}


def test_blocks_with_more_in_flight_are_not_those_of_a_slow_candidate() -> None:
    """Four at a time that miss say nothing of one at a time: an older release measured so."""
    recorder = Recorder()
    recorder.blocks(PAIR, 12, concurrency=4)
    found = judged(recorder.record(PAIR, SECTION), recorder.samples)

    assert (found.racing, dict(found.slow)) == ((), {})


def test_a_block_that_was_lost_keeps_its_number() -> None:
    """All of its turns are left out; the scores after it stand where they stood."""
    record, samples = planted_run(PAIR, settings(degrees=[1, 2]))
    kept = tuple(turn for turn in record.turns if turn.block != 5)
    less = [sample for sample in samples if sample.block != 5]
    whole, lost = judged(record, samples), judged(dataclasses.replace(record, turns=kept), less)

    assert lost.scores[TP1] == {block: score for block, score in whole.scores[TP1].items() if block != 5}


@pytest.mark.parametrize(
    ("gains", "flat"),
    [
        ([], 0),
        ([0.0], 0),
        ([0.0, 0.3, 0.6], 0),
        ([0.0, 0.3, 0.31], 1),
        ([0.0, 0.3, 0.31, 0.2], 2),
        ([0.0, 0.01, 0.3], 0),
    ],
)
def test_flat_steps_are_counted_from_the_end(gains: list[float], flat: int) -> None:
    """A step is flat if it gains less than 5 % over the best before; one that gains begins anew."""
    assert flat_steps(gains) == flat


def test_what_still_rises_is_named() -> None:
    """TP1 takes more and more at a time, TP2 one."""
    truths = (Planted(degree=1, latency_ms=290, queueing=0), Planted(degree=2, latency_ms=255))

    assert judged(*planted_run(truths, rising=(1, 2, 4))).rising == (TP1,)


def test_the_rules_are_those_of_the_settings() -> None:
    """The error is shared by the pairs."""
    careful, quick = rules_of(Decision(), 3), rules_of(Decision(minimum_blocks=4, fixed_looks=5, least_lead=0.15), 2)

    assert (careful.resolution, careful.bias, careful.least_blocks) == (0.05, 0.02, 12)
    assert careful.alpha == pytest.approx(0.05 / 3)
    assert (quick.most_looks, quick.bias) == (5, 0.15)
    assert quick.alpha == pytest.approx(0.05)


@pytest.mark.parametrize(("late_hits", "is_named"), [(60, True), (90, False)])
def test_queues_that_still_grow_within_turns_are_named(late_hits: int, is_named: bool) -> None:  # noqa: FBT001 - a case
    """The second half of every turn holds the limits less often than the first: its capacity is not settled."""
    readings = [
        Reading(
            candidate=TP1,
            block=block,
            log_rate=0.0,
            asked=0.9,
            hits=90 + late_hits + block % 3,
            counted=200,
            early_hits=90 + block % 2,
        )
        for block in range(12)
    ]

    assert is_filling(readings) == is_named
    assert not is_filling(readings[:3])
