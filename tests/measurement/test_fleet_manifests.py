"""What a plan says to deploy is valid, is the cluster's own server, and fits the plan."""

import collections.abc
import dataclasses
import pathlib
import typing

import jsonschema
import pytest
import yaml

from optimal_tp.__main__ import main
from optimal_tp.settings.spend import Buckets
from tests.fakes_run import SEED_EXPERIMENT, planted_run, price, settings, store
from tests.fakes_schemas import problems
from tests.fakes_stack_files import EXISTING

pytestmark = pytest.mark.measurement  # compiling the simulation and running it take seconds

ROOT = pathlib.Path(__file__).parents[2]
NAME = "qwen-vllm-tp1-fleet"
Manifests = collections.abc.Mapping[str, typing.Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a run of TP1."""
    section = settings(degrees=[1], price=price(2.25, 4))
    return str(store(tmp_path_factory.mktemp("run"), *planted_run(SEED_EXPERIMENT[:1], section, blocks=12)))


@pytest.fixture(scope="module")
def written(source: str, tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """Return what a plan for 20 requests a second writes, by kind."""
    folder = tmp_path_factory.mktemp("manifests")
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--manifests", str(folder)]
    assert main([*asked, "--stack-file", str(ROOT / "Pulumi.dev.yaml"), "--output", str(folder)]) == 0
    found = [each for path in sorted(folder.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]
    return {each["kind"]: each for each in found}


CUSTOM = {
    "NodePool": "karpenter.sh_nodepools.yaml",
    "PodMonitor": "fleet/monitoring.coreos.com_podmonitors.yaml",
    "ScaledObject": "fleet/keda.sh_scaledobjects.yaml",
}


def closed(schema: typing.Any) -> typing.Any:
    """Return ``schema`` with every unknown field an error, as the API server's strict fields have it."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "x-kubernetes-preserve-unknown-fields" not in schema:
        shut.setdefault("additionalProperties", False)
    return shut


def test_every_object_is_valid(written: Manifests) -> None:
    """Against the API server's own schemas and the definitions of custom kinds, unknown fields refused."""
    for kind, file in CUSTOM.items():
        crd = yaml.safe_load((ROOT / "tests/crds" / file).read_text())
        version = written[kind]["apiVersion"].rsplit("/")[-1]
        (schema,) = [each["schema"]["openAPIV3Schema"] for each in crd["spec"]["versions"] if each["name"] == version]
        spec = {key: value for key, value in schema["properties"].items() if key == "spec"}
        jsonschema.validate({"spec": written[kind]["spec"]}, closed({"type": "object", "properties": spec}))

    assert [problem for kind, each in written.items() if kind not in CUSTOM for problem in problems(each)] == []
    assert set(written) == {
        "Deployment",
        "NetworkPolicy",
        "NodePool",
        "PodDisruptionBudget",
        "PodMonitor",
        "ScaledObject",
        "Service",
    }


def test_the_servers_are_the_clusters_own(written: Manifests) -> None:
    """Same command, cores and rights; without the experiment's places, spread over zones."""
    spec = written["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]

    assert container["command"][:2] == ["vllm", "serve"]
    assert container["resources"]["limits"]["aws.amazon.com/neuroncore"] == "1"
    assert pod["nodeSelector"] == {"karpenter.sh/nodepool": written["NodePool"]["metadata"]["name"]}
    assert "affinity" not in pod
    assert [each["topologyKey"] for each in pod["topologySpreadConstraints"]] == ["topology.kubernetes.io/zone"]
    assert spec["template"]["metadata"] == {"labels": {"app": NAME}}


def test_everything_selects_the_same_pods(written: Manifests) -> None:
    """A selector that matches nothing guards nothing."""
    labels = written["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        written["Deployment"]["spec"]["selector"]["matchLabels"],
        written["Service"]["spec"]["selector"],
        written["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        written["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]

    assert selectors == [labels] * 4
    assert written["PodMonitor"]["spec"]["selector"]["matchLabels"] == labels
    assert written["ScaledObject"]["spec"]["scaleTargetRef"]["name"] == NAME


def test_numbers_are_the_plans(written: Manifests) -> None:
    """Replicas at least; nodes enough for what withstands the loss of a zone; in flight by Little's law."""
    replicas = written["Deployment"]["spec"]["replicas"]
    scaler = written["ScaledObject"]["spec"]
    nodes = int(written["NodePool"]["spec"]["limits"]["nodes"])
    target = float(scaler["triggers"][0]["metadata"]["threshold"])

    assert 20 <= replicas <= 26
    assert scaler["minReplicaCount"] == replicas
    assert scaler["maxReplicaCount"] == 4 * nodes
    assert nodes * 2 // 3 >= replicas / 4
    assert written["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 4
    assert 0.29 * 20 / replicas <= target <= 0.4 * 20 / replicas


def test_the_scale_reads_what_the_monitor_scrapes(written: Manifests) -> None:
    """One number for the whole fleet, of this fleet alone; a lost target is an error and never 0."""
    trigger = written["ScaledObject"]["spec"]["triggers"][0]
    fleet = f'{{namespace="optimal-tp",job="optimal-tp/{NAME}"}}[120s]'

    assert written["PodMonitor"]["metadata"] == {"name": NAME, "namespace": "optimal-tp", "labels": {"app": NAME}}
    assert trigger["metricType"] == "AverageValue"
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert trigger["metadata"]["query"] == (
        f"sum(avg_over_time(vllm:num_requests_running{fleet})) + sum(avg_over_time(vllm:num_requests_waiting{fleet}))"
    )


def test_prometheus_may_reach_the_servers(written: Manifests) -> None:
    """The namespace admits nobody: without a rule every target is down and nothing scales."""
    rules = written["NetworkPolicy"]["spec"]["ingress"]
    namespaces = [peer["namespaceSelector"]["matchLabels"] for rule in rules[1:] for peer in rule["from"]]

    assert namespaces == [{"kubernetes.io/metadata.name": "monitoring"}]


def test_a_server_outlives_its_last_request(written: Manifests) -> None:
    """Out of its Service, the longest request of the run, vLLM's own end; and a node waits for all of it."""
    pod = written["Deployment"]["spec"]["template"]["spec"]
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    node = written["NodePool"]["spec"]["template"]["spec"]

    assert command[:2] == ["python3", "-c"]
    assert command[3:] == ["http://127.0.0.1:8000/metrics", "10", "1"]
    assert pod["terminationGracePeriodSeconds"] == 10 + 60 + 60
    assert pod["terminationGracePeriodSeconds"] <= 60 * int(node["terminationGracePeriod"].removesuffix("m"))


def test_the_fleet_has_nodes_of_its_own(written: Manifests) -> None:
    """The stack's `up` must not set its limits back, nor a measurement share its nodes."""
    pool, pod = written["NodePool"], written["Deployment"]["spec"]["template"]["spec"]

    assert pool["metadata"]["name"] == "neuron-trn-2-fleet"
    assert pool["spec"]["template"]["spec"]["expireAfter"] == "Never"
    assert pod["nodeSelector"] == {"karpenter.sh/nodepool": "neuron-trn-2-fleet"}


def test_on_a_shared_cluster_the_fleet_uses_its_own_stacks_node_class(source: str, tmp_path: pathlib.Path) -> None:
    """Its pool, too, has the stack's ending: another stack's fleet would be overwritten."""
    stack = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    infra = stack["config"]["optimal-tp:infra"]
    kept = {key: infra[key] for key in ("zones", "tags", "neuron", "storage")}
    stack["config"]["optimal-tp:infra"] = {**kept, "existing": EXISTING}
    stack["config"]["optimal-tp:serving"]["namespace"] = "second"
    file = tmp_path / "Pulumi.second.yaml"
    file.write_text(yaml.safe_dump(stack))
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--stack-file", str(file)]

    assert main([*asked, "--manifests", str(tmp_path / "fleet"), "--output", str(tmp_path)]) == 0
    found = [each for path in (tmp_path / "fleet").glob("*.yaml") for each in yaml.safe_load_all(path.read_text())]
    by_kind = {each["kind"]: each for each in found}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    reference = by_kind["NodePool"]["spec"]["template"]["spec"]["nodeClassRef"]

    assert by_kind["NodePool"]["metadata"]["name"] == "neuron-trn-2-fleet-in-second"
    assert pod["nodeSelector"] == {"karpenter.sh/nodepool": "neuron-trn-2-fleet-in-second"}
    assert reference["name"] == "neuron-al2023-in-second"


def test_a_prometheus_outside_the_cluster_is_refused(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The NetworkPolicy needs its namespace."""
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--manifests", str(tmp_path)]
    told = [*asked, "--stack-file", str(ROOT / "Pulumi.dev.yaml"), "--prometheus", "http://metrics.example.org"]

    assert main([*told, "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "--prometheus: must be the address of a Service, for example http://prometheus-operated.monitoring:9090 "
        "(got 'http://metrics.example.org'); name the Prometheus that scrapes the cluster as "
        "http://SERVICE.NAMESPACE:PORT\n"
    )


def test_a_stack_of_another_kind_is_refused(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Service times say nothing of servers that take four at a time."""
    stack = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    stack["config"]["optimal-tp:workloads"]["model"] = {"max_num_seqs": 4}
    file = tmp_path / "Pulumi.other.yaml"
    file.write_text(yaml.safe_dump(stack))
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--stack-file", str(file)]

    assert main([*asked, "--manifests", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "Pulumi.other.yaml workloads.model.max_num_seqs: must be what the fleet was planned with, 1 (got 4); "
        "or measure "
        "with its own\n"
    )


def test_a_stack_with_other_buckets_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A longer bucket takes longer; only a run of a stack knows its buckets."""
    section = settings(degrees=[1], price=price(2.25, 4))
    pins = {"pair": "neuronx-0.16.0", **Buckets(prompt_tokens=()).pins}
    record, samples = planted_run(SEED_EXPERIMENT[:1], section, blocks=12)
    folder = str(store(tmp_path / "run", dataclasses.replace(record, pins=record.pins | pins), samples))
    file = tmp_path / "Pulumi.other.yaml"
    file.write_text((ROOT / "Pulumi.dev.yaml").read_text())
    asked = ["plan", folder, "--rate", "20/s", "--limit", "p99_total_ms=800", "--manifests", str(tmp_path)]

    assert main([*asked, "--stack-file", str(file), "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "Pulumi.other.yaml serving.buckets.prompt_tokens: must be what the fleet was planned with, [] (not set); or "
        "measure with its own\n"
    )


def test_an_unknown_key_of_the_stack_is_refused(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As everywhere that a stack file is read: what it says would be passed over in silence."""
    stack = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    stack["config"]["optimal-tp:servings"] = {"layout": "equal-cores"}
    file = tmp_path / "Pulumi.other.yaml"
    file.write_text(yaml.safe_dump(stack))
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--stack-file", str(file)]

    assert main([*asked, "--manifests", str(tmp_path), "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Pulumi.other.yaml optimal-tp:servings: must be one of optimal-tp:infra, ")
    assert said.endswith("did you mean optimal-tp:serving?\n")

    file.write_text((ROOT / "Pulumi.dev.yaml").read_text() + "\noptimal-tp:serving: { layout: equal-cores }\n")
    assert main([*asked, "--manifests", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert " optimal-tp:serving: must be under config:" in capsys.readouterr().err


def test_every_bad_key_of_the_stack_is_named_at_once(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No section waits for another, and the address of Prometheus waits for none."""
    stack = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    config = stack["config"]
    config["optimal-tp:infra"]["network"]["cidr"] = "ten"
    config["optimal-tp:infra"]["neuron"]["maximum_nodes"] = 0
    config["optimal-tp:workloads"]["degrees"] = [3]
    config["optimal-tp:loadtest"]["pods"] = 0
    config["optimal-tp:spend"]["budget_usd"] = -1
    config["optimal-tp:servings"] = {}
    file = tmp_path / "Pulumi.other.yaml"
    file.write_text(yaml.safe_dump(stack))
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--stack-file", str(file)]
    told = [*asked, "--prometheus", "http://metrics.example.org", "--manifests", str(tmp_path)]

    assert main([*told, "--output", str(tmp_path)]) == 2
    assert [
        line.removeprefix("Pulumi.other.yaml ").split(": ")[0] for line in capsys.readouterr().err.splitlines()
    ] == [
        "--prometheus",
        "optimal-tp:servings",
        "infra.network.cidr",
        "infra.neuron.maximum_nodes",
        "spend.budget_usd",
        "workloads.degrees[0]",
        "loadtest.pods",
    ]


def test_a_stack_file_without_keys_is_refused(
    source: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty config is no crash."""
    file = tmp_path / "Pulumi.other.yaml"
    file.write_text("config:\n")
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--stack-file", str(file)]

    assert main([*asked, "--manifests", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("Pulumi.other.yaml infra: must be ")
