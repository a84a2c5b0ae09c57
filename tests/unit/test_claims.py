"""Every sentence of a report: made from planted numbers, whole."""

import dataclasses
import re

import pytest

from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.measurement.run import PROFILE_PIN
from optimal_tp.report.claims import (
    Claim,
    claims,
    cost_claim,
    equal_cores_claim,
    latency_claim,
    left_out_claim,
    load_claim,
    run_claim,
    split_claim,
)
from optimal_tp.report.headline import answer, certainty, change, otherwise
from optimal_tp.verdict.analysis import Analysis, analyse, split_latency
from optimal_tp.verdict.findings import Outlook, Proof
from optimal_tp.verdict.rule import decide
from tests.fakes_analysed import analysed_run
from tests.fakes_run import SEED_EXPERIMENT, Planted, Recorder, no_fit, planted_run, price, settings, total_limit

STEADY = (
    Planted(degree=1, latency_ms=290, noise=0.0005, jitter=0.0002),
    Planted(degree=2, latency_ms=255, noise=0.0005, jitter=0.0002),
    Planted(degree=4, latency_ms=205, noise=0.0005, jitter=0.0002),
)

TIE = (Planted(degree=1, latency_ms=400, noise=0.01), Planted(degree=2, latency_ms=200, noise=0.01))


def analysed(truths: tuple[Planted, ...] = STEADY, limit_ms: float | None = None, **plan: object) -> Analysis:
    """Return the analysis of a planted run with a limit that three of four requests must hold."""
    section = settings(degrees=[truth.degree for truth in truths] or [1])
    if limit_ms is not None:
        section["limits"] = total_limit(limit_ms, 75)
    if plan.pop("priced", False):
        section["price"] = price()
    return analysed_run(truths=truths, section=section, **plan)


def topics(found: tuple[Claim, ...]) -> list[str]:
    """Return what the claims are about."""
    return [claim.topic for claim in found]


def test_the_answer_names_the_candidate_and_the_compared_point() -> None:
    """Settled without limits: throughput, latency and dollars of one point."""
    expected = (
        "Serve with TP1. Of the candidates measured it delivers the most: 172 output tokens/s per core (172 to 173). "
        "TP1 and TP2 ran on fewer cores, so their figures per core are multiplied. "
        "Saturated: median latency 290 ms (290 to 290), "
        "$1.93 per million output tokens ($1.93 to $1.93)."
    )

    assert answer(analysed(priced=True)) == expected


def test_the_answer_with_a_limit_speaks_of_the_limits() -> None:
    """Settled at 270 ms: TP1 misses, TP2 is the best that holds; its figures are those near its capacity."""
    line = answer(analysed(limit_ms=270))

    assert line.startswith("Serve with TP2. Of the candidates within your limit it delivers the most: about 0.98")
    assert " requests/s per core. TP2 ran on fewer cores, so its figure per core is multiplied. Near that rate" in line
    assert "Near that rate: 49." in line
    assert "median latency 255 ms" in line


def test_the_answer_says_what_is_proven() -> None:
    """A rate that holds, one that misses, and how rare a disturbance would have to be to escape so many turns."""
    analysis = analysed(limit_ms=270)
    proof = Proof(held_per_second_per_core=0.9, missed_per_second_per_core=1.1, turns=60)
    degrees = tuple(
        dataclasses.replace(degree, proof=proof) if degree.name == "TP2" else degree
        for degree in analysis.verdict.degrees
    )
    proven = dataclasses.replace(analysis, verdict=dataclasses.replace(analysis.verdict, degrees=degrees))

    assert re.search(r": about 0\.98\d requests/s per core \(0\.900 to 1\.10\)\. TP2 ran", answer(proven))
    assert answer(proven).endswith(
        " Proven turn by turn: 0.900 requests/s per core meet the limits and 1.10 do not; "
        "a disturbance rarer than 1 in 20 turns (5 %) cannot be seen."
    )


def test_turns_that_prove_nothing_are_told_as_that() -> None:
    """No rate is made of them."""
    analysis = analysed(limit_ms=270)
    proof = Proof(held_per_second_per_core=None, missed_per_second_per_core=None, turns=5)
    degrees = tuple(dataclasses.replace(degree, proof=proof) for degree in analysis.verdict.degrees)
    tried = dataclasses.replace(analysis, verdict=dataclasses.replace(analysis.verdict, degrees=degrees))

    assert answer(tried).endswith(" 5 turns after the choice prove no rate yet.")


def test_the_answer_to_a_tie_is_the_smaller_degree() -> None:
    """It does not claim that the smaller gives more."""
    line = answer(analysed(TIE, blocks=60, requests=4))

    assert line.startswith(
        "Serve with TP1. It delivers 125 output tokens/s per core (124 to 126), "
        "and no other candidate measured delivers over 5 % more. "
        "TP1 ran on fewer cores, so its figure per core is multiplied. Saturated: "
    )


def test_a_candidate_below_a_beaten_one_is_beaten() -> None:
    """TP4 left the race behind TP2, TP2 behind TP1: TP1 gives more than every other."""
    analysis = analysed()
    one, two = (dataclasses.replace(each, word="better", why_open=None) for each in analysis.verdict.comparisons[:2])
    chain = (
        dataclasses.replace(one, first="TP1", second="TP2"),
        dataclasses.replace(two, first="TP2", second="TP4"),
        dataclasses.replace(two, first="TP1", second="TP4", word="open"),
    )
    chained = dataclasses.replace(analysis, verdict=dataclasses.replace(analysis.verdict, comparisons=chain))
    broken = dataclasses.replace(analysis, verdict=dataclasses.replace(analysis.verdict, comparisons=chain[::2]))

    assert "Of the candidates measured it delivers the most: " in answer(chained)
    assert "no other candidate measured delivers over 5 % more" in answer(broken)


def test_the_answer_of_one_degree_claims_no_contest() -> None:
    """Nothing was compared, so nothing is the most."""
    line = answer(analysed(STEADY[:1], ended=[no_fit(4)]))

    assert line.startswith("Serve with TP1. It is the only candidate measured: 172 output tokens/s")


def test_no_degree_within_the_limit_says_how_far_the_nearest_is() -> None:
    """At 190 ms none holds; TP4 is nearest."""
    line = answer(analysed(limit_ms=190))

    assert line.startswith(
        "No candidate meets the limits, even with one request at a time. "
        "The nearest is TP4: p75 of total latency is 205 ms (20"
    )
    assert line.endswith(", the limit is 190 ms.")


def test_no_degree_that_fits_says_each_gate() -> None:
    """Every gate's number is in the first line."""
    line = answer(analysed((), ended=[no_fit(1, 0)]))

    assert line == "No candidate qualifies. TP1 was not tested: it needs 1 cores and this machine has 0."


def test_a_void_run_has_no_answer() -> None:
    """The first line says so, and why."""
    record, samples = planted_run()
    verdict = decide(record, samples, {None: ("the client was late by 40 ms",)})

    assert answer(analyse(record, samples, verdict)) == "No verdict: the run is void. The client was late by 40 ms."
    assert certainty(verdict) == (
        "Nothing is claimed from what was measured: 1,440 requests in 24 blocks, no failures."
    )


def test_a_void_run_without_a_block_counts_nothing() -> None:
    """None of no requests failed: that would be no sentence."""
    record, samples = planted_run(blocks=0)

    assert certainty(decide(record, samples, {None: ("the client was late",)})) == (
        "Nothing is claimed from what was measured: no block was completed."
    )


def test_an_open_run_without_a_block_says_so() -> None:
    """What it takes comes first, then that nothing was seen."""
    assert certainty(analysed(blocks=0).verdict).endswith(" Seen so far: no completed block.")


def test_no_sureness_is_claimed_where_nothing_was_measured() -> None:
    """No degree fits: that is arithmetic, and no interval stands behind it."""
    assert certainty(analysed((), ended=[no_fit(1, 0)]).verdict) == (
        "Nothing was measured: every candidate was ruled out before any load."
    )


def test_requests_that_all_failed_are_told_as_that() -> None:
    """And nothing is sure."""
    verdict = analysed((Planted(degree=1, latency_ms=290, failing=1),)).verdict

    assert certainty(verdict) == (
        "More blocks alone do not settle it (TP1: none of 480 requests succeeded; the first: timeout, no answer within "
        "60 s). Seen so far: 480 requests in 24 blocks, all of them failed."
    )


def test_a_void_run_makes_no_claims_about_its_figures() -> None:
    """Latency, load, cost: none of it is claimed of a run that cannot be trusted."""
    record, samples = planted_run(rising=(1, 2))
    analysis = analyse(record, samples, decide(record, samples, {None: ("late",)}))

    assert topics(claims(analysis)) == ["Answer", "Certainty", "Otherwise", "Run"]


def test_an_open_run_names_who_leads_and_what_is_open() -> None:
    """Not settled: the leader on what was seen, and the doubt."""
    assert answer(analysed(blocks=2)) == (
        "Not settled yet: TP1 leads so far, but a claim needs 12 blocks and the run completed 2."
    )


def test_certainty_counts_what_it_rests_on_and_what_it_holds_for() -> None:
    """Settled: the confidence, the blocks, the requests, the failures, the caveats."""
    assert certainty(analysed().verdict) == (
        "Confidence at least 95 % on a machine that stays steady, valid even though the run could stop early. "
        "1,440 requests in 24 blocks, no failures. "
        "It holds for these server processes: each was started once, and another start may differ; this run does not "
        "show by how much. "
        "It holds for servers that do not slow each other down: TP1 and TP2 ran on fewer cores than the widest, so the "
        "figures per core are multiplied, and servers that fill the same cores were not measured together."
    )


@pytest.mark.parametrize(
    ("failed", "given_up", "expected"),
    [
        (0, 29, "none failed, 87 given up after missing a limit. "),
        (2, 29, "6 failed, 87 given up after missing a limit. "),
        (2, 0, "6 failed. "),
    ],
    ids=["too slow", "both", "failed"],
)
def test_certainty_tells_failures_from_requests_that_were_given_up(failed: int, given_up: int, expected: str) -> None:
    """Who has missed a limit and is given up did not fail."""
    verdict = analysed().verdict
    degrees = tuple(
        dataclasses.replace(degree, failures=failed + given_up, given_up=given_up) for degree in verdict.degrees
    )

    assert f"1,440 requests in 24 blocks, {expected}" in certainty(dataclasses.replace(verdict, degrees=degrees))


def test_certainty_of_an_open_run_says_what_may_settle_it() -> None:
    """Every question has its blocks; the longest has its time and its price."""
    verdict = dataclasses.replace(
        analysed(blocks=2).verdict,
        outlook=(
            Outlook(question="whether A", blocks=4, seconds=240.0, usd=0.32),
            Outlook(question="whether B", blocks=1, seconds=60.0, usd=0.08),
        ),
    )

    assert certainty(verdict) == (
        "Open: whether A (about 4 more blocks); whether B (about 1 more block). About 4 more blocks, 4 min, $0.32 may "
        "settle it if the run goes on as it did. Seen so far: 120 requests in 2 blocks, no failures."
    )


@pytest.mark.parametrize(
    ("blocks", "profile", "expected"),
    [
        (
            7,
            "quick",
            " which begins with block 1. The profile full measures another load and takes up to two hours. Seen",
        ),
        (
            None,
            "sweep",
            " The profile sweep ends after 8 blocks: a repeat is a new run, which begins with block 1. Seen",
        ),
        (7, None, " The plan of this run ends after 8 blocks: a repeat is a new run, which begins with block 1. Seen"),
        (6, "quick", " About 6 more blocks, 4 min, $0.32 may settle it if the run goes on as it did. Seen"),
    ],
    ids=["quick", "unknown", "own settings", "ended early"],
)
def test_fixed_looks_leave_no_further_blocks_to_promise(blocks: int | None, profile: str | None, expected: str) -> None:
    """Two blocks of eight are measured: six more would be of the same run, a seventh is of no run."""
    found = analysed(blocks=2)
    settings = found.record.settings
    decision = settings.decision.model_copy(update={"minimum_blocks": 4, "fixed_looks": 5})
    record = dataclasses.replace(
        found.record,
        settings=settings.model_copy(update={"decision": decision}),
        pins={} if profile is None else {PROFILE_PIN: profile},
    )
    verdict = dataclasses.replace(
        found.verdict, outlook=(Outlook(question="whether A", blocks=blocks, seconds=240.0, usd=0.32),)
    )

    assert expected in certainty(verdict, record)


def test_an_open_run_says_what_limits_its_figures_once() -> None:
    """On the terminal and in report.md too; a settled run has them in its certainty, a void one claims nothing."""
    found = {claim.topic: claim.sentence for claim in claims(analysed(blocks=2))}

    assert found["Caveats"].startswith("The figures hold for these server processes: each was started once, ")
    assert "Caveats" not in topics(claims(analysed()))


def test_certainty_does_not_invent_a_number_of_blocks() -> None:
    """A question that no reachable number settles has none."""
    verdict = dataclasses.replace(
        analysed(blocks=2).verdict, outlook=(Outlook(question="whether A", blocks=None, seconds=None, usd=None),)
    )

    assert certainty(verdict).startswith("Open: whether A (blocks needed: unknown). Seen so far: 120 requests")


def test_otherwise_says_what_each_other_degree_costs_and_gains() -> None:
    """Fewer tokens per core against a lower latency, with ranges; a degree without servers is no choice."""
    line = otherwise(analysed(STEADY[:2], ended=[no_fit(4)]))

    assert line.startswith("TP2 delivers 43.1 % (43.")
    assert "fewer output tokens/s per core, with a median latency of 25" in line
    assert line.endswith(" TP4 was not tested: it needs 4 cores and this machine has 2.")


def test_otherwise_tells_a_degree_that_breaks_the_limits() -> None:
    """It is no choice, and the share that holds says why."""
    assert otherwise(analysed(limit_ms=270)).startswith(
        "TP1 misses the limit: even one at a time, only 0 % of 480 requests keep total latency within 270 ms "
        "(75 % must)."
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.57, 0.55, 0.59, "43.0 % (41.0 to 45.0) fewer"),
        (1.75, 1.7, 1.8, "75.0 % (70.0 to 80.0) more"),
        (1.75, 1.7, None, "75.0 % (at least 70.0) more"),
        (1.01, 0.98, 1.04, "1.01 (0.980 to 1.04) times as many"),
    ],
    ids=["fewer", "more", "open end", "neither"],
)
def test_a_ratio_is_a_change_only_where_it_is_one(value: float, low: float, high: float | None, expected: str) -> None:
    """A range that holds 1 is neither more nor fewer."""
    assert change(Estimate(value=value, interval=Interval(low=low, high=high))) == expected


def test_the_latency_claim_contradicts_the_seeds_text() -> None:
    """The AWS sample says TP1 has the lowest latency; its own figure says TP4 has, and TP1 the highest."""
    line = latency_claim(analysed())

    assert line.startswith("TP4 has the lowest latency, TP1 the highest; median, one request at a time: TP4 20")


def test_latency_alone_is_not_latency_under_load() -> None:
    """Blocks at four in flight quadruple the latency; the claim is about one request at a time."""
    recorder = Recorder()
    for truth in STEADY:
        recorder.turn(truth, "idle", requests=20)
    recorder.blocks(STEADY, 6, concurrency=4)
    record = recorder.record(STEADY)
    analysis = analyse(record, recorder.samples, decide(record, recorder.samples))

    assert "TP4 205 ms" in latency_claim(analysis)


def test_equal_latencies_are_not_ordered() -> None:
    """Medians whose ranges meet are no order."""
    alike = (Planted(degree=1, latency_ms=250, noise=0), Planted(degree=2, latency_ms=250.5, noise=0))

    assert latency_claim(analysed(alike)).endswith("; the difference between the two lowest is within the noise.")


def test_one_degree_has_no_latency_order() -> None:
    """Nothing to order, nothing said."""
    assert latency_claim(analysed(STEADY[:1])) == ""


def test_equal_cores_say_what_was_computed() -> None:
    """Two servers of TP1 were not measured together."""
    line = equal_cores_claim(analysed(STEADY[:2]))

    assert line.startswith("On 2 logical cores: 2×TP1 34")  # noqa: RUF001 - the sign that the sentence has
    assert " tokens/s (computed, not measured together), 1×TP2 19" in line  # noqa: RUF001 - likewise


def test_the_load_claim_is_the_compared_point() -> None:
    """Without limits the requests in flight, with limits the rate and the share within."""
    closed, opened = load_claim(analysed(STEADY[:1])), load_claim(analysed(STEADY[:1], 350))

    assert closed == "TP1 with 1 request in flight: 172 output tokens/s per core, median latency 290 ms."
    assert opened.startswith("TP1 at 1.72 requests/s per core: 86.")
    assert opened.endswith(" of the requests within the limits.")


def test_without_blocks_nothing_is_said_of_the_load() -> None:
    """The bracket decides nothing, and no sentence is made of it."""
    assert load_claim(analysed(STEADY[:1], rising=(1, 2), blocks=0)) == ""


def test_the_split_marks_its_extrapolation() -> None:
    """What was not measured is called so, beside what it would have to show."""
    split = split_latency({1: 180.0, 2: 121.0, 4: 90.0})

    assert split is not None
    assert split_claim(split) == (
        "About 120 ms of the median latency shrinks as cores are added, 60.5 ms does not (the fit is off by at most "
        "0.53 %). Extrapolated, not measured: TP8 would take 75.5 ms; to match TP4 per core it would have to take "
        "45.0 ms."
    )


@pytest.mark.parametrize(
    ("medians", "expected"),
    [
        ({1: 290.0, 2: 255.0}, "two points, two parameters: a sketch"),
        ({1: 290.0, 2: 100.0, 4: 200.0}, "a poor fit, off by up to 83.6 %"),
    ],
    ids=["exact", "poor"],
)
def test_the_split_says_how_good_it_is(medians: dict[int, float], expected: str) -> None:
    """A fit without residuals, or with large ones, does not pass for a description."""
    split = split_latency(medians)

    assert split is not None
    assert expected in split_claim(split)


def test_the_cost_claim_carries_its_source() -> None:
    """Dollars per million tokens with ranges, the price with its date, the experiment's own cost."""
    line = cost_claim(analysed(priced=True))

    assert line.startswith("Per million output tokens: TP1 $1.93 ($1.9")
    assert "at $4.80 an hour for 4 cores (a test, 2026-07-01)." in line
    assert "The experiment itself: $" in line


def test_no_price_no_cost_claim() -> None:
    """Nothing is said of money that is not known."""
    assert cost_claim(analysed()) == ""


def test_what_was_left_out_is_counted() -> None:
    """The first two in words, the rest as a number."""
    analysis = analysed()
    notes = tuple(f"note {number}" for number in range(7))
    noted = dataclasses.replace(analysis, verdict=dataclasses.replace(analysis.verdict, notes=notes))

    assert left_out_claim(noted) == "note 0; note 1; and 5 more, listed in verdict.json."


def test_the_run_claim_says_how_it_ended() -> None:
    """The run's name, place, model, degrees, time and ending."""
    assert run_claim(analysed(STEADY[:2])).startswith("20260701T120000Z-test, local, Qwen/Qwen3-0.6B, TP1 and TP2, ")


def test_the_first_three_claims_are_answer_certainty_and_otherwise() -> None:
    """In this order, in every report."""
    assert topics(claims(analysed(SEED_EXPERIMENT)))[:3] == ["Answer", "Certainty", "Otherwise"]
