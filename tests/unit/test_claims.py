"""Every sentence of a report: made from planted numbers, whole."""

import dataclasses

import pytest

from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.report.claims import (
    Claim,
    autocorrelation_claim,
    claims,
    cost_claim,
    equal_cores_claim,
    flip_claim,
    latency_claim,
    left_out_claim,
    load_claim,
    price_claim,
    run_claim,
    split_claim,
)
from optimal_tp.report.headline import answer, certainty, change, otherwise
from optimal_tp.verdict.analysis import Analysis, analyse, split_latency
from optimal_tp.verdict.findings import Outlook
from optimal_tp.verdict.rule import decide
from tests.fakes_run import SEED_EXPERIMENT, Planted, Recorder, no_fit, planted_run, price, settings, total_limit

STEADY = (
    Planted(degree=1, latency_ms=290, noise=0.0005, jitter=0.0002),
    Planted(degree=2, latency_ms=255, noise=0.0005, jitter=0.0002),
    Planted(degree=4, latency_ms=205, noise=0.0005, jitter=0.0002),
)


def analysed(truths: tuple[Planted, ...] = STEADY, limit_ms: float | None = None, **plan: object) -> Analysis:
    """Return the analysis of a planted run with a limit on the median."""
    section = settings(degrees=[truth.degree for truth in truths] or [1])
    if limit_ms is not None:
        section["limits"] = total_limit(limit_ms, 50)
    if plan.pop("priced", False):
        section["price"] = price()
    record, samples = planted_run(truths, section, **plan)  # type: ignore[arg-type]
    return analyse(record, samples, decide(record, samples))


def topics(found: tuple[Claim, ...]) -> list[str]:
    """Return what the claims are about."""
    return [claim.topic for claim in found]


def test_the_answer_names_the_degree_and_its_figure() -> None:
    """Settled without limits."""
    expected = (
        "Serve with TP1: it gives the most output tokens/s per core of every degree that was measured, "
        "172 (172 to 173)."
    )

    assert answer(analysed().verdict) == expected


def test_the_answer_with_a_limit_speaks_of_the_limits() -> None:
    """Settled at 270 ms: TP1 misses, TP2 is the best that holds."""
    assert answer(analysed(limit_ms=270).verdict).startswith(
        "Serve with TP2: it gives the most output tokens/s per core of every degree that holds the limits, 98."
    )


def test_the_answer_to_a_tie_is_the_smaller_degree() -> None:
    """It does not claim that the smaller gives more."""
    tie = (Planted(degree=1, latency_ms=400, noise=0.01), Planted(degree=2, latency_ms=200, noise=0.01))
    line = answer(analysed(tie, blocks=60, requests=4).verdict)

    assert line.startswith("Serve with TP1: it is the smallest degree that was measured that no other is shown to beat")
    assert "TP2 would give less than 2 % more output tokens/s per core, if any" in line


def test_the_answer_of_one_degree_claims_no_contest() -> None:
    """Nothing was compared, so nothing is the most."""
    line = answer(analysed(STEADY[:1], ended=[no_fit(4)]).verdict)

    assert line.startswith("Serve with TP1: it is the only degree that was measured, with 172 output tokens/s per core")


def test_no_degree_within_the_limit_says_how_far_the_nearest_is() -> None:
    """At 190 ms none holds; TP4 is nearest."""
    line = answer(analysed(limit_ms=190).verdict)

    assert line.startswith("No degree holds the limits. The nearest is TP4: p50 of total latency is 205 ms (20")
    assert line.endswith(", the limit 190 ms.")


def test_no_degree_that_fits_says_each_gate() -> None:
    """Every gate's number is in the first line."""
    line = answer(analysed((), ended=[no_fit(1, 0)]).verdict)

    assert line == "No degree qualifies. TP1 no-fit: needs 1 cores; this machine has 0."


def test_a_void_run_has_no_answer() -> None:
    """The first line says so, and why."""
    record, samples = planted_run()
    verdict = decide(record, samples, {None: ("the client was late by 40 ms",)})

    assert answer(verdict) == "No verdict: the run is void. The client was late by 40 ms."
    assert certainty(verdict) == (
        "Nothing is claimed from what was measured: 10 blocks, 600 requests, none of them failed."
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
        "That took no measurement: every degree ended before any load."
    )


def test_requests_that_all_failed_are_told_as_that() -> None:
    """And blocks that no pair of degrees shares are none."""
    verdict = analysed((Planted(degree=1, latency_ms=290, failing=1),)).verdict

    assert certainty(verdict) == (
        "Sure to at least 95 %, however often the run was looked at: 10 blocks, 200 requests, all of them failed."
    )


def test_a_void_run_makes_no_claims_about_its_figures() -> None:
    """Latency, load, cost: none of it is claimed of a run that cannot be trusted."""
    record, samples = planted_run(rising=(1, 2))
    analysis = analyse(record, samples, decide(record, samples, {None: ("late",)}))

    assert topics(claims(analysis)) == ["Answer", "Certainty", "Otherwise", "Run"]


def test_an_open_run_names_its_provisional_answer_and_what_is_open() -> None:
    """Not settled: the rule's answer so far, and the doubt."""
    verdict = analysed(blocks=2).verdict

    assert answer(verdict) == (
        "Not settled: on what was seen the answer would be TP1, but 2 blocks completed; a first look takes 5; "
        "TP1, TP2 and TP4 are not told apart."
    )


def test_certainty_counts_what_it_rests_on() -> None:
    """Settled: the confidence, the blocks, the requests, the failures."""
    assert certainty(analysed().verdict) == (
        "Sure to at least 95 %, however often the run was looked at: 10 blocks, 600 requests, none of them failed."
    )


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
        "settle it, if what was seen goes on. Seen so far: 2 blocks, 120 requests, none of them failed."
    )


def test_certainty_does_not_invent_a_number_of_blocks() -> None:
    """A question that no reachable number settles has none."""
    verdict = dataclasses.replace(
        analysed(blocks=2).verdict, outlook=(Outlook(question="whether A", blocks=None, seconds=None, usd=None),)
    )

    assert certainty(verdict).startswith(
        "Open: whether A (how many more blocks that takes cannot be said). Seen so far: 2 blocks"
    )


def test_otherwise_says_what_each_other_degree_costs_and_gains() -> None:
    """Fewer tokens per core against a lower latency, with ranges; a degree without servers is no choice."""
    line = otherwise(analysed(STEADY[:2], ended=[no_fit(4)]))

    assert line.startswith("TP2 instead would give 43.1 % (43.")
    assert "fewer output tokens/s per core, with a median latency of 25" in line
    assert line.endswith(" TP4 is no choice (no-fit: needs 4 cores; this machine has 2).")


def test_otherwise_warns_of_a_degree_that_breaks_the_limits() -> None:
    """More tokens per core, at a latency that is not allowed."""
    assert otherwise(analysed(limit_ms=270)).startswith("TP1 instead would break the limits and give 75.")


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.57, 0.55, 0.59, "43.0 % (41.0 to 45.0) fewer"),
        (1.75, 1.7, 1.8, "75.0 % (70.0 to 80.0) more"),
        (1.75, 1.7, None, "75.0 % (at least 70.0) more"),
        (1.01, 0.98, 1.04, "1.01 (0.980 to 1.04) times the"),
    ],
    ids=["fewer", "more", "open end", "neither"],
)
def test_a_ratio_is_a_change_only_where_it_is_one(value: float, low: float, high: float | None, expected: str) -> None:
    """A range that holds 1 is neither more nor fewer."""
    assert change(Estimate(value=value, interval=Interval(low=low, high=high))) == expected


def test_the_latency_claim_contradicts_the_seeds_text() -> None:
    """The seed says TP1 has the lowest latency; its own figure, measured again, says TP4 has, and TP1 the highest."""
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
    """Medians whose ranges meet are not told apart."""
    alike = (Planted(degree=1, latency_ms=250, noise=0), Planted(degree=2, latency_ms=250.5, noise=0))

    assert latency_claim(analysed(alike)).endswith("; the two lowest are not told apart.")


def test_one_degree_has_no_latency_order() -> None:
    """Nothing to order, nothing said."""
    assert latency_claim(analysed(STEADY[:1])) == ""


def test_the_flip_claim_reads_from_the_widest_limit_down() -> None:
    """The choice for every limit, the band of each end, and where there is none."""
    line = flip_claim(analysed())

    assert line.startswith("By the limit on p50 of total latency: TP1 from 290 ms up (lower end 2")
    assert "; TP2 from 255 to 290 ms (lower end 2" in line
    assert line.endswith("; none below 205 ms.")


def test_the_price_claim_names_the_break_even() -> None:
    """TP2's cores would have to be cheaper by its throughput ratio."""
    assert price_claim(analysed(STEADY[:2])).startswith(
        "Per token TP2 would cost less than TP1 only where its cores cost less than 0.569 (0.56"
    )


def test_equal_cores_say_what_was_computed() -> None:
    """Two servers of TP1 were not measured together."""
    line = equal_cores_claim(analysed(STEADY[:2]))

    assert line.startswith("On 2 logical cores: 2×TP1 34")  # noqa: RUF001 - the sign that the sentence has
    assert " tokens/s (computed from one layout, not measured together), 1×TP2 19" in line  # noqa: RUF001 - likewise


def test_the_load_claim_has_saturation_knee_and_capacity() -> None:
    """A server of one request at a time is full at one."""
    line = load_claim(analysed(STEADY[:1], 350, rising=(1, 2)).curves)

    assert line == (
        "TP1: 172 tokens/s at most, with 1 request in flight, knee at 1 request in flight; "
        "capacity at the limit 172 tokens/s."
    )


def test_without_a_rising_load_nothing_is_said_of_it() -> None:
    """No curve, no sentence."""
    assert load_claim(()) == ""


def test_the_split_marks_its_extrapolation() -> None:
    """What was not measured is called so, beside what it would have to show."""
    split = split_latency({1: 180.0, 2: 121.0, 4: 90.0})

    assert split is not None
    assert split_claim(split) == (
        "Fitted to the medians, 120 ms of the latency divide by the degree and 60.5 ms do not (it misses by at most "
        "0.53 %). Extrapolated, not measured: TP8 would take 75.5 ms; to match TP4 per core it would have to take "
        "45.0 ms."
    )


@pytest.mark.parametrize(
    ("medians", "expected"),
    [
        ({1: 290.0, 2: 255.0}, "as many terms as degrees, so nothing tests it"),
        ({1: 290.0, 2: 100.0, 4: 200.0}, "too much to describe the data"),
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


def test_autocorrelation_is_looked_at() -> None:
    """The sentence follows from the batches that the comparisons used."""
    analysis = analysed(STEADY[:2])
    comparison = dataclasses.replace(
        analysis.verdict.comparisons[0],
        batch=2,
        autocorrelation=Estimate(value=0.5, interval=Interval(low=0.1, high=0.9)),
    )
    alike = dataclasses.replace(analysis, verdict=dataclasses.replace(analysis.verdict, comparisons=(comparison,)))

    assert autocorrelation_claim(alike) == (
        "Paired differences of neighbouring blocks resemble each other (lag one): TP1 against TP2 0.500 (0.100 to "
        "0.900), blocks averaged 2 at a time."
    )


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
