"""Real Karpenter on a real control plane: its ``kwok`` program simulates the instances, kwok the kubelets."""

import collections.abc
import contextlib
import json
import pathlib
import subprocess

from optimal_tp.facts.hardware import INSTANCE_TYPES, NEURONCORE_RESOURCE
from optimal_tp.servers.node_pool import EFS_STARTUP_TAINT
from tests.engines.fakes_api_server import ControlPlane, _end
from tests.engines.fakes_cluster import Manifest, define_karpenter
from tests.engines.fakes_engines import KARPENTER, where
from tests.engines.fakes_region import KEYS, Region

CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
_FAKE_NODE = "kwok.x-k8s.io/node=fake"
_TYPE = "node.kubernetes.io/instance-type"
_MERGE = "application/merge-patch+json"


def _beside(program: str) -> pathlib.Path:
    return pathlib.Path(program).parent / KARPENTER.beside


@contextlib.contextmanager
def karpenter(
    plane: ControlPlane, region: Region, gates: collections.abc.Mapping[str, bool]
) -> collections.abc.Iterator[None]:
    """Run Karpenter and the kubelets of what it launches. ``gates`` are its feature gates as its chart names them."""
    program = str(where("karpenter"))
    define_karpenter(plane, _beside(program))
    kubeconfig = str(plane.folder / "kubeconfig")
    environment = {
        **KEYS,
        "HOME": str(plane.folder),
        "KUBECONFIG": kubeconfig,
        "AWS_REGION": region.name,
        "AWS_ENDPOINT_URL": region.url,
        "SYSTEM_NAMESPACE": "kube-system",
        "CLUSTER_NAME": region.cluster,
        "CLUSTER_ENDPOINT": plane.url,
        "DISABLE_LEADER_ELECTION": "true",
        "FEATURE_GATES": ",".join(f"{name[0].upper()}{name[1:]}={is_open}" for name, is_open in gates.items()),
        "LOG_LEVEL": "debug",
        # Free ports; that they are loopback's is built in (see the Makefile).
        "METRICS_PORT": "0",
        "HEALTH_PROBE_PORT": "0",
    }
    kubelets = [
        str(where("kwok")),
        f"--kubeconfig={kubeconfig}",
        f"--manage-nodes-with-annotation-selector={_FAKE_NODE}",
    ]
    with contextlib.ExitStack() as running:
        for name, command in (("karpenter", [program]), ("kwok", kubelets)):
            log = running.enter_context((plane.folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            running.callback(_end, process)
        yield


def claims(plane: ControlPlane) -> list[Manifest]:
    """Return the node claims: what Karpenter has decided to launch."""
    found: list[Manifest] = plane.ask("GET", CLAIMS)[1]["items"]
    return found


def nodes(plane: ControlPlane) -> list[Manifest]:
    """Return the nodes."""
    found: list[Manifest] = plane.ask("GET", "/api/v1/nodes")[1]["items"]
    return found


def instances(plane: ControlPlane) -> list[str]:
    """Return the ids of the instances that run; Karpenter's simulation writes them down every second."""
    kept = plane.ask("GET", "/api/v1/namespaces/kube-system/configmaps")[1]["items"]
    ours = [each for each in kept if each["metadata"]["name"].startswith("kwok-aws-instances-")]
    # Karpenter makes the map a moment before it writes into it.
    texts = [each.get("data", {}).get("instances", "[]") for each in ours]
    return [instance["InstanceId"] for text in texts for instance in json.loads(text)]


def furnish(plane: ControlPlane) -> None:
    """Play what else runs on each node: the device plugin offers the logical cores, the EFS driver takes its taint."""
    for node in nodes(plane):
        path, taints = f"/api/v1/nodes/{node['metadata']['name']}", node["spec"].get("taints", [])
        kind = next(each for each in INSTANCE_TYPES.values() if each.name == node["metadata"]["labels"][_TYPE])
        cores = {NEURONCORE_RESOURCE: str(kind.logical_cores)}
        if node["status"].get("allocatable", {}).get(NEURONCORE_RESOURCE) != cores[NEURONCORE_RESOURCE]:
            plane.ask("PATCH", f"{path}/status", {"status": {"capacity": cores, "allocatable": cores}}, kind=_MERGE)
            # The taint goes at the next look, when the cores are seen to be right.
            continue
        left = [each for each in taints if each["key"] != EFS_STARTUP_TAINT["key"]]
        if left != taints:
            # Refused if somebody has changed the taints meanwhile; the next look sees that.
            version = {"resourceVersion": node["metadata"]["resourceVersion"]}
            plane.ask("PATCH", path, {"metadata": version, "spec": {"taints": left}}, kind=_MERGE)
