"""``Pulumi.sample.yaml`` is the experiment that the sample's README describes."""

import json

import pytest

from optimal_tp.measurement.metrics import NAMESPACE
from tests.fakes_pulumi import recorded
from tests.fakes_workloads import order

pytestmark = pytest.mark.program
FILE = "Pulumi.sample.yaml"


def test_three_servers_run_side_by_side() -> None:
    """One of each degree, named as in the sample, one request at a time, without a pod at first."""
    servers = {
        each.inputs["metadata"]["name"]: each.inputs["spec"]
        for each in recorded(FILE).of_type("apps/v1:Deployment")
        if each.name != "loadgen-pods"
    }
    commands = [spec["template"]["spec"]["containers"][0]["command"] for spec in servers.values()]

    assert sorted(servers) == ["qwen-vllm-tp1", "qwen-vllm-tp2", "qwen-vllm-tp4"]
    assert [spec["replicas"] for spec in servers.values()] == [0, 0, 0]
    assert [command[command.index("--max-num-seqs") + 1] for command in commands] == ["1", "1", "1"]
    assert [command[command.index("--max-model-len") + 1] for command in commands] == ["128", "128", "128"]


def test_the_probe_is_endless_and_has_the_samples_prompt() -> None:
    """Nobody stops the servers, and every request carries the one sentence."""
    asked = order(recorded(FILE))
    kinds = {each.type.rpartition(":")[2] for each in recorded(FILE).resources}

    assert (asked.afterwards, asked.deadline_file) == ("probe", None)
    assert asked.models[0].settings.load.prompt == "seed"
    assert len(asked.models[0].rounds or ()) == 1
    assert "CronJob" not in kinds


def test_metrics_and_dashboard_have_the_samples_names() -> None:
    """Namespace, dimension and the two metrics that the README compares; silence of the probe is an alarm."""
    body = json.loads(recorded(FILE).one("Dashboard dashboard-board").inputs["dashboardBody"])
    rows = [row for widget in body["widgets"] for row in widget["properties"].get("metrics", ())]
    drawn = {(row[0], row[1], row[3]) for row in rows if len(row) > 3}

    assert NAMESPACE == "qwen-vllm-loadgen"
    assert drawn >= {
        (NAMESPACE, metric, model) for metric in ("TotalLatency_ms", "RPS") for model in ("TP1", "TP2", "TP4")
    }
    assert recorded(FILE).one("MetricAlarm dashboard-silent")
