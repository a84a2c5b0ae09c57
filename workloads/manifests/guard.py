"""Manifests of the guard: its schedule, its rights, and its network access."""

import collections.abc
import dataclasses
import datetime as dt
import typing

from optimal_tp.plan.lineup import Lineup
from optimal_tp.servers import neuron_pod
from workloads.manifests import jobs, python_pods
from workloads.manifests.generator import job_rules, scaling_rules

if typing.TYPE_CHECKING:
    import pulumi
    from pulumi_kubernetes.batch.v1 import CronJobSpecArgsDict
    from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodSpecArgsDict
    from pulumi_kubernetes.networking.v1 import NetworkPolicySpecArgsDict
    from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

PROGRAM = "optimal_tp.pods.guard"
GUARD = "qwen-vllm-guard"
"""Name of all objects of the guard, and its ``app`` label."""
_PERIOD_MINUTES = 5
# Shorter than the period, so that a missed start is made up for. With it, a controller that was down for long does not
# give up after a hundred missed starts (kubernetes.io, CronJob, "Schedule limitations").
_LATEST_START_SECONDS = 200
_LONGEST_SECONDS = _PERIOD_MINUTES * 60 + 120
"""It may wait up to a period for the deadline; a call that takes longer hangs."""
_RETRIES = 3
_STOP_SECONDS = 10
_API_PORT = 443


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watch:
    """The servers and Jobs that the guard stops, and the deadline."""

    runtime: python_pods.Runtime
    plan: Lineup
    node_pool: str
    """NodePool whose nodes it removes."""
    deadline: "pulumi.Input[str]"
    """ISO 8601 with its time zone."""


def servers(plan: Lineup) -> list[str]:
    """Return the names of the Deployments that hold Neuron cores."""
    return [server.name for server in plan.servers]


def deadline(created: str, seconds: int) -> str:
    """Return the date that is ``seconds`` after ``created``, both ISO 8601 in UTC."""
    moment = dt.datetime.fromisoformat(created) + dt.timedelta(seconds=seconds)
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")


def cron_spec(watch: Watch) -> "CronJobSpecArgsDict":
    """Return the CronJob. Replace: a call that hangs or loses its node does not block the next one."""
    container: ContainerArgsDict = {
        "name": "guard",
        "command": ["python", "-m", PROGRAM],
        "args": [
            *("--deadline", watch.deadline),
            *("--period-seconds", str(_PERIOD_MINUTES * 60)),
            *("--node-pool", watch.node_pool),
            *(part for name in servers(watch.plan) for part in ("--deployment", name)),
            *(part for name in jobs.compile_names(watch.plan) for part in ("--job", name)),
        ],
        "env": neuron_pod.variables(python_pods.variables(watch.runtime)),
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }
    pod: PodSpecArgsDict = {
        **python_pods.pod_spec(watch.runtime, container, [], stop_seconds=_STOP_SECONDS),
        "automount_service_account_token": True,
        # It must find room even on full system nodes.
        "priority_class_name": "system-cluster-critical",
        "restart_policy": "Never",
        "service_account_name": GUARD,
    }
    return {
        "schedule": f"*/{_PERIOD_MINUTES} * * * *",
        "concurrency_policy": "Replace",
        "starting_deadline_seconds": _LATEST_START_SECONDS,
        "successful_jobs_history_limit": 1,
        "failed_jobs_history_limit": 3,
        "job_template": {
            "spec": {
                "active_deadline_seconds": _LONGEST_SECONDS,
                "backoff_limit": _RETRIES,
                "template": {"metadata": {"labels": {"app": GUARD}}, "spec": pod},
            }
        },
    }


def rules(plan: Lineup) -> "collections.abc.Sequence[PolicyRuleArgsDict]":
    """Return the guard's rights in the namespace: our servers' scale, our compile Jobs by name, and listing pods."""
    return [
        *scaling_rules(servers(plan)),
        *job_rules(jobs.compile_names(plan)),
        {"api_groups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]


def policy_spec() -> "NetworkPolicySpecArgsDict":
    """Allow no incoming traffic, and outgoing only to the API server's port; its addresses belong to EKS and change."""
    return {
        "pod_selector": {"match_labels": {"app": GUARD}},
        "policy_types": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [{"ports": [{"protocol": "TCP", "port": _API_PORT}]}],
    }
