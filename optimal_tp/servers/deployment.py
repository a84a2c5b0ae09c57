"""A vLLM server as Kubernetes is told: its Deployment, its Service and who may talk to it."""

import math
import typing

from optimal_tp.plan.placement import PlannedServer
from optimal_tp.servers import neuron_pod
from optimal_tp.servers.vllm import PORT, VOLUME_PATH, artifacts_folder, cache_of, environment, serve_command

if typing.TYPE_CHECKING:
    from pulumi_kubernetes.apps.v1 import DeploymentSpecArgsDict
    from pulumi_kubernetes.core.v1 import (
        ContainerArgsDict,
        PodSpecArgsDict,
        ProbeArgsDict,
        ServiceSpecArgsDict,
        VolumeMountArgsDict,
    )
    from pulumi_kubernetes.networking.v1 import NetworkPolicySpecArgsDict

GENERATOR = "qwen-vllm-loadgen"
"""The load generator's name and ``app`` label, as in the AWS sample."""
_PROBE_SECONDS = 10
_RUNNING_PROBE_SECONDS = 20


def _probe(period_seconds: int, patience_seconds: int) -> "ProbeArgsDict":
    return {
        "http_get": {"path": "/health", "port": PORT},
        "period_seconds": period_seconds,
        "timeout_seconds": 5,
        "failure_threshold": math.ceil(patience_seconds / period_seconds),
    }


def deployment_spec(site: neuron_pod.Site, server: PlannedServer, *, replicas: int) -> "DeploymentSpecArgsDict":
    """Return one server's Deployment.

    Recreate: its cores are free only once the old pod is gone.
    """
    patience = site.serving
    volume, disk = (
        neuron_pod.shared(site.serving.volume_claim, read_only=True),
        neuron_pod.scratch("tmp", "/tmp"),  # noqa: S108 - an emptyDir
    )
    mounts = [
        volume,
        neuron_pod.scratch("shm", "/dev/shm", size_gib=patience.shared_memory_gib, in_memory=True),  # noqa: S108 - glibc's
        disk,
    ]
    container: ContainerArgsDict = {
        **neuron_pod.container(site, server),
        "command": list(serve_command(site.model, site.pair, server.candidate, site.serving.buckets)),
        "env": neuron_pod.variables(
            environment(site.model, site.pair, server.candidate, site.serving.buckets)
            | neuron_pod.user_variables(site.serving)
        ),
        "ports": [{"name": "http", "container_port": PORT}],
        "startup_probe": _probe(_PROBE_SECONDS, patience.start_patience_seconds),
        "readiness_probe": _probe(_RUNNING_PROBE_SECONDS, patience.probe_patience_seconds),
        "liveness_probe": _probe(_RUNNING_PROBE_SECONDS, patience.probe_patience_seconds),
        "volume_mounts": [mount for _, mount in mounts],
    }
    rest: PodSpecArgsDict = {"containers": [container], "volumes": [volume for volume, _ in mounts]}
    if cache_of(site.pair).is_loaded:
        rest["init_containers"] = [_seed(site, server, [volume[1], disk[1]])]
    return {
        "replicas": replicas,
        "strategy": {"type": "Recreate"},
        "selector": {"match_labels": {"app": server.name}},
        "progress_deadline_seconds": neuron_pod.await_seconds(site.serving),
        "revision_history_limit": 1,
        "template": neuron_pod.pod(
            site, server, app=server.name, stop_seconds=patience.stop_patience_seconds, rest=rest
        ),
    }


def _seed(site: neuron_pod.Site, server: PlannedServer, mounts: "list[VolumeMountArgsDict]") -> "ContainerArgsDict":
    """Return what copies the compiled graphs onto the pod's own disk: their locks want no network file system."""
    artifacts = f"{VOLUME_PATH}/{artifacts_folder(site.model, site.pair, server.candidate, site.serving.buckets)}"
    return {
        "name": "graphs",
        "image": site.image,
        "image_pull_policy": "IfNotPresent",
        "command": ["cp", "-R", f"{artifacts}/.", cache_of(site.pair).path],
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "security_context": neuron_pod.confined(read_only_root=True),
        "volume_mounts": mounts,
    }


def service_spec(server: PlannedServer) -> "ServiceSpecArgsDict":
    """Return the address of one server inside the cluster."""
    return {
        "type": "ClusterIP",
        "selector": {"app": server.name},
        "ports": [{"name": "http", "port": PORT, "target_port": "http"}],
    }


def closed_spec() -> "NetworkPolicySpecArgsDict":
    """Admit nobody to any pod of the namespace; what a server's own policy admits is added to that."""
    return {"pod_selector": {}, "policy_types": ["Ingress"], "ingress": []}


def policy_spec(server: PlannedServer) -> "NetworkPolicySpecArgsDict":
    """Admit the load generator alone, and let nothing out: a server has all it needs on the volume."""
    return {
        "pod_selector": {"match_labels": {"app": server.name}},
        "policy_types": ["Ingress", "Egress"],
        "ingress": [
            {
                "from_": [{"pod_selector": {"match_labels": {"app": GENERATOR}}}],
                "ports": [{"protocol": "TCP", "port": PORT}],
            }
        ],
        "egress": [],
    }
