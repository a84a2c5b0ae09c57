"""Rows 9 to 11 through the real program: what is made, in which order it goes, and what is refused."""

import collections
import json
import typing

import pytest
import yaml

from infra.errors import CapacityError, SettingsError
from infra.nodes import NODE_POOL, SCHEDULER
from tests.fakes_pulumi import Recording
from tests.fakes_workloads import PROGRAMS, changed, on_existing, program

PHASES = {"one-each": 0, "equal-cores": 0, "turns": 1}


def experiment(recording: Recording) -> collections.Counter[str]:
    """Return how many resources of each kind rows 9 to 11 have, components left out."""
    return collections.Counter(
        each.key.split(" ")[0]
        for each in recording.resources
        if ("optimal-tp:workloads:" in each.urn or each.name == "experiment") and each.custom
    )


@pytest.mark.parametrize(("name", "servers"), [("one-each", 3), ("equal-cores", 7), ("turns", 3)])
def test_what_the_experiment_is_made_of(name: str, servers: int) -> None:
    """So many of each kind, and nothing else."""
    assert experiment(PROGRAMS[name]()) == {
        "Namespace": 1,
        "PersistentVolume": 1,
        "PersistentVolumeClaim": 1,
        "ConfigMap": 3,
        "ServiceAccount": 2,
        "Job": 1 + 3,
        "Deployment": servers + 1,
        "Service": servers,
        "NetworkPolicy": servers + 1,
        "PodDisruptionBudget": 1,
        "Role": 2 if name == "turns" else 1,
        **({"RoleBinding": 1} if name == "turns" else {}),
        "RolePolicy": 1,
        "Bucket": 1,
        "BucketVersioning": 1,
        "BucketServerSideEncryptionConfiguration": 1,
        "BucketPublicAccessBlock": 1,
        "BucketPolicy": 1,
        "BucketLifecycleConfiguration": 1,
        "Dashboard": 1,
        "MetricAlarm": 3 + 1,
    }


def test_a_cluster_that_exists_gets_the_experiment_alone() -> None:
    """Beside rows 9 to 11: an access point, the node pool with its class, and a way to talk to the cluster."""
    recording = on_existing()
    others = sorted(
        each.key
        for each in recording.resources
        if "optimal-tp:workloads:" not in each.urn and each.name != "experiment"
    )

    assert others == [
        "AccessPoint existing-access",
        "EC2NodeClass pool-class",
        "NeuronPool pool",
        "NodePool pool-nodes",
        "kubernetes existing-kubernetes",
    ]
    assert experiment(recording) == experiment(PROGRAMS["one-each"]())


POOL = "NodePool pool-nodes"
DRAIN = "its pod keeps a node from draining, and the node is billed until it is forced"
MOUNT = "its pod hangs in its end, because what unmounts the volume is gone"
FLUSH = "what the load generator holds at the end is refused"
NOISE = "the load generator measures servers that are gone as failing"

PAIRS = (
    # first, then, what happens the other way round
    *((f"Deployment tp{degree}-pods", POOL, DRAIN) for degree in (1, 2, 4)),
    *((f"Job artifacts-compile-tp{degree}", POOL, DRAIN) for degree in (1, 2, 4)),
    *((f"Deployment tp{degree}-pods", "PersistentVolumeClaim artifacts-claim", MOUNT) for degree in (1, 2, 4)),
    ("Job artifacts-fetch", "PersistentVolumeClaim artifacts-claim", MOUNT),
    ("PersistentVolumeClaim artifacts-claim", "PersistentVolume artifacts-volume", "the claim loses its volume"),
    ("PersistentVolume artifacts-volume", "Addon cluster-aws-efs-csi-driver", MOUNT),
    ("PersistentVolume artifacts-volume", "MountTarget storage-mount-ap-southeast-4c", MOUNT),
    ("Deployment tp4-pods", "NetworkPolicy tp4-callers", "anybody may call the server while it stops"),
    ("Deployment loadgen-pods", "RolePolicy loadgen-rights", FLUSH),
    ("Deployment loadgen-pods", "ServiceAccount loadgen-account", FLUSH),
    ("Deployment loadgen-pods", "Bucket results-bucket", FLUSH),
    ("Deployment loadgen-pods", "BucketPolicy results-tls", FLUSH),
    *(("Deployment loadgen-pods", f"Deployment tp{degree}-pods", NOISE) for degree in (1, 2, 4)),
    ("Deployment loadgen-pods", "Release karpenter-controller", DRAIN),
    ("MetricAlarm dashboard-silent", "Deployment loadgen-pods", "destroy itself raises the alarm"),
    ("Namespace experiment", "Cluster cluster-control-plane", "nobody is left to empty the namespace"),
    ("Namespace experiment", "NodeGroup cluster-nodes", "the load generator cannot stop, and the namespace stays"),
    ("Deployment tp1-pods", "Namespace experiment", "the namespace is emptied in no order"),
)


@pytest.mark.parametrize(("first", "then", "otherwise"), PAIRS, ids=[f"{a} before {b}" for a, b, _ in PAIRS])
def test_destroy_order(first: str, then: str, otherwise: str) -> None:
    """The engine deletes ``then`` only when ``first`` is gone."""
    recording = PROGRAMS["one-each"]()

    assert recording.one(then).urn in recording.must_outlive()[recording.one(first).urn], otherwise


def test_compile_jobs_of_later_turns_wait_for_earlier_ones() -> None:
    """With one node TP4's Job starts when those of TP1 and TP2 are done, and no server before the last Job."""
    recording = PROGRAMS["turns"]()
    needs = recording.must_outlive()
    jobs = {degree: recording.one(f"Job artifacts-compile-tp{degree}").urn for degree in (1, 2, 4)}

    assert {jobs[1], jobs[2]} <= needs[jobs[4]]
    assert all(set(jobs.values()) <= needs[recording.one(f"Deployment tp{degree}-pods").urn] for degree in (1, 2, 4))


def test_servers_wait_for_their_own_artifacts_alone() -> None:
    """With nodes for all, TP1 serves while TP4 still compiles."""
    recording = PROGRAMS["one-each"]()
    needs = recording.must_outlive()[recording.one("Deployment tp1-pods").urn]

    assert recording.one("Job artifacts-compile-tp1").urn in needs
    assert recording.one("Job artifacts-compile-tp4").urn not in needs


def test_servers_that_take_turns_start_with_the_first_turn() -> None:
    """TP1 and TP2 run; TP4 has no pod until it is its turn."""
    recording = PROGRAMS["turns"]()
    replicas = {degree: recording.one(f"Deployment tp{degree}-pods").inputs["spec"]["replicas"] for degree in (1, 2, 4)}

    assert replicas == {1: 1, 2: 1, 4: 0}


def test_only_scaled_servers_may_be_scaled_and_nothing_else() -> None:
    """Where turns are taken the load generator may read and change the scale of our servers, by name."""
    recording = PROGRAMS["turns"]()
    (role,) = recording.of_type("rbac.authorization.k8s.io/v1:Role")
    (binding,) = recording.of_type("RoleBinding")

    assert role.inputs["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["deployments/scale"],
            "resourceNames": ["qwen-vllm-tp1", "qwen-vllm-tp2", "qwen-vllm-tp4"],
            "verbs": ["get", "patch"],
        }
    ]
    assert [subject["name"] for subject in binding.inputs["subjects"]] == ["qwen-vllm-loadgen"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_pods_name_the_scheduler_and_the_pool_of_the_cluster(name: str) -> None:
    """Another scheduler's name would leave pods pending for ever; another pool's, unplaced."""
    for each in PROGRAMS[name]().resources:
        spec = each.inputs.get("spec", {}).get("template", {}).get("spec", {})
        if "optimal-tp/planned-node" in json.dumps(each.inputs.get("spec", {}).get("template", {}).get("metadata", {})):
            assert spec["schedulerName"] == SCHEDULER
            assert spec["nodeSelector"] == {"karpenter.sh/nodepool": NODE_POOL}


def test_pulumi_leaves_the_pods_of_scaled_servers_alone() -> None:
    """A second `up` in the middle of TP4's turn must not start TP1 again; where nobody scales, Pulumi does."""
    ignored = {
        name: {each.ignored for each in PROGRAMS[name]().resources if each.key.startswith("Deployment tp")}
        for name in ("turns", "one-each")
    }

    assert ignored == {"turns": {("spec.replicas",)}, "one-each": {()}}


def test_pulumi_waits_as_long_as_the_probes() -> None:
    """85 minutes of patience and 20 for a node to come; Pulumi's own is 10 minutes."""
    awaited = [each for each in PROGRAMS["one-each"]().resources if each.key.startswith(("Job ", "Deployment tp"))]

    assert len(awaited) == 7
    assert {each.create_timeout for each in awaited} == {f"{85 * 60 + 20 * 60}s"}


def test_results_stay_when_the_stack_goes() -> None:
    """By default the bucket is kept and said to be; told to, it is deleted with what is in it."""
    kept, deleted = PROGRAMS["one-each"](), PROGRAMS["own-model-and-image"]()

    assert {each.retained for each in kept.resources if each.name.startswith("results-")} == {True}
    assert {each.retained for each in deleted.resources if each.name.startswith("results-")} == {False}
    assert not [each.key for each in kept.resources if each.retained and not each.name.startswith("results-")]
    assert kept.one("Bucket results-bucket").inputs["forceDestroy"] is False
    assert kept.outputs["results_on_destroy"].startswith("stays after destroy: s3://")
    assert deleted.one("Bucket results-bucket").inputs["forceDestroy"] is True
    assert deleted.outputs["results_on_destroy"].startswith("is deleted by destroy with every result; fetch them first")


def test_the_bucket_is_closed() -> None:
    """Versioned, encrypted, not public, and old results expire."""
    recording = PROGRAMS["one-each"]()
    (encryption,) = recording.one("BucketServerSideEncryptionConfiguration results-encryption").inputs["rules"]
    public = recording.one("BucketPublicAccessBlock results-public").inputs
    rules = recording.one("BucketLifecycleConfiguration results-expiry").inputs["rules"]

    assert recording.one("BucketVersioning results-versions").inputs["versioningConfiguration"]["status"] == "Enabled"
    assert encryption["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "AES256"
    assert [public[key] for key in public if key != "bucket"] == [True] * 4
    assert {rule["id"]: rule.get("expiration") for rule in rules} == {
        "unfinished-uploads": None,
        "old-results": {"days": 365},
    }


def test_outputs_are_what_a_person_wants() -> None:
    """Where to look, what it costs, how to fetch the results and how to end the spend."""
    outputs = PROGRAMS["one-each"]().outputs

    assert outputs["dashboard_url"].endswith("#dashboards/dashboard/optimal-tp-dev")
    assert outputs["results_uri"] == "s3://results-bucket-id/runs"
    assert outputs["fetch_results_command"] == "aws s3 sync s3://results-bucket-id/runs out/cluster"
    assert outputs["end_all_spend_command"] == "pulumi destroy --stack dev"
    assert outputs["plan"][0] == "3 servers (one-each, packed) on 2 x trn2.3xlarge with 4 logical cores each"


def test_the_cost_is_known_before_anything_is_made() -> None:
    """Two nodes at the price of the settings, and what runs beside them."""
    outputs = PROGRAMS["one-each"]().outputs

    assert outputs["usd_per_hour"] == pytest.approx(2 * 2.25 + outputs["usd_per_hour_idle"])
    assert outputs["cost"][0].startswith(
        "about 4.85 USD an hour while serving (2 x 2.25 for Neuron), 0.35 USD an hour idle"
    )
    assert (outputs["usd_expected"], outputs["budget_usd"]) == (7.41, 20)


def test_the_report_knows_the_price_of_the_stack_file() -> None:
    """The load generator's settings have what infra.neuron.price says, of a node with four logical cores."""
    settings = yaml.safe_load(PROGRAMS["one-each"]().one("ConfigMap loadgen-settings").inputs["data"]["settings.yaml"])

    assert settings["workloads"]["price"] == {
        "usd_per_hour": 2.25,
        "billed_cores": 4,
        "source": "Capacity Block, ap-southeast-4",
        "date": "2026-10-03",
    }


REFUSALS: tuple[tuple[str, dict[str, typing.Any], type[Exception], str], ...] = (
    (
        "model too large",
        {"workloads__model": {"name": "Qwen/Qwen3-14B"}, "workloads__degrees": [1, 2]},
        SettingsError,
        r"^workloads\.degrees\[0\] is 1; the model does not fit it: TP1 needs 27\.53 GiB of the 22\.35 GiB",
    ),
    (
        "unknown model",
        {"workloads__model": {"name": "example/Other-1B"}},
        SettingsError,
        r"^workloads\.model\.name is 'example/Other-1B'; the model's sizes are known",
    ),
    ("degree not a power of two", {"workloads__degrees": [1, 3]}, SettingsError, r"^workloads\.degrees\[1\] is 3; "),
    (
        "degree above the instance",
        {"workloads__degrees": [1, 8]},
        CapacityError,
        r"^workloads\.degrees has 8; one server's cores are on one node and trn2\.3xlarge has 4 logical cores",
    ),
    (
        "longer than the model",
        {"workloads__load": {"prompt_tokens": 100}},
        SettingsError,
        r"^workloads\.load\.prompt_tokens is 100; prompt and output together \(100 \+ 50 tokens\) stay within",
    ),
    (
        "limit of 0",
        {"workloads__limits": {"total_latency_ms": {"at_most_ms": 0}}},
        SettingsError,
        r"^workloads\.limits\.total_latency_ms\.at_most_ms is 0; ",
    ),
    (
        "degree does not divide",
        {"serving": {"layout": "equal-cores", "equal_cores": 6}},
        SettingsError,
        r"^workloads\.degrees\[2\] is 4; with layout 'equal-cores' every degree divides serving\.equal_cores \(6\)",
    ),
    (
        "bucket of another setting",
        {"serving__model_source": "s3://mine/m", "loadtest__results": {"bucket": "mine"}},
        SettingsError,
        r"^loadtest\.results\.bucket is 'mine'; results have a bucket of their own",
    ),
    (
        "too few nodes",
        {"infra__neuron__maximum_nodes": 1, "serving__when_nodes_are_few": "refuse"},
        CapacityError,
        r"^the servers need 2 trn2\.3xlarge in layout one-each, placement packed, and infra\.neuron\.maximum",
    ),
    (
        "no memory left",
        {"serving__shared_memory_gib": 20},
        SettingsError,
        r"^serving\.shared_memory_gib is 20; shared memory counts as the pod's",
    ),
    (
        "a second price",
        {"workloads__price": {"usd_per_hour": 1, "billed_cores": 2, "source": "x", "date": "2026-11-01"}},
        SettingsError,
        r"^workloads\.price\.usd_per_hour is 1\.0; on a cluster an hour's price is said once, in infra\.neuron\.price",
    ),
    ("no budget", {"spend": {}}, SettingsError, r"^spend\.budget_usd is None; this key is required; add it to "),
    (
        "more than the budget",
        {"spend__budget_usd": 5},
        SettingsError,
        r"^spend\.budget_usd is 5\.0; the experiment is expected to cost 7\.41 USD",
    ),
    ("unknown key", {"loadtest__pod": 2}, SettingsError, r"^loadtest\.pod is 2; no such key; known keys here: "),
)


@pytest.mark.parametrize(
    ("changes", "kind", "message"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_bad_input_is_refused_before_anything_is_made(
    changes: dict[str, typing.Any], kind: type[Exception], message: str
) -> None:
    """One clear error at preview: what, where, value, rule, remedy; and one line of it for each bad key."""
    with pytest.raises(kind, match=message) as refused:
        program(**changes)

    assert len(str(refused.value).splitlines()) == 1


def test_changing_a_stack_file_in_a_test_leaves_the_file_alone() -> None:
    """Tests that set keys do not see each other's."""
    changed("Pulumi.dev.yaml", workloads__degrees=[8])

    assert changed("Pulumi.dev.yaml")["optimal-tp:workloads"]["degrees"] == [1, 2, 4]
