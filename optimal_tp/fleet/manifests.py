"""What to deploy for a plan: the cluster's own server, many times, with what scales and guards it."""

import dataclasses
import math
import pathlib
import re
import typing

from optimal_tp.errors import Problem, SettingsError, shown
from optimal_tp.facts import names
from optimal_tp.facts.hardware import INSTANCE_TYPES, chips_of, cores_held
from optimal_tp.fleet.planning import Carried
from optimal_tp.plan.feasibility import with_batches
from optimal_tp.plan.placement import SERVERS, PlannedServer, cpu_millicores_per_core, memory_mib_per_core
from optimal_tp.servers import deployment, node_pool
from optimal_tp.servers.neuron_pod import Site
from optimal_tp.settings.infra import parse_infra
from optimal_tp.settings.parser import read_yaml
from optimal_tp.settings.stack_file import parse_cluster
from optimal_tp.settings.workload import Model

Manifest = dict[str, typing.Any]

IN_FLIGHT_METRIC = "vllm_requests_in_flight"
"""The per-pod metric that the autoscaler reads from the custom metrics API: ``vllm:num_requests_running`` plus
``vllm:num_requests_waiting``, as a metrics adapter serves it under one name (docs/concepts/fleet.md)."""
_ZONE = "topology.kubernetes.io/zone"
_SCALE_DOWN_SECONDS = 600
_UNDERSCORE = re.compile(r"_([a-z])")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ground:
    """Where the fleet is deployed."""

    site: Site
    node_pool: Manifest
    """The stack's NodePool, as the API server gets it."""


def name_of(degree: int) -> str:
    """Return the name of a degree's fleet."""
    return f"{SERVERS}-tp{degree}-fleet"


def manifests(one: Carried, ground: Ground) -> dict[str, list[Manifest]]:
    """Return every object, by the file it goes to. The fleet of ``one`` runs in the namespace of the stack."""
    name = name_of(one.degree)
    server = _server(one, name, whole_chips=ground.site.pair.engine.whole_chips)
    return {
        f"{name}.yaml": [
            _object("apps/v1", "Deployment", name, ground, _deployment(one, ground, server)),
            _object("v1", "Service", name, ground, _camel(deployment.service_spec(server))),
            _object("networking.k8s.io/v1", "NetworkPolicy", name, ground, _camel(deployment.policy_spec(server))),
            _object("policy/v1", "PodDisruptionBudget", name, ground, _budget(one, name)),
            _object("autoscaling/v2", "HorizontalPodAutoscaler", name, ground, _autoscaler(one, name)),
        ],
        "nodepool.yaml": [ground.node_pool],
    }


def most_nodes(one: Carried) -> int:
    """Return the nodes that the fleet may have: enough to hold the limits after any loss that it can withstand."""
    return max([one.nodes.count, *(loss.nodes_to_withstand or 0 for loss in one.losses)])


def in_flight_per_server(one: Carried) -> float:
    """Return the requests in flight at one server of the plan: Little's law, rate times mean latency."""
    fleet = one.sizing.fleet
    return fleet.arrivals.rate_per_second / fleet.replicas * one.sizing.outcome.mean_ms.value / 1000


def _server(one: Carried, name: str, *, whole_chips: bool) -> PlannedServer:
    kind = INSTANCE_TYPES[one.nodes.instance_type]
    cores = cores_held(one.degree, whole_chips=whole_chips)
    return PlannedServer(
        name=name,
        candidate=one.candidate,
        replica=0,
        round_number=0,
        node=0,
        group=name,
        cpu_millicores=cores * cpu_millicores_per_core(kind),
        memory_mib=cores * memory_mib_per_core(kind),
        chips=chips_of(one.degree) if whole_chips else None,
    )


def _deployment(one: Carried, ground: Ground, server: PlannedServer) -> Manifest:
    spec: Manifest = _camel(deployment.deployment_spec(ground.site, server, replicas=one.sizing.fleet.replicas))
    pod = spec["template"]["spec"]
    # Servers are all alike: any node with free cores will do, and the autoscaler moves them; only an experiment has
    # a place for each.
    del pod["affinity"]
    spec["template"]["metadata"] = {"labels": {"app": server.name}}
    pod["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": _ZONE,
            # One zone less must not keep the others from taking its servers.
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": server.name}},
        }
    ]
    # No spare cores: a new server needs an old one's.
    spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return spec


def _budget(one: Carried, name: str) -> Manifest:
    """Allow what a node's drain takes away, and no more at a time."""
    return {"maxUnavailable": min(one.nodes.servers_per_node, one.sizing.fleet.replicas), **_selector(name)}


def _autoscaler(one: Carried, name: str) -> Manifest:
    target = math.floor(1000 * in_flight_per_server(one))
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        # The plan is the least: below it a Poisson stream of this rate breaks the limit before any metric shows it.
        "minReplicas": one.sizing.fleet.replicas,
        "maxReplicas": max(one.sizing.fleet.replicas, most_nodes(one) * one.nodes.servers_per_node),
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": IN_FLIGHT_METRIC},
                    "target": {"type": "AverageValue", "averageValue": f"{max(1, target)}m"},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": _SCALE_DOWN_SECONDS}},
    }


def _selector(name: str) -> Manifest:
    return {"selector": {"matchLabels": {"app": name}}}


def _object(version: str, kind: str, name: str, ground: Ground, spec: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": ground.site.serving.namespace, "labels": {"app": name}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _camel(value: typing.Any) -> typing.Any:  # noqa: ANN401 - a manifest is any data
    """Return a spec as the API server spells it; Pulumi spells its keys with underscores."""
    if isinstance(value, dict):
        return {
            _UNDERSCORE.sub(lambda match: match[1].upper(), key).rstrip("_"): _camel(part)
            for key, part in value.items()
        }
    return [_camel(part) for part in value] if isinstance(value, (list, tuple)) else value


_PROJECT = "optimal-tp"


def ground(path: pathlib.Path, model: Model, *, instance_type: str, most_nodes: int) -> Ground:
    """Return where the stack in the file ``path`` puts a fleet of its own model.

    ``model`` is what the run measured: its service times say nothing of another one. Raises SettingsError for a file
    that is no stack's, and for one whose nodes, model or requests at a time are others than those of the plan.
    """
    data = read_yaml(path, key="--stack-file", value=str(path), remedy="name the stack's Pulumi.<stack>.yaml")
    config = data.get("config", {}) if isinstance(data, dict) else {}
    file = path.name
    infra = parse_infra(config.get(f"{_PROJECT}:infra"), file=file)
    sections = {name: config.get(f"{_PROJECT}:{name}") for name in ("workloads", "serving", "loadtest")}
    neuron = infra.neuron
    settings = with_batches(parse_cluster(sections, file=file), neuron.hardware, engine=neuron.image_and_ami.engine)
    # Of a sweep's models the one that was measured; the first where none of them was, for the sentence.
    own = next((each.model for each in settings.models if each.model.name == model.name), settings.models[0].model)
    pairs = (
        ("infra.neuron.instance_type", neuron.instance_type, instance_type, "or plan with --instance-type"),
        ("workloads.model.name", own.name, model.name, "or measure its model"),
        ("workloads.model.max_num_seqs", own.max_num_seqs, model.max_num_seqs, "or measure with its own"),
    )
    problems = [
        Problem(
            path=key,
            value=has,
            rule=f"must be what the fleet was planned with, {shown(planned)}",
            remedy=remedy,
            file=file,
        )
        for key, has, planned, remedy in pairs
        if has != planned
    ]
    if problems:
        raise SettingsError(problems)
    pair = neuron.image_and_ami
    site = Site(
        model=own,
        serving=settings.serving,
        pair=pair,
        image=pair.image(infra.registries.images),
        scheduler=names.SCHEDULER,
        node_pool=names.NODE_POOL,
    )
    pool: Manifest = {
        "apiVersion": node_pool.NODE_POOL_VERSION,
        "kind": "NodePool",
        "metadata": {"name": names.NODE_POOL},
        "spec": node_pool.node_pool_spec(neuron.model_copy(update={"maximum_nodes": most_nodes}), life_seconds=None),
    }
    return Ground(site=site, node_pool=pool)
