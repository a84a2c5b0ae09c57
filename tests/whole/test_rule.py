"""The verdict: the AWS sample's own experiment, every word, and doubt that stays doubt."""

import dataclasses
import math
import pathlib
import typing

import pytest

from optimal_tp.measurement.run import RunRecord, decode_run
from optimal_tp.measurement.samples import Sample
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.rule import decide
from tests.fakes_candidates import TP1
from tests.fakes_run import (
    SEED_EXPERIMENT,
    Planted,
    Recorder,
    no_fit,
    parsed,
    planted_run,
    price,
    settings,
    total_limit,
)
from tests.fakes_samples import make_sample, make_turn

TIE = (Planted(degree=1, latency_ms=400), Planted(degree=2, latency_ms=200))


def words(verdict: Verdict) -> dict[str, str]:
    """Return each candidate's word."""
    return {degree.name: degree.word for degree in verdict.degrees}


@pytest.mark.parametrize(
    ("limit_ms", "chosen", "expected"),
    [
        (None, "TP1", {"TP1": "chosen", "TP2": "dominated", "TP4": "dominated"}),
        (310, "TP1", {"TP1": "chosen", "TP2": "dominated", "TP4": "dominated"}),
        (270, "TP2", {"TP1": "misses-slo", "TP2": "chosen", "TP4": "dominated"}),
        (220, "TP4", {"TP1": "misses-slo", "TP2": "misses-slo", "TP4": "chosen"}),
        (200, None, {"TP1": "misses-slo", "TP2": "misses-slo", "TP4": "misses-slo"}),
    ],
    ids=["no limit", "310 ms", "270 ms", "220 ms", "200 ms"],
)
def test_the_seeds_figure_chooses_by_the_limit(
    limit_ms: float | None, chosen: str | None, expected: dict[str, str]
) -> None:
    """290, 255 and 205 ms for 50 tokens: the choice is a function of the latency limit."""
    section = settings() if limit_ms is None else settings(limits=total_limit(limit_ms, 75))
    verdict = decide(*planted_run(SEED_EXPERIMENT, section))

    assert (verdict.outcome, verdict.chosen, words(verdict)) == ("settled", chosen, expected)


def test_a_choice_stays_chosen_when_another_proves_better_within_the_resolution() -> None:
    """TP2 gives 3 % more: TP1 was a safe choice before that was shown, and its word must not contradict the answer."""
    truths = (
        Planted(degree=1, latency_ms=400, noise=0.004),
        Planted(degree=2, latency_ms=200 / 1.03, noise=0.004),
    )
    verdict = decide(*planted_run(truths, settings(degrees=[1, 2]), blocks=60))

    assert [(one.first, one.word) for one in verdict.comparisons] == [("TP2", "better")]
    assert (verdict.outcome, verdict.chosen, words(verdict)["TP1"]) == ("settled", "TP1", "chosen")


def test_limits_are_judged_by_goodput_and_their_absence_by_throughput() -> None:
    """The criterion follows from the settings alone."""
    limited = decide(*planted_run(SEED_EXPERIMENT, settings(limits=total_limit(310, 75))))

    assert (limited.criterion, decide(*planted_run()).criterion) == ("goodput", "throughput")


def test_the_goodput_is_the_planted_capacity() -> None:
    """The fitted rate of each candidate lies within a few percent of the one that was planted."""
    verdict = decide(*planted_run(SEED_EXPERIMENT, settings(limits=total_limit(310, 75))))
    found = [degree.goodput_per_second_per_core for degree in verdict.degrees]

    assert found == pytest.approx([math.exp(truth.log_capacity) for truth in SEED_EXPERIMENT], rel=0.03)


def test_the_figures_per_core_are_the_seeds() -> None:
    """172, 98 and 61 tokens a second per core."""
    verdict = decide(*planted_run())
    per_core = [degree.tokens_per_second_per_core for degree in verdict.degrees]
    values = [estimate.value for estimate in per_core if estimate is not None]

    assert values == pytest.approx([50 / 0.290, 50 / 0.255 / 2, 50 / 0.205 / 4], rel=0.01)


def test_a_tie_ends_in_the_smaller_degree() -> None:
    """Two degrees of equal throughput per core: after enough blocks the smaller one, settled, and the word equal."""
    verdict = decide(*planted_run(TIE, blocks=80, requests=4))

    assert (verdict.outcome, verdict.chosen) == ("settled", "TP1")
    assert verdict.comparisons[0].word == "equal"
    assert verdict.degrees[1].ground.sentence.endswith(": equal within 5 %")


def test_the_best_of_three_is_named_where_two_tie_below_it() -> None:
    """The others need not be told apart from each other."""
    truths = (
        Planted(degree=1, latency_ms=500, noise=0.01),
        Planted(degree=2, latency_ms=200, noise=0.01),
        Planted(degree=4, latency_ms=125, noise=0.01),
    )
    verdict = decide(*planted_run(truths))

    assert (verdict.outcome, words(verdict)) == ("settled", {"TP1": "dominated", "TP2": "chosen", "TP4": "dominated"})


def test_an_early_tie_is_inconclusive_and_names_who_leads() -> None:
    """A few noisy blocks do not tell a tie from a difference; how many more would is said."""
    verdict = decide(*planted_run(TIE, blocks=6, requests=4, seed=4))

    assert (verdict.outcome, verdict.chosen) == ("inconclusive", None)
    assert verdict.provisional in {"TP1", "TP2"}
    assert verdict.reasons == ("a claim needs 12 blocks and the run completed 6",)
    assert verdict.outlook[0].blocks == 6


def test_candidates_that_are_not_told_apart_are_named() -> None:
    """Enough blocks for a claim, and too much noise for one."""
    noisy = tuple(dataclasses.replace(truth, noise=0.2) for truth in TIE)
    verdict = decide(*planted_run(noisy, blocks=24, requests=4))

    assert (verdict.outcome, verdict.reasons[0]) == (
        "inconclusive",
        "the difference between TP1 and TP2 is within the noise",
    )
    assert verdict.outlook[0].question == "which of TP1 and TP2 is the better"
    assert verdict.outlook[0].blocks is not None
    assert verdict.outlook[0].blocks > 5


def test_gates_before_the_load_keep_their_word_and_number() -> None:
    """A degree that does not fit is reported as such, and the others are judged without it."""
    truths = SEED_EXPERIMENT[:2]
    ended = [no_fit(4), dataclasses.replace(no_fit(8), gate="no-compile", reason="neuronx-cc ended with 70")]
    verdict = decide(*planted_run(truths, ended=ended))

    assert words(verdict) == {"TP1": "chosen", "TP2": "dominated", "TP4": "no-fit", "TP8": "no-compile"}
    assert verdict.degrees[2].ground.sentence == "needs 4 cores and this machine has 2"
    assert verdict.outcome == "settled"


@pytest.mark.parametrize("gate", ["no-compile", "no-capacity", "no-start"])
def test_nothing_that_was_served_is_inconclusive(gate: str) -> None:
    """Another day may answer; each candidate's word and why is said, and nothing is chosen."""
    word = typing.cast("typing.Literal['no-start']", gate)
    ended = [no_fit(4), dataclasses.replace(no_fit(8), gate=word, reason="its log's line")]
    verdict = decide(*planted_run((), ended=ended))

    assert (verdict.outcome, verdict.chosen, words(verdict)) == ("inconclusive", None, {"TP4": "no-fit", "TP8": gate})
    assert verdict.reasons == (f"TP4: no-fit: {ended[0].reason}", f"TP8: {gate}: its log's line")


def test_a_candidate_whose_servers_did_not_come_back_is_shown_and_not_compared() -> None:
    """What was measured of it stays beside its word; the others are compared without it."""
    record, samples = planted_run()
    degrees = [
        dataclasses.replace(each, gate="no-start", reason="at start 2 its server ended") if each.degree == 4 else each
        for each in record.degrees
    ]
    whole, verdict = decide(record, samples), decide(dataclasses.replace(record, degrees=tuple(degrees)), samples)
    left = verdict.degrees[2]

    assert (left.word, left.ground.sentence) == ("no-start", "at start 2 its server ended")
    assert (left.blocks, left.requests) == (whole.degrees[2].blocks, whole.degrees[2].requests)
    assert left.requests > 0
    assert {name for pair in verdict.comparisons for name in (pair.first, pair.second)} == {"TP1", "TP2"}


def test_nothing_that_fits_is_settled_with_no_choice() -> None:
    """Where every degree is ended by a gate the answer is none."""
    verdict = decide(*planted_run((), ended=[no_fit(1), no_fit(2)]))

    assert (verdict.outcome, verdict.chosen, words(verdict)) == ("settled", None, {"TP1": "no-fit", "TP2": "no-fit"})


def test_a_void_run_claims_nothing() -> None:
    """What the self-audit says of the whole run ends every degree as invalid."""
    verdict = decide(*planted_run(), void_reasons={None: ("the client was late",)})

    assert (verdict.outcome, verdict.chosen, verdict.reasons) == ("void", None, ("the client was late",))
    assert set(words(verdict).values()) == {"invalid"}


def test_one_void_degree_leaves_doubt() -> None:
    """A degree whose measurement cannot be trusted might have been the answer."""
    verdict = decide(*planted_run(), void_reasons={TP1: ("its cores were taken",)})

    assert (verdict.outcome, verdict.chosen, words(verdict)["TP1"]) == ("inconclusive", None, "invalid")
    assert verdict.reasons[0] == "TP1: its cores were taken"


def test_a_degree_that_never_serves_is_invalid_and_settles_nothing() -> None:
    """All failures: what never worked was not measured, and might have been the answer."""
    truths = (Planted(degree=1, latency_ms=290, failing=1), Planted(degree=2, latency_ms=255))
    verdict = decide(*planted_run(truths))

    assert (verdict.outcome, words(verdict)["TP1"]) == ("inconclusive", "invalid")
    assert verdict.degrees[0].ground.sentence == (
        "none of 480 requests succeeded; the first: timeout, no answer within 60 s"
    )
    assert verdict.reasons == (f"TP1: {verdict.degrees[0].ground.sentence}",)


def test_a_limit_that_is_missed_by_a_few_is_not_settled_early() -> None:
    """Half of the requests alone hold it, 60 % are asked: some blocks do not show beyond doubt that it is missed."""
    recorder, blocks = Recorder(), 20
    truths = (Planted(degree=1, latency_ms=290, jitter=0.05),)
    recorder.blocks(truths, blocks)
    section = settings(degrees=[1], limits=total_limit(290, 60))
    verdict = decide(recorder.record(truths, section), recorder.samples)

    assert (verdict.outcome, words(verdict)) == ("inconclusive", {"TP1": "inconclusive"})
    assert verdict.degrees[0].ground.sentence.endswith(" (60 % must); more requests must confirm it")
    assert verdict.reasons == ("too few requests show whether TP1 can meet the limits",)


def test_failures_count_as_misses_of_the_limit() -> None:
    """A third of the requests fails: one at a time no limit at the 90th percentile holds, however fast the rest."""
    recorder = Recorder()
    truths = (Planted(degree=1, latency_ms=290, failing=0.33),)
    recorder.blocks(truths, 20)
    section = settings(degrees=[1], limits=total_limit(5000, 90))
    verdict = decide(recorder.record(truths, section), recorder.samples)

    assert words(verdict) == {"TP1": "misses-slo"}


@pytest.mark.parametrize(
    ("metric", "at_most_ms", "word"),
    [
        ("ttft_ms", 35, "chosen"),
        ("ttft_ms", 25, "misses-slo"),
        ("tpot_ms", 6, "chosen"),
        ("tpot_ms", 5, "misses-slo"),
    ],
)
def test_each_latency_may_be_limited(metric: str, at_most_ms: float, word: str) -> None:
    """290 ms of which the first token takes a tenth, and 49 more tokens the rest: 29 ms and 5.3 ms."""
    limits = {metric: {"percentile": 75, "at_most_ms": at_most_ms}}
    verdict = decide(*planted_run(SEED_EXPERIMENT[:1], settings(degrees=[1], limits=limits)))

    assert words(verdict) == {"TP1": word}
    assert [finding.metric for finding in verdict.degrees[0].limits] == [metric]


@pytest.mark.parametrize("at_most_ms", [35, 25], ids=["open turns", "one at a time"])
def test_a_limit_on_a_figure_that_no_request_has_is_in_doubt(at_most_ms: float) -> None:
    """Without streaming there is no time to the first token: not held, not missed, and said."""
    limits = {"ttft_ms": {"percentile": 75, "at_most_ms": at_most_ms}}
    record, samples = planted_run(SEED_EXPERIMENT[:1], settings(degrees=[1], limits=limits))
    verdict = decide(record, [dataclasses.replace(sample, token_seconds=()) for sample in samples])

    assert (verdict.outcome, words(verdict)) == ("inconclusive", {"TP1": "inconclusive"})
    assert verdict.degrees[0].ground.sentence == (
        f"no request has a time to first token, so the limit of {at_most_ms:.1f} ms cannot be checked; "
        "stream the answers or set another limit"
    )


def test_one_candidate_at_rates_that_all_miss_is_not_chosen() -> None:
    """Stated rates far above the capacity: its capacity is a guess, although nothing rivals it."""
    recorder, truth = Recorder(), SEED_EXPERIMENT[0]
    section = settings(degrees=[1], limits=total_limit(310, 75))
    for block in range(20):
        recorder.open_turn(truth, "block", parsed(section).limits.asked(), aside=0.5, counted=20, block=block)
    verdict = decide(recorder.record([truth], section), recorder.samples)

    assert (verdict.outcome, verdict.chosen) == ("inconclusive", None)
    assert verdict.reasons == ("TP1 met the limits at no rate that was tried",)


def test_the_share_within_is_near_the_asked_one() -> None:
    """Blocks lie around the rate at which just the asked share holds."""
    verdict = decide(*planted_run(SEED_EXPERIMENT[:1], settings(degrees=[1], limits=total_limit(310, 75))))

    assert verdict.degrees[0].share_within == pytest.approx(0.75, abs=0.05)


def test_only_counted_requests_count() -> None:
    """Warm-in requests are in the samples, and in no figure."""
    record, samples = planted_run(SEED_EXPERIMENT[:1], settings(degrees=[1], limits=total_limit(310, 75)), blocks=3)
    verdict = decide(record, samples)

    assert verdict.degrees[0].requests == 3 * 50
    assert sum(sample.stage == "block" for sample in samples) == 3 * 55


def test_a_degree_without_record_is_inconclusive() -> None:
    """The settings ask for TP4, the run says nothing of it."""
    record, samples = planted_run(SEED_EXPERIMENT[:2], settings(degrees=[1, 2, 4]))
    verdict = decide(record, samples)

    assert (verdict.outcome, words(verdict)["TP4"]) == ("inconclusive", "inconclusive")
    assert verdict.reasons == ("the settings ask for TP4, but the run did not record it",)


@pytest.mark.parametrize("blocks", [0, 1, 2, 8])
def test_fewer_blocks_than_the_first_look_settle_nothing(blocks: int) -> None:
    """However clear the data, the first claim takes twelve blocks; what is missing is counted."""
    verdict = decide(*planted_run(blocks=blocks))

    assert verdict.outcome == "inconclusive"
    assert verdict.outlook[0].blocks == 12 - blocks


def test_servers_that_are_not_saturated_are_not_settled() -> None:
    """Throughput still doubled at the last step of the load: however clear the ratio, the question is another."""
    growing = tuple(dataclasses.replace(truth, queueing=0) for truth in SEED_EXPERIMENT)
    verdict = decide(*planted_run(growing, rising=(1, 2, 4)))

    assert verdict.outcome == "inconclusive"
    assert verdict.reasons[0] == "not saturated at the last load step: TP1, TP2 and TP4"


def test_servers_that_gain_nothing_twice_are_saturated() -> None:
    """One request at a time: more in flight bring nothing."""
    assert decide(*planted_run(rising=(1, 2, 4))).outcome == "settled"


def test_a_rising_load_of_which_no_step_can_be_read_settles_nothing() -> None:
    """Every request of TP2's steps failed: whether its throughput still rose is not known."""
    record, samples = planted_run(rising=(1, 2, 4))
    unread = [
        dataclasses.replace(one, status="timeout", token_seconds=(), output_tokens=None)
        if one.stage == "rising" and one.degree == 2
        else one
        for one in samples
    ]
    verdict = decide(record, unread)

    assert (verdict.outcome, verdict.chosen) == ("inconclusive", None)
    assert verdict.reasons[0] == "not saturated at the last load step: TP2"


def test_one_degree_alone_is_chosen_without_comparison() -> None:
    """A single degree that was measured and has no limit is the answer."""
    verdict = decide(*planted_run(SEED_EXPERIMENT[:1]))

    assert (verdict.outcome, verdict.chosen, verdict.comparisons) == ("settled", "TP1", ())


def test_drift_hits_all_degrees_alike() -> None:
    """Every block a percent slower than the last: the paired ratio stays."""
    recorder = Recorder()
    recorder.blocks(SEED_EXPERIMENT, 20, drift_per_block=0.01)
    verdict = decide(recorder.record(SEED_EXPERIMENT), recorder.samples)
    ratio = verdict.comparisons[0].ratio

    assert ratio is not None
    assert ratio.value == pytest.approx(2 * 255 / 290, rel=0.02)


def test_neighbours_that_resemble_each_other_are_no_claim() -> None:
    """A slow swing of one degree alone is seen, and said, instead of being counted as many blocks."""
    recorder = Recorder()
    for block in range(24):
        swing = 1.15 if (block // 6) % 2 else 1.0
        for truth in (Planted(degree=1, latency_ms=400 * swing), Planted(degree=2, latency_ms=200)):
            recorder.turn(truth, "block", requests=4, block=block)
    verdict = decide(recorder.record(TIE), recorder.samples)

    assert verdict.outcome == "inconclusive"
    assert "are too similar to count separately" in str(verdict.comparisons[0].why_open)


def test_a_machine_that_wanders_settles_no_tie() -> None:
    """One degree moves from turn to turn by more than its turns' halves explain: inconclusive, in these words."""
    section = settings(degrees=[1, 2], limits=total_limit(310))
    steady = tuple(Planted(degree=each, latency_ms=250, capacity=1.7, noise=0.0) for each in (1, 2))
    tie = (dataclasses.replace(steady[0], noise=0.05), steady[1])
    verdict = decide(*planted_run(tie, section, blocks=48, counted=300))

    assert decide(*planted_run(steady, section, blocks=48, counted=300)).outcome == "settled"
    assert (verdict.outcome, verdict.chosen) == ("inconclusive", None)
    assert any(reason.startswith("this machine wanders: TP1 ") for reason in verdict.reasons)
    assert [one.blocks for one in verdict.outlook] == [None]


def test_the_outlook_is_priced() -> None:
    """With a price, what would settle it has a cost: blocks, seconds and dollars go together."""
    section = settings(degrees=[1, 2], price=price(usd_per_hour=3.6, billed_cores=4))
    outlook = decide(*planted_run(TIE, section, blocks=6, requests=4, seed=4)).outlook[0]

    assert outlook.seconds is not None
    assert outlook.usd == pytest.approx(outlook.seconds * 3.6 / 3600)


def test_the_error_is_shared_by_the_pairs() -> None:
    """Three candidates: each pair may be wrong in a third of 5 %."""
    alphas = {comparison.alpha for comparison in decide(*planted_run()).comparisons}

    assert sorted(alphas) == [pytest.approx(0.05 / 3)]


def test_a_proof_is_that_of_the_chosen_alone() -> None:
    """Turns after the choice, far below and far above the capacity, prove a rate that holds and one that misses."""
    section = settings(limits=total_limit(310, 75))
    record, samples = planted_run(SEED_EXPERIMENT, section)
    recorder = Recorder(seed=9, now_seconds=record.elapsed_seconds)
    for number in range(40):
        aside = 0.1 if number % 3 == 2 else -0.2
        recorder.open_turn(
            SEED_EXPERIMENT[0], "proof", parsed(section).limits.asked(), aside=aside, counted=50, block=number
        )
    more = dataclasses.replace(record, turns=(*record.turns, *recorder.turns))
    proofs = [degree.proof for degree in decide(more, samples + recorder.samples).degrees]
    capacity = math.exp(SEED_EXPERIMENT[0].log_capacity)

    assert proofs[1:] == [None, None]
    assert proofs[0] is not None
    assert proofs[0].turns == 40
    assert proofs[0].held_per_second_per_core == pytest.approx(capacity * math.exp(-0.2), rel=1e-3)
    assert proofs[0].missed_per_second_per_core == pytest.approx(capacity * math.exp(0.1), rel=1e-3)


OLD = pathlib.Path(__file__).parents[1] / "golden" / "run-v1.json"


def test_an_old_run_with_limits_is_not_answered_anew() -> None:
    """Its blocks kept a fixed number in flight: that does not say which rate holds the limits."""
    record = decode_run(OLD.read_text())
    turns = tuple(
        make_turn(degree=degree, block=block, start_seconds=2.0 * block + degree, end_seconds=2.0 * block + degree + 1)
        for block in range(12)
        for degree in (1, 2)
    )
    samples = [
        make_sample(
            degree=turn.degree, block=turn.block, request=number, intended_seconds=turn.start_seconds + number / 10
        )
        for turn in turns
        for number in range(10)
    ]
    truths = (Planted(degree=1, latency_ms=100), Planted(degree=2, latency_ms=100))
    degrees = Recorder().record(truths).degrees
    verdict = decide(dataclasses.replace(record, turns=turns, degrees=degrees), samples)
    sentence = (
        "its blocks kept a fixed number of requests in flight, so they do not show which rate meets the limits; "
        "measure it again"
    )

    assert (verdict.outcome, verdict.chosen, verdict.provisional) == ("inconclusive", None, None)
    assert [degree.ground.sentence for degree in verdict.degrees] == [sentence] * 2
    assert verdict.reasons == (f"TP1: {sentence}", f"TP2: {sentence}")


def mutated(samples: list[Sample], **changes: typing.Any) -> list[Sample]:
    """Return ``samples`` with one block sample of each degree changed."""
    seen: set[int] = set()
    changed = []
    for sample in samples:
        first = sample.stage == "block" and sample.degree not in seen
        seen |= {sample.degree} if first else set()
        changed.append(dataclasses.replace(sample, **changes) if first else sample)
    return changed


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"end_seconds": math.nan}, "request 0 has a time that is not a finite number"),
        ({"end_seconds": math.inf}, "request 0 has a time that is not a finite number"),
        ({"end_seconds": -5.0}, "request 0 has times out of order: the clock stepped"),
        ({"output_tokens": -1}, "request 0 has -1 output tokens"),
        ({"output_tokens": math.nan}, "request 0 has nan output tokens"),
    ],
    ids=["nan", "infinity", "clock step", "negative tokens", "nan tokens"],
)
def test_impossible_samples_leave_their_turn_out_in_words(changes: dict[str, float], fault: str) -> None:
    """One bad turn of two dozen is left out and named; the rest still settles."""
    record, samples = planted_run()
    verdict = decide(record, mutated(samples, **changes))

    assert verdict.outcome == "settled"
    assert any(reason.endswith(fault) for reason in verdict.degrees[0].reasons)
    assert verdict.degrees[0].blocks == 23


def corrupted(kind: str) -> tuple[RunRecord, list[Sample]]:
    """Return a run damaged beyond use, one way or another."""
    record, samples = planted_run()
    if kind == "no samples":
        return record, []
    if kind == "truncated":
        return record, samples[: len(samples) // 2]
    if kind == "contradicting":
        return record, samples + [dataclasses.replace(sample, end_seconds=sample.end_seconds + 1) for sample in samples]
    if kind == "clock step in turns":
        turns = tuple(dataclasses.replace(turn, end_seconds=turn.start_seconds - 1) for turn in record.turns)
        return dataclasses.replace(record, turns=turns), samples
    turns = tuple(dataclasses.replace(turn, start_seconds=math.nan) for turn in record.turns)
    return dataclasses.replace(record, turns=turns), samples


@pytest.mark.parametrize(
    "kind", ["no samples", "truncated", "contradicting", "clock step in turns", "turns without time"]
)
def test_a_run_damaged_beyond_use_is_void_and_says_why(kind: str) -> None:
    """Never a traceback, never a number made of nothing: void, each degree invalid, with the first fault."""
    verdict = decide(*corrupted(kind))

    assert verdict.outcome == "void"
    assert set(words(verdict).values()) == {"invalid"}
    assert all("blocks are left out; the first: TP" in reason for reason in verdict.reasons)


def test_duplicated_samples_count_once() -> None:
    """A file that holds every line twice gives the same verdict, and says so."""
    record, samples = planted_run()
    once, twice = decide(record, samples), decide(record, samples * 2)

    assert twice.degrees == once.degrees
    assert twice.notes == (f"{len(samples)} of {2 * len(samples)} samples are exact duplicates; each counts once",)


def test_the_verdict_does_not_depend_on_the_order_of_samples() -> None:
    """Samples may be read from several files in any order."""
    record, samples = planted_run()

    assert decide(record, samples[::-1]) == decide(record, samples)
