"""The alarms beside the dashboard."""

import typing

from optimal_tp.measurement.metrics import BY_NAME, NAMESPACE
from tests.fakes_workloads import PROGRAMS, program


def alarm(name: str) -> dict[str, typing.Any]:
    """Return an alarm's inputs, where the servers are probed for ever."""
    return program(spend__keep_running=True).one(f"MetricAlarm {name}").inputs


def test_a_void_turn_raises_an_alarm_per_degree() -> None:
    """The least RunValid of a minute below 1 is a turn that failed; a degree that is not measured is none."""
    inputs = alarm("dashboard-void-tp2")

    assert (inputs["namespace"], inputs["metricName"], inputs["dimensions"]) == (
        NAMESPACE,
        "RunValid",
        {"Model": "TP2"},
    )
    assert inputs["statistic"] in BY_NAME["RunValid"].statistics
    assert (inputs["comparisonOperator"], inputs["threshold"]) == ("LessThanThreshold", 1)
    assert inputs["treatMissingData"] == "notBreaching"


def test_silence_of_all_degrees_raises_an_alarm() -> None:
    """One degree at work is enough; no data at all is the alarm, not its absence."""
    inputs = alarm("dashboard-silent")
    returned = [query for query in inputs["metricQueries"] if query["returnData"]]
    watched = [query["metric"] for query in inputs["metricQueries"] if not query["returnData"]]

    assert [query["expression"] for query in returned] == ["SUM(METRICS())"]
    assert {metric["dimensions"]["Model"] for metric in watched} == {"TP1", "TP2", "TP4"}
    assert {metric["metricName"] for metric in watched} == {"OfferedRPS"}
    assert inputs["treatMissingData"] == "breaching"
    assert inputs["evaluationPeriods"] == inputs["datapointsToAlarm"] == 15


def test_names_are_the_stacks_own() -> None:
    """Dashboards and alarms share one namespace per account, so their names carry the cluster's."""
    recording = PROGRAMS["one-each"]()
    names = [each.inputs["name"] for each in recording.of_type("MetricAlarm")]
    board = recording.one("Dashboard dashboard-board").inputs["dashboardName"]

    assert all(name.startswith("optimal-tp-dev-") for name in names)
    assert board == "optimal-tp-dev"
