"""Predictions held against a run: figures with their errors, orders with their confidence, doubt that stays doubt."""

import dataclasses
import pathlib
import typing

import pytest

from bench.race.saturated import Saturated, experiment
from optimal_tp.errors import SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.report.claims import claims
from optimal_tp.report.document import document
from optimal_tp.report.files import html
from optimal_tp.report.predicted import predicted_words
from optimal_tp.report.tables import tables
from optimal_tp.results.predictors.prediction_files import read_stated
from optimal_tp.settings.workload import Load
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.comparisons import comparison, turned_to
from optimal_tp.verdict.predictors.judgement import JudgedPair
from optimal_tp.verdict.predictors.orders import is_ahead
from optimal_tp.verdict.predictors.stated import Stated, StatedRow
from optimal_tp.verdict.rule import decide
from tests.fakes_analysed import analysed_run, judged_run
from tests.fakes_run import SEED_EXPERIMENT, Planted, no_fit, planted_run, settings, total_limit

FILES = pathlib.Path(__file__).parents[1] / "predictions"


def stated(*rows: dict[str, typing.Any]) -> Stated:
    """Return predictions of tokens per second and core by degree, or whatever else a row has."""
    return Stated(
        predictor="A planner",
        version="1.4",
        file="planner.csv",
        rows=tuple(
            StatedRow(**{"place": f"planner.csv:{line}", "cores": 1, **row}) for line, row in enumerate(rows, start=2)
        ),
    )


def rates(*values: float, degrees: typing.Sequence[int] = (1, 2, 4)) -> Stated:
    """Return predictions of these rates per core."""
    return stated(
        *({"degree": degree, "output_tokens_per_second": value} for degree, value in zip(degrees, values, strict=True))
    )


def told(found: Stated, **plan: typing.Any) -> Analysis:
    """Return the analysis of a planted run, by default of 172, 98 and 61 tokens per second and core."""
    void = plan.pop("void", None)
    record, samples, verdict = judged_run(**plan)
    return analyse(record, samples, verdict if void is None else decide(record, samples, void), stated=found)


def pairs(found: Analysis) -> dict[tuple[str, str], JudgedPair]:
    """Return the pairs by their names, the preferred one first."""
    assert found.predicted is not None
    return {(pair.preferred, pair.other): pair for pair in found.predicted.pairs}


def claim(found: Analysis) -> str:
    """Return the report's claim on predictions."""
    return next(one.sentence for one in claims(found) if one.topic == "Predicted")


def test_a_right_order_is_confirmed() -> None:
    """However far off the figures are: order and size are two questions."""
    found = told(rates(345, 196, 122))

    assert {pair.word for pair in pairs(found).values()} == {"right"}
    assert claim(found).startswith(
        "A planner 1.4 would choose TP1, as the run does. Of 3 predicted pairs the run confirms 3 and contradicts "
        "none. Furthest off, predicted over measured: output tokens/s per core 2.0"
    )


def test_a_wrong_order_is_an_inversion_with_its_confidence() -> None:
    """Who is preferred, who carries more, by how much, and how sure that is."""
    found = told(rates(100, 120, 61))

    assert {names: pair.word for names, pair in pairs(found).items()} == {
        ("TP2", "TP1"): "inverted",
        ("TP2", "TP4"): "right",
        ("TP1", "TP4"): "right",
    }
    assert claim(found).startswith(
        "A planner 1.4 would choose TP2; the run chooses TP1. A planner prefers TP2 to TP1 (20 % more predicted); "
        "measured, TP1 carries 7"
    )
    assert "more output tokens/s per core, at 95 % confidence." in claim(found)


def test_an_order_that_is_not_measured_is_not_decided() -> None:
    """One block decides nothing, and two candidates that are alike never do."""
    early = told(rates(100, 120, 61), blocks=1)
    tie = told(
        rates(100, 120, degrees=(1, 2)),
        truths=(Planted(degree=1, latency_ms=400), Planted(degree=2, latency_ms=200)),
    )

    assert {pair.word for found in (early, tie) for pair in pairs(found).values()} == {"not decided"}
    assert "Not decided by this run: TP2 before TP1." in claim(tie)


def test_two_that_lost_are_ordered_by_way_of_the_winner() -> None:
    """They left the race early and have few blocks in common; intervals that hold together multiply."""
    found = told(rates(345, 98, 245), section=settings(limits=total_limit(310, 75)))
    direct = next(one for one in found.verdict.comparisons if (one.first, one.second) == ("TP2", "TP4"))
    pair = pairs(found)["TP4", "TP2"]
    assert pair.measured_ratio is not None

    assert direct.why_open is not None
    assert pair.word == "inverted"
    assert pair.measured_ratio.value == pytest.approx(255 / 410, rel=0.08)
    assert pair.measured_ratio.interval.is_below(1 / 1.05)


def test_a_void_run_decides_nothing() -> None:
    """Nothing is held against predictions that would not be held for a choice."""
    found = told(rates(100, 120, 61), void={None: ("late",)})

    assert {(pair.word, pair.why) for pair in pairs(found).values()} == {("not decided", "the run is void")}


def test_equal_predictions_have_no_order() -> None:
    """Figures that differ by their rounding prefer nobody."""
    found = told(rates(100, 100.2, 61))

    assert set(pairs(found)) == {("TP2", "TP4"), ("TP1", "TP4")}
    assert claim(found).startswith("A planner 1.4 prefers no single candidate.")


def test_a_preferred_candidate_that_cannot_be_chosen_is_an_inversion() -> None:
    """It misses the limits, or memory does not hold it: the gate's own word stands in place of a ratio."""
    limited = told(rates(100, 80, 60), section=settings(limits=total_limit(270, 75)))
    full = told(
        rates(100, 200, degrees=(1, 4)),
        truths=SEED_EXPERIMENT[:1],
        ended=[no_fit(4)],
    )

    assert pairs(limited)["TP1", "TP2"].why == "TP1 misses-slo"
    assert pairs(limited)["TP1", "TP2"].word == "inverted"
    assert pairs(full)["TP4", "TP1"] == JudgedPair(
        preferred="TP4",
        other="TP1",
        predicted_ratio=2,
        word="inverted",
        measured_ratio=None,
        why="TP4 no-fit",
    )


def test_of_several_predictions_the_best_within_the_limits_counts() -> None:
    """A Pareto front has rows that nobody would run; one that misses a limit is no choice of its planner."""
    rows = (
        {"degree": 1, "output_tokens_per_second": 150, "ttft_ms": 20, "tpot_ms": 4, "output_tokens": 50},
        {"degree": 1, "output_tokens_per_second": 900, "ttft_ms": 20, "tpot_ms": 40, "output_tokens": 50},
        {"degree": 2, "output_tokens_per_second": 500, "ttft_ms": 20, "tpot_ms": 40, "output_tokens": 50},
    )
    found = told(stated(*rows), section=settings(limits=total_limit(310, 75)))

    assert found.predicted is not None
    assert [(row.name, row.per_core, row.misses) for row in found.predicted.rows] == [
        ("TP1", 150, ()),
        ("TP2", 500, ("total_latency_ms",)),
    ]
    assert pairs(found)["TP1", "TP2"].predicted_ratio is None
    assert found.predicted.notes == ("1 of 2 predictions of TP1 misses the limits",)


def test_latencies_are_compared_at_the_load_of_the_prediction() -> None:
    """One request alone beside the idle turns; another load than the run's is not compared."""
    alone = told(read_stated([str(FILES / "planner.csv")], Load()))
    busy = told(stated({"degree": 1, "ttft_ms": 29, "in_flight": 8}))
    assert alone.predicted is not None
    assert busy.predicted is not None
    ttft = alone.predicted.rows[0].figures[0]
    (apart,) = busy.predicted.rows[0].figures

    assert (ttft.at, ttft.predicted) == ("one at a time", 14.5)
    assert ttft.ratio == pytest.approx(0.5, rel=0.03)
    assert (apart.measured, apart.ratio, apart.why_not) == (
        None,
        None,
        "predicted at 8 in flight, measured at about 1",
    )


def test_a_goodput_is_compared_with_the_fitted_one() -> None:
    """Requests per second and core within the limits; the fit has no interval, so none is shown."""
    found = told(
        stated({"degree": 1, "requests_per_second": 3.4, "cores": 2}), section=settings(limits=total_limit(310, 75))
    )
    assert found.predicted is not None
    (figure,) = found.predicted.rows[0].figures

    assert (figure.metric, figure.predicted, figure.interval) == ("requests_per_second_per_core", 1.7, None)
    assert figure.ratio == pytest.approx(1.7 / (0.5 / 0.29), rel=0.04)


MEND = "predict for the run's request lengths, or measure the predicted ones"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [{"degree": 1, "output_tokens": 200, "ttft_ms": 1}, {"degree": 2, "input_tokens": 300, "ttft_ms": 1}],
            "\n".join(
                (
                    f"planner.csv:2 output_tokens: must be within 10 % of the run's 50 (got 200); {MEND}",
                    f"planner.csv:3 input_tokens: must be within 10 % of the run's 30 (got 300); {MEND}",
                )
            ),
        ),
        (
            [{"degree": 8, "ttft_ms": 1}],
            (
                "planner.csv: must have a row for a candidate of the run (TP1, TP2, TP4) (got 'TP8'); name the "
                "predictions of this run"
            ),
        ),
    ],
    ids=["other lengths", "no candidate"],
)
def test_predictions_of_another_experiment_are_refused(rows: list[dict[str, typing.Any]], sentence: str) -> None:
    """All bad rows at once."""
    with pytest.raises(SettingsError) as caught:
        told(stated(*rows))

    assert str(caught.value) == sentence


def test_what_was_not_measured_and_another_model_are_said() -> None:
    """Neither is an error: a planner looks further than a run, and calls models by other names."""
    row = {"degree": 8, "ttft_ms": 1, "model": "meta/Other-8B"}
    found = told(stated({"degree": 1, "ttft_ms": 1, "model": "qwen3-0.6b"}, row))
    assert found.predicted is not None

    assert found.predicted.notes == (
        "not measured: TP8",
        "the file predicts meta/Other-8B, but the run measured Qwen/Qwen3-0.6B",
    )


def test_the_page_and_the_table_show_every_pair_and_figure() -> None:
    """Inversions first; what comes from the file is escaped."""
    analysis = told(dataclasses.replace(rates(100, 120, 61), predictor="<b>P</b>"))
    found = document(analysis)
    page = html(analysis, found.claims, tables(analysis, found))
    words = predicted_words(analysis)
    table = next(one for one in tables(analysis, found) if one.caption.startswith("Predicted by"))
    assert words is not None

    assert [word for word, _ in words.pairs] == ["inverted", "right", "right"]
    assert all(sentence.replace("<b>P</b>", "&lt;b&gt;P&lt;/b&gt;") in page for _, sentence in words.pairs)
    assert "<b>P</b>" not in page
    assert [row[0] for row in table.rows] == ["TP2", "TP1", "TP4"]
    assert found.predicted == analysis.predicted


def test_without_predictions_nothing_is_said() -> None:
    """No section, no claim."""
    analysis = analysed_run()

    assert (analysis.predicted, predicted_words(analysis)) == (None, None)
    assert "Predicted" not in {one.topic for one in claims(analysis)}


RACES = (
    Saturated(name="noise 2 %, two candidates", ratio=1.2, candidates=2),
    Saturated(name="noise 3 %, three candidates", ratio=1.25, noise=0.03),
    Saturated(name="own AR(0.8), 2 %, two candidates", ratio=1.2, candidates=2, noise=0.01, own_walk=0.02),
)


def inversions(truth: Saturated, count: int) -> tuple[int, int]:
    """Return in how many experiments a planted wrong order of the best two, and a right one, is called inverted."""
    wrong = right = 0
    best, other = Candidate(1).name, Candidate(2).name
    for seed in range(count):
        _, standing = experiment(truth, seed)
        last = {frozenset((pair.first, pair.second)): pair for pair in (*standing.former, *standing.pairs)}
        last |= {frozenset((pair.first, pair.second)): pair for pair in standing.beaten.values()}
        found = [comparison(pair) for pair in last.values()]
        lead, back = turned_to(found, best, other), turned_to(found, other, best)
        wrong += lead is not None and is_ahead(lead, 0.05)
        right += back is not None and is_ahead(back, 0.05)
    return wrong, right


@pytest.mark.parametrize("truth", RACES, ids=lambda truth: truth.name)
def test_a_wrong_order_is_found_and_a_right_one_is_left_alone(truth: Saturated) -> None:
    """Races that end as soon as they have a safe choice; the slow tier has more of them."""
    wrong, right = inversions(truth, 20)

    assert (wrong >= 19, right) == (True, 0)


@pytest.mark.slow
@pytest.mark.parametrize("truth", RACES, ids=lambda truth: truth.name)
def test_wrong_orders_are_found_in_19_of_20_runs_and_right_ones_inverted_in_none_of_20(truth: Saturated) -> None:
    """At least 95 % and at most 5 %."""
    wrong, right = inversions(truth, 500)

    assert wrong >= 0.95 * 500
    assert right <= 0.05 * 500


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whole_runs_within_limits_show_a_planted_inversion() -> None:
    """Through record and verdict: 60 runs that go on until they are settled, judged against either order."""
    truths = (Planted(degree=1, latency_ms=290), Planted(degree=2, latency_ms=200))
    section = settings(degrees=[1, 2], limits=total_limit(400, 75))
    counts = {"inverted": 0, "right": 0}
    for seed in range(60):
        record, samples = planted_run(truths, section, seed=seed)
        verdict = decide(record, samples)
        if verdict.outcome == "inconclusive":
            record, samples = planted_run(truths, section, seed=seed, blocks=60)
            verdict = decide(record, samples)
        for values in ((100, 120), (120, 100)):
            analysis = analyse(record, samples, verdict, stated=rates(*values, degrees=(1, 2)))
            ((_, pair),) = pairs(analysis).items()
            if pair.word == "inverted":
                counts["inverted" if values[0] < values[1] else "right"] += 1

    assert counts["inverted"] >= 0.95 * 60
    assert counts["right"] <= 0.05 * 60
