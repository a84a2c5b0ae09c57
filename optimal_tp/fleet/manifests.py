"""Manifests of a planned fleet: replicas of the cluster's own server, an autoscaler and a disruption budget."""

import dataclasses
import math
import pathlib
import re
import typing

from optimal_tp.account.stack_outputs import by_command, with_outputs
from optimal_tp.errors import Problem, SettingsError, or_problems, shown
from optimal_tp.facts import names
from optimal_tp.facts.bucketing import PINS, of_pin
from optimal_tp.facts.hardware import INSTANCE_TYPES, chips_of, cores_held
from optimal_tp.fleet import scaling
from optimal_tp.fleet.planning import Carried
from optimal_tp.plan.feasibility import with_batches
from optimal_tp.plan.placement import SERVERS, PlannedServer, cpu_millicores_per_core, memory_mib_per_core
from optimal_tp.servers import deployment, node_pool
from optimal_tp.servers.neuron_pod import Site
from optimal_tp.settings.infra import InfraSettings, parse_infra
from optimal_tp.settings.parser import read_yaml
from optimal_tp.settings.spend import Buckets, parse_spend
from optimal_tp.settings.stack_config import project_name
from optimal_tp.settings.stack_file import ClusterSettings, parse_cluster
from optimal_tp.settings.stack_keys import PROJECT, SECTIONS, unknown_keys
from optimal_tp.settings.workload import WorkloadSettings

Manifest = dict[str, typing.Any]

_ZONE = "topology.kubernetes.io/zone"
_SECONDS_PER_MINUTE = 60
_UNDERSCORE = re.compile(r"_([a-z])")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FleetGround:
    """Where the fleet is deployed."""

    site: Site
    node_pool: Manifest
    """The fleet's own NodePool, as the API server gets it."""
    longest_request_seconds: float
    """The run's request timeout; a server that shuts down waits this long for its last answer."""
    prometheus: str = scaling.DEFAULT_PROMETHEUS
    """Address of the Prometheus that scrapes the servers."""


def name_of(degree: int) -> str:
    """Return the name of a degree's fleet."""
    return f"{SERVERS}-tp{degree}-fleet"


def manifests(one: Carried, ground: FleetGround) -> dict[str, list[Manifest]]:
    """Return every object, by file name. The fleet of ``one`` runs in the namespace of the stack."""
    name = name_of(one.degree)
    server = _server(one, name, whole_chips=ground.site.pair.engine.whole_chips)
    policy = _camel(deployment.policy_spec(server))
    policy["ingress"].append(scaling.scrape_peer(ground.prometheus))
    return {
        f"{name}.yaml": [
            _object("apps/v1", "Deployment", name, ground, _deployment(one, ground, server)),
            _object("v1", "Service", name, ground, _camel(deployment.service_spec(server))),
            _object("networking.k8s.io/v1", "NetworkPolicy", name, ground, policy),
            _object("policy/v1", "PodDisruptionBudget", name, ground, _budget(one, name)),
            _object(scaling.MONITOR_VERSION, "PodMonitor", name, ground, scaling.monitor_spec(name)),
            _object(scaling.SCALER_VERSION, "ScaledObject", name, ground, _scaler(one, name, ground)),
        ],
        "nodepool.yaml": [ground.node_pool],
    }


def most_nodes(one: Carried) -> int:
    """Return the most nodes that the fleet may have: enough to hold the limits after any loss that it can withstand."""
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


def _deployment(one: Carried, ground: FleetGround, server: PlannedServer) -> Manifest:
    spec: Manifest = _camel(deployment.deployment_spec(ground.site, server, replicas=one.sizing.fleet.replicas))
    pod = spec["template"]["spec"]
    # All servers are alike: any node with free cores will do, and the autoscaler moves them. Only an experiment
    # assigns a place to each.
    del pod["affinity"]
    spec["template"]["metadata"] = {"labels": {"app": server.name}}
    pod["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": _ZONE,
            # If a zone fails, the others must be able to take its servers.
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": server.name}},
        }
    ]
    pod["containers"][0]["lifecycle"] = scaling.drain_hook()
    pod["terminationGracePeriodSeconds"] = _grace_seconds(ground.site, ground.longest_request_seconds)
    # There are no spare cores: a new server needs the cores of an old one.
    spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return spec


def _grace_seconds(site: Site, longest_request_seconds: float) -> int:
    return scaling.grace_seconds(longest_request_seconds, site.serving.stop_patience_seconds)


def _budget(one: Carried, name: str) -> Manifest:
    """Return a disruption budget that allows the drain of one node at a time."""
    return {"maxUnavailable": min(one.nodes.servers_per_node, one.sizing.fleet.replicas), **_selector(name)}


def _scaler(one: Carried, name: str, ground: FleetGround) -> Manifest:
    least = one.sizing.fleet.replicas
    return scaling.scaler_spec(
        name,
        address=ground.prometheus,
        query=scaling.in_flight_query(name, ground.site.serving.namespace),
        in_flight=in_flight_per_server(one),
        servers=(least, max(least, most_nodes(one) * one.nodes.servers_per_node)),
    )


def _selector(name: str) -> Manifest:
    return {"selector": {"matchLabels": {"app": name}}}


def _object(version: str, kind: str, name: str, ground: FleetGround, spec: Manifest) -> Manifest:
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


_Row = tuple[str, object, object, str]
"""Of what must agree: the key in the stack file, its value, that of the plan, and the other way out."""


def _bucket_rows(buckets: Buckets, pins: typing.Mapping[str, str]) -> list[_Row]:
    """Return the rows of stated buckets; none for servers that no stack started, of which nobody knows them."""
    if "pair" not in pins:
        return []
    return [
        (f"serving.buckets.{kind}_tokens", buckets.stated.get(kind), of_pin(pins.get(pin)), "or measure with its own")
        for kind, pin in PINS.items()
    ]


def _differences(rows: typing.Sequence[_Row], file: str) -> list[Problem]:
    return [
        Problem(
            path=key,
            value=has,
            rule=f"must be what the fleet was planned with, {shown(planned)}",
            remedy=remedy,
            file=file,
        )
        for key, has, planned, remedy in rows
        if has != planned
    ]


def ground(
    path: pathlib.Path,
    measured: WorkloadSettings,
    pins: typing.Mapping[str, str],
    *,
    instance_type: str,
    most_nodes: int,
    prometheus: str,
) -> FleetGround:
    """Return where the stack in the file ``path`` deploys a fleet of its own model.

    ``measured`` are the run's settings and ``pins`` its pins: its service times do not apply to another model. Raises
    SettingsError with every bad key of the file, or if its nodes, model, requests at a time or, for a run of a stack,
    its stated buckets differ from those of the plan.
    """
    infra, settings = _read(path, prometheus)
    model, file = measured.model, path.name
    neuron = infra.neuron
    settings = with_batches(settings, neuron.hardware, engine=neuron.image_and_ami.engine)
    # In a sweep, take the measured model; if none was measured, the first, for the error message.
    own = next((each.model for each in settings.models if each.model.name == model.name), settings.models[0].model)
    rows: list[_Row] = [
        ("infra.neuron.instance_type", neuron.instance_type, instance_type, "or plan with --instance-type"),
        ("workloads.model.name", own.name, model.name, "or measure its model"),
        ("workloads.model.max_num_seqs", own.max_num_seqs, model.max_num_seqs, "or measure with its own"),
        *_bucket_rows(settings.serving.buckets, pins),
    ]
    problems = _differences(rows, file)
    if problems:
        raise SettingsError(problems)
    pair, ending = neuron.image_and_ami, names.ending(settings.serving.namespace, shares=infra.existing is not None)
    site = Site(
        model=own,
        serving=settings.serving,
        pair=pair,
        image=pair.image(infra.registries.images),
        scheduler=names.SCHEDULER,
        node_pool=names.FLEET_NODE_POOL + ending,
    )
    # A node that is removed must not end its servers before their last answers.
    grace = math.ceil(_grace_seconds(site, measured.load.request_timeout_seconds) / _SECONDS_PER_MINUTE)
    pools = {
        "maximum_nodes": most_nodes,
        "termination_grace_minutes": max(neuron.termination_grace_minutes, grace),
    }
    pool: Manifest = {
        "apiVersion": node_pool.NODE_POOL_VERSION,
        "kind": "NodePool",
        "metadata": {"name": site.node_pool},
        "spec": node_pool.node_pool_spec(
            neuron.model_copy(update=pools), life_seconds=None, node_class=names.NODE_CLASS + ending
        ),
    }
    return FleetGround(
        site=site,
        node_pool=pool,
        longest_request_seconds=measured.load.request_timeout_seconds,
        prometheus=prometheus,
    )


def _read(path: pathlib.Path, prometheus: str) -> tuple[InfraSettings, ClusterSettings]:
    """Return the sections that a fleet needs. Raises SettingsError with every bad key and a bad ``prometheus``."""
    problems: list[Problem] = []
    or_problems(lambda: scaling.prometheus_namespace(prometheus), problems)
    remedy = "name the stack's Pulumi.<stack>.yaml"
    data = or_problems(lambda: read_yaml(path, key="--stack-file", value=str(path), remedy=remedy), problems)
    if data is None:
        raise SettingsError(problems)
    found = data.get("config") if isinstance(data, dict) else None
    config = found if isinstance(found, dict) else {}
    file = path.name
    problems += unknown_keys(config, project=project_name(path.parent), file=file, folder=path.parent)
    own = {name: config.get(f"{PROJECT}:{name}") for name in SECTIONS}
    infra = or_problems(lambda: parse_infra(with_outputs(own["infra"], by_command, file=file), file=file), problems)
    if own["spend"] is not None:
        or_problems(lambda: parse_spend(own["spend"], file=file), problems)
    settings = or_problems(lambda: parse_cluster(own, file=file), problems)
    if problems or infra is None or settings is None:
        raise SettingsError(problems)
    return infra, settings
