"""The load generator as Kubernetes is told: its Deployment, its disruption budget and its right to scale servers."""

import collections.abc
import dataclasses
import math
import pathlib
import typing

from optimal_tp.cluster.order import ModelOrder, Order, PodsOrder, ReceiptOrder
from optimal_tp.facts.candidates import Candidate
from optimal_tp.plan.cost import Forecast
from optimal_tp.plan.lineup import Lineup, ModelPlan
from optimal_tp.servers import neuron_pod
from optimal_tp.servers.deployment import GENERATOR
from optimal_tp.servers.vllm import PORT
from optimal_tp.settings.sections import LoadTest
from workloads.manifests import python_pods

if typing.TYPE_CHECKING:
    import pulumi
    from pulumi_kubernetes.apps.v1 import DeploymentSpecArgsDict
    from pulumi_kubernetes.batch.v1 import JobSpecArgsDict
    from pulumi_kubernetes.core.v1 import (
        ContainerArgsDict,
        PodSpecArgsDict,
        PodTemplateSpecArgsDict,
        TopologySpreadConstraintArgsDict,
        VolumeArgsDict,
        VolumeMountArgsDict,
    )
    from pulumi_kubernetes.policy.v1 import PodDisruptionBudgetSpecArgsDict
    from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

SETTINGS_PATH = "/etc/optimal-tp"
ORDER_FILE = "order.json"
"""Key of the order's ConfigMap and name of the file."""
ROLE = "optimal-tp/role"
"""Label that tells the load generators' Job (``share``) from the pod that goes on after it (``after``)."""
RESULTS_PATH = "/results"
"""Where samples are kept until the bucket has them."""
RUN = "optimal-tp/run"
"""Annotation with the experiment's name."""
DEADLINE = "qwen-vllm-deadline"
"""Name of the ConfigMap with the date at which the guard stops the servers."""
DEADLINE_KEY = "deadline"
_DEADLINE_PATH = "/etc/optimal-tp-deadline"
_RESULTS_GIB = 10
_AFTER_CPU_MILLICORES = 100
"""Of the pod that waits for the Job: it would else take a load generator's place on a small node."""

PROGRAMS = ("optimal_tp.__main__", *(f"optimal_tp.cli.{command}" for command in ("run", "share", "sweep")))
"""What the pods run: a command's module is imported by its bare name, which no search for imports finds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generator:
    """What the load generator's pod is made of."""

    settings: LoadTest
    runtime: python_pods.Runtime
    plan: Lineup
    region: str
    ready_timeout_seconds: int
    pins: collections.abc.Mapping[str, str]
    """What the servers run on, kept with every run."""
    node_pool: str
    """Whose nodes the receipt counts."""
    money: Forecast

    @property
    def keeps_running(self) -> bool:
        """Go on probing after the verdict; else the servers are stopped with it, or before the money ends."""
        return self.money.spend.keep_running

    @property
    def scales(self) -> bool:
        """True where it starts and stops servers."""
        return self.plan.runs_in_rounds or not self.keeps_running


def order(generator: Generator, results: str) -> Order:
    """Return what the pods are to measure on which servers; ``results``: ``s3://bucket/prefix``.

    Several load generators find their servers running; one alone starts them, round by round.
    """
    plan, money, settings = generator.plan, generator.money, generator.settings
    keeps, alone = generator.keeps_running, settings.pods == 1
    return Order(
        models=tuple(_model(model, starts=generator.scales and alone) for model in plan.models),
        results=results,
        publish=True,
        ready_timeout_seconds=generator.ready_timeout_seconds,
        pins=dict(sorted(generator.pins.items())),
        afterwards="probe" if keeps else "stop",
        makes_room=not plan.runs_at_once,
        deadline_file=None if keeps else pathlib.Path(_DEADLINE_PATH, DEADLINE_KEY),
        receipt=ReceiptOrder(
            node_pool=generator.node_pool,
            idle_usd_per_hour=round(money.cost.idle_usd, 4),
            # Twice what is expected.
            leave_seconds=0 if keeps else int(2 * money.leaving_hours * 3600),
        ),
        pods=None
        if alone
        else PodsOrder(count=settings.pods, job=GENERATOR, start_after_seconds=settings.start_after_seconds),
    )


def _model(model: ModelPlan, *, starts: bool) -> ModelOrder:
    targets: dict[Candidate, tuple[str, ...]] = {}
    for server in model.plan.servers:
        targets[server.candidate] = (*targets.get(server.candidate, ()), f"http://{server.name}:{PORT}")
    return ModelOrder(settings=model.settings, targets=targets, rounds=model.plan.rounds if starts else None)


def deployment_spec(generator: Generator, order_name: "pulumi.Input[str]") -> "DeploymentSpecArgsDict":
    """Return the Deployment: one pod that runs the experiment. Recreate: two would load the servers twice.

    With several load generators it waits for their Job, judges what they kept, and does what comes after a run.
    ``order_name``: the ConfigMap with the order.
    """
    words = ["run" if len(generator.plan.models) == 1 else "sweep"]
    labels, cpu_millicores = {"app": GENERATOR}, generator.settings.cpu_millicores
    if generator.settings.pods > 1:
        words, labels = ["share", "--after"], {"app": GENERATOR, ROLE: "after"}
        cpu_millicores = _AFTER_CPU_MILLICORES
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"match_labels": labels},
        "revision_history_limit": 1,
        "template": _template(generator, order_name, words, labels, cpu_millicores),
    }


def job_spec(generator: Generator, order_name: "pulumi.Input[str]") -> "JobSpecArgsDict":
    """Return the Indexed Job of several load generators. One that fails ends it: a share alone is no measurement."""
    settings = generator.settings
    labels = {"app": GENERATOR, ROLE: "share"}
    template = _template(generator, order_name, ["share"], labels, settings.cpu_millicores)
    spec = typing.cast("PodSpecArgsDict", template["spec"])
    apart: TopologySpreadConstraintArgsDict = {
        "max_skew": 1,
        "topology_key": "kubernetes.io/hostname",
        "when_unsatisfiable": "ScheduleAnyway",
        "label_selector": {"match_labels": labels},
    }
    measuring = generator.plan.models[0].settings.decision.budget_seconds
    return {
        "completion_mode": "Indexed",
        "completions": settings.pods,
        "parallelism": settings.pods,
        "backoff_limit": 0,
        "active_deadline_seconds": math.ceil(settings.start_after_seconds + measuring + settings.grace_seconds),
        "template": {**template, "spec": {**spec, "restart_policy": "Never", "topology_spread_constraints": [apart]}},
    }


def _template(
    generator: Generator,
    order_name: "pulumi.Input[str]",
    words: list[str],
    labels: dict[str, str],
    cpu_millicores: int,
) -> "PodTemplateSpecArgsDict":
    """Return the pod that does what the order says; ``words``: a command and what it needs beside the order."""
    settings = generator.settings
    container: ContainerArgsDict = {
        "name": "loadgen",
        "command": ["python", "-m", "optimal_tp", *words[:1]],
        "args": ["--order", f"{SETTINGS_PATH}/{ORDER_FILE}", *words[1:]],
        # boto3 reads this variable and not AWS_REGION; EKS's webhook adds neither to a pod that has one of the two.
        "env": neuron_pod.variables(
            {**python_pods.variables(generator.runtime), "AWS_DEFAULT_REGION": generator.region}
        ),
        # No CPU limit: a throttled client is late, and lateness would be measured as the servers' latency.
        "resources": {
            "requests": {"cpu": f"{cpu_millicores}m", "memory": f"{settings.memory_mib}Mi"},
            "limits": {"memory": f"{settings.memory_mib}Mi"},
        },
        "working_dir": RESULTS_PATH,
    }
    spec: PodSpecArgsDict = {
        **python_pods.pod_spec(
            generator.runtime, container, _mounts(generator, order_name), stop_seconds=settings.grace_seconds
        ),
        "service_account_name": GENERATOR,
        # The API server's token, for the one who sees nodes and stops servers; AWS's comes by itself.
        "automount_service_account_token": True,
    }
    # Another run is another pod: it starts the servers and measures anew.
    return {"metadata": {"labels": labels, "annotations": {RUN: settings.run}}, "spec": spec}


def _mounts(
    generator: Generator, order_name: "pulumi.Input[str]"
) -> "list[tuple[VolumeArgsDict, VolumeMountArgsDict]]":
    settings: VolumeArgsDict = {"name": "settings", "config_map": {"name": order_name}}
    results: VolumeArgsDict = {"name": "results", "empty_dir": {"size_limit": f"{_RESULTS_GIB}Gi"}}
    found: list[tuple[VolumeArgsDict, VolumeMountArgsDict]] = [
        (settings, {"name": "settings", "mount_path": SETTINGS_PATH, "read_only": True}),
        (results, {"name": "results", "mount_path": RESULTS_PATH}),
    ]
    if not generator.keeps_running:
        # A whole folder, so that a deadline that is moved shows in the running pod.
        deadline: VolumeArgsDict = {"name": "deadline", "config_map": {"name": DEADLINE}}
        found.append((deadline, {"name": "deadline", "mount_path": _DEADLINE_PATH, "read_only": True}))
    return found


def budget_spec(pods: int) -> "PodDisruptionBudgetSpecArgsDict":
    """Keep a drained system node from ending a run of ``pods`` load generators in its middle."""
    return {"min_available": 1 if pods == 1 else pods + 1, "selector": {"match_labels": {"app": GENERATOR}}}


def scaling_rules(names: collections.abc.Iterable[str]) -> "list[PolicyRuleArgsDict]":
    """Return the right to start and stop the servers called ``names``, and nothing else of them."""
    return [
        {
            "api_groups": ["apps"],
            "resources": ["deployments/scale"],
            "resource_names": sorted(names),
            "verbs": ["get", "patch"],
        }
    ]


def job_rules() -> "list[PolicyRuleArgsDict]":
    """Return the right to read the load generators' own Job, and nothing else of it."""
    return [{"api_groups": ["batch"], "resources": ["jobs"], "resource_names": [GENERATOR], "verbs": ["get"]}]


def seeing_rules() -> "list[PolicyRuleArgsDict]":
    """Return the right to list Karpenter's nodes for the receipt. They have no namespace, and names nobody knows."""
    return [{"api_groups": ["karpenter.sh"], "resources": ["nodeclaims"], "verbs": ["list"]}]
