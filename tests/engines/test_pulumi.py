"""The real Pulumi engine takes the program up, changes it, and takes it down: model of AWS, real API server."""

import dataclasses

import pytest

from tests.engines import fakes_stack
from tests.engines.fakes_api_server import ControlPlane
from tests.engines.fakes_aws.world import World
from tests.engines.fakes_engines import CONTROL_PLANE, EKS_PLUGIN, PULUMI, needs
from tests.engines.fakes_nodes import Nodes, playing
from tests.engines.fakes_stack import Run, Stack
from tests.fakes_workloads import PROGRAMS

NEEDED = (CONTROL_PLANE, PULUMI, EKS_PLUGIN)
pytestmark = [pytest.mark.engines, pytest.mark.timeout(600), needs(*NEEDED)]
UP, DESTROY = ("up", "--yes", "--skip-preview"), ("destroy", "--yes", "--skip-preview")
KEPT = {
    "Bucket results-bucket",
    "BucketVersioning results-versions",
    "BucketServerSideEncryptionConfiguration results-encryption",
    "BucketPublicAccessBlock results-public",
    "BucketPolicy results-tls",
    "BucketLifecycleConfiguration results-expiry",
}
"""What ``on_destroy: keep`` leaves in the account."""
CHANGES: dict[str, dict[str, object]] = {
    "limit": {"workloads.limits": {"total_latency_ms": {"percentile": 99, "at_most_ms": 500}}},
    "pair": {"infra.neuron.pair": "neuronx-0.9.1"},
    "degree": {"workloads.degrees": [1, 2]},
}


@dataclasses.dataclass(kw_only=True)
class Life:
    """One stack from its first ``up`` to its ``destroy``."""

    runs: dict[str, Run]
    worlds: dict[str, World]
    outlived: list[str]
    definitions: list[str]
    """Of Karpenter's, those that are still served after ``destroy``."""
    jobs: list[dict[str, int]]
    """Generations of the experiment's Jobs before and after the ``up`` that follows a refresh."""


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Live through everything once; each test looks at its part."""
    folder = tmp_path_factory.mktemp("life")
    found = Life(runs={}, worlds={}, outlived=[], definitions=[], jobs=[])
    with fakes_stack.cluster(folder / "kubernetes") as plane:
        stack = Stack(folder / "stack", plane)
        with playing(Nodes(plane, stack.model)) as nodes:
            found.runs["up"] = stack.pulumi(*UP)
            found.worlds["up"] = stack.world()
            found.runs["again"] = stack.pulumi(*UP)
            found.runs["refresh"] = stack.pulumi("refresh", "--yes", "--skip-preview")
            found.jobs.append(_generations(plane))
            found.runs["refreshed"] = stack.pulumi(*UP)
            found.jobs.append(_generations(plane))
            for name, changes in CHANGES.items():
                stack.configure(changes)
                found.runs[name] = stack.pulumi(*UP)
                stack.configure({})
                found.runs[f"{name} back"] = stack.pulumi(*UP)
            found.runs["destroy"] = stack.pulumi(*DESTROY)
            found.worlds["destroy"] = stack.world()
            found.outlived = nodes.outlived
        kinds = plane.ask("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")[1]["items"]
        found.definitions = sorted(each["spec"]["names"]["kind"] for each in kinds)
    return found


def test_up_makes_everything(life: Life) -> None:
    """From nothing everything is made, and nothing but the two system nodes runs: the conductor starts the rest."""
    world = life.worlds["up"]

    assert life.runs["up"].status == 0, life.runs["up"].output
    assert sorted(each.of_karpenter for each in world.billing()) == [False, False]
    assert set(life.runs["up"].changed()) == {"create"}


@pytest.mark.parametrize("name", ["again", "refresh"])
def test_nothing_changes_by_itself(life: Life, name: str) -> None:
    """A second ``up`` and a ``refresh`` find what is there as it was made."""
    assert life.runs[name].status == 0, life.runs[name].output
    assert life.runs[name].changed() == {}


JOBS = {"Job artifacts-fetch", *(f"Job artifacts-compile-tp{degree}" for degree in (1, 2, 4))}


def test_after_a_refresh_jobs_are_listed_and_left_alone(life: Life) -> None:
    """Pulumi's provider calls a suspended Job unhealthy and the next ``up`` updates it, with what it has already."""
    before, after = life.jobs

    assert life.runs["refreshed"].status == 0, life.runs["refreshed"].output
    assert {op: set(keys) for op, keys in life.runs["refreshed"].changed().items()} == {"update": JOBS}
    assert before == after


def _generations(plane: ControlPlane) -> dict[str, int]:
    """Return how often each Job's specification has changed."""
    found = plane.ask("GET", "/apis/batch/v1/namespaces/optimal-tp/jobs")[1]["items"]
    return {each["metadata"]["name"]: each["metadata"]["generation"] for each in found}


DIFFERENCES: dict[str, tuple[set[str], set[str]]] = {
    # updated in place, replaced
    "limit": ({"Dashboard dashboard-board", "Deployment loadgen-pods"}, {"ConfigMap loadgen-settings"}),
    "pair": (
        {
            "EC2NodeClass pool-class",
            "Deployment loadgen-pods",
            *(f"Deployment tp{degree}-pods" for degree in (1, 2, 4)),
        },
        {"ConfigMap loadgen-settings", *(f"Job artifacts-compile-tp{degree}" for degree in (1, 2, 4))},
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_change_touches_what_it_must_and_no_more(life: Life, name: str) -> None:
    """A limit restarts the load generator alone; another pair is to be compiled anew."""
    updated, replaced = DIFFERENCES[name]
    run = life.runs[name]
    found = {op: set(keys) for op, keys in run.changed().items()}

    assert run.status == 0, run.output
    assert found.pop("update") == updated
    assert set(found) == {"replace", "create-replacement", "delete-replaced"}
    assert list(found.values()) == [replaced] * 3


def test_a_degree_that_goes_takes_only_its_own_with_it(life: Life) -> None:
    """Without TP4 its server and Job go; the other servers and Jobs stay as they are, and one node lives longer."""
    run = life.runs["degree"]
    found = {op: set(keys) for op, keys in run.changed().items()}

    replaced = {"ConfigMap guard-deadline", "ConfigMap loadgen-settings"}

    assert run.status == 0, run.output
    assert found == {
        "update": {
            "CronJob guard-cron",
            "Dashboard dashboard-board",
            "Deployment loadgen-pods",
            "NodePool pool-nodes",
            "Role guard-rights",
            "Role loadgen-conducting",
        },
        **dict.fromkeys(("replace", "create-replacement", "delete-replaced"), replaced),
        "delete": {
            "Deployment tp4-pods",
            "Job artifacts-compile-tp4",
            "MetricAlarm dashboard-void-tp4",
            "NetworkPolicy tp4-callers",
            "Service tp4-address",
        },
    }


def test_destroy_leaves_nothing(life: Life) -> None:
    """What is left is the results bucket; no instance bills, none outlived its claim, nothing broke on the way."""
    world = life.worlds["destroy"]

    assert life.runs["destroy"].status == 0, life.runs["destroy"].output
    assert {str(each) for each in world.things.values()} == KEPT
    assert world.billing() == []
    assert life.outlived == []
    assert world.harms == []


def test_helm_leaves_the_definitions_to_the_cluster(life: Life) -> None:
    """Helm uninstalls their chart and deletes none of them, so that no fault of a chart takes node pools along."""
    assert life.definitions == ["EC2NodeClass", "NodeClaim", "NodeOverlay", "NodePool"]


def test_destroy_goes_in_the_order_that_was_computed(life: Life) -> None:
    """Whatever must outlive a resource is touched only after that resource is gone, in the engine's own journal."""
    recording = PROGRAMS["one-each"]()
    keys = {each.urn: each.key for each in recording.resources}
    keys = {urn: "Cluster cluster-control-plane-eksCluster" if "eks:index" in urn else key for urn, key in keys.items()}
    begun, ended = _when(life.runs["destroy"], is_end=False), _when(life.runs["destroy"], is_end=True)
    pairs = [
        (keys[first], keys[then])
        for first, others in recording.must_outlive().items()
        for then in others
        if keys[first] in ended and keys[then] in begun
    ]

    assert len(pairs) > 1000
    assert [(first, then) for first, then in pairs if ended[first] > begun[then]] == []


def _when(run: Run, *, is_end: bool) -> dict[str, int]:
    """Return the place of each delete's begin or end among the engine's events."""
    return {event.key: at for at, event in enumerate(run.events) if event.op == "delete" and event.is_end is is_end}
