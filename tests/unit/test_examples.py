"""The files of examples/ are what the program takes."""

import pytest
import yaml

from optimal_tp.plan.expectation import foresight
from optimal_tp.plan.traces import read_trace
from optimal_tp.settings.workload import parse_workloads
from tests.fakes_stack_files import ROOT

FOLDER = ROOT / "examples"


def test_the_settings_for_own_servers_are_accepted() -> None:
    """Two degrees under a p95 limit, with so much time to measure that the program warns of nothing."""
    text = (FOLDER / "own-servers.yaml").read_text(encoding="utf-8")
    settings = parse_workloads(yaml.safe_load(text)["workloads"], file="own-servers.yaml")

    assert settings.degrees == (1, 2)
    assert settings.limits.total_latency_ms is not None
    assert settings.limits.total_latency_ms.percentile == pytest.approx(95)
    assert [line for line in foresight(settings, None, settings.candidates, rounds=1) if "warning" in line] == []


def test_the_traffic_is_read_whole() -> None:
    """Every request fits the example's model, so none is left out."""
    trace = read_trace(FOLDER / "traffic.csv")
    model = yaml.safe_load((FOLDER / "own-servers.yaml").read_text(encoding="utf-8"))["workloads"]["model"]

    assert len(trace.shapes) == 200
    assert max(one.prompt_tokens + one.output_tokens for one in trace.shapes) <= model["max_model_len_tokens"]
