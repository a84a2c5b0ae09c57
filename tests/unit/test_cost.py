"""What the experiment costs before it starts, and what its budget pays for."""

import dataclasses

import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.facts.hardware import INSTANCE_TYPES
from optimal_tp.plan.cost import Forecast, HourlyCost, forecast
from optimal_tp.plan.feasibility import feasible_plan
from optimal_tp.settings.spend import parse_spend
from optimal_tp.settings.stack_file import ClusterSettings, parse_cluster

FILE = "Pulumi.dev.yaml"
HALF_AN_HOUR = {"decision": {"budget_seconds": 1800}}
TWO_NODES = HourlyCost(node_usd=2.25, nodes=2, idle_usd=0.3466)


def foreseen(
    *,
    nodes: int = 2,
    empty_minutes: int = 10,
    traffic_usd: float = 0.0,
    sections: dict[str, object] | None = None,
    **spend: object,
) -> Forecast:
    """Return the forecast of the AWS sample's experiment on ``nodes`` trn2.3xlarge with half an hour to decide."""
    asked = {"serving": {"layout": "one-each"}, "workloads": HALF_AN_HOUR, **(sections or {})}
    settings: ClusterSettings = parse_cluster(asked, file=FILE)
    plan = feasible_plan(settings, INSTANCE_TYPES["trn2.3xlarge"], maximum_nodes=nodes, file=FILE)
    cost = HourlyCost(node_usd=2.25, nodes=plan.nodes, idle_usd=0.3466)
    section = parse_spend({"budget_usd": 20, **spend}, file=FILE)
    return forecast(settings, plan, cost, section, empty_minutes=empty_minutes, traffic_usd=traffic_usd)


def test_an_hour_is_nodes_and_what_runs_beside_them() -> None:
    """Two nodes at their price, and the rest."""
    assert TWO_NODES.now_usd == pytest.approx(4.8466)
    assert TWO_NODES.sentence() == (
        "about 4.85 USD an hour while serving (2 x 2.25 for Neuron), 0.35 USD an hour idle "
        "(control plane, system nodes, NAT: an estimate)"
    )


def test_the_whole_is_set_up_measurement_and_leaving() -> None:
    """25 min without nodes; 30 min to compile, three starts of 10, 30 to measure, 10 empty and 10 to leave."""
    assert foreseen().usd == pytest.approx(25 / 60 * 0.3466 + 110 / 60 * 4.8466)


def test_each_round_compiles_and_starts() -> None:
    """On one node two rounds follow each other, and each starts three times: twice the set-up, half the nodes."""
    turns = foreseen(nodes=1)

    assert turns.setup_hours == pytest.approx(2 * 60 / 60)
    assert turns.cost.now_usd == pytest.approx(2.25 + 0.3466)


def test_several_load_generators_wait_for_their_start() -> None:
    """Ten minutes until all are there are ten minutes of nodes; one load generator waits for nobody."""
    workloads = {"load": {"request_timeout_seconds": 5, "concurrency": [8]}, "decision": {"budget_seconds": 7200}}
    alone, together = (
        foreseen(sections={"workloads": workloads, "loadtest": {"pods": pods, "start_after_seconds": 600}})
        for pods in (1, 2)
    )

    assert together.measuring_hours - alone.measuring_hours == pytest.approx(1 / 6)


def test_several_load_generators_start_their_servers_once() -> None:
    """They keep to a clock, which knows nothing of a server that is started anew."""
    workloads = {"load": {"request_timeout_seconds": 5, "concurrency": [8]}, "decision": {"budget_seconds": 7200}}
    alone, together = (foreseen(sections={"workloads": workloads, "loadtest": {"pods": pods}}) for pods in (1, 2))

    assert alone.setup_hours - together.setup_hours == pytest.approx(2 * 10 / 60)


@pytest.mark.parametrize(
    ("part", "usd_per_hour"), [("cluster", 0.3466), ("compile", 4.8466), ("start", 3 * 4.8466), ("leave", 4.8466)]
)
def test_each_part_counts(part: str, usd_per_hour: float) -> None:
    """Six minutes are a tenth of an hour: with the nodes, or before them; servers start three times."""
    without, with_it = (foreseen(expected_minutes={part: minutes}) for minutes in (0, 6))

    assert with_it.usd - without.usd == pytest.approx(usd_per_hour / 10)


def test_the_budget_pays_until_the_last_node_is_gone() -> None:
    """Servers that stop when the budget says so leave enough of it for their nodes to go."""
    found = foreseen()
    spent = 25 / 60 * 0.3466 + (found.stop_after_seconds / 3600 + found.leaving_hours) * 4.8466

    assert spent == pytest.approx(20, abs=0.01)
    assert spent <= 20


def test_a_long_wait_before_empty_nodes_go_is_paid_for() -> None:
    """50 minutes more of two empty nodes cost 4 USD, and the servers stop that much earlier."""
    early, late = foreseen(empty_minutes=60), foreseen()

    assert early.usd - late.usd == pytest.approx(50 / 60 * 4.8466)
    assert late.stop_after_seconds - early.stop_after_seconds == pytest.approx(50 * 60, abs=1)


def test_a_large_budget_does_not_wait_for_what_hangs() -> None:
    """With money for days everything stops when fetch, Jobs, every start and measurement have used their patience."""
    assert foreseen(budget_usd=1000).stop_after_seconds == (1 + 1 + 3) * (85 * 60 + 20 * 60) + 1800


def test_more_than_the_budget_is_refused() -> None:
    """The sentence has the budget, what is expected, at which price, and what to do."""
    with pytest.raises(SettingsError) as refused:
        foreseen(budget_usd=5).keep_within_budget(FILE)

    assert str(refused.value) == (
        "Pulumi.dev.yaml spend.budget_usd: must cover the expected cost, 9.03 USD (about 4.85 USD an hour while "
        "serving (2 x 2.25 for Neuron), 0.35 USD an hour idle (control plane, system nodes, NAT: an estimate)) "
        "(got 5); raise it or lower workloads.decision.budget_seconds or the number of nodes"
    )


def test_what_the_budget_just_holds_is_not_refused() -> None:
    """The budget itself may be spent."""
    foreseen(budget_usd=foreseen().usd).keep_within_budget(FILE)


def test_people_read_what_it_costs_and_when_it_ends() -> None:
    """The preview says the hour, the whole and the stop."""
    assert foreseen().lines()[1:] == [
        (
            "expected: about 9.03 USD of a budget of 20 (1.0 h to compile and start, 0.5 h to measure at most, "
            "0.3 h until nodes are gone)"
        ),
        (
            "stop: servers stop with the verdict, at the latest 3.8 h after the first Neuron node can launch; the "
            "nodes cost 1.62 USD more until they are gone"
        ),
    ]


def test_a_capacity_block_is_priced_beside_what_is_used_of_it() -> None:
    """Two nodes for a day, whatever the experiment uses; the dollars of the experiment stay what they are."""
    plain, reserved = foreseen(), dataclasses.replace(foreseen(), block_hours=24)

    assert reserved.lines() == [
        *plain.lines()[:2],
        (
            "a Capacity Block for it costs at least 108.00 USD (24 h of 2 x 2.25 USD an hour), paid in full when you "
            "buy it; the budget counts only the hours that you use"
        ),
        *plain.lines()[2:],
    ]
    assert reserved.usd == plain.usd


def test_the_hours_are_those_of_all_parts() -> None:
    """25 min without nodes; 60 to compile and start, 30 to measure, 10 empty and 10 to leave."""
    assert foreseen().hours == pytest.approx(135 / 60)


def test_an_endless_probe_is_said_to_be_one() -> None:
    """Who keeps the servers running is told what each hour costs and that no budget ends it."""
    assert foreseen(keep_running=True).lines()[-1] == (
        "keep_running: the servers run on after the verdict. Each hour costs 4.85 USD, and no budget ends it"
    )


def test_images_through_nat_are_paid_for() -> None:
    """They are in the whole, in what is left of the budget, and said."""
    without, with_it = foreseen(), foreseen(traffic_usd=0.87)

    assert with_it.usd - without.usd == pytest.approx(0.87)
    assert without.stop_after_seconds - with_it.stop_after_seconds == pytest.approx(0.87 / 4.8466 * 3600, abs=1)
    assert with_it.lines()[1].endswith("until nodes are gone, 0.87 USD for images and weights through NAT)")


RULE = "must be above 0: it is the most that the hours in use may cost, in USD"


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        (None, f"{FILE} spend.budget_usd: must be set"),
        ({}, f"{FILE} spend.budget_usd: must be set"),
        ({"budget_usd": 0}, f"{FILE} spend.budget_usd: {RULE} (got 0)"),
        ({"budget_usd": -3}, f"{FILE} spend.budget_usd: {RULE} (got -3)"),
        ({"budget_usd": float("inf")}, f"{FILE} spend.budget_usd: must be a finite number (got inf)"),
    ],
    ids=["no section", "missing", "zero", "negative", "endless"],
)
def test_a_budget_that_is_none(section: object, sentence: str) -> None:
    """One sentence: what it is, the rule, the remedy."""
    with pytest.raises(SettingsError) as refused:
        parse_spend(section, file=FILE)

    assert str(refused.value) == sentence
