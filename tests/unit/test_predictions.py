"""The verdict held against the plan of the same run: they agree, or nothing is settled and that is said first."""

import dataclasses

import pytest

from optimal_tp.measurement.estimate import Estimate, Interval
from optimal_tp.measurement.run import RunRecord
from optimal_tp.measurement.samples import Sample
from optimal_tp.report.claims import claims
from optimal_tp.report.document import document
from optimal_tp.report.tables import tables
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.findings import Verdict
from optimal_tp.verdict.predictions import (
    UNCHECKED,
    HeldOut,
    PlannedCapacity,
    Prediction,
    agreed,
    contradiction,
    unchecked,
)
from optimal_tp.verdict.rule import decide
from tests.fakes_candidates import TP1, TP2
from tests.fakes_run import SEED_EXPERIMENT, planted_run, settings, total_limit


@pytest.fixture(scope="module")
def run() -> tuple[RunRecord, list[Sample], Verdict]:
    """Return a settled run of two candidates."""
    record, samples = planted_run(SEED_EXPERIMENT[:2])
    return record, samples, decide(record, samples)


Run = tuple[RunRecord, list[Sample], Verdict]


def planned(first: tuple[float, float, float], second: tuple[float, float, float]) -> Prediction:
    """Return a plan that gives TP1 and TP2 these figures: low, value and high."""
    held_out = HeldOut(
        candidate=TP2,
        rate_per_second=3.0,
        metric="total_latency_ms",
        percent=50,
        predicted_ms=110,
        one_turn=Interval(low=90, high=120),
        measured_ms=100,
    )
    return Prediction(
        capacities=tuple(
            PlannedCapacity(candidate=candidate, per_core=Estimate(value=value, interval=Interval(low=low, high=high)))
            for candidate, (low, value, high) in ((TP1, first), (TP2, second))
        ),
        held_out=(held_out,),
    )


def told(run: Run, prediction: Prediction) -> Analysis:
    """Return the run's analysis with the plan's prediction."""
    record, samples, verdict = run
    return analyse(record, samples, agreed(verdict, prediction), prediction)


AGREES = planned((0.9, 1.0, 1.1), (0.6, 0.7, 0.8))
WITHIN_ERROR = planned((0.9, 1.0, 1.1), (1.0, 1.3, 1.6))
CONTRADICTS = planned((0.9, 1.0, 1.1), (1.2, 1.3, 1.4))


def test_a_plan_that_agrees_changes_nothing(run: Run) -> None:
    """Nor does one that differs within its own stated error, or by less than the resolution."""
    verdict = run[2]
    assert verdict.chosen == "TP1"

    assert agreed(verdict, AGREES) == verdict
    assert agreed(verdict, WITHIN_ERROR) == verdict
    assert agreed(verdict, planned((0.9, 1.0, 1.1), (1.1 * 1.04, 1.2, 1.3))) == verdict
    assert agreed(verdict, Prediction(capacities=(), held_out=())) == verdict


def test_a_plan_that_contradicts_leaves_the_run_open_and_is_the_first_reason(run: Run) -> None:
    """The choice becomes what leads; every part of the verdict says so."""
    verdict = agreed(run[2], CONTRADICTS)

    assert (verdict.outcome, verdict.chosen, verdict.chosen_degree, verdict.provisional) == (
        "inconclusive",
        None,
        None,
        "TP1",
    )
    assert verdict.reasons[0].startswith("the plan contradicts the blocks: its model gives TP2 1.3")
    assert {degree.name: degree.word for degree in verdict.degrees}["TP1"] == "inconclusive"
    assert told(run, CONTRADICTS).verdict == verdict
    assert claims(told(run, CONTRADICTS))[0].sentence.startswith(
        "Not settled yet: TP1 leads so far, but the plan contradicts the blocks"
    )


def test_a_choice_that_no_plan_was_held_against_says_so(run: Run) -> None:
    """Only where a plan could contradict it: not where the run is open, and not where nothing else was compared."""
    verdict = run[2]
    alone = dataclasses.replace(
        verdict, degrees=tuple(degree for degree in verdict.degrees if degree.name == verdict.chosen)
    )
    still_open = agreed(verdict, CONTRADICTS)

    assert unchecked(verdict).caveats == (*verdict.caveats, UNCHECKED)
    assert unchecked(alone) == alone
    assert unchecked(still_open) == still_open


def test_what_no_race_compared_contradicts_nothing(run: Run) -> None:
    """A candidate that is no choice anyway may be planned as fast as it likes."""
    verdict = run[2]
    missing = tuple(
        dataclasses.replace(degree, word="misses-slo") if degree.name == "TP2" else degree for degree in verdict.degrees
    )

    assert contradiction(dataclasses.replace(verdict, degrees=missing), CONTRADICTS) is None


def test_the_report_shows_the_plan_beside_the_measured(run: Run) -> None:
    """In words, as a table, and in verdict.json; without a prediction none of it."""
    found = told(run, AGREES)
    plan = next(claim.sentence for claim in claims(found) if claim.topic == "Plan")
    table = next(table for table in tables(found, document(found)) if table.caption.startswith("The plan against"))

    assert "TP1 1.00 (0.900 to 1.10) (measured: " in plan
    assert "It also finds TP1 the cheapest." in plan
    assert "its largest error is +10.0 % (p50 of total latency, TP2)" in plan
    assert table.rows == (("TP2", "3.00", "total latency", "p50", "110", "90.0 to 120", "100", "+10.0 %"),)
    assert document(found).prediction == AGREES
    assert "It finds TP2 the cheapest, but within its stated error." in next(
        claim.sentence for claim in claims(told(run, WITHIN_ERROR)) if claim.topic == "Plan"
    )
    assert "Plan" not in {claim.topic for claim in claims(analyse(*run))}


def test_a_goodput_beside_the_plan_is_called_fitted() -> None:
    """Nobody measured at that very rate."""
    section = settings(degrees=[1, 2], limits=total_limit(310, 75))
    record, samples = planted_run(SEED_EXPERIMENT[:2], section)
    found = told((record, samples, decide(record, samples)), AGREES)
    plan = next(claim.sentence for claim in claims(found) if claim.topic == "Plan")

    assert "TP1 1.00 (0.900 to 1.10) (fitted to its turns: 1.7" in plan
    assert "measured" not in plan
