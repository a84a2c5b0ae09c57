"""A vLLM server as Kubernetes is told: its pod, Deployment, Service and network policy, and its compile Job."""

import collections.abc
import dataclasses
import math
import typing

from infra.hardware import NEURON_RESOURCE, NEURONCORE_RESOURCE
from infra.versions import Pair
from workloads.bundle import Part
from workloads.cluster_settings import Serving
from workloads.command import (
    PORT,
    VOLUME_PATH,
    artifacts_folder,
    environment,
    expected_files,
    serve_command,
    served_names,
)
from workloads.manifests import volumes
from workloads.plan import PlannedServer
from workloads.settings import Model

if typing.TYPE_CHECKING:
    from pulumi_kubernetes.apps.v1 import DeploymentSpecArgsDict
    from pulumi_kubernetes.batch.v1 import JobSpecArgsDict
    from pulumi_kubernetes.core.v1 import (
        AffinityArgsDict,
        ContainerArgsDict,
        EnvVarArgsDict,
        PodAffinityTermArgsDict,
        PodSpecArgsDict,
        PodTemplateSpecArgsDict,
        ProbeArgsDict,
        ResourceRequirementsArgsDict,
        SecurityContextArgsDict,
        ServiceSpecArgsDict,
    )
    from pulumi_kubernetes.networking.v1 import NetworkPolicySpecArgsDict

NODE_LABEL = "optimal-tp/planned-node"
"""On every pod that holds cores: the node that the plan gave it. Pods with one number share a node with no other."""
GENERATOR = "qwen-vllm-loadgen"
"""The load generator's name and ``app`` label, as in the seed."""
NODE_LAUNCH_SECONDS = 1200
"""Time for a node to come: Karpenter allows 5 minutes for the launch and 15 for the registration of each try."""
_PROBE_SECONDS = 10
_RUNNING_PROBE_SECONDS = 20
_TRIES_OF_A_JOB = 3
_COMPILER_STOP_SECONDS = 90
"""The compile program gives its server a minute to stop."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """What all pods on Neuron nodes share."""

    model: Model
    serving: Serving
    pair: Pair
    image: str
    scheduler: str
    """Name of the scheduler that knows which cores of a chip are free."""
    node_pool: str


def labels(server: PlannedServer, app: str) -> dict[str, str]:
    """Return the labels of a pod that holds ``server``'s cores."""
    return {"app": app, NODE_LABEL: str(server.node)}


def _affinity(node: int) -> "AffinityArgsDict":
    """Keep pods of one planned node together and all others away.

    Left to its own spreading the scheduler was seen to put TP1 and TP2 on one node each, so that TP4 fitted nowhere
    and a third node was launched for it.
    """
    together: PodAffinityTermArgsDict = {
        "label_selector": {"match_labels": {NODE_LABEL: str(node)}},
        "topology_key": "kubernetes.io/hostname",
    }
    apart: PodAffinityTermArgsDict = {
        "label_selector": {
            "match_expressions": [
                {"key": NODE_LABEL, "operator": "Exists"},
                {"key": NODE_LABEL, "operator": "NotIn", "values": [str(node)]},
            ]
        },
        "topology_key": "kubernetes.io/hostname",
    }
    return {
        "pod_affinity": {"required_during_scheduling_ignored_during_execution": [together]},
        "pod_anti_affinity": {"required_during_scheduling_ignored_during_execution": [apart]},
    }


def resources(server: PlannedServer) -> "ResourceRequirementsArgsDict":
    """Return cores, and CPU and memory in proportion to them; requests equal limits, so no server has more of a node."""
    amounts = {
        NEURONCORE_RESOURCE: str(server.degree),
        "cpu": f"{server.cpu_millicores}m",
        "memory": f"{server.memory_mib}Mi",
    }
    return {"requests": amounts, "limits": amounts}


def confined(*, read_only_root: bool) -> "SecurityContextArgsDict":
    """Return the security context of a container: no capability, no way to gain one."""
    return {
        "allow_privilege_escalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "read_only_root_filesystem": read_only_root,
    }


def _probe(period_seconds: int, patience_seconds: int) -> "ProbeArgsDict":
    return {
        "http_get": {"path": "/health", "port": PORT},
        "period_seconds": period_seconds,
        "timeout_seconds": 5,
        "failure_threshold": math.ceil(patience_seconds / period_seconds),
    }


def _variables(values: collections.abc.Mapping[str, str]) -> "list[EnvVarArgsDict]":
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def _container(site: Site, server: PlannedServer) -> "ContainerArgsDict":
    return {
        "name": "vllm",
        "image": site.image,
        "image_pull_policy": "IfNotPresent",
        "resources": resources(server),
        # vLLM and torch-neuronx write caches below the image's root; nobody has listed where.
        "security_context": confined(read_only_root=False),
    }


def _pod(site: Site, server: PlannedServer, *, app: str, stop_seconds: int) -> "PodTemplateSpecArgsDict":
    """Return the pod that holds ``server``'s cores, without containers and volumes."""
    spec: PodSpecArgsDict = {
        "affinity": _affinity(server.node),
        "automount_service_account_token": False,
        "containers": [],
        # Services in the namespace would become environment variables beside vLLM's own VLLM_*.
        "enable_service_links": False,
        "node_selector": {"karpenter.sh/nodepool": site.node_pool},
        "scheduler_name": site.scheduler,
        "security_context": {"seccomp_profile": {"type": "RuntimeDefault"}},
        "termination_grace_period_seconds": stop_seconds,
        "tolerations": [{"key": NEURON_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}],
    }
    user = site.serving.run_as_user
    if user is not None:
        spec["security_context"] = {
            "seccomp_profile": {"type": "RuntimeDefault"},
            "run_as_user": user,
            "run_as_group": user,
            "run_as_non_root": True,
        }
    # A node's voluntary disruption in the middle of a measurement spoils it.
    annotations = {"karpenter.sh/do-not-disrupt": "true"}
    return {"metadata": {"labels": labels(server, app), "annotations": annotations}, "spec": spec}


def deployment_spec(site: Site, server: PlannedServer, *, replicas: int) -> "DeploymentSpecArgsDict":
    """Return one server's Deployment. Recreate: its cores are free only once the old pod is gone."""
    patience = site.serving
    mounts = [
        volumes.shared(site.serving.volume_claim, read_only=True),
        volumes.scratch("shm", "/dev/shm", size_gib=patience.shared_memory_gib, in_memory=True),  # noqa: S108 - glibc's
        volumes.scratch("tmp", "/tmp"),  # noqa: S108 - an emptyDir
    ]
    container: ContainerArgsDict = {
        **_container(site, server),
        "command": list(serve_command(site.model, site.pair, server.degree)),
        "env": _variables(environment(site.model, site.pair, server.degree)),
        "ports": [{"name": "http", "container_port": PORT}],
        "startup_probe": _probe(_PROBE_SECONDS, patience.start_patience_seconds),
        "readiness_probe": _probe(_RUNNING_PROBE_SECONDS, patience.probe_patience_seconds),
        "liveness_probe": _probe(_RUNNING_PROBE_SECONDS, patience.probe_patience_seconds),
        "volume_mounts": [mount for _, mount in mounts],
    }
    pod = _pod(site, server, app=server.name, stop_seconds=patience.stop_patience_seconds)
    pod["spec"] = {**_spec_of(pod), "containers": [container], "volumes": [volume for volume, _ in mounts]}
    return {
        "replicas": replicas,
        "strategy": {"type": "Recreate"},
        "selector": {"match_labels": {"app": server.name}},
        "progress_deadline_seconds": await_seconds(site.serving),
        "revision_history_limit": 1,
        "template": pod,
    }


def _spec_of(pod: "PodTemplateSpecArgsDict") -> "PodSpecArgsDict":
    return typing.cast("PodSpecArgsDict", pod["spec"])


def await_seconds(serving: Serving) -> int:
    """Return how long one server or Job may take from its creation: a node's launch and the probes' patience."""
    return serving.start_patience_seconds + NODE_LAUNCH_SECONDS


def service_spec(server: PlannedServer) -> "ServiceSpecArgsDict":
    """Return the address of one server inside the cluster."""
    return {
        "type": "ClusterIP",
        "selector": {"app": server.name},
        "ports": [{"name": "http", "port": PORT, "target_port": "http"}],
    }


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


def compile_spec(site: Site, server: PlannedServer, parts: collections.abc.Sequence[Part]) -> "JobSpecArgsDict":
    """Return the Job that compiles for ``server``: its image, flags, cores and node, run once by our program."""
    serving = site.serving
    mounts = [
        volumes.shared(serving.volume_claim, read_only=False),
        volumes.code(parts),
        volumes.scratch("shm", "/dev/shm", size_gib=serving.shared_memory_gib, in_memory=True),  # noqa: S108 - glibc's
        volumes.scratch("tmp", "/tmp"),  # noqa: S108 - an emptyDir
    ]
    arguments = [
        *("--folder", f"{VOLUME_PATH}/{artifacts_folder(site.model, site.pair, server.degree)}"),
        *("--model", served_names(site.model, server.degree)[0]),
        *(part for name in expected_files(server.degree) for part in ("--expect", name)),
        *("--patience-seconds", str(serving.start_patience_seconds)),
    ]
    python = {"PYTHONPATH": volumes.CODE_PATH, "PYTHONDONTWRITEBYTECODE": "1"}
    container: ContainerArgsDict = {
        **_container(site, server),
        "command": ["python", "-m", "workloads.compiling", *arguments, "--"],
        "args": list(serve_command(site.model, site.pair, server.degree)),
        "env": _variables(environment(site.model, site.pair, server.degree) | python),
        "volume_mounts": [mount for _, mount in mounts],
    }
    pod = _pod(site, server, app=f"{server.name}-compile", stop_seconds=_COMPILER_STOP_SECONDS)
    pod["spec"] = {
        **_spec_of(pod),
        "containers": [container],
        "restart_policy": "Never",
        "volumes": [volume for volume, _ in mounts],
    }
    return {"backoff_limit": _TRIES_OF_A_JOB, "completions": 1, "parallelism": 1, "template": pod}
