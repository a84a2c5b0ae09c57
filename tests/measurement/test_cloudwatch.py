"""What is published to CloudWatch comes back out of its own statistics."""

import datetime as dt
import pathlib

import boto3
import moto
import pytest

from optimal_tp.measurement.metrics import NAMESPACE
from optimal_tp.telemetry.minutes import Minutes
from optimal_tp.telemetry.publish import Outbox, Publisher
from tests.fakes_samples import make_sample

MINUTE = 1_800_000_000 // 60 * 60


def test_moto_takes_what_boto3_sends(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client accepts the requests, and the numbers come back out of CloudWatch's own statistics."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with moto.mock_aws():
        client = boto3.client("cloudwatch", region_name="us-east-2")
        made = Minutes(origin_epoch_seconds=MINUTE, settle_seconds=0)
        for request in range(4):
            made.add(make_sample(intended_seconds=request, end_seconds=request + 0.1 * (request + 1)))
        publisher = Publisher(made, client, Outbox(tmp_path, print), print, failures=(OSError,))
        waiting = publisher.finish()
        answer = client.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName="TotalLatency_ms",
            Dimensions=[{"Name": "Model", "Value": "TP1"}],
            StartTime=dt.datetime.fromtimestamp(MINUTE - 60, dt.UTC),
            EndTime=dt.datetime.fromtimestamp(MINUTE + 120, dt.UTC),
            Period=60,
            Statistics=["Sum", "SampleCount", "Maximum"],
        )
        point = answer["Datapoints"][0]

    assert waiting == 0
    assert point["SampleCount"] == 4
    assert point["Sum"] == pytest.approx(1000)
    assert point["Maximum"] == pytest.approx(400)
