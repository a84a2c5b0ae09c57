"""A pod that holds cores of a Neuron node: the same for a server and for the Job that compiles for it."""

import collections.abc
import dataclasses
import typing

from optimal_tp.facts.hardware import NEURON_RESOURCE, NEURONCORE_RESOURCE
from optimal_tp.facts.versions import ImageAndAmi
from optimal_tp.plan.cost import NODE_LAUNCH_SECONDS
from optimal_tp.plan.placement import PlannedServer
from optimal_tp.servers.vllm import VOLUME_PATH
from optimal_tp.settings.spend import Serving
from optimal_tp.settings.workload import Model

if typing.TYPE_CHECKING:
    from pulumi_kubernetes.core.v1 import (
        AffinityArgsDict,
        ContainerArgsDict,
        EnvVarArgsDict,
        PodAffinityTermArgsDict,
        PodSpecArgsDict,
        PodTemplateSpecArgsDict,
        ResourceRequirementsArgsDict,
        SecurityContextArgsDict,
        VolumeArgsDict,
        VolumeMountArgsDict,
    )

NODE_LABEL = "optimal-tp/planned-node"
"""On every pod that holds cores: the planned node that it is on, by that node's largest server. A number
would change for servers that stay when a degree goes, and `up` would wait for the node that the leaving one holds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """What all pods on Neuron nodes share."""

    model: Model
    serving: Serving
    pair: ImageAndAmi
    image: str
    scheduler: str
    """Name of the scheduler that knows which cores of a chip are free."""
    node_pool: str


def labels(server: PlannedServer, app: str) -> dict[str, str]:
    """Return the labels of a pod that holds ``server``'s cores."""
    return {"app": app, NODE_LABEL: server.group}


def _affinity(group: str) -> "AffinityArgsDict":
    """Keep pods of one planned node together and all others away.

    Left to its own spreading the scheduler was seen to put TP1 and TP2 on one node each, so that TP4 fitted nowhere
    and a third node was launched for it.
    """
    together: PodAffinityTermArgsDict = {
        "label_selector": {"match_labels": {NODE_LABEL: group}},
        "topology_key": "kubernetes.io/hostname",
    }
    apart: PodAffinityTermArgsDict = {
        "label_selector": {
            "match_expressions": [
                {"key": NODE_LABEL, "operator": "Exists"},
                {"key": NODE_LABEL, "operator": "NotIn", "values": [group]},
            ]
        },
        "topology_key": "kubernetes.io/hostname",
    }
    return {
        "pod_affinity": {"required_during_scheduling_ignored_during_execution": [together]},
        "pod_anti_affinity": {"required_during_scheduling_ignored_during_execution": [apart]},
    }


def resources(server: PlannedServer) -> "ResourceRequirementsArgsDict":
    """Return cores or whole chips, and CPU and memory in proportion to them.

    CPU has no limit: decoding one sequence waits for the host, so a server that the kernel throttles at its share
    would look slow because of its degree, and the smallest degree, with the smallest share, most of all.
    """
    cores = {NEURONCORE_RESOURCE: str(server.degree)}
    if server.chips is not None:
        # For cores the device plugin would set NEURON_RT_VISIBLE_CORES, which today's plugin of vLLM refuses.
        cores = {NEURON_RESOURCE: str(server.chips)}
    limits = {**cores, "memory": f"{server.memory_mib}Mi"}
    return {"requests": {**limits, "cpu": f"{server.cpu_millicores}m"}, "limits": limits}


def confined(*, read_only_root: bool) -> "SecurityContextArgsDict":
    """Return the security context of a container: no capability, no way to gain one."""
    return {
        "allow_privilege_escalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "read_only_root_filesystem": read_only_root,
    }


def variables(values: collections.abc.Mapping[str, str]) -> "list[EnvVarArgsDict]":
    """Return ``values`` as a container takes them, by name."""
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def user_variables(serving: Serving) -> dict[str, str]:
    """Return what tells programs who they are where ``run_as_user`` is an id that the image has no name for.

    Torch's inductor asks for the user's name to find its cache, and ends in a KeyError without one (pytorch#140765).
    """
    if serving.run_as_user is None:
        return {}
    return {"USER": "vllm", "LOGNAME": "vllm", "TORCHINDUCTOR_CACHE_DIR": "/tmp/torchinductor"}  # noqa: S108 - an emptyDir


def container(site: Site, server: PlannedServer) -> "ContainerArgsDict":
    """Return the part of a container that server and compile Job have in common: image, cores, rights."""
    return {
        "name": "vllm",
        "image": site.image,
        "image_pull_policy": "IfNotPresent",
        "resources": resources(server),
        # vLLM and torch-neuronx write caches below the image's root; nobody has listed where.
        "security_context": confined(read_only_root=False),
    }


def pod(
    site: Site, server: PlannedServer, *, app: str, stop_seconds: int, rest: "PodSpecArgsDict"
) -> "PodTemplateSpecArgsDict":
    """Return the pod that holds ``server``'s cores; ``rest`` has its containers and volumes."""
    spec: PodSpecArgsDict = {
        **rest,
        "affinity": _affinity(server.group),
        "automount_service_account_token": False,
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


def await_seconds(serving: Serving) -> int:
    """Return how long one server or Job may take from its creation: a node's launch and the probes' patience."""
    return serving.start_patience_seconds + NODE_LAUNCH_SECONDS


def shared(claim: str, *, read_only: bool) -> "tuple[VolumeArgsDict, VolumeMountArgsDict]":
    """Return the shared volume and its mount.

    Servers mount it read-only: NxDI compiles again where it cannot load, and that must fail loudly, not take minutes
    inside a server or overwrite what another one reads.
    """
    volume: VolumeArgsDict = {
        "name": "shared",
        "persistent_volume_claim": {"claim_name": claim, "read_only": read_only},
    }
    return volume, {"name": "shared", "mount_path": VOLUME_PATH, "read_only": read_only}


def scratch(
    name: str, path: str, *, size_gib: int | None = None, in_memory: bool = False
) -> "tuple[VolumeArgsDict, VolumeMountArgsDict]":
    """Return a folder that lives as long as its pod, and its mount; ``in_memory`` counts as the pod's memory."""
    volume: VolumeArgsDict = {"name": name, "empty_dir": {}}
    if in_memory:
        volume = {"name": name, "empty_dir": {"medium": "Memory", "size_limit": f"{size_gib}Gi"}}
    return volume, {"name": name, "mount_path": path}
