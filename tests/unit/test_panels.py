"""The dashboard's body: whole, within CloudWatch's limits, and made from the metric table alone."""

import itertools
import json
import typing

import pytest

from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.metrics import BY_NAME, METRICS, NAMESPACE
from optimal_tp.settings.workload import Limit, Limits
from workloads.manifests.panels import GRID_COLUMNS, Board, Body, dashboard_body

LIMITS = Limits(total_latency_ms=Limit(percentile=99, at_most_ms=400))
# CloudWatch user guide, "Dashboard body structure and syntax" and "Service quotas", read 2026-11.
MOST_WIDGETS, MOST_METRICS_OF_A_WIDGET, MOST_METRICS = 500, 500, 2500


def body(degrees: tuple[int, ...] = (1, 2, 4), usd_per_hour: float | None = 4.5) -> Body:
    """Return the body for ``degrees``."""
    board = Board(title="", slug="", candidates=tuple(map(Candidate, degrees)), limits=LIMITS)
    return dashboard_body([board], region="ap-southeast-4", usd_per_hour=usd_per_hour)


def broken(found: Body) -> list[str]:
    """Return the rules of CloudWatch that ``found`` breaks."""
    problems = []
    widgets = found["widgets"]
    rows = [row for widget in widgets for row in widget["properties"].get("metrics", ())]
    if len(widgets) > MOST_WIDGETS or len(rows) > MOST_METRICS:
        problems.append("too many widgets or metrics")
    for widget in widgets:
        if widget["x"] < 0 or widget["x"] + widget["width"] > GRID_COLUMNS or widget["y"] < 0 or widget["height"] < 1:
            problems.append(f"off the grid: {widget['x']}, {widget['y']}")
        if len(widget["properties"].get("metrics", ())) > MOST_METRICS_OF_A_WIDGET:
            problems.append("too many metrics in a widget")
    for one, other in itertools.combinations(widgets, 2):
        if (
            one["x"] < other["x"] + other["width"]
            and other["x"] < one["x"] + one["width"]
            and one["y"] < other["y"] + other["height"]
            and other["y"] < one["y"] + one["height"]
        ):
            problems.append(f"overlap at {one['x']}, {one['y']}")
    for row in rows:
        *words, options = row
        is_expression = "expression" in options
        if (is_expression and words) or (not is_expression and (len(words) < 2 or len(words) % 2)):
            problems.append(f"no metric row: {row}")
    return problems


def widget(found: Body, title: str) -> dict[str, typing.Any]:
    """Return the properties of the one widget whose title begins so."""
    (properties,) = [
        each["properties"] for each in found["widgets"] if each["properties"].get("title", "").startswith(title)
    ]
    return dict(properties)


@pytest.mark.parametrize("degrees", [(1,), (1, 2, 4), (1, 2, 4, 8, 16, 32, 64)], ids=str)
def test_the_body_is_within_cloudwatchs_limits(degrees: tuple[int, ...]) -> None:
    """On the grid, nothing overlaps, no limit is passed, every row is a metric or an expression."""
    assert broken(body(degrees)) == []
    assert json.loads(json.dumps(body(degrees))) == body(degrees)


@pytest.mark.parametrize(
    ("change", "problem"),
    [({"x": 20}, "off the grid: 20, 3"), ({"y": 4, "x": 12}, "overlap at 12, 4")],
    ids=["off the grid", "overlapping"],
)
def test_a_broken_body_is_found(change: dict[str, int], problem: str) -> None:
    """The check above fails on a widget that is moved."""
    found = body()
    found["widgets"][1] |= change

    assert problem in broken(found)


def test_every_metric_of_the_table_is_drawn_for_every_degree() -> None:
    """No metric that is published goes unseen, and none is drawn that is not published."""
    rows = [row for each in body()["widgets"] for row in each["properties"].get("metrics", ()) if row[0] == NAMESPACE]
    drawn = {(row[1], row[row.index("Model") + 1]) for row in rows}

    assert drawn == {(metric.name, f"TP{degree}") for metric in METRICS for degree in (1, 2, 4)}


def test_latency_is_drawn_beside_its_limit() -> None:
    """The line says what it is: the share of requests and the milliseconds."""
    assert widget(body(), "Total latency")["annotations"] == {
        "horizontal": [{"label": "limit: 99 % of requests", "value": 400}]
    }
    assert "annotations" not in widget(body(), "Time to first token")


def test_offered_and_achieved_rates_share_a_widget() -> None:
    """Three lines a degree: achieved, offered, failed."""
    labels = [row[-1]["label"] for row in widget(body(), "Requests per second")["metrics"]]

    assert labels[:3] == ["TP1 achieved", "TP1 offered", "TP1 failed"]
    assert len(labels) == 9


def test_rates_of_several_load_generators_add_up() -> None:
    """Each publishes its own rate once a minute: their sum over that minute is the load, their average is not."""
    rates = widget(body(), "Requests per second")

    assert {row[-1]["stat"] for row in rates["metrics"]} == {"Sum"}
    assert rates["period"] == 60
    assert BY_NAME["RPS"].statistics == BY_NAME["OfferedRPS"].statistics == ("Sum",)


def test_titles_say_which_way_is_better() -> None:
    """A reader need not know the metric."""
    titles = [each["properties"].get("title", "") for each in body()["widgets"]]

    assert "Output tokens per second and core (higher is better)" in titles
    assert "Time to first token (lower is better)" in titles


def test_the_cost_needs_a_price() -> None:
    """Without one nothing is drawn: no data is never 0."""
    titles = [each["properties"].get("title", "") for each in body(usd_per_hour=None)["widgets"]]

    assert "4.5" in widget(body(), "Neuron nodes' cost")["metrics"][-1][0]["expression"]
    assert not any("cost" in title for title in titles)
