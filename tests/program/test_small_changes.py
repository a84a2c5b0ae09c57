"""A preview is readable: a changed setting changes what it is about and nothing else, and nobody's identity moves."""

import collections
import dataclasses

import pytest

from tests.fakes_pulumi import Recorded, Recording
from tests.fakes_workloads import PROGRAMS, program

LOAD_GENERATOR = {"~ ConfigMap loadgen-settings", "~ Deployment loadgen-pods"}
DEADLINE = {"~ ConfigMap guard-deadline", "~ CronJob guard-cron"}
NODE_LIFE = "~ NodePool pool-nodes"
"""What the money allows is how long a node may live."""
SERVERS = {f"~ Deployment tp{degree}-pods" for degree in (1, 2, 4)}
COMPILED = {f"~ Job artifacts-compile-tp{degree}" for degree in (1, 2, 4)}
TP4 = {
    "- VllmServer tp4",
    "- Deployment tp4-pods",
    "- Service tp4-address",
    "- NetworkPolicy tp4-callers",
    "- Job artifacts-compile-tp4",
    "- MetricAlarm dashboard-void-tp4",
}
NAMED_BY_DEGREE = {
    "~ Role guard-rights",
    "~ Role loadgen-conducting",
    "~ CronJob guard-cron",
    "~ Dashboard dashboard-board",
}
"""What says which servers there are: who may stop them, and where they are drawn."""

CHANGES: dict[str, tuple[dict[str, object], set[str]]] = {
    "another latency limit": (
        {"workloads__limits": {"total_latency_ms": {"percentile": 99, "at_most_ms": 500}}},
        {*LOAD_GENERATOR, "~ Dashboard dashboard-board"},
    ),
    "longer blocks": ({"workloads__load__block_seconds": 31}, LOAD_GENERATOR),
    "one degree less": (
        {"workloads__degrees": [1, 2]},
        {*TP4, *LOAD_GENERATOR, *NAMED_BY_DEGREE, *DEADLINE, NODE_LIFE},
    ),
    "more budget": ({"spend__budget_usd": 25}, {*DEADLINE, "~ Namespace experiment", NODE_LIFE}),
    "another run": (
        {"loadtest__run": "second"},
        {"~ ConfigMap guard-clock", "~ Deployment loadgen-pods", *COMPILED, "~ Job artifacts-fetch"},
    ),
    "memory of the load generator": ({"loadtest__memory_mib": 777}, {"~ Deployment loadgen-pods"}),
    "how long results are kept": (
        {"loadtest__results__expire_after_days": 30},
        {"~ BucketLifecycleConfiguration results-expiry"},
    ),
    "who is told of alarms": (
        {"loadtest__alarms__topic_arn": "arn:aws:sns:ap-southeast-4:111122223333:people"},
        {f"~ MetricAlarm dashboard-void-tp{degree}" for degree in (1, 2, 4)},
    ),
    "patience with a server": (
        {"serving__probe_patience_seconds": 60},
        SERVERS,
    ),
    "another image": (
        {"infra__neuron__pair": "neuronx-0.9.1"},
        {*SERVERS, *COMPILED, "~ EC2NodeClass pool-class", *LOAD_GENERATOR},
    ),
    "one node more": ({"infra__neuron__maximum_nodes": 3}, {"~ NodePool pool-nodes"}),
    "larger root volumes": ({"infra__neuron__root_volume_gib": 321}, {"~ EC2NodeClass pool-class"}),
    "larger disks of system nodes": ({"infra__system_nodes__disk_gib": 77}, {"~ LaunchTemplate cluster-nodes"}),
    "who may reach the API server": (
        {"infra__control_plane__public_access_cidrs": ["198.51.100.0/24"]},
        {"~ Cluster cluster-control-plane"},
    ),
    "how long logs are kept": ({"infra__control_plane__log_retention_days": 30}, {"~ LogGroup cluster-logs"}),
}
"""What is changed in a stack's file, and every resource that a preview may show then."""

COMPONENTS = {
    "optimal-tp:infra:Cluster": {"cluster"},
    "optimal-tp:infra:Karpenter": {"karpenter"},
    "optimal-tp:infra:Network": {"network"},
    "optimal-tp:infra:NeuronPool": {"pool"},
    "optimal-tp:infra:NeuronScheduling": {"neuron"},
    "optimal-tp:infra:SharedStorage": {"storage"},
    "optimal-tp:workloads:CompiledArtifacts": {"artifacts"},
    "optimal-tp:workloads:Dashboard": {"dashboard"},
    "optimal-tp:workloads:Guard": {"guard"},
    "optimal-tp:workloads:LoadTest": {"loadgen"},
    "optimal-tp:workloads:OwnNodes": {"own-nodes"},
    "optimal-tp:workloads:ResultsBucket": {"results"},
    "optimal-tp:workloads:VllmServer": {"tp1", "tp2", "tp4"},
}
"""Token and names of every component: part of the URN of all that is in it."""


def registered(each: Recorded) -> Recorded:
    """Return what a preview compares: inputs and options, but not what only the order hangs on."""
    return dataclasses.replace(each, depends_on=frozenset(), inputs_from=frozenset())


def differences(before: Recording, after: Recording) -> set[str]:
    """Return what a preview of ``after`` on a stack of ``before`` shows: made +, deleted -, changed ~."""
    old, new = ({each.urn: each for each in run.resources} for run in (before, after))
    made = {f"+ {new[urn].key}" for urn in new.keys() - old.keys()}
    gone = {f"- {old[urn].key}" for urn in old.keys() - new.keys()}
    both = old.keys() & new.keys()
    return made | gone | {f"~ {new[urn].key}" for urn in both if registered(old[urn]) != registered(new[urn])}


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_unrelated_changes(name: str) -> None:
    """One setting, and exactly the resources that it is about."""
    changes, shown = CHANGES[name]

    assert differences(PROGRAMS["one-each"](), program(**changes)) == shown


def test_components_are_who_they_were() -> None:
    """Another token or name is another URN, and the next `pulumi up` would make all that is in it anew."""
    found = collections.defaultdict(set)
    for each in PROGRAMS["one-each"]().resources:
        if each.type.startswith("optimal-tp:"):
            found[each.type].add(each.name)

    assert found == COMPONENTS
