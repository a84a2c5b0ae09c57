"""The component for programs of others, and the example that uses it, with everything that it makes on record."""

import json
import pathlib
import runpy
import sys
import types
import typing

import neuron_nodes
import pulumi
import pytest
import yaml
from pulumi.provider.experimental.analyzer import Analyzer

from optimal_tp.errors import SettingsError
from optimal_tp.facts.versions import KUBERNETES, PAIRS
from tests.fakes_pulumi import Recording, record
from tests.fakes_stack_files import ROOT

pytestmark = pytest.mark.program

EXAMPLE = ROOT / "examples" / "neuron-nodes"
ARGS: typing.Final[dict[str, typing.Any]] = {
    "cluster_name": "theirs",
    "kubeconfig": "{}",
    "kubernetes": "1.35",
    "subnet_ids": ["subnet-0a"],
    "security_group_ids": ["sg-0a"],
    "zones": ["ap-southeast-4c"],
    "capacity_types": ["on-demand"],
    "price": {"usd_per_hour": 2.25, "source": "somebody", "date": "2026-10-03"},
}


def made(**changes: object) -> Recording:
    """Return what the component makes with ARGS and ``changes``, as Pulumi hands them over: a dict."""
    args = typing.cast("neuron_nodes.NeuronNodesArgs", {**ARGS, **changes})
    return record(lambda: neuron_nodes.NeuronNodes("nodes", args))


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Return a run of the example, with the component itself where the generated package would send its arguments."""
    package = types.ModuleType("pulumi_optimal_tp")
    package.NeuronNodes = lambda name, **args: neuron_nodes.NeuronNodes(name, args)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pulumi_optimal_tp", package)
    return record(
        lambda: runpy.run_path(str(EXAMPLE / "__main__.py"), run_name="__main__"),
        config={"neuron-nodes:kubeconfig": "{}"},
        project="neuron-nodes",
    )


def test_the_example_makes_nodes(example: Recording) -> None:
    """Karpenter, the Neuron chart, class and pool; no cluster, no network, no file system."""
    kinds = {each.key for each in example.resources}

    assert {
        "Release nodes-karpenter-crds",
        "Release nodes-karpenter-controller",
        "Release nodes-neuron-chart",
        "EC2NodeClass nodes-pool-class",
        "NodePool nodes-pool-nodes",
    } <= kinds
    assert not any(word in key for key in kinds for word in ("Vpc", "Cluster ", "FileSystem", "NodeGroup"))
    assert example.outputs == {
        "node_selector": {"karpenter.sh/nodepool": "neuron-trn-2"},
        "scheduler_name": "my-scheduler",
    }


def test_everything_lies_in_the_component(example: Recording) -> None:
    """So that `destroy` takes it down in the component's order."""
    (root,) = example.of_type("index:NeuronNodes")

    assert all(root.urn in example.must_outlive()[each.urn] for each in example.resources if each is not root)


def test_the_pool_goes_before_what_ends_its_nodes() -> None:
    """Karpenter and the chart outlive the pool."""
    found = made()
    outlived = found.must_outlive()[found.one("NodePool nodes-pool-nodes").urn]

    assert {
        found.one(key).urn for key in ("Release nodes-karpenter-controller", "Release nodes-neuron-chart")
    } <= outlived


def test_arguments_have_an_effect() -> None:
    """Each one shows in what is made; a price opens the gate of NodeOverlay."""
    found = made(maximum_nodes=3, tags={"team": "ml"}, permissions_boundary_arn="arn:aws:iam::aws:policy/Bounds")

    assert found.one("NodePool nodes-pool-nodes").inputs["spec"]["limits"]["nodes"] == "3"
    assert found.one("EC2NodeClass nodes-pool-class").inputs["spec"]["tags"] == {"team": "ml"}
    assert found.one("NodeOverlay nodes-pool-price").inputs["spec"]["price"] == "2.2500"
    assert {each.inputs["permissionsBoundary"] for each in found.of_type("iam/role:Role")} == {
        "arn:aws:iam::aws:policy/Bounds"
    }


@pytest.mark.parametrize("is_on", [True, False])
def test_trial_launches_can_be_switched_off(*, is_on: bool) -> None:
    """Where a policy of the organization refuses them; without a word they are made."""
    found = made(**({} if is_on else {"karpenter_dry_run": False}))
    values = json.dumps(found.one("Release nodes-karpenter-controller").inputs)

    assert ('"disableDryRun": true' in values) is not is_on


def test_bad_arguments_come_in_one_error() -> None:
    """With the names that the caller wrote."""
    bad = {"cluster_name": "no name", "pair": "neuronx-9", "maximum_nodes": 0, "zones": [], "knob": 1}
    with pytest.raises(SettingsError) as told:
        made(**bad, price={"usd_per_hour": -1, "source": "somebody", "date": "2026-10-03"})

    named = {line.removeprefix("the arguments ").split(": ")[0] for line in str(told.value).splitlines()}
    assert named == {"NeuronNodes.price.usd_per_hour", *(f"NeuronNodes.{key}" for key in bad)}


def test_a_pair_must_know_the_cluster() -> None:
    """There is no AMI of another minor with a driver that its image accepts."""
    minor = next(minor for minor in KUBERNETES if minor not in PAIRS["neuronx-0.9.1"].kubernetes)
    with pytest.raises(SettingsError, match=r"NeuronNodes\.kubernetes: must be one that neuronx-0\.9\.1 runs on"):
        made(kubernetes=minor, pair="neuronx-0.9.1")


def test_a_list_must_be_known() -> None:
    """The preview shows one selector for each id."""
    with pytest.raises(
        SettingsError, match=r"NeuronNodes\.subnet_ids: must be a list whose length is known .*got 'an output'"
    ):
        record(lambda: neuron_nodes.checked({**ARGS, "subnet_ids": pulumi.Output.from_input(["subnet-0a"])}))


def test_the_example_gives_what_the_schema_asks_for() -> None:
    """Pulumi's own analyser reads every argument with its description; what is required is in the example."""
    found = Analyzer("optimal-tp").analyze([neuron_nodes.NeuronNodes])["component_definitions"]["NeuronNodes"]
    text = (EXAMPLE / "__main__.py").read_text(encoding="utf-8")
    required = [found.inputs_mapping[key] for key, each in found.inputs.items() if not each.optional]

    assert [key for key, each in found.inputs.items() if not each.description] == []
    assert [key for key in required if f"    {key}=" not in text] == []
    assert set(found.outputs_mapping.values()) == {"node_pool_name", "scheduler_name", "instance_profile_name"}


def test_the_package_lies_where_pulumi_looks() -> None:
    """The root's own project stays valid: a folder with PulumiPlugin.yaml is a plugin and no program."""
    plugin = yaml.safe_load((ROOT / "component/PulumiPlugin.yaml").read_text(encoding="utf-8"))
    project = yaml.safe_load((EXAMPLE / "Pulumi.yaml").read_text(encoding="utf-8"))
    needed = (ROOT / "component/requirements.txt").read_text(encoding="utf-8").splitlines()

    assert plugin == {"runtime": "python"}
    assert not pathlib.Path(ROOT / "PulumiPlugin.yaml").exists()
    assert (EXAMPLE / project["packages"]["optimal-tp"]).resolve() == ROOT / "component"
    assert needed[-1] == "-r ../requirements.txt"
    assert json.dumps(project["runtime"]["name"]) == '"python"'
