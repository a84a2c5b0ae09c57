"""How far a run's candidates are from their roof: shares worked by hand, and the words for them."""

import dataclasses
import typing

import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.hardware import TRAINIUM2, Roof
from optimal_tp.facts.known import SHAPES
from optimal_tp.facts.physics import Physics, Room
from optimal_tp.measurement.estimate import MISSING, Estimate, Interval
from optimal_tp.measurement.run import RunRecord, decode_run, encode_run
from optimal_tp.measurement.samples import Sample
from optimal_tp.measurement.turns import Turn
from optimal_tp.plan.lengths import Shape
from optimal_tp.plan.roofline.floors import ModelledServer
from optimal_tp.report.document import document
from optimal_tp.report.files import html, markdown
from optimal_tp.report.page.limits import limit_table
from optimal_tp.report.physics.claims_in_words import limit_claim, limit_rows, limits_of
from optimal_tp.report.physics.extrapolations import what_if_claim
from optimal_tp.report.physics.reached import reached
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.predictions import PlannedCapacity, Prediction, WhatIf
from optimal_tp.verdict.rule import decide
from tests.fakes_roofline import perfect, played_run

QWEN3 = SHAPES["Qwen/Qwen3-0.6B"]
KNOWN = Physics(roof=TRAINIUM2, shape=QWEN3, dtype_bytes=2)
SHAPE = Shape(64, 101)


def sample(request: int, degree: int, begin: float, first: float, last: float) -> Sample:
    """Return a request of 64 tokens that got 101 more."""
    return Sample(
        stage="block",
        degree=degree,
        block=0,
        concurrency=2,
        rate_per_second=None,
        request=request,
        intended_seconds=begin,
        sent_seconds=begin,
        token_seconds=(first, last),
        end_seconds=last,
        prompt_tokens=SHAPE.prompt_tokens,
        output_tokens=SHAPE.output_tokens,
        status="ok",
        http_status=200,
    )


def run(samples: list[Sample], physics: Physics | None = KNOWN, degrees: tuple[int, ...] = (1,)) -> RunRecord:
    """Return the record of one block."""
    turns = []
    for degree in degrees:
        own = [one for one in samples if one.degree == degree]
        turns.append(
            Turn(
                stage="block",
                degree=degree,
                block=0,
                concurrency=2,
                rate_per_second=None,
                start_seconds=min(one.intended_seconds for one in own),
                end_seconds=max(one.end_seconds for one in own),
                requests=len(own),
                send_lag_p99_ms=0.4,
                foreign_cpu_share=0.0,
            )
        )
    return played_run(degrees, slots=2, physics=physics, turns=tuple(turns), ending="blocks")


def two_at_a_time(degree: int, step_seconds: float = 0.01) -> list[Sample]:
    """Return six requests, always two in a step, each step of ``step_seconds``; the prefill takes no time."""
    long = 100 * step_seconds
    return [
        sample(2 * pair + slot, degree, pair * long, pair * long, (pair + 1) * long)
        for pair in range(3)
        for slot in (0, 1)
    ]


def analysed(samples: list[Sample], physics: Physics | None = KNOWN, degrees: tuple[int, ...] = (1,)) -> Analysis:
    """Return the analysis of such a run, with its reach."""
    record = run(samples, physics, degrees)
    verdict = decide(record, samples)
    return dataclasses.replace(analyse(record, samples, verdict), reached=reached(record, samples, verdict))


def test_the_shares_of_a_step() -> None:
    """10 ms steps of two sequences read 1.192 GB and 2 x 114,688 B x 113.5 tokens: 16.8 % of 725 GB/s."""
    (one,) = analysed(two_at_a_time(1)).reached

    step_bytes = 2 * 596_049_920 + 2 * 114_688 * 113.5
    assert one.bandwidth_share == pytest.approx(step_bytes / 0.01 / 725e9, rel=1e-6)
    assert (one.sequences, one.step_ms) == pytest.approx((2, 10))
    assert one.floor_ms == pytest.approx(1000 * step_bytes / 725e9)
    assert one.weights_floor_ms == pytest.approx(1000 * 2 * 596_049_920 / 725e9)
    assert one.kv_floor_ms == pytest.approx(1000 * 2 * 114_688 * 113.5 / 725e9)
    assert one.binds == "memory bandwidth"
    assert (one.next_degree, one.stage) == (2, "block")


def test_operations_are_shared_by_all_cores() -> None:
    """Tokens per second times the operations of one, with its part of the prompt, over the cores' 166.75 TFLOP/s."""
    one, two = analysed([*two_at_a_time(1), *two_at_a_time(2)], degrees=(1, 2)).reached

    # 101 tokens of two slots a second; 2 x 596 million operations a token and some attention, and 64 prompt tokens.
    assert one.compute_share == pytest.approx(202 * 2 * 596e6 * (1 + 64 * 440 / 596 / 101) / 166.75e12, rel=0.05)
    assert two.compute_share == pytest.approx((one.compute_share or 0) / 2)


def test_a_server_at_its_roof_reaches_all_of_it() -> None:
    """A simulated server whose steps take what physics demands reads at 99 to 100 % between its prefills."""
    server = ModelledServer(shape=QWEN3, degree=1, batch=2, dtype_bytes=2, roof=TRAINIUM2)
    _, times = perfect(server, [SHAPE] * 20, [0.0] * 20)
    samples = [sample(number, 1, *moments) for number, moments in enumerate(times)]

    (one,) = analysed(samples).reached

    assert one.bandwidth_share == pytest.approx(1, abs=0.01)
    assert one.share_of_bound == pytest.approx(0.99, abs=0.01)


def test_where_nobody_knows_the_cores_nothing_is_said() -> None:
    """On somebody's servers elsewhere there is no roof: no claim, no section, null in the document."""
    analysis = analysed(two_at_a_time(1), physics=None)

    assert (analysis.reached, limit_claim(analysis), limits_of(analysis)) == ((), "", None)
    assert document(analysis).limits is None
    assert "How far from the limit" not in html(analysis, document(analysis).claims, ())


def test_an_attained_roof_that_a_server_beats_is_no_roof() -> None:
    """The machine was busy when it was measured: no share is told, and the claim says why."""
    low = Roof(kind="attained", bytes_per_second=50e9, flop_per_second=1e9, source="what a busy core attained")
    analysis = analysed(two_at_a_time(1), dataclasses.replace(KNOWN, roof=low))

    (one,) = analysis.reached
    assert (one.bandwidth_share, one.compute_share) == (None, None)
    assert one.beyond_roof == ("memory bandwidth", "computing")
    assert limit_claim(analysis).startswith("TP1 reads and computes more than the cores attained without servers.")
    assert "that peak is too low and no share is given" in limit_claim(analysis)


def test_both_measurements_of_a_roof_are_in_the_published_form() -> None:
    """Whoever reads verdict.json sees what the larger figures were taken from, and by how much they differ."""
    low, high = (
        Roof(kind="attained", bytes_per_second=each, flop_per_second=None, source="what a core attained")
        for each in (800e9, 1e12)
    )
    physics = dataclasses.replace(KNOWN, roof=high, measured=(low, high))
    limits = document(analysed(two_at_a_time(1), physics)).limits

    assert limits is not None
    assert (limits.roof, limits.measured) == (high, (low, high))
    assert limits.drift_share == pytest.approx(0.2)
    assert " of what memory bandwidth allowed when it was measured" in limit_claim(analysed(two_at_a_time(1), physics))


def test_computing_beyond_an_attained_roof_is_told_too() -> None:
    """Memory keeps its share; computing has none, and the claim says why."""
    low = Roof(kind="attained", bytes_per_second=725e9, flop_per_second=1e9, source="what a busy core attained")
    analysis = analysed(two_at_a_time(1), dataclasses.replace(KNOWN, roof=low))

    (one,) = analysis.reached
    assert (one.compute_share, one.beyond_roof) == (None, ("computing",))
    assert one.bandwidth_share == pytest.approx(0.168, rel=0.01)
    assert limit_claim(analysis).startswith("TP1 computes more than the cores attained without servers.")
    assert "TP1 reaches 16.8 % of what memory bandwidth allowed" in limit_claim(analysis)


def test_the_claim_names_share_bound_and_next_degree() -> None:
    """What a reader takes away: the share, what binds, and what a larger degree could give at most."""
    analysis = analysed([*two_at_a_time(1), *two_at_a_time(2)], degrees=(1, 2))
    sentence = limit_claim(analysis)

    assert sentence.startswith("TP1 reaches 16.8 % of what memory bandwidth allows (TP2 8.4 %), and ")
    neither = "That roof is far away: neither memory nor computing is near it."
    assert f"{neither} TP2 could give at most " in sentence
    assert sentence.endswith(
        "Source of the peak: AWS's figures for Trainium2: 725 GB/s and 167 BF16 TFLOP/s a logical core."
    )
    found = document(analysis)
    assert "16.8 %" in html(analysis, found.claims, ())
    assert "16.8 % of what memory bandwidth allows" in markdown(analysis, found.claims, (), ())


def test_a_degree_that_the_place_cannot_run_is_left_out() -> None:
    """A gate refused TP2, or the own machine has no second core: neither the sentence nor the table promises it."""
    analysis = analysed(two_at_a_time(1))
    (only,) = analysis.verdict.degrees
    refused = dataclasses.replace(only, degree=2, word="no-fit")
    gated = dataclasses.replace(
        analysis, verdict=dataclasses.replace(analysis.verdict, degrees=(*analysis.verdict.degrees, refused))
    )
    own = dataclasses.replace(analysis, record=dataclasses.replace(analysis.record, place="local"))
    places = [dataclasses.replace(analysis, record=dataclasses.replace(analysis.record, place="cluster")), gated, own]

    assert ["TP2 could give at most" in limit_claim(one) for one in places] == [True, False, False]
    assert ["TP2: " in str(limit_table(one).rows) for one in places] == [True, False, False]


def test_only_what_is_near_its_limit_is_called_a_bottleneck() -> None:
    """Or what the roof is too low for; of a share that nobody knows nothing is said."""
    analysis = analysed(two_at_a_time(1))
    (one,) = analysis.reached
    cases: dict[str, dict[str, typing.Any]] = {
        "near": {"bandwidth_share": 0.6},
        "half known": {"compute_share": None},
        "beyond": {"compute_share": None, "beyond_roof": ("computing",)},
        "unknown": {"bandwidth_share": None, "compute_share": None},
    }
    said = {
        name: limit_claim(dataclasses.replace(analysis, reached=(dataclasses.replace(one, **changes),)))
        for name, changes in cases.items()
    }

    assert "neither" not in str(said)
    assert {name for name, words in said.items() if " The bottleneck is memory bandwidth. " in words} == {
        "near",
        "beyond",
        "unknown",
    }
    assert " Memory bandwidth would bind first. " in said["half known"]


def test_a_record_keeps_what_it_is_held_against() -> None:
    """The roof and the model's sizes come back from run.json; older records have none."""
    record = run(two_at_a_time(1))

    assert decode_run(encode_run(record)) == record
    text = encode_run(dataclasses.replace(record, physics=None)).replace('"physics": null,', "")
    assert decode_run(text).physics is None


def planned(degree: int, value: float, low: float, high: float) -> PlannedCapacity:
    """Return what a model says of a candidate."""
    return PlannedCapacity(
        candidate=Candidate(degree), per_core=Estimate(value=value, interval=Interval(low=low, high=high))
    )


def test_what_would_change_it_is_told_as_extrapolation() -> None:
    """A leader only where intervals lie apart; with the models' error, and never as the verdict."""
    told = (
        WhatIf(
            question="twice the output tokens",
            capacities=(planned(1, 90, 85, 95), planned(2, 70, 66, 74)),
            model_error=0.08,
        ),
        WhatIf(
            question="half the prompt tokens",
            capacities=(planned(1, 120, 105, 125), planned(2, 110, 100, 115)),
            model_error=0.03,
        ),
    )
    prediction = Prediction(capacities=(), held_out=(), what_if=told)
    analysis = dataclasses.replace(
        analysed([*two_at_a_time(1), *two_at_a_time(2)], degrees=(1, 2)), prediction=prediction
    )

    assert what_if_claim(analysis) == (
        "Extrapolated by the models fitted to this run, not measured, at the same limits: with twice the output tokens "
        "TP1 would lead; with half the prompt tokens TP1 and TP2 are too close to call. The models miss the run's own "
        "median latencies by up to 8 %; measure before you rely on it."
    )
    page = html(analysis, (*document(analysis).claims,), ())
    assert "none of it is a verdict" in page
    assert 'class="num">8 %</td>' in page
    assert what_if_claim(analysed(two_at_a_time(1))) == ""


def test_the_pages_tables_set_numbers_flush_right() -> None:
    """As every other table does."""
    analysis = analysed([*two_at_a_time(1), *two_at_a_time(2)], degrees=(1, 2))
    page = html(analysis, document(analysis).claims, ())

    assert '<td data-head="Of memory bandwidth (MBU)" class="num">16.8 %</td>' in page
    assert '<td data-head="Step in ms" class="num">10.0</td>' in page
    assert '<td data-head="Reading weights + keys and values, ms" class="num">1.64 + 0.0359</td>' in page
    assert '<td data-head="Would bind first">memory bandwidth</td>' in page
    assert '<th scope="col" class="num">Step in ms</th>' in page


def test_exchanges_between_chips_are_said_to_be_left_out() -> None:
    """A bound counts none of them: within a chip nothing is published, and beyond one the bound says so."""
    within = analysed(two_at_a_time(1))
    beyond = dataclasses.replace(within, reached=tuple(dataclasses.replace(each, degree=8) for each in within.reached))

    assert "NeuronLink" not in limit_claim(within)
    assert "chips exchange over NeuronLink (at most 1,024 GB/s a chip) is not counted" in limit_claim(beyond)


def test_what_the_kv_cache_holds_is_told_where_it_was_counted() -> None:
    """In verdict.json and in the report's table; nothing is claimed of a degree that nobody counted."""
    counted = dataclasses.replace(KNOWN, rooms=(Room(degree=1, kv_tokens=90_000, kv_sequences=351),))
    degrees = (1, 2)
    found = analysed([*two_at_a_time(1), *two_at_a_time(2)], counted, degrees)
    limits = document(found).limits

    assert limits is not None
    assert [(each.degree, each.kv_tokens, each.kv_sequences) for each in limits.candidates] == [
        (1, 90_000, 351),
        (2, None, None),
    ]
    assert [row[-1] for row in limit_rows(limits.candidates)] == ["90,000 tokens, 351 sequences", MISSING]
    assert decode_run(encode_run(found.record)).physics == counted
