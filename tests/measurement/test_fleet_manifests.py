"""What a plan says to deploy is valid, is the cluster's own server, and fits the plan."""

import collections.abc
import pathlib
import typing

import jsonschema
import pytest
import yaml

from optimal_tp.__main__ import main
from tests.fakes_run import SEED_EXPERIMENT, planted_run, price, settings, store
from tests.fakes_schemas import problems

pytestmark = pytest.mark.measurement  # compiling the simulation and running it take seconds

ROOT = pathlib.Path(__file__).parents[2]
NAME = "qwen-vllm-tp1-fleet"
Manifests = collections.abc.Mapping[str, typing.Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a run of TP1."""
    section = settings(degrees=[1], price=price(2.25, 4))
    return str(store(tmp_path_factory.mktemp("run"), *planted_run(SEED_EXPERIMENT[:1], section, blocks=6)))


@pytest.fixture(scope="module")
def written(source: str, tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """Return what a plan for 20 requests a second writes, by kind."""
    folder = tmp_path_factory.mktemp("manifests")
    asked = ["plan", source, "--rate", "20/s", "--limit", "p99_total_ms=800", "--manifests", str(folder)]
    assert main([*asked, "--stack-file", str(ROOT / "Pulumi.dev.yaml"), "--output", str(folder)]) == 0
    found = [each for path in sorted(folder.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]
    return {each["kind"]: each for each in found}


def test_every_object_is_valid(written: Manifests) -> None:
    """Against the API server's own schemas, unknown fields refused, and Karpenter's definition of a NodePool."""
    pool = written["NodePool"]
    crd = yaml.safe_load((ROOT / "tests/crds/karpenter.sh_nodepools.yaml").read_text())
    (schema,) = [each["schema"]["openAPIV3Schema"] for each in crd["spec"]["versions"] if each["name"] == "v1"]
    jsonschema.validate(pool, schema)

    assert [problem for kind, each in written.items() if kind != "NodePool" for problem in problems(each)] == []
    assert set(written) == {
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "NodePool",
        "PodDisruptionBudget",
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
    assert written["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == NAME


def test_numbers_are_the_plans(written: Manifests) -> None:
    """Replicas at least; nodes enough for what withstands the loss of a zone; in flight by Little's law."""
    replicas = written["Deployment"]["spec"]["replicas"]
    scaler = written["HorizontalPodAutoscaler"]["spec"]
    nodes = int(written["NodePool"]["spec"]["limits"]["nodes"])
    target = scaler["metrics"][0]["pods"]["target"]["averageValue"]

    assert 20 <= replicas <= 26
    assert scaler["minReplicas"] == replicas
    assert scaler["maxReplicas"] == 4 * nodes
    assert nodes * 2 // 3 >= replicas / 4
    assert written["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 4
    assert target.endswith("m")
    assert 0.29 * 20 / replicas <= int(target[:-1]) / 1000 <= 0.4 * 20 / replicas


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
        "Pulumi.other.yaml: workloads.model.max_num_seqs is 4; the fleet was planned with 1; edit Pulumi.other.yaml, "
        "or measure with its own\n"
    )
