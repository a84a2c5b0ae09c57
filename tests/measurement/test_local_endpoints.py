"""The local CloudWatch and S3 endpoints as a process."""

import pytest

from optimal_tp.local.endpoints import local_endpoints
from optimal_tp.local.program import BUCKET, Aws


def test_loopback_is_reached_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell may name a proxy and no exception, and a profile that is not there."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with local_endpoints() as endpoint:
        assert Aws(endpoint, prefix="runs/x").s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
