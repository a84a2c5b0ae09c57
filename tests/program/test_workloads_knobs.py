"""No dead knobs: every key of the sections ``spend``, ``serving`` and ``loadtest`` shows where it is meant to."""

import functools

import pytest

from optimal_tp.settings.spend import LoadTestSettings, Serving, Spend
from tests.fakes_pulumi import Recording
from tests.fakes_workloads import PROGRAMS, program
from tests.program.test_knobs import Knob, leaves, shown

KNOBS = (
    Knob("spend.budget_usd", 777, "output budget_usd", "777"),
    Knob("spend.keep_running", value=True, where="output cost", shows="keep_running: the servers run on"),
    Knob("serving.namespace", "other", "Namespace experiment", '"name": "other"'),
    Knob("serving.layout", "equal-cores", "Deployment tp4-1-pods", "qwen-vllm-tp4-1"),
    Knob("serving.equal_cores", 8, "Deployment tp1-7-pods", "qwen-vllm-tp1-7"),
    Knob("serving.placement", "isolated", "Deployment tp1-7-pods", '"optimal-tp/planned-node": "qwen-vllm-tp1-7"'),
    Knob("serving.model_source", "s3://models/mine", "Job artifacts-fetch", '"--source", "s3://models/mine"'),
    Knob("serving.shape_as", "Qwen/Qwen3-1.7B", "Job artifacts-fetch", r"\"intermediate\": 6144"),
    Knob("serving.volume_claim", "claim", "Job artifacts-compile-tp4", '"claimName": "claim"'),
    Knob("serving.start_patience_seconds", 600, "Deployment tp4-0-pods", '"failureThreshold": 60'),
    Knob("serving.probe_patience_seconds", 60, "Deployment tp4-0-pods", '"failureThreshold": 3'),
    Knob("serving.stop_patience_seconds", 33, "Deployment tp4-0-pods", '"terminationGracePeriodSeconds": 33'),
    Knob("serving.shared_memory_gib", 2, "Deployment tp4-0-pods", '"sizeLimit": "2Gi"'),
    Knob("serving.run_as_user", 4321, "Deployment tp4-0-pods", '"runAsUser": 4321'),
    Knob(
        "serving.buckets.prompt_tokens",
        [256],
        "Job artifacts-compile-tp4",
        r"\"context_encoding_buckets\": [256, 512]",
    ),
    Knob(
        "serving.buckets.context_tokens",
        [128, 384],
        "Deployment tp4-0-pods",
        r"\"token_generation_buckets\": [128, 384, 512]",
    ),
    Knob("loadtest.run", "second", "Deployment loadgen-pods", '"optimal-tp/run": "second"'),
    Knob("loadtest.image", "example.org/x:1", "Deployment loadgen-pods", '"example.org/x:1"'),
    Knob(
        "loadtest.package_index_url",
        "https://mirror.example/simple",
        "Job artifacts-fetch",
        "https://mirror.example/simple",
    ),
    Knob("loadtest.pods", 2, "Job loadgen-job", '"completionMode": "Indexed"'),
    Knob("loadtest.start_after_seconds", 77, "ConfigMap loadgen-settings", r"\"start_after_seconds\": 77.0"),
    Knob("loadtest.cpu_millicores", 700, "Job loadgen-job", '"cpu": "700m"'),
    Knob("loadtest.memory_mib", 777, "Deployment loadgen-pods", '"memory": "777Mi"'),
    Knob("loadtest.grace_seconds", 77, "Deployment loadgen-pods", '"terminationGracePeriodSeconds": 77'),
    Knob("loadtest.results.bucket", "mine", "Bucket results-bucket", '"bucket": "mine"'),
    Knob("loadtest.results.prefix", "tries", "RolePolicy loadgen-rights", "/tries/*"),
    Knob("loadtest.results.on_destroy", "delete", "Bucket results-bucket", '"forceDestroy": true'),
    Knob("loadtest.results.expire_after_days", 9, "BucketLifecycleConfiguration results-expiry", '{"days": 9}'),
    Knob(
        "loadtest.alarms.topic_arn",
        "arn:aws:sns:ap-southeast-4:111122223333:people",
        "MetricAlarm dashboard-silent",
        "111122223333:people",
    ),
    Knob("loadtest.alarms.silent_after_minutes", 21, "MetricAlarm dashboard-silent", '"evaluationPeriods": 21'),
)
ELSEWHERE = {
    "serving.config_file": "instead of shape_as, in test_hub_token.py and test_model_sizes.py",
    "serving.when_nodes_are_few": "a refusal, in test_workloads.py",
    **dict.fromkeys(
        (f"spend.expected_minutes.{part}" for part in ("cluster", "compile", "start", "leave")),
        "one by one in test_cost.py",
    ),
}


@functools.cache
def all_turned() -> Recording:
    """Return one run with every knob turned, on nodes enough for it."""
    changes = {knob.path.replace(".", "__"): knob.value for knob in KNOBS}
    load = {"request_timeout_seconds": 1, "rates_per_second_per_core": [16]}
    model = {"max_model_len_tokens": 512}  # above the buckets
    return program(infra__neuron__maximum_nodes=20, workloads__load=load, workloads__model=model, **changes)


def test_every_key_is_a_knob() -> None:
    """No key is missing from the tests of this module."""
    keys = {*leaves(Spend, "spend."), *leaves(Serving, "serving."), *leaves(LoadTestSettings, "loadtest.")}

    assert {knob.path for knob in KNOBS} | set(ELSEWHERE) == keys


@pytest.mark.parametrize("knob", KNOBS, ids=[knob.path for knob in KNOBS])
def test_knob(knob: Knob) -> None:
    """A key's other value shows where it should, and did not show before."""
    assert knob.shows in shown(all_turned(), knob.where)
    assert knob.shows not in shown(PROGRAMS["one-each"](), knob.where)


def test_an_image_of_ones_own_installs_nothing() -> None:
    """With an image that has the dependencies there is no init container."""
    before, after = (
        recording.one("Deployment loadgen-pods").inputs["spec"]["template"]["spec"]
        for recording in (PROGRAMS["one-each"](), all_turned())
    )

    assert len(before["initContainers"]) == 1
    assert "initContainers" not in after
