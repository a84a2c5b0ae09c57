"""The verdict: the seed's own experiment, every word, and doubt that stays doubt."""

import dataclasses
import math
import typing

import pytest

from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.rule import ErrorBudget, decide
from tests.fakes_run import SEED_EXPERIMENT, Planted, Recorder, no_fit, planted_run, price, settings, total_limit


def words(verdict: Verdict) -> dict[int, str]:
    """Return each degree's word."""
    return {degree.degree: degree.word for degree in verdict.degrees}


@pytest.mark.parametrize(
    ("limit_ms", "chosen", "expected"),
    [
        (None, 1, {1: "chosen", 2: "dominated", 4: "dominated"}),
        (310, 1, {1: "chosen", 2: "dominated", 4: "dominated"}),
        (270, 2, {1: "misses-slo", 2: "chosen", 4: "dominated"}),
        (220, 4, {1: "misses-slo", 2: "misses-slo", 4: "chosen"}),
        (200, None, {1: "misses-slo", 2: "misses-slo", 4: "misses-slo"}),
    ],
    ids=["no limit", "310 ms", "270 ms", "220 ms", "200 ms"],
)
def test_the_seeds_figure_chooses_by_the_limit(
    limit_ms: float | None, chosen: int | None, expected: dict[int, str]
) -> None:
    """290, 255 and 205 ms for 50 tokens: the choice is a function of the latency limit."""
    section = settings() if limit_ms is None else settings(limits=total_limit(limit_ms, 75))
    verdict = decide(*planted_run(SEED_EXPERIMENT, section))

    assert (verdict.outcome, verdict.chosen, words(verdict)) == ("settled", chosen, expected)


def test_the_figures_per_core_are_the_seeds() -> None:
    """172, 98 and 61 tokens a second per core."""
    verdict = decide(*planted_run())
    per_core = [degree.tokens_per_second_per_core for degree in verdict.degrees]
    values = [estimate.value for estimate in per_core if estimate is not None]

    assert values == pytest.approx([50 / 0.290, 50 / 0.255 / 2, 50 / 0.205 / 4], rel=0.01)


def test_a_tie_ends_in_the_smaller_degree() -> None:
    """Two degrees of equal throughput per core: after enough blocks the smaller one, settled."""
    tie = (Planted(degree=1, latency_ms=400), Planted(degree=2, latency_ms=200))
    verdict = decide(*planted_run(tie, blocks=150, requests=4))

    assert (verdict.outcome, verdict.chosen) == ("settled", 1)
    assert "not 2 % more" in verdict.degrees[1].ground.sentence


def test_an_early_tie_is_inconclusive_and_names_the_smaller_provisionally() -> None:
    """A few noisy blocks do not tell a tie from a difference; how many more would is said."""
    tie = (Planted(degree=1, latency_ms=400), Planted(degree=2, latency_ms=200))
    verdict = decide(*planted_run(tie, blocks=6, requests=4, seed=4))

    assert (verdict.outcome, verdict.chosen, verdict.provisional) == ("inconclusive", None, 1)
    assert verdict.reasons == ("TP1 and TP2 are not told apart",)
    assert verdict.outlook[0].blocks is not None
    assert verdict.outlook[0].blocks > 5


def test_latency_at_the_limit_is_inconclusive() -> None:
    """A limit that sits on the asked percentile is neither held nor missed."""
    record, samples = planted_run(
        (Planted(degree=1, latency_ms=290, noise=0.002),), settings(degrees=[1], limits=total_limit(290, 50)), blocks=40
    )
    verdict = decide(record, samples)

    assert verdict.outcome == "inconclusive"
    assert verdict.degrees[0].limits[0].word == "inconclusive"
    assert verdict.reasons == ("whether TP1 holds the limits is undecided",)


def test_an_undecided_limit_of_a_beaten_degree_does_not_matter() -> None:
    """TP2 may or may not hold its limit: TP1 holds it and gives more per core, so the run is settled."""
    truths = (Planted(degree=1, latency_ms=200, noise=0.006), Planted(degree=2, latency_ms=250, noise=0.01))
    verdict = decide(*planted_run(truths, settings(degrees=[1, 2], limits=total_limit(250, 50)), blocks=20))

    assert verdict.degrees[1].limits[0].word == "inconclusive"
    assert (verdict.outcome, words(verdict)) == ("settled", {1: "chosen", 2: "dominated"})


def test_gates_before_the_load_keep_their_word_and_number() -> None:
    """A degree that does not fit is reported as such, and the others are judged without it."""
    truths = SEED_EXPERIMENT[:2]
    ended = [no_fit(4), dataclasses.replace(no_fit(8), gate="no-compile", reason="neuronx-cc ended with 70")]
    verdict = decide(*planted_run(truths, ended=ended))

    assert words(verdict) == {1: "chosen", 2: "dominated", 4: "no-fit", 8: "no-compile"}
    assert verdict.degrees[2].ground.sentence == "needs 4 cores; this machine has 2"
    assert verdict.outcome == "settled"


def test_nothing_that_fits_is_settled_with_no_choice() -> None:
    """Where every degree is ended by a gate the answer is none."""
    verdict = decide(*planted_run((), ended=[no_fit(1), no_fit(2)]))

    assert (verdict.outcome, verdict.chosen, words(verdict)) == ("settled", None, {1: "no-fit", 2: "no-fit"})


def test_a_void_run_claims_nothing() -> None:
    """What the self-audit says of the whole run ends every degree as invalid."""
    verdict = decide(*planted_run(), void_reasons={None: ("the client was late",)})

    assert (verdict.outcome, verdict.chosen, verdict.reasons) == ("void", None, ("the client was late",))
    assert set(words(verdict).values()) == {"invalid"}


def test_one_void_degree_leaves_doubt() -> None:
    """A degree whose measurement cannot be trusted might have been the answer."""
    verdict = decide(*planted_run(), void_reasons={1: ("its cores were taken",)})

    assert (verdict.outcome, verdict.provisional, words(verdict)[1]) == ("inconclusive", 2, "invalid")
    assert verdict.reasons[0] == "TP1: its cores were taken"


def test_a_degree_that_never_serves_is_invalid_and_no_rival() -> None:
    """All failures: invalid with the count, and the other degree is chosen."""
    truths = (Planted(degree=1, latency_ms=290, failing=1), Planted(degree=2, latency_ms=255))
    verdict = decide(*planted_run(truths))

    assert words(verdict) == {1: "invalid", 2: "chosen"}
    assert verdict.degrees[0].ground.sentence == "no request succeeded in 10 of 10 blocks"


def test_failures_count_as_misses_of_the_limit() -> None:
    """A fifth of the requests fails: no limit at the 90th percentile holds, however fast the rest."""
    truths = (Planted(degree=1, latency_ms=290, failing=0.2),)
    verdict = decide(*planted_run(truths, settings(degrees=[1], limits=total_limit(5000, 90)), blocks=20))

    assert words(verdict) == {1: "misses-slo"}


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

    assert words(verdict) == {1: word}
    assert [finding.metric for finding in verdict.degrees[0].limits] == [metric]


def test_a_limit_on_a_figure_that_no_request_has_is_in_doubt() -> None:
    """Without streaming there is no time to the first token: not held, not missed, and said."""
    limits = {"ttft_ms": {"percentile": 75, "at_most_ms": 35}}
    record, samples = planted_run(SEED_EXPERIMENT[:1], settings(degrees=[1], limits=limits))
    verdict = decide(record, [dataclasses.replace(sample, token_seconds=()) for sample in samples])

    assert (verdict.outcome, words(verdict)) == ("inconclusive", {1: "inconclusive"})
    assert verdict.degrees[0].ground.sentence == "no request has a time to first token to hold against 35.0 ms"


def test_goodput_is_the_share_that_holds_every_limit() -> None:
    """Half of the requests miss the limit of total latency: half are good."""
    verdict = decide(*planted_run(SEED_EXPERIMENT[:1], settings(degrees=[1], limits=total_limit(290, 50)), blocks=40))

    assert verdict.degrees[0].goodput == pytest.approx(0.5, abs=0.1)


def test_a_degree_without_record_is_inconclusive() -> None:
    """The settings ask for TP4, the run says nothing of it."""
    record, samples = planted_run(SEED_EXPERIMENT[:2], settings(degrees=[1, 2, 4]))
    verdict = decide(record, samples)

    assert (verdict.outcome, words(verdict)[4]) == ("inconclusive", "inconclusive")
    assert verdict.reasons == ("the settings ask for TP4, of which the run has no record",)


@pytest.mark.parametrize("blocks", [0, 1, 2, 4])
def test_fewer_blocks_than_the_first_look_settle_nothing(blocks: int) -> None:
    """However clear the data, the first look takes five blocks; what is missing is counted."""
    verdict = decide(*planted_run(blocks=blocks))

    assert verdict.outcome == "inconclusive"
    assert verdict.outlook[0].blocks == 5 - blocks


def test_identical_differences_are_no_measurement() -> None:
    """Degrees that differ by exactly the same in every block have no spread to judge by: inconclusive, in words."""
    truths = (
        Planted(degree=1, latency_ms=200, noise=0, jitter=0),
        Planted(degree=2, latency_ms=180, noise=0, jitter=0),
    )
    verdict = decide(*planted_run(truths, blocks=10))

    assert verdict.outcome == "inconclusive"
    assert verdict.comparisons[0].ratio is None
    assert "no spread to judge by" in str(verdict.comparisons[0].why_no_ratio)


def test_one_degree_alone_is_chosen_without_comparison() -> None:
    """A single degree that was measured and has no limit is the answer."""
    verdict = decide(*planted_run(SEED_EXPERIMENT[:1]))

    assert (verdict.outcome, verdict.chosen, verdict.comparisons) == ("settled", 1, ())


def test_drift_hits_all_degrees_alike() -> None:
    """Every block a percent slower than the last: the paired ratio stays, its interval stays narrow."""
    recorder = Recorder()
    recorder.blocks(SEED_EXPERIMENT, 12, drift_per_block=0.01)
    verdict = decide(recorder.record(SEED_EXPERIMENT), recorder.samples)
    ratio = verdict.comparisons[0].ratio

    assert verdict.chosen == 1
    assert ratio is not None
    assert ratio.value == pytest.approx(2 * 255 / 290, rel=0.02)


def test_neighbours_that_resemble_each_other_widen_the_interval() -> None:
    """A slow swing of one degree alone is seen as autocorrelation and its blocks are averaged."""
    recorder = Recorder()
    for block in range(40):
        swing = 1.08 if (block // 10) % 2 else 1.0
        for truth in (Planted(degree=1, latency_ms=400 * swing), Planted(degree=2, latency_ms=200)):
            recorder.turn(truth, "block", requests=4, block=block)
    truths = (Planted(degree=1, latency_ms=400), Planted(degree=2, latency_ms=200))
    comparison = decide(recorder.record(truths), recorder.samples).comparisons[0]

    assert comparison.batch >= 4
    assert comparison.autocorrelation is not None
    assert comparison.autocorrelation.interval.is_above(0)


def test_the_outlook_is_priced() -> None:
    """With a price, what would settle it has a cost: blocks, seconds and dollars go together."""
    tie = (Planted(degree=1, latency_ms=400), Planted(degree=2, latency_ms=200))
    section = settings(degrees=[1, 2], price=price(usd_per_hour=3.6, billed_cores=4))
    outlook = decide(*planted_run(tie, section, blocks=6, requests=4, seed=4)).outlook[0]

    assert outlook.seconds is not None
    assert outlook.usd == pytest.approx(outlook.seconds * 3.6 / 3600)


def test_the_error_budget_is_shared_by_pairs_and_limits() -> None:
    """Three degrees and two limits: half of 5 % over three pairs, half over six limits."""
    budget = ErrorBudget.of(confidence=0.95, degrees=3, limits=2)

    assert budget.per_pair == pytest.approx(0.05 / 2 / 3)
    assert budget.per_limit == pytest.approx(0.05 / 2 / 6)
    assert ErrorBudget.of(confidence=0.95, degrees=3, limits=0).per_pair == pytest.approx(0.05 / 3)


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
        ({"end_seconds": math.nan}, "request 0 has a time that is no finite number"),
        ({"end_seconds": math.inf}, "request 0 has a time that is no finite number"),
        ({"end_seconds": -5.0}, "request 0 has times out of order: the clock stepped"),
        ({"output_tokens": -1}, "request 0 has -1 output tokens"),
        ({"output_tokens": math.nan}, "request 0 has nan output tokens"),
    ],
    ids=["nan", "infinity", "clock step", "negative tokens", "nan tokens"],
)
def test_impossible_samples_leave_their_turn_out_in_words(changes: dict[str, float], fault: str) -> None:
    """One bad turn of ten is left out and named; the rest still settles."""
    record, samples = planted_run()
    verdict = decide(record, mutated(samples, **changes))

    assert verdict.outcome == "settled"
    assert any(reason.endswith(fault) for reason in verdict.degrees[0].reasons)
    assert verdict.degrees[0].blocks == 9


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
