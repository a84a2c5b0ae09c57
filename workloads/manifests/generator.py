"""Manifests of the load generator: its Deployment, its order, and its rights."""

import collections.abc
import dataclasses
import math
import pathlib
import typing

from optimal_tp.cluster.order import (
    JobsOrder,
    ModelOrder,
    Order,
    PatienceOrder,
    PodsOrder,
    ReceiptOrder,
)
from optimal_tp.facts.candidates import Candidate
from optimal_tp.plan.cost import NODE_LAUNCH_SECONDS, Forecast
from optimal_tp.plan.lineup import Lineup, ModelPlan
from optimal_tp.servers import neuron_pod
from optimal_tp.servers.deployment import GENERATOR
from optimal_tp.servers.vllm import PORT
from optimal_tp.settings.spend import LoadTestSettings, Serving
from workloads.manifests import jobs, python_pods, traffic
from workloads.manifests.jobs import RUN

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
"""Key in the order's ConfigMap, and name of the file."""
ROLE = "optimal-tp/role"
"""Label that distinguishes the load generators' Job (``share``) from the pod that continues after it (``after``)."""
SHARE: typing.Final = {"app": GENERATOR, ROLE: "share"}
"""Labels of the pods of the load generators' Job."""
RESULTS_PATH = "/results"
"""Folder of samples until the bucket has them."""
DEADLINE = "qwen-vllm-deadline"
"""Name of the ConfigMap with the date at which the guard stops the servers."""
DEADLINE_KEY = "deadline"
_DEADLINE_PATH = "/etc/optimal-tp-deadline"
_RESULTS_GIB = 10
_AFTER_CPU_MILLICORES = 100
"""CPU of the pod that waits for the Job, low so that it does not take a load generator's place on a small node."""

PROGRAMS = ("optimal_tp.__main__", *(f"optimal_tp.cli.{command}" for command in ("run", "share", "sweep")))
"""Programs of the pods. A command's module is imported by its bare name, which a search for imports does not find."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generator:
    """The parts of the load generator's pod."""

    settings: LoadTestSettings
    runtime: python_pods.Runtime
    plan: Lineup
    region: str
    serving: Serving
    pins: collections.abc.Mapping[str, str]
    """Versions and hardware of the servers, kept with every run."""
    node_pool: str
    """NodePool whose nodes the receipt counts."""
    money: Forecast

    @property
    def keeps_running(self) -> bool:
        """Whether to probe after the verdict; else the servers stop with the verdict, or before the budget is spent."""
        return self.money.spend.keep_running


def order(generator: Generator, results: str) -> Order:
    """Return the order: what to fetch, compile, start and measure. ``results``: ``s3://bucket/prefix``."""
    plan, money, settings = generator.plan, generator.money, generator.settings
    keeps, alone = generator.keeps_running, settings.pods == 1
    return Order(
        models=tuple(_model(model) for model in plan.models),
        results=results,
        publish=True,
        patience=PatienceOrder(
            capacity_seconds=NODE_LAUNCH_SECONDS,
            compile_seconds=generator.serving.start_patience_seconds,
            start_seconds=generator.serving.start_patience_seconds,
        ),
        pins=dict(sorted(generator.pins.items())),
        afterwards="probe" if keeps else "stop",
        makes_room=not plan.runs_at_once,
        deadline_file=None if keeps else pathlib.Path(_DEADLINE_PATH, DEADLINE_KEY),
        receipt=ReceiptOrder(
            node_pool=generator.node_pool,
            idle_usd_per_hour=round(money.cost.idle_usd, 4),
            # Twice the expected time.
            leave_seconds=0 if keeps else int(2 * money.leaving_hours * 3600),
        ),
        pods=None
        if alone
        else PodsOrder(count=settings.pods, job=GENERATOR, start_after_seconds=settings.start_after_seconds),
    )


def _model(model: ModelPlan) -> ModelOrder:
    targets: dict[Candidate, tuple[str, ...]] = {}
    for server in model.plan.servers:
        targets[server.candidate] = (*targets.get(server.candidate, ()), f"http://{server.name}:{PORT}")
    return ModelOrder(
        settings=traffic.in_the_pod(model.settings, SETTINGS_PATH),
        targets=targets,
        rounds=model.plan.rounds,
        whole_chips=any(server.chips is not None for server in model.plan.servers),
        gates=dict(model.gates),
        physics=model.physics,
        jobs=JobsOrder(
            fetch=model.part(jobs.FETCH),
            compile={each: jobs.compile_name(model, each) for each in model.plan.candidates},
        ),
    )


def deployment_spec(generator: Generator, order_name: "pulumi.Input[str]") -> "DeploymentSpecArgsDict":
    """Return the Deployment: one pod that runs the experiment. Recreate, because two pods would double the load.

    With several load generators the pod waits for their Job, judges its results, and then probes or stops the servers.
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
    """Return the Indexed Job of several load generators. One failure ends it, because a single share is useless.

    It is resumed when the servers are ready: the pods' common start and the Job's deadline count from its start.
    """
    settings = generator.settings
    template = _template(generator, order_name, ["share"], SHARE, settings.cpu_millicores)
    spec = typing.cast("PodSpecArgsDict", template["spec"])
    apart: TopologySpreadConstraintArgsDict = {
        "max_skew": 1,
        "topology_key": "kubernetes.io/hostname",
        "when_unsatisfiable": "ScheduleAnyway",
        "label_selector": {"match_labels": SHARE},
    }
    measuring = generator.plan.models[0].settings.decision.budget_seconds
    return {
        "completion_mode": "Indexed",
        "completions": settings.pods,
        "parallelism": settings.pods,
        "backoff_limit": 0,
        "suspend": True,
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
    """Return the pod that carries out the order; ``words``: a command and its options beside --order."""
    settings = generator.settings
    container: ContainerArgsDict = {
        "name": "loadgen",
        "command": ["python", "-m", "optimal_tp", *words[:1]],
        "args": ["--order", f"{SETTINGS_PATH}/{ORDER_FILE}", *words[1:]],
        # boto3 reads this variable, not AWS_REGION; EKS's webhook adds neither to a pod that has one of the two.
        "env": neuron_pod.variables(
            {**python_pods.variables(generator.runtime), "AWS_DEFAULT_REGION": generator.region}
        ),
        # No CPU limit: a throttled client is late, and its lateness would count as the servers' latency.
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
        # The API server's token, only for the pod that sees nodes and stops servers; AWS's is added by the webhook.
        "automount_service_account_token": True,
    }
    # A new run name changes the pod, which then measures again.
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
        # Mount a whole folder, so that the running pod sees a changed deadline.
        deadline: VolumeArgsDict = {"name": "deadline", "config_map": {"name": DEADLINE}}
        found.append((deadline, {"name": "deadline", "mount_path": _DEADLINE_PATH, "read_only": True}))
    return found


def budget_spec(pods: int) -> "PodDisruptionBudgetSpecArgsDict":
    """Return a budget that keeps a drain of system nodes from ending a run of several load generators.

    None of their pods can be replaced during a run. The budget covers only the Job's pods; ended pods may be evicted,
    so it does not block a roll of the system nodes after the measurement. A single load generator needs no budget,
    because it resumes after a move.
    """
    return {"min_available": pods, "selector": {"match_labels": SHARE}}


def scaling_rules(names: collections.abc.Iterable[str]) -> "list[PolicyRuleArgsDict]":
    """Return the right to start and stop the servers called ``names``, and nothing else."""
    return [
        {
            "api_groups": ["apps"],
            "resources": ["deployments/scale"],
            "resource_names": sorted(names),
            "verbs": ["get", "patch"],
        }
    ]


def job_rules(names: collections.abc.Iterable[str]) -> "list[PolicyRuleArgsDict]":
    """Return the right to see, resume and suspend the Jobs called ``names``.

    A Job has no subresource for its suspension. Its template cannot be changed while it runs.
    """
    return [
        {"api_groups": ["batch"], "resources": ["jobs"], "resource_names": sorted(names), "verbs": ["get", "patch"]}
    ]


def rules(generator: Generator) -> "list[PolicyRuleArgsDict]":
    """Return the rights in the namespace: our servers' scale and our Jobs, by name, and all pods, named only later.

    Pods and their logs say why a server does not start; a pod whose cores are still occupied is deleted.
    """
    plan, names = generator.plan, [] if generator.settings.pods == 1 else [GENERATOR]
    return [
        *scaling_rules(server.name for server in plan.servers),
        *job_rules([*names, *(model.part(jobs.FETCH) for model in plan.models), *jobs.compile_names(plan)]),
        {"api_groups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
        {"api_groups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
