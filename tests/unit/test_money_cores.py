"""Costs, and throughput by what counts as a core."""

import dataclasses
import typing

import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.settings.workload import Price
from optimal_tp.verdict.analysis import Analysis, analyse
from optimal_tp.verdict.costs import usd_per_million
from optimal_tp.verdict.outlook import billed_usd_per_hour
from optimal_tp.verdict.rule import decide
from tests.fakes_analysed import analysed_run
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_run import SEED_EXPERIMENT, Planted, planted_run, price, settings

FOUR_CORES = Price(usd_per_hour=3.6, billed_cores=4, source="a test", date="2026-07-01")


def analysed(
    truths: tuple[Planted, ...] = SEED_EXPERIMENT,
    *,
    place: typing.Literal["local", "cluster"] = "local",
    priced: bool = True,
) -> Analysis:
    """Return the analysis of a planted run."""
    section = settings(degrees=[truth.degree for truth in truths], price=price(3.6, 4) if priced else None)
    if place == "local":
        return analysed_run(truths=truths, section=section, rising=(1, 2))
    record, samples = planted_run(truths, section, rising=(1, 2))
    record = dataclasses.replace(record, place=place)
    return analyse(record, samples, decide(record, samples))


@pytest.mark.parametrize(
    ("degree", "expected"),
    [(1, 2.5), (2, 2.5), (4, 2.5), (8, 2.5)],
    ids=["four servers", "two servers", "one server", "two instances"],
)
def test_cost_fills_billed_units_with_servers(degree: int, expected: float) -> None:
    """At 100 tokens/s per core four cores at $3.60 an hour give a million tokens for $2.50, whatever the degree."""
    assert usd_per_million(FOUR_CORES, degree, 100) == pytest.approx(expected)


def test_stranded_cores_are_paid_for() -> None:
    """Of six billed cores TP4 uses four: half as much again."""
    six = FOUR_CORES.model_copy(update={"billed_cores": 6})

    assert usd_per_million(six, 4, 100) == pytest.approx(3.6 / (4 * 100 * 3600) * 1e6)


@pytest.mark.parametrize("per_core", [None, 0.0])
def test_no_throughput_has_no_cost(per_core: float | None) -> None:
    """None, neither 0 nor infinity."""
    assert usd_per_million(FOUR_CORES, 1, per_core) is None


def test_costs_have_the_range_of_their_throughput() -> None:
    """More tokens per second are fewer dollars per token: the range turns round."""
    costs = analysed().money

    assert costs is not None
    first = costs.tokens[0].in_blocks
    assert first is not None
    assert first.interval.is_above(0.9 * first.value)
    assert first.interval.is_below(1.1 * first.value)
    assert first.value == pytest.approx(3.6 / (4 * 172 * 3600) * 1e6, rel=0.02)
    assert (costs.source, costs.date) == ("a test", "2026-07-01")


def test_the_experiment_pays_for_whole_units() -> None:
    """Seven allocated cores need two units of four; the time is the run's."""
    found = analysed()

    assert billed_usd_per_hour(found.record, FOUR_CORES) == pytest.approx(7.2)
    assert found.money is not None
    assert found.money.experiment_usd == pytest.approx(7.2 * found.record.elapsed_seconds / 3600)


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        (None, 7.2),
        (((TP1, TP2, TP4),), 7.2),
        (((TP1, TP2), (TP4,)), 3.6),
        (((TP1,), (TP2,), (TP4,)), 3.6),
        (((TP1, TP4), (TP2,)), 7.2),
    ],
)
def test_servers_that_take_turns_pay_for_the_largest_turn(
    rounds: tuple[tuple[Candidate, ...], ...] | None, expected: float
) -> None:
    """TP1 and TP2, then TP4, each fit on one unit of four cores: one node is there at a time, not two."""
    record = dataclasses.replace(analysed().record, rounds=rounds)

    assert billed_usd_per_hour(record, FOUR_CORES) == pytest.approx(expected)


def test_a_gated_degree_pays_for_nothing() -> None:
    """It had no server, whatever its turn."""
    record = analysed().record
    degrees = tuple(
        dataclasses.replace(each, gate="no-capacity", reason="x") if each.degree == 4 else each
        for each in record.degrees
    )

    assert billed_usd_per_hour(
        dataclasses.replace(record, degrees=degrees, rounds=((TP1, TP2), (TP4,))), FOUR_CORES
    ) == pytest.approx(3.6)


def test_without_a_price_there_is_no_money() -> None:
    """Cores that cost nothing by the hour are not free: there is simply no figure."""
    assert analysed(priced=False).money is None


def test_four_denominators_on_trainium() -> None:
    """TP2 with two logical cores: two used, four physical, two allocated, four billed."""
    figures = analysed(place="cluster").cores[1]

    assert (figures.used, figures.physical, figures.allocated, figures.billed) == (2, 4, 2, 4)
    assert figures.per_physical == pytest.approx(figures.per_used / 2)
    assert figures.per_billed == pytest.approx(figures.per_used / 2)


def test_physical_and_billed_cores_are_absent_where_they_mean_nothing() -> None:
    """A core of this machine has no LNC, and without a price nothing is billed."""
    figures = analysed(priced=False).cores[0]

    assert (figures.physical, figures.billed, figures.per_physical, figures.per_billed) == (None, None, None, None)


def test_equal_cores_multiply_what_was_not_measured_together() -> None:
    """One server of each degree: four of TP1 are computed, one TP4 was measured."""
    first, second, third = analysed().equal_cores

    assert [(one.servers, one.measured) for one in (first, second, third)] == [(4, False), (2, False), (1, True)]
    assert first.tokens_per_second == pytest.approx(4 * 172, rel=0.02)


def test_a_layout_of_equal_cores_is_measured() -> None:
    """Four replicas of TP1 beside one TP4: both used four cores."""
    truths = (Planted(degree=1, latency_ms=290, replicas=4), Planted(degree=4, latency_ms=205))

    assert [(one.servers, one.measured) for one in analysed(truths).equal_cores] == [(4, True), (1, True)]


def test_equal_cores_hold_one_kind_of_load_against_itself() -> None:
    """With limits a candidate that had one request at a time is left out: it was not loaded as the others were."""
    found = analysed()
    one_at_a_time = dataclasses.replace(found.verdict.degrees[0], concurrency=1)
    verdict = dataclasses.replace(
        found.verdict,
        criterion="goodput",
        degrees=(one_at_a_time, *(dataclasses.replace(one, concurrency=None) for one in found.verdict.degrees[1:])),
    )

    again = analyse(found.record, [], verdict)
    assert [one.degree for one in again.equal_cores] == [2, 4]
    assert again.money is not None
    assert [one.degree for one in again.money.tokens] == [2, 4]


def test_cores_that_nobody_else_gets_are_paid_for() -> None:
    """TP1 on a whole chip of its own: its figures divide by the chip's four cores, and its tokens cost four times."""
    section = settings(price=price(3.6, 4))
    record, samples = planted_run(SEED_EXPERIMENT, section, rising=(1, 2))
    own = tuple(dataclasses.replace(each, cores_used=each.degree, urls=each.urls[:1]) for each in record.degrees)
    alone, whole = (
        analyse(held, samples, decide(held, samples))
        for held in (
            dataclasses.replace(record, degrees=degrees)
            for degrees in (own, tuple(dataclasses.replace(each, cores_used=4, cores_allocated=4) for each in own))
        )
    )

    assert whole.cores[0].per_used == pytest.approx(alone.cores[0].per_used / 4)
    assert alone.money is not None
    assert whole.money is not None
    first = [found.tokens[0].in_blocks for found in (alone.money, whole.money)]
    assert first[0] is not None
    assert first[1] is not None
    assert first[1].value == pytest.approx(4 * first[0].value)
    assert {each.servers for each in whole.equal_cores} == {1}
