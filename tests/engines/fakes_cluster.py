"""What a control plane alone lacks: Karpenter's definitions, nodes with cores, DaemonSets, the program's objects."""

import collections.abc
import contextlib
import functools
import http
import json
import pathlib
import re
import subprocess
import time
import typing

import yaml

from optimal_tp.facts.hardware import NEURONCORE_RESOURCE, InstanceType
from optimal_tp.facts.names import NODE_POOL, SCHEDULER
from optimal_tp.servers.node_pool import NEURON_TAINT
from tests.engines.fakes_api_server import ControlPlane, _end
from tests.engines.fakes_engines import where
from tests.fakes_pulumi import Recording
from tests.fakes_schemas import PREFIX, whole

Manifest = dict[str, typing.Any]
CRDS = pathlib.Path(__file__).parents[1] / "crds"
NAMESPACE = "optimal-tp"
PLURALS: typing.Final = {
    "EC2NodeClass": "ec2nodeclasses",
    "NetworkPolicy": "networkpolicies",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
}
"""Kinds whose plural is not the small word with an s."""
CLUSTER_WIDE: typing.Final = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "EC2NodeClass",
        "Namespace",
        "NodeOverlay",
        "NodePool",
        "PersistentVolume",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
DAEMONS: typing.Final = ("aws-node", "kube-proxy", "efs-csi-node", "neuron-device-plugin", "eks-pod-identity-agent")
"""Whose pods every Neuron node carries."""
_PATIENCE_SECONDS = 90.0
_NODE = re.compile(r"node \d+: ")
_SERVER = re.compile(r"(qwen-vllm-tp[\d-]+) \(")


def manifests(recording: Recording) -> list[Manifest]:
    """Return every object that ``recording`` sends to the API server, charts left out; the namespace first."""
    found = [
        whole(each.inputs)
        for each in recording.resources
        if each.type.startswith(PREFIX) and not each.type.startswith(f"{PREFIX}helm.sh")
    ]
    return sorted(found, key=lambda manifest: manifest["kind"] != "Namespace")


def path_of(manifest: Manifest) -> str:
    """Return where the API server keeps ``manifest``."""
    kind, version = manifest["kind"], manifest["apiVersion"]
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    inside = "" if kind in CLUSTER_WIDE else f"/namespaces/{manifest['metadata']['namespace']}"
    return f"{root}{inside}/{plural}/{manifest['metadata']['name']}"


def applied(plane: ControlPlane, manifest: Manifest, *, dry: bool = False) -> str | None:
    """Apply ``manifest`` as Pulumi does, with strict fields, and return the server's reason if it refuses."""
    query = "fieldManager=pulumi&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
    kind = "application/apply-patch+yaml"
    status, answer = plane.ask("PATCH", f"{path_of(manifest)}?{query}", manifest, kind=kind)
    return None if status < http.HTTPStatus.BAD_REQUEST else str(answer["message"])


def define_karpenter(plane: ControlPlane, folder: pathlib.Path = CRDS) -> None:
    """Install the definitions of Karpenter's kinds that ``folder`` has, and wait until they are served."""
    for file in sorted(folder.glob("*.yaml")):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        created(plane, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        for version in definition["spec"]["versions"]:
            path = f"/apis/{group}/{version['name']}/{plural}"
            until(functools.partial(_is_served, plane, path), f"{path} is served")


def _is_served(plane: ControlPlane, path: str) -> bool:
    return plane.ask("GET", path)[0] == http.HTTPStatus.OK


def created(plane: ControlPlane, path: str, manifest: Manifest) -> Manifest:
    """Create ``manifest``; raises LookupError with the server's reason if it refuses."""
    status, answer = plane.ask("POST", path, manifest)
    if status != http.HTTPStatus.CREATED:
        raise LookupError(f"{path}: {answer['message']}")
    return answer


def until(holds: collections.abc.Callable[[], bool], what: str, *, seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until ``holds``. Raises TimeoutError that says ``what`` never was."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not after {seconds:g} s: {what}")
        time.sleep(0.1)


def node(plane: ControlPlane, name: str, kind: InstanceType) -> None:
    """Make a ready node of ``kind`` as kubelet and device plugin report it: logical cores, not Karpenter's physical."""
    labels = {
        "kubernetes.io/hostname": name,
        "node.kubernetes.io/instance-type": kind.name,
        "karpenter.sh/nodepool": NODE_POOL,
    }
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    created(plane, "/api/v1/nodes", manifest)
    amounts = {
        "cpu": f"{kind.allocatable_cpu_millicores}m",
        "memory": f"{kind.allocatable_memory_mib}Mi",
        "pods": str(kind.allocatable_pods),
        "ephemeral-storage": "179Gi",
        NEURONCORE_RESOURCE: str(kind.logical_cores),
    }
    status = {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]}
    merge = "application/merge-patch+json"
    plane.ask("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, kind=merge)
    # The API server taints a new node as not ready; the node controller, which does not run here, would take it away.
    plane.ask("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": [dict(NEURON_TAINT)]}}, kind=merge)


def daemon(plane: ControlPlane, on: str, name: str, *, cpu: str, memory: str) -> None:
    """Put a DaemonSet's pod on node ``on``, as the DaemonSet controller would: bound, with its requests."""
    requests = {"cpu": cpu, "memory": memory}
    container = {"name": "daemon", "image": "daemon", "resources": {"requests": requests}}
    spec = {"nodeName": on, "containers": [container], "tolerations": [{"operator": "Exists"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-{on}"}, "spec": spec}
    created(plane, "/api/v1/namespaces/kube-system/pods", pod)


def daemon_sets(*, cpu_millicores: int, memory_mib: int) -> list[Manifest]:
    """Return the DaemonSets that every Neuron node carries, which ask together for so much."""
    found = []
    for name in DAEMONS:
        requests = {"cpu": f"{cpu_millicores // len(DAEMONS)}m", "memory": f"{memory_mib // len(DAEMONS)}Mi"}
        container = {"name": "daemon", "image": "daemon", "resources": {"requests": requests}}
        spec = {"containers": [container], "tolerations": [{"operator": "Exists"}]}
        template = {"metadata": {"labels": {"app": name}}, "spec": spec}
        meta = {"name": name, "namespace": "kube-system"}
        selector = {"matchLabels": {"app": name}}
        found.append(
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": meta,
                "spec": {"selector": selector, "template": template},
            }
        )
    return found


@contextlib.contextmanager
def scheduling(
    plane: ControlPlane, *, controllers: collections.abc.Sequence[str] = ()
) -> collections.abc.Iterator[None]:
    """Run the real scheduler under the Neuron scheduler's name, and the controller that binds claims to volumes.

    ``controllers`` are those of kube-controller-manager that are to run beside it.
    """
    file = plane.folder / "scheduler.json"
    configuration = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(plane.folder / "kubeconfig")},
        "profiles": [{"schedulerName": name} for name in ("default-scheduler", SCHEDULER)],
        # A pod without a node is looked at again after a second, not after ten.
        "podMaxBackoffSeconds": 1,
    }
    file.write_text(json.dumps(configuration))
    words = {
        "kube-scheduler": [f"--config={file}", "--bind-address=127.0.0.1", "--secure-port=0"],
        "kube-controller-manager": [
            f"--kubeconfig={plane.folder}/kubeconfig", "--leader-elect=false", "--secure-port=0",
            "--pvclaimbinder-sync-period=1s",
            f"--controllers={','.join(['persistentvolume-binder-controller', *controllers])}",
        ],
    }  # fmt: skip
    with contextlib.ExitStack() as running:
        for name, options in words.items():
            log = running.enter_context((plane.folder / f"{name}-of-scheduling.log").open("wb"))
            process = subprocess.Popen([str(where(name)), *options], stdout=log, stderr=log)
            running.callback(_end, process)
        yield


def placed(plane: ControlPlane) -> dict[str, str | None]:
    """Return the node of each server's pod by the server's name; None while it has none."""
    pods = plane.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")[1]["items"]
    return {pod["metadata"]["labels"]["app"]: pod["spec"].get("nodeName") for pod in pods}


def planned(recording: Recording) -> set[frozenset[str]]:
    """Return the servers that share a node, as the lines printed at preview have them."""
    return {frozenset(_SERVER.findall(line)) for line in recording.outputs["plan"] if _NODE.match(line)}


def servers(recording: Recording) -> list[Manifest]:
    """Return the Deployments of servers, started, and what their pods refer to."""
    kinds = ("Namespace", "PersistentVolume", "PersistentVolumeClaim", "ConfigMap", "ServiceAccount")
    return [
        started(each)
        for each in manifests(recording)
        if each["kind"] in kinds
        or (each["kind"] == "Deployment" and each["metadata"].get("labels", {}).get("optimal-tp/part") == "server")
    ]


def started(manifest: Manifest) -> Manifest:
    """Return a server's Deployment as the load generator has it run; anything else as it is."""
    if manifest["kind"] != "Deployment":
        return manifest
    return {**manifest, "spec": {**manifest["spec"], "replicas": 1}}


def apply_all(plane: ControlPlane, objects: list[Manifest]) -> None:
    """Apply ``objects`` in order; fails with the server's reason."""
    for each in objects:
        assert applied(plane, each) is None, each["metadata"]["name"]
