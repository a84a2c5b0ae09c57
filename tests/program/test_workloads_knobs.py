"""No dead knobs: every key of the sections ``spend``, ``serving`` and ``loadtest`` shows where it is meant to."""

import functools
import json

import pytest

from optimal_tp.settings.sections import Spend
from optimal_tp.settings.stack_file import LoadTest, Serving
from tests.fakes_pulumi import Recording
from tests.fakes_schemas import whole
from tests.fakes_workloads import PROGRAMS, program
from tests.program.test_knobs import Knob, leaves

KNOBS = (
    Knob(path="spend.budget_usd", value=777, where="output budget_usd", shows="777"),
    Knob(path="spend.keep_running", value=True, where="output cost", shows="keep_running: nobody stops the servers"),
    Knob(path="serving.namespace", value="other", where="Namespace experiment", shows='"name": "other"'),
    Knob(path="serving.layout", value="equal-cores", where="Deployment tp4-1-pods", shows="qwen-vllm-tp4-1"),
    Knob(path="serving.equal_cores", value=8, where="Deployment tp1-7-pods", shows="qwen-vllm-tp1-7"),
    Knob(
        path="serving.placement",
        value="isolated",
        where="Deployment tp1-7-pods",
        shows='"optimal-tp/planned-node": "qwen-vllm-tp1-7"',
    ),
    Knob(
        path="serving.model_source",
        value="s3://models/mine",
        where="Job artifacts-fetch",
        shows='"--source", "s3://models/mine"',
    ),
    Knob(path="serving.shape_as", value="Qwen/Qwen3-1.7B", where="Job artifacts-fetch", shows="Qwen/Qwen3-1.7B"),
    Knob(path="serving.volume_claim", value="claim", where="Job artifacts-compile-tp4", shows='"claimName": "claim"'),
    Knob(
        path="serving.start_patience_seconds", value=600, where="Deployment tp4-0-pods", shows='"failureThreshold": 60'
    ),
    Knob(path="serving.probe_patience_seconds", value=60, where="Deployment tp4-0-pods", shows='"failureThreshold": 3'),
    Knob(
        path="serving.stop_patience_seconds",
        value=33,
        where="Deployment tp4-0-pods",
        shows='"terminationGracePeriodSeconds": 33',
    ),
    Knob(path="serving.shared_memory_gib", value=2, where="Deployment tp4-0-pods", shows='"sizeLimit": "2Gi"'),
    Knob(path="serving.run_as_user", value=4321, where="Deployment tp4-0-pods", shows='"runAsUser": 4321'),
    Knob(path="loadtest.run", value="second", where="Deployment loadgen-pods", shows='"optimal-tp/run": "second"'),
    Knob(path="loadtest.image", value="example.org/x:1", where="Deployment loadgen-pods", shows='"example.org/x:1"'),
    Knob(
        path="loadtest.package_index_url",
        value="https://mirror.example/simple",
        where="Job artifacts-fetch",
        shows="https://mirror.example/simple",
    ),
    Knob(path="loadtest.pods", value=2, where="Job loadgen-job", shows='"completionMode": "Indexed"'),
    Knob(
        path="loadtest.start_after_seconds",
        value=77,
        where="ConfigMap loadgen-settings",
        shows=r"\"start_after_seconds\": 77.0",
    ),
    Knob(path="loadtest.cpu_millicores", value=700, where="Job loadgen-job", shows='"cpu": "700m"'),
    Knob(path="loadtest.memory_mib", value=777, where="Deployment loadgen-pods", shows='"memory": "777Mi"'),
    Knob(
        path="loadtest.grace_seconds",
        value=77,
        where="Deployment loadgen-pods",
        shows='"terminationGracePeriodSeconds": 77',
    ),
    Knob(path="loadtest.results.bucket", value="mine", where="Bucket results-bucket", shows='"bucket": "mine"'),
    Knob(path="loadtest.results.prefix", value="tries", where="RolePolicy loadgen-rights", shows="/tries/*"),
    Knob(
        path="loadtest.results.on_destroy", value="delete", where="Bucket results-bucket", shows='"forceDestroy": true'
    ),
    Knob(
        path="loadtest.results.expire_after_days",
        value=9,
        where="BucketLifecycleConfiguration results-expiry",
        shows='{"days": 9}',
    ),
    Knob(
        path="loadtest.alarms.topic_arn",
        value="arn:aws:sns:ap-southeast-4:111122223333:people",
        where="MetricAlarm dashboard-silent",
        shows="111122223333:people",
    ),
    Knob(
        path="loadtest.alarms.silent_after_minutes",
        value=21,
        where="MetricAlarm dashboard-silent",
        shows='"evaluationPeriods": 21',
    ),
)
ELSEWHERE = {
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
    load = {"request_timeout_seconds": 1, "concurrency": [64]}
    return program(infra__neuron__maximum_nodes=20, workloads__load=load, **changes)


def shown(recording: Recording, key: str) -> str:
    """Return the inputs of a resource, or a stack output, as text; nothing where it is not made."""
    if key.startswith("output "):
        return json.dumps(recording.outputs[key.removeprefix("output ")])
    return "".join(json.dumps(whole(each.inputs)) for each in recording.resources if each.key == key)


def test_every_key_is_a_knob() -> None:
    """No key is missing from the tests of this module."""
    keys = {*leaves(Spend, "spend."), *leaves(Serving, "serving."), *leaves(LoadTest, "loadtest.")}

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
