"""What a conductor asks of the Kubernetes API, and what it changes there."""

import collections.abc
import dataclasses
import json
import pathlib
import typing

import pytest

from optimal_tp.cluster import sightings
from optimal_tp.cluster.controls import Controls
from optimal_tp.errors import ServerFailed
from optimal_tp.pods.kubernetes import Namespace, own_namespace
from tests.fakes_http import Answering, listening
from tests.fakes_kubernetes import FakeCluster, served

JOBS = "/apis/batch/v1/namespaces/optimal-tp/jobs"


class Cluster(Answering):
    """An API server and the vLLM servers behind it, as far as turns need them, on one port of loopback."""

    replicas: typing.ClassVar[dict[str, int]] = {}
    asked: typing.ClassVar[list[tuple[str, str, str]]] = []
    refuses: typing.ClassVar[bool] = False
    ailing: typing.ClassVar[bool] = False

    def answer(self, method: str) -> None:
        """Scale a Deployment, or refuse; be healthy, or not."""
        if method == "GET":
            self.tell(503 if self.ailing else 200)
            return
        body = json.loads(self.content())
        name = self.path.split("/")[-2]
        self.asked.append((self.path, self.headers["authorization"], self.headers["content-type"]))
        if self.refuses:
            self.tell(403, b'{"message": "forbidden"}')
            return
        self.replicas[name] = body["spec"]["replicas"]
        self.tell(200, b"{}")


@pytest.fixture
def api(tmp_path: pathlib.Path) -> collections.abc.Iterator[Controls]:
    """Return the scale subresource of a cluster on loopback."""
    Cluster.replicas.clear()
    Cluster.asked.clear()
    Cluster.refuses = Cluster.ailing = False
    (tmp_path / "token").write_text("secret\n")
    with listening(Cluster) as url:
        yield Controls(
            namespace=Namespace(url=url, namespace="optimal-tp", token_file=tmp_path / "token", certificate=None)
        )


def test_scaling_is_one_patch_with_the_pods_own_token(api: Controls) -> None:
    """The scale subresource of one Deployment of the namespace, as a merge patch."""
    api.scale("qwen-vllm-tp4", 1)

    assert Cluster.asked == [
        (
            "/apis/apps/v1/namespaces/optimal-tp/deployments/qwen-vllm-tp4/scale",
            "Bearer secret",
            "application/merge-patch+json",
        )
    ]
    assert Cluster.replicas == {"qwen-vllm-tp4": 1}


def test_a_refusal_says_what_the_api_server_said(api: Controls) -> None:
    """Without the right to scale, the reason is in the sentence."""
    Cluster.refuses = True

    with pytest.raises(ServerFailed, match=r"did not scale qwen-vllm-tp4 to 1: 403 .*forbidden"):
        api.scale("qwen-vllm-tp4", 1)


def test_nobody_answers(tmp_path: pathlib.Path) -> None:
    """An API server that cannot be reached is one clear sentence."""
    (tmp_path / "token").write_text("secret")
    nowhere = Controls(
        namespace=Namespace(url="http://127.0.0.1:1", namespace="n", token_file=tmp_path / "token", certificate=None)
    )

    with pytest.raises(ServerFailed, match=r"the Kubernetes API at http://127\.0\.0\.1:1 did not scale tp1 to 1: "):
        nowhere.scale("tp1", 1)


def test_outside_a_pod_there_is_no_account(tmp_path: pathlib.Path) -> None:
    """The sentence says what is missing."""
    with pytest.raises(ServerFailed, match="options that use Kubernetes must run in a pod with a service account: "):
        own_namespace(tmp_path)


def test_inside_a_pod_everything_is_read_from_its_account(tmp_path: pathlib.Path) -> None:
    """Namespace, token and certificate are where Kubernetes puts them."""
    for name in ("namespace", "token", "ca.crt"):
        (tmp_path / name).write_text(f"{name}\n")
    found = own_namespace(tmp_path)

    assert (found.namespace, found.token_file, found.certificate) == (
        "namespace",
        tmp_path / "token",
        tmp_path / "ca.crt",
    )


def test_a_job_is_suspended_unless_it_has_ended(tmp_path: pathlib.Path) -> None:
    """One that is over, or suspended, is left as it is; one that is resumed takes what its pods are to know."""
    jobs = {
        "runs": {"metadata": {"name": "runs"}, "spec": {"suspend": False}, "status": {}},
        "waits": {"metadata": {"name": "waits"}, "spec": {"suspend": True}, "status": {}},
        "over": {
            "metadata": {"name": "over"},
            "spec": {"suspend": False},
            "status": {"conditions": [{"type": "Failed", "status": "True", "message": "backoff"}]},
        },
    }
    cluster = FakeCluster(objects={f"{JOBS}/{name}": job for name, job in jobs.items()})
    with served(cluster, tmp_path) as namespace:
        controls = Controls(namespace=namespace)
        for name in jobs:
            controls.suspend(name)
        controls.resume("waits", {"optimal-tp/run": "x"})
        ended = controls.job("over")

    assert cluster.changed == [f"{JOBS}/runs", f"{JOBS}/waits"]
    assert jobs["runs"]["spec"] == {"suspend": True}
    assert jobs["waits"]["spec"] == {"suspend": False}
    assert jobs["waits"]["metadata"] == {"name": "waits", "annotations": {"optimal-tp/run": "x"}}
    assert (ended.ending, ended.message) == ("Failed", "backoff")


def test_pods_and_nodes_are_found_by_their_labels(tmp_path: pathlib.Path) -> None:
    """A server's pods by ``app``, a Job's by its name, Karpenter's nodes by their pool; the oldest pod first."""
    pods = [
        {"metadata": {"name": name, "creationTimestamp": f"2026-11-24T12:0{minute}:00Z"}}
        for name, minute in (("b", 2), ("a", 1))
    ]
    core = "/api/v1/namespaces/optimal-tp/pods?labelSelector="
    claims = "/apis/karpenter.sh/v1/nodeclaims?labelSelector=karpenter.sh%2Fnodepool%3Dneuron"
    objects = {
        f"{core}batch.kubernetes.io%2Fjob-name%3Dtp1-compile": {"items": pods},
        "/apis/apps/v1/namespaces/optimal-tp/deployments/tp1/scale": {"spec": {"replicas": 1}},
        claims: {"items": [{"metadata": {"name": "neuron-x"}}]},
    }
    with served(FakeCluster(objects=objects), tmp_path) as namespace:
        controls = Controls(namespace=namespace)
        servers, compiling = controls.pods_of_server("tp1"), controls.pods_of_job("tp1-compile")
        (found,) = controls.claims("neuron")

    assert ([pod.name for pod in servers], [pod.name for pod in compiling]) == (["tp1-a"], ["a", "b"])
    assert (found.name, found.launched, found.is_initialised) == ("neuron-x", None, False)


def test_a_log_that_cannot_be_read_is_empty(tmp_path: pathlib.Path) -> None:
    """A container that has not run has none, and no word hangs on it."""
    pod = sightings.pod({"metadata": {"name": "a", "creationTimestamp": "2026-11-24T12:00:00Z"}})
    path = "/api/v1/namespaces/optimal-tp/pods/a/log?tailLines=200&limitBytes=200000"
    with served(FakeCluster(objects={path: "one\n", f"{path}&previous=true": "before\n"}), tmp_path) as namespace:
        controls = Controls(namespace=namespace)
        logs = [controls.log(pod), controls.log(pod, previous=True), controls.log(dataclasses.replace(pod, name="b"))]

    assert logs == ["one\n", "before\n", ""]
