"""All of a conductor's calls to the Kubernetes API."""

import dataclasses
import typing
import urllib.parse

from optimal_tp.cluster import sightings
from optimal_tp.cluster.sightings import Job, NodeClaim, Pod
from optimal_tp.errors import ServerFailed
from optimal_tp.pods.kubernetes import NODE_CLAIMS, Namespace

_JOB_LABEL = "batch.kubernetes.io/job-name"
"""Label that Kubernetes puts on every pod of a Job."""
_LOG_LINES = 200
_LOG_BYTES = 200_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controls:
    """A namespace's servers, Jobs and pods, and the cluster's Karpenter nodes.

    Every method raises ServerFailed if the call is refused or not answered, unless its docstring says otherwise.
    """

    namespace: Namespace

    def scale(self, name: str, replicas: int) -> None:
        """Scale a Deployment to ``replicas`` pods."""
        patch = {"spec": {"replicas": replicas}}
        self.namespace.ask(f"scale {name} to {replicas}", "apps/v1", f"deployments/{name}/scale", patch=patch)

    def job(self, name: str) -> Job:
        """Return the Job called ``name``."""
        return sightings.job(self.namespace.ask(f"tell of the Job {name}", "batch/v1", f"jobs/{name}"))

    def resume(self, name: str, annotations: dict[str, str] | None = None) -> None:
        """Let a suspended Job run, with ``annotations`` for its pods to read."""
        patch: dict[str, typing.Any] = {"spec": {"suspend": False}}
        if annotations is not None:
            patch["metadata"] = {"annotations": annotations}
        self.namespace.ask(f"resume the Job {name}", "batch/v1", f"jobs/{name}", patch=patch)

    def suspend(self, name: str) -> None:
        """Suspend a Job that has not ended, so that it has no more pods."""
        job = self.job(name)
        if job.ending is None and not job.is_suspended:
            self.namespace.ask(f"suspend the Job {name}", "batch/v1", f"jobs/{name}", patch={"spec": {"suspend": True}})

    def pods_of_job(self, name: str) -> list[Pod]:
        """Return the pods of the Job called ``name``, the oldest first."""
        return self._pods(_JOB_LABEL, name)

    def pods_of_server(self, name: str) -> list[Pod]:
        """Return the pods of the Deployment called ``name``, the oldest first."""
        return self._pods("app", name)

    def _pods(self, label: str, value: str) -> list[Pod]:
        query = urllib.parse.urlencode({"labelSelector": f"{label}={value}"})
        found = self.namespace.ask(f"list the pods of {value}", "v1", f"pods?{query}")
        return sorted(map(sightings.pod, found.get("items") or ()), key=lambda pod: pod.created)

    def log(self, pod: Pod, *, previous: bool = False) -> str:
        """Return the end of ``pod``'s log, or of its container's previous run; empty if it cannot be read."""
        asked = {"tailLines": _LOG_LINES, "limitBytes": _LOG_BYTES} | ({"previous": "true"} if previous else {})
        path = f"pods/{pod.name}/log?{urllib.parse.urlencode(asked)}"
        try:
            return self.namespace.read(f"read the log of {pod.name}", path)
        except ServerFailed:  # a container that has not run has no log, and no decision depends on it
            return ""

    def remove_pod(self, name: str) -> None:
        """Delete a pod; its Deployment creates another."""
        self.namespace.remove(f"delete the pod {name}", "v1", f"pods/{name}")

    def claims(self, pool: str) -> list[NodeClaim]:
        """Return the nodes of Karpenter's NodePool ``pool``."""
        return [sightings.claim(item) for item in self.namespace.node_claims(pool)]

    def remove_claim(self, name: str) -> None:
        """Delete a NodeClaim: Karpenter removes its node, and launches another for pods that need one."""
        self.namespace.remove_from_cluster(f"give the node {name} back", f"{NODE_CLAIMS}/{name}")
