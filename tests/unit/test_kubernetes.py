"""What a pod may ask of the Kubernetes API, on loopback."""

import pathlib

import pytest

from optimal_tp.errors import ServerFailed
from tests.fakes_kubernetes import FakeCluster, served

POD = "/api/v1/namespaces/optimal-tp/pods/tp1-a"
CLAIM = "/apis/karpenter.sh/v1/nodeclaims/neuron-x"


def test_pods_and_their_logs_are_of_the_core_api(tmp_path: pathlib.Path) -> None:
    """It has no group in its path, and a log is a text."""
    log = f"{POD}/log?tailLines=2"
    with served(FakeCluster(objects={POD: {"kind": "Pod"}, log: "one\ntwo\n"}), tmp_path) as namespace:
        assert namespace.ask("tell of tp1-a", "v1", "pods/tp1-a") == {"kind": "Pod"}
        assert namespace.read("read the log of tp1-a", "pods/tp1-a/log?tailLines=2") == "one\ntwo\n"


def test_what_is_removed_twice_is_gone_once(tmp_path: pathlib.Path) -> None:
    """A pod and a node's claim are deleted; one that is gone already is what was wanted."""
    cluster = FakeCluster(objects={POD: {}, CLAIM: {}})
    with served(cluster, tmp_path) as namespace:
        for _ in range(2):
            namespace.remove("delete tp1-a", "v1", "pods/tp1-a")
            namespace.remove_from_cluster("delete neuron-x", "karpenter.sh/v1/nodeclaims/neuron-x")

    assert cluster.objects == {}
    assert cluster.asked == [("DELETE", POD), ("DELETE", CLAIM)] * 2


def test_a_refused_removal_is_said(tmp_path: pathlib.Path) -> None:
    """Without the right to it, the API server's own words are in the sentence."""
    said = pytest.raises(ServerFailed, match=r"^the Kubernetes API did not delete tp1-a: 403 .*forbidden")
    with served(FakeCluster(objects={POD: {}}, refused={POD}), tmp_path) as namespace, said:
        namespace.remove("delete tp1-a", "v1", "pods/tp1-a")
