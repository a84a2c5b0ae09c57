"""Rows 9 to 11 through the real program: what is made, in which order it goes, and what is refused."""

import collections
import itertools
import json
import typing

import pytest

from optimal_tp.cluster.order import ReceiptOrder
from optimal_tp.errors import CapacityError, SettingsError
from optimal_tp.facts.candidates import Candidate
from optimal_tp.facts.names import NODE_POOL, SCHEDULER
from optimal_tp.plan.lineup import Refusal
from tests.fakes_candidates import TP1, TP2, TP4
from tests.fakes_pulumi import Recording
from tests.fakes_workloads import PROGRAMS, changed, on_existing, order, program


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
        "ConfigMap": 4 + 3,
        "ServiceAccount": 2 + 1,
        "Job": 1 + 3,
        "CronJob": 1,
        "Deployment": servers + 1,
        "Service": servers,
        "NetworkPolicy": servers + 1 + 1,
        # Two of Kubernetes, one of IAM.
        "Role": 2 + 1,
        "RoleBinding": 2,
        "ClusterRole": 2,
        "ClusterRoleBinding": 2,
        "ValidatingAdmissionPolicy": 1,
        "ValidatingAdmissionPolicyBinding": 1,
        "RolePolicy": 1,
        "Bucket": 1,
        "BucketVersioning": 1,
        "BucketServerSideEncryptionConfiguration": 1,
        "BucketPublicAccessBlock": 1,
        "BucketPolicy": 1,
        "BucketLifecycleConfiguration": 1,
        "Dashboard": 1,
        "MetricAlarm": 3,
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
UNSAID = "the load generator takes a Job that is gone for one that has failed"
ANY_NODE = "for a moment it may give back nodes of others"

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
    ("Deployment tp4-pods", "CronJob guard-cron", "servers run and nobody stops them"),
    ("Job artifacts-compile-tp4", "CronJob guard-cron", "compilers run and nobody stops them"),
    ("CronJob guard-cron", "RoleBinding guard-rights", "the guard is refused at its deadline"),
    ("CronJob guard-cron", "NetworkPolicy guard-calls", "anybody may call the guard"),
    ("Deployment loadgen-pods", "RolePolicy loadgen-rights", FLUSH),
    ("Deployment loadgen-pods", "ServiceAccount loadgen-account", FLUSH),
    ("Deployment loadgen-pods", "Bucket results-bucket", FLUSH),
    ("Deployment loadgen-pods", "BucketPolicy results-tls", FLUSH),
    *(("Deployment loadgen-pods", f"Deployment tp{degree}-pods", NOISE) for degree in (1, 2, 4)),
    *(("Deployment loadgen-pods", f"Job artifacts-compile-tp{degree}", UNSAID) for degree in (1, 2, 4)),
    ("Deployment loadgen-pods", "Job artifacts-fetch", UNSAID),
    ("Deployment loadgen-pods", "RoleBinding loadgen-conducting", "it is refused what it does last"),
    ("ClusterRoleBinding loadgen-nodes", "ValidatingAdmissionPolicyBinding own-nodes-binding", ANY_NODE),
    ("ClusterRoleBinding guard-nodes", "ValidatingAdmissionPolicyBinding own-nodes-binding", ANY_NODE),
    ("Deployment loadgen-pods", "Release karpenter-controller", DRAIN),
    ("Namespace experiment", "Cluster cluster-control-plane", "nobody is left to empty the namespace"),
    ("Namespace experiment", "NodeGroup cluster-nodes", "the load generator cannot stop, and the namespace stays"),
    ("Deployment tp1-pods", "Namespace experiment", "the namespace is emptied in no order"),
)


@pytest.mark.parametrize(("first", "then", "otherwise"), PAIRS, ids=[f"{a} before {b}" for a, b, _ in PAIRS])
def test_destroy_order(first: str, then: str, otherwise: str) -> None:
    """The engine deletes ``then`` only when ``first`` is gone."""
    recording = PROGRAMS["one-each"]()

    assert recording.one(then).urn in recording.must_outlive()[recording.one(first).urn], otherwise


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_the_load_generator_is_waited_for(name: str) -> None:
    """Jobs stand suspended and servers without a pod: `up` takes them for ready when they are there, and so it ends."""
    recording = PROGRAMS[name]()
    jobs = recording.of_type(":Job")
    servers = [each for each in recording.of_type(":Deployment") if each.name != "loadgen-pods"]
    made = {"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}

    assert len(jobs) >= 4
    assert {each.inputs["spec"]["suspend"] for each in jobs} == {True}
    assert {each.inputs["spec"]["replicas"] for each in servers} == {0}
    assert [each.key for each in [*jobs, *servers] if each.inputs["metadata"]["annotations"] != made] == []
    assert "annotations" not in recording.one("Deployment loadgen-pods").inputs["metadata"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_up_changes_what_runs(name: str) -> None:
    """Who resumes a Job or starts a server says so past Pulumi, which lets it be."""
    recording = PROGRAMS[name]()
    servers = [each for each in recording.of_type(":Deployment") if each.name != "loadgen-pods"]

    assert {each.ignored for each in recording.of_type(":Job")} == {("spec.suspend",)}
    assert {each.ignored for each in servers} == {("spec.replicas",)}


def test_jobs_and_servers_do_not_wait_for_each_other() -> None:
    """Who runs when is the load generator's to say: a Job that fails keeps nothing else from being made."""
    recording = PROGRAMS["turns"]()
    needs = recording.must_outlive()
    jobs = {each.urn for each in recording.of_type(":Job")}

    assert [urn for urn in jobs if jobs & needs[urn]] == []


SCALE: typing.Final = {
    "apiGroups": ["apps"],
    "resources": ["deployments/scale"],
    "resourceNames": ["qwen-vllm-tp1", "qwen-vllm-tp2", "qwen-vllm-tp4"],
    "verbs": ["get", "patch"],
}
COMPILING: typing.Final = ["qwen-vllm-tp1-compile", "qwen-vllm-tp2-compile", "qwen-vllm-tp4-compile"]
SHARES: typing.Final = ["qwen-vllm-loadgen"]


def jobs_rule(*names: str) -> dict[str, typing.Any]:
    """Return the right to see, resume and suspend Jobs."""
    return {"apiGroups": ["batch"], "resources": ["jobs"], "resourceNames": sorted(names), "verbs": ["get", "patch"]}


@pytest.mark.parametrize(("name", "own"), [("one-each", []), ("turns", []), ("pods", SHARES)])
def test_rights_in_the_cluster_are_these_and_no_others(name: str, own: list[str]) -> None:
    """Load generator and guard: servers' scale and Jobs by name, pods and their logs, and Karpenter's nodes."""
    recording = PROGRAMS[name]()
    rules = {each.name: each.inputs["rules"] for each in recording.of_type("rbac.authorization.k8s.io/v1:Role")}
    everywhere = {each.name: each.inputs["rules"] for each in recording.of_type(":ClusterRole")}
    give_back = [{"apiGroups": ["karpenter.sh"], "resources": ["nodeclaims"], "verbs": ["list", "delete"]}]
    bound = {
        each.inputs["roleRef"]["name"]: [subject["name"] for subject in each.inputs["subjects"]]
        for each in recording.resources
        if each.type.endswith("RoleBinding")
    }

    assert rules == {
        "loadgen-conducting": [
            SCALE,
            jobs_rule("qwen-vllm-fetch", *COMPILING, *own),
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        ],
        "guard-rights": [
            SCALE,
            jobs_rule(*COMPILING),
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        ],
    }
    assert everywhere == {"loadgen-nodes": give_back, "guard-nodes": give_back}
    assert bound == {
        "qwen-vllm-loadgen": ["qwen-vllm-loadgen"],
        "qwen-vllm-guard": ["qwen-vllm-guard"],
        "optimal-tp-qwen-vllm-loadgen-gives-nodes-back": ["qwen-vllm-loadgen"],
        "optimal-tp-qwen-vllm-guard-gives-nodes-back": ["qwen-vllm-guard"],
    }


def test_nodes_of_others_may_not_be_given_back() -> None:
    """RBAC cannot tell one node from another, so a policy does, for exactly those who have the right."""
    recording = PROGRAMS["one-each"]()
    policy = recording.one("ValidatingAdmissionPolicy own-nodes-policy").inputs
    (ours,) = policy["spec"]["matchConditions"]
    (only,) = policy["spec"]["validations"]

    assert policy["spec"]["failurePolicy"] == "Fail"
    assert ours["expression"] == (
        "request.userInfo.username in ['system:serviceaccount:optimal-tp:qwen-vllm-guard', "
        "'system:serviceaccount:optimal-tp:qwen-vllm-loadgen']"
    )
    assert only["expression"].endswith(f"['karpenter.sh/nodepool'] == '{NODE_POOL}'")
    assert recording.one("ValidatingAdmissionPolicyBinding own-nodes-binding").inputs["spec"] == {
        "policyName": policy["metadata"]["name"],
        "validationActions": ["Deny"],
    }


@pytest.mark.parametrize("name", ["one-each", "plugin-on-large-node"])
def test_no_node_lives_longer_than_the_experiment_may_take(name: str) -> None:
    """Karpenter ends it then, initialised or not; only an experiment that runs on has nodes that do."""
    recording = PROGRAMS[name]()
    (words,) = [line for line in recording.outputs["cost"] if line.startswith("stop: ")]
    life = recording.one(POOL).inputs["spec"]["template"]["spec"]["expireAfter"]
    endless = program(spend__keep_running=True).one(POOL).inputs["spec"]["template"]["spec"]["expireAfter"]

    assert f"at the latest {int(life.removesuffix('s')) / 3600:.1f} h after" in words
    assert endless == "Never"


def arguments(recording: Recording, key: str) -> list[str]:
    """Return the words that the one container of a workload is started with."""
    spec = recording.one(key).inputs["spec"]
    spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    words: list[str] = spec["template"]["spec"]["containers"][0]["args"]
    return words


def test_the_guard_knows_the_deadline_as_a_date() -> None:
    """The moment at which the API server made the clock, and what the budget pays for: 3.58 h of 4.85 USD."""
    recording = PROGRAMS["one-each"]()
    words = arguments(recording, "CronJob guard-cron")

    assert words[:2] == ["--deadline", "2026-11-24T12:34:22+00:00"]
    assert recording.outputs["servers_stop_at"] == words[1]
    assert recording.one("ConfigMap guard-deadline").inputs["data"] == {"deadline": words[1]}


def test_the_guard_stops_every_server_and_every_compile_job() -> None:
    """By name: eight TP1, four TP2, two TP4 and one TP8, and the Job that compiles for each degree."""
    recording = PROGRAMS["plugin-on-large-node"]()
    words = arguments(recording, "CronJob guard-cron")
    named = {
        option: {word for before, word in itertools.pairwise(words) if before == option}
        for option in ("--deployment", "--job")
    }
    made = {
        kind: {each.inputs["metadata"]["name"] for each in recording.of_type(kind)} for kind in (":Deployment", ":Job")
    }

    assert named["--deployment"] == made[":Deployment"] - {"qwen-vllm-loadgen"}
    assert named["--job"] == made[":Job"] - {"qwen-vllm-fetch"}
    assert words[words.index("--node-pool") + 1] == NODE_POOL
    assert len(named["--deployment"]) == 15


@pytest.mark.parametrize("name", ["one-each", "turns", "plugin-on-large-node"])
def test_nothing_holds_a_neuron_core_before_its_guard_is_there(name: str) -> None:
    """Nor after it has gone: guard and pool are made before the first Job and deleted after the last server."""
    recording = PROGRAMS[name]()
    needs = recording.must_outlive()
    guard, pool = recording.one("CronJob guard-cron").urn, recording.one(POOL).urn
    holders = [
        each
        for each in recording.resources
        if "aws.amazon.com/neuroncore" in json.dumps(each.inputs.get("spec", {}).get("template", {}))
    ]

    assert len(holders) >= 6
    assert [each.key for each in holders if not {guard, pool} <= needs[each.urn]] == []
    assert pool in needs[recording.one("ConfigMap guard-clock").urn]


def test_the_guard_does_not_depend_on_what_may_fail() -> None:
    """It runs on system nodes, installs nothing, and hangs no longer than until its next call."""
    spec = PROGRAMS["one-each"]().one("CronJob guard-cron").inputs["spec"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]

    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Replace", 200)
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (3, 420)
    assert "initContainers" not in pod
    assert "tolerations" not in pod
    assert "nodeSelector" not in pod
    assert pod["priorityClassName"] == "system-cluster-critical"


def test_a_degree_that_goes_takes_only_its_own_with_it() -> None:
    """Without TP4 no pod of TP1 or TP2 changes, so that `up` restarts neither and waits for no node."""
    before, after = PROGRAMS["one-each"](), program(workloads__degrees=[1, 2])
    stays = {each.key: each.inputs for each in after.resources if each.name.startswith(("tp1-", "tp2-"))}

    assert len(stays) == 2 * 3
    assert stays == {key: before.one(key).inputs for key in stays}


def test_another_run_starts_servers_and_clock_anew() -> None:
    """A changed loadtest.run changes the pods of load generator and Jobs, and makes another clock.

    A Job that failed or was stopped would else never run again; what it has kept on the volume it finds there.
    """
    before, after = PROGRAMS["one-each"](), program(loadtest__run="second")
    pods = [each.one("Deployment loadgen-pods").inputs["spec"]["template"]["metadata"] for each in (before, after)]
    changed_keys = {each.key for each in before.resources if each.custom and after.one(each.key).inputs != each.inputs}

    assert [pod["annotations"] for pod in pods] == [{"optimal-tp/run": "1"}, {"optimal-tp/run": "second"}]
    assert changed_keys == {
        "ConfigMap guard-clock",
        "Deployment loadgen-pods",
        "Job artifacts-fetch",
        *(f"Job artifacts-compile-tp{degree}" for degree in (1, 2, 4)),
    }
    assert after.one("ConfigMap guard-clock").inputs["metadata"]["name"] == "qwen-vllm-clock-second"


def test_another_budget_moves_the_deadline_and_starts_nothing() -> None:
    """Five dollars more are an hour and two minutes more; clock, servers and load generator stay as they are.

    So do the nodes that are there: the pool says how long the next ones live.
    """
    before, after = PROGRAMS["one-each"](), program(spend__budget_usd=25)
    changed_keys = {each.key for each in before.resources if each.custom and after.one(each.key).inputs != each.inputs}

    assert changed_keys == {"ConfigMap guard-deadline", "CronJob guard-cron", "Namespace experiment", POOL}
    assert after.outputs["servers_stop_at"] == "2026-11-24T13:36:16+00:00"


def test_the_load_generator_starts_and_stops_the_servers() -> None:
    """Whether they run in rounds or not; and it reads the deadline where the guard's is."""
    recording = PROGRAMS["one-each"]()
    asked = order(recording)
    pod = recording.one("Deployment loadgen-pods").inputs["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}

    assert arguments(recording, "Deployment loadgen-pods") == ["--order", f"{mounts['settings']}/order.json"]
    assert asked.models[0].rounds == ((TP1, TP2, TP4),)
    assert str(asked.deadline_file) == f"{mounts['deadline']}/deadline"
    assert volumes["deadline"]["configMap"]["name"] == "qwen-vllm-deadline"
    assert asked.afterwards == "stop"
    assert pod["automountServiceAccountToken"] is True


def test_the_receipt_counts_the_nodes_of_our_pool() -> None:
    """At the rate of what runs around them; it waits for the nodes to go, and one command shows it."""
    recording = PROGRAMS["one-each"]()

    assert order(recording).receipt == ReceiptOrder(node_pool=NODE_POOL, idle_usd_per_hour=0.3466, leave_seconds=2400)
    assert recording.outputs["receipt_command"] == "optimal-tp receipt --stack dev"


def test_kept_running_nobody_stops_anything() -> None:
    """The AWS sample's endless probe: no guard, no deadline, no end of a node's life, and an alarm for its silence."""
    recording = program(spend__keep_running=True)
    asked = order(recording)

    assert [each.key for each in recording.resources if "guard" in each.key] == []
    assert (asked.afterwards, asked.deadline_file, asked.models[0].rounds) == (
        "probe",
        None,
        ((TP1, TP2, TP4),),
    )
    assert asked.receipt is not None
    assert asked.receipt.leave_seconds == 0
    assert recording.outputs["servers_stop_at"] == "never: spend.keep_running"
    assert recording.one("MetricAlarm dashboard-silent").key == "MetricAlarm dashboard-silent"
    assert PROGRAMS["one-each"]().of_type("MetricAlarm")[-1].name != "dashboard-silent"


@pytest.mark.parametrize("name", PROGRAMS)
def test_pods_name_the_scheduler_and_the_pool_of_the_cluster(name: str) -> None:
    """Another scheduler's name would leave pods pending for ever; another pool's, unplaced."""
    for each in PROGRAMS[name]().resources:
        spec = each.inputs.get("spec", {}).get("template", {}).get("spec", {})
        if "optimal-tp/planned-node" in json.dumps(each.inputs.get("spec", {}).get("template", {}).get("metadata", {})):
            assert spec["schedulerName"] == SCHEDULER
            assert spec["nodeSelector"] == {"karpenter.sh/nodepool": NODE_POOL}


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
    assert outputs["watch_command"] == "optimal-tp watch --stack dev"
    assert outputs["fetch_results_command"] == "optimal-tp fetch --stack dev"
    assert outputs["end_all_spend_command"] == "pulumi destroy --stack dev"
    assert outputs["plan"][0] == "3 servers (one-each, packed) on 2 x trn2.3xlarge with 4 logical cores each"


def test_the_cost_is_known_before_anything_is_made() -> None:
    """Two nodes at the price of the settings, and what runs beside them."""
    outputs = PROGRAMS["one-each"]().outputs

    assert outputs["usd_per_hour"] == pytest.approx(2 * 2.25 + outputs["usd_per_hour_idle"])
    assert outputs["cost"][0].startswith(
        "about 4.85 USD an hour while serving (2 x 2.25 for Neuron), 0.35 USD an hour idle"
    )
    assert (outputs["usd_expected"], outputs["budget_usd"]) == (9.95, 20)


def test_the_report_knows_the_price_of_the_stack_file() -> None:
    """The load generator's order has what infra.neuron.price says, of a node with four logical cores."""
    price = order(PROGRAMS["one-each"]()).models[0].settings.price

    assert price is not None
    assert price.model_dump(mode="json") == {
        "usd_per_hour": 2.25,
        "billed_cores": 4,
        "source": "Capacity Block, ap-southeast-4",
        "date": "2026-10-03",
    }


def test_what_does_not_fit_is_a_word_and_the_others_go_on() -> None:
    """TP8 has no core for itself on a chip of four: plan, order, Jobs, dashboard and cost know of the others alone."""
    without, with_it = PROGRAMS["one-each"](), program(workloads__degrees=[1, 2, 4, 8])
    reason = "TP8 needs 8 logical cores on one node, but trn2.3xlarge has 4"
    (model,) = order(with_it).models

    assert with_it.outputs["plan"] == [*without.outputs["plan"], f"TP8 is not measured (no-fit): {reason}"]
    assert model.gates == {Candidate(8): Refusal("no-fit", reason)}
    assert model.settings.degrees == (1, 2, 4, 8)
    assert (list(model.targets), model.rounds) == ([TP1, TP2, TP4], ((TP1, TP2, TP4),))
    assert {each.key for each in with_it.resources} == {each.key for each in without.resources}
    assert with_it.outputs["cost"] == without.outputs["cost"]
    assert "TP8" not in with_it.one("Dashboard dashboard-board").inputs["dashboardBody"]


REFUSALS: tuple[tuple[str, dict[str, typing.Any], type[Exception], str], ...] = (
    (
        "model too large",
        {"workloads__model": {"name": "Qwen/Qwen3-14B"}, "workloads__degrees": [1]},
        SettingsError,
        (
            "Pulumi.dev.yaml workloads.degrees: must have at least one candidate that fits; none does (TP1 needs 27.53 "
            "GiB of the 22.35 GiB of each core: weights 27.51 GiB (the model has 14.77 billion parameters of 2 "
            "bytes) and KV "
            "cache 0.02 GiB (2 x 40 layers x 8 heads x 128 x 128 tokens x 1 sequence x 2 bytes)) (got [1]); add a "
            "degree that fits, lower workloads.model.max_model_len_tokens or max_num_seqs, or choose a larger "
            "infra.neuron.instance_type"
        ),
    ),
    (
        "unknown model",
        {
            "workloads__model": {"name": "example/Other-1B", "revision": "abc"},
            "serving__model_source": "https://127.0.0.1:9",
        },
        SettingsError,
        (
            "Pulumi.dev.yaml workloads.model.name: must be a model whose sizes are known or whose config.json can be "
            "read before anything is spent: https://127.0.0.1:9/example/Other-1B/resolve/abc/config.json was not read "
            "(Connection refused) (got 'example/Other-1B'); set serving.config_file to a copy of its config.json"
        ),
    ),
    (
        "degree not a power of two",
        {"workloads__degrees": [1, 3]},
        SettingsError,
        ("Pulumi.dev.yaml workloads.degrees[1]: must be a power of two from 1 to 64, for example 4 (got 3)"),
    ),
    (
        "degree above the instance",
        {"workloads__degrees": [8]},
        SettingsError,
        (
            "Pulumi.dev.yaml workloads.degrees: must have at least one candidate that fits; none does (TP8 needs 8 "
            "logical cores on one node, but trn2.3xlarge has 4) (got [8]); add a degree that fits, lower "
            "workloads.model.max_model_len_tokens or max_num_seqs, or choose a larger infra.neuron.instance_type"
        ),
    ),
    (
        "longer than the model",
        {"workloads__load": {"prompt_tokens": 100}},
        SettingsError,
        (
            "Pulumi.dev.yaml workloads.load.prompt_tokens: must fit into model.max_model_len_tokens (128) together "
            "with the longest output (75 tokens; output_spread is 0.5) (got 100)"
        ),
    ),
    (
        "limit of 0",
        {"workloads__limits": {"total_latency_ms": {"at_most_ms": 0}}},
        SettingsError,
        "Pulumi.dev.yaml workloads.limits.total_latency_ms.at_most_ms: must be above 0 (got 0)",
    ),
    (
        "degree does not divide",
        {"serving": {"layout": "equal-cores", "equal_cores": 6}},
        SettingsError,
        ("Pulumi.dev.yaml workloads.degrees[2]: must divide serving.equal_cores (6) with layout equal-cores (got 4)"),
    ),
    (
        "bucket of another setting",
        {"serving__model_source": "s3://mine/m", "loadtest__results": {"bucket": "mine"}},
        SettingsError,
        (
            "Pulumi.dev.yaml loadtest.results.bucket: must be another bucket than that of serving.model_source "
            "(s3://mine/m) (got 'mine')"
        ),
    ),
    (
        "too few nodes",
        {"infra__neuron__maximum_nodes": 1, "serving__when_nodes_are_few": "refuse"},
        CapacityError,
        (
            "the servers need 2 trn2.3xlarge in layout one-each, placement packed, and infra.neuron.maximum_nodes "
            "allows 1; allow more nodes, drop degrees or choose another layout or placement, or "
            "serving.when_nodes_are_few: take-turns"
        ),
    ),
    (
        "no memory left",
        {"serving__shared_memory_gib": 20},
        SettingsError,
        (
            "Pulumi.dev.yaml serving.shared_memory_gib: must be at most half of the smallest pod's 28672 MiB: shared "
            "memory counts as the pod's (got 20)"
        ),
    ),
    (
        "a second price",
        {"workloads__price": {"usd_per_hour": 1, "billed_cores": 2, "source": "x", "date": "2026-11-01"}},
        SettingsError,
        (
            "Pulumi.dev.yaml workloads.price.usd_per_hour: must be absent in a stack file: the price is in "
            "infra.neuron.price (got 1)"
        ),
    ),
    (
        "no budget",
        {"spend": {}},
        SettingsError,
        "Pulumi.dev.yaml spend.budget_usd: must be set",
    ),
    (
        "more than the budget",
        {"spend__budget_usd": 5},
        SettingsError,
        (
            "Pulumi.dev.yaml spend.budget_usd: must cover the expected cost, 9.95 USD (about 4.85 USD an hour while "
            "serving (2 x 2.25 for Neuron), 0.35 USD an hour idle (control plane, system nodes, NAT: an estimate)) "
            "(got 5); raise it or lower workloads.decision.budget_seconds or the number of nodes"
        ),
    ),
    (
        "unknown key",
        {"loadtest__pod": 2},
        SettingsError,
        (
            "Pulumi.dev.yaml loadtest.pod: must be one of alarms, cpu_millicores, grace_seconds, image, memory_mib, "
            "package_index_url, pods, results, run, start_after_seconds (got 'pod'); did you mean pods?"
        ),
    ),
)


@pytest.mark.parametrize(
    ("changes", "kind", "message"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_bad_input_is_refused_before_anything_is_made(
    changes: dict[str, typing.Any], kind: type[Exception], message: str
) -> None:
    """One clear error at preview: what, where, value, rule, remedy."""
    with pytest.raises(kind) as refused:
        program(**changes)

    assert str(refused.value) == message


def test_changing_a_stack_file_in_a_test_leaves_the_file_alone() -> None:
    """Tests that set keys do not see each other's."""
    changed("Pulumi.dev.yaml", workloads__degrees=[8])

    assert changed("Pulumi.dev.yaml")["optimal-tp:workloads"]["degrees"] == [1, 2, 4]
