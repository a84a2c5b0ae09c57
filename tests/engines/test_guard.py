"""The guard on a real API server: with its own rights and nothing more, on the manifests that the program makes."""

import collections.abc
import datetime as dt
import time
import typing

import pytest

from optimal_tp.facts.names import NODE_POOL
from optimal_tp.pods.guard import Guarded, keep
from optimal_tp.pods.kubernetes import Namespace
from optimal_tp.servers.deployment import GENERATOR
from tests.engines import fakes_api_server as real
from tests.engines.fakes_cluster import created, define_karpenter, until
from tests.engines.fakes_engines import CONTROL_PLANE, needs
from tests.fakes_schemas import whole
from tests.fakes_workloads import PROGRAMS
from workloads.manifests.guard import GUARD

pytestmark = [pytest.mark.engines, pytest.mark.timeout(180), needs(CONTROL_PLANE)]

SPACE = "optimal-tp"
MERGE = "application/merge-patch+json"
NAMES = tuple(f"qwen-vllm-tp{degree}" for degree in (1, 2, 4))
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{SPACE}/deployments"
JOBS = f"/apis/batch/v1/namespaces/{SPACE}/jobs"
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PLURALS: typing.Final = {
    "ServiceAccount": f"/api/v1/namespaces/{SPACE}/serviceaccounts",
    "Role": f"{RBAC}/namespaces/{SPACE}/roles",
    "RoleBinding": f"{RBAC}/namespaces/{SPACE}/rolebindings",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "ValidatingAdmissionPolicy": f"{ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{ADMISSION}/validatingadmissionpolicybindings",
    "CronJob": f"/apis/batch/v1/namespaces/{SPACE}/cronjobs",
    "Deployment": DEPLOYMENTS,
    "Job": JOBS,
}
"""Where objects of each kind are; the order in which they are made."""


def made() -> list[tuple[str, dict[str, typing.Any]]]:
    """Return path and manifest of everything that the guard is, stops, or must not touch, as the program makes it."""
    found = []
    for kind, plural in PLURALS.items():
        for each in PROGRAMS["one-each"]().resources:
            if each.type.startswith("kubernetes:") and each.type.rsplit(":", 1)[1] == kind:
                manifest = whole(each.inputs)
                found.append((f"{plural}/{manifest['metadata']['name']}", manifest))
    return found


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[real.ControlPlane]:
    """Return a cluster with the experiment applied as Pulumi applies it, and a neighbour in another namespace."""
    with real.control_plane(tmp_path_factory.mktemp("plane")) as running:
        define_karpenter(running)
        for name in (SPACE, "neighbour"):
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            assert running.ask("POST", "/api/v1/namespaces", space)[0] == 201
        for path, manifest in made():
            assert running.apply(path, manifest) in (200, 201), path
        theirs = dict(made())[f"{DEPLOYMENTS}/{NAMES[0]}"]
        theirs = {
            **theirs,
            "metadata": {**theirs["metadata"], "namespace": "neighbour"},
            "spec": {**theirs["spec"], "replicas": 1},
        }
        path = f"{DEPLOYMENTS}/{NAMES[0]}".replace(SPACE, "neighbour")
        assert running.apply(path, theirs) in (200, 201)
        until(lambda: _is_limited(running), "the limit of the right to give nodes back is kept")
        yield running


def claim(plane: real.ControlPlane, name: str, pool: str) -> str:
    """Make a NodeClaim of ``pool`` that was never initialised; return its path."""
    spec = {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "any"},
        "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}],
    }
    metadata = {"name": name, "labels": {"karpenter.sh/nodepool": pool}}
    created(plane, CLAIMS, {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": metadata, "spec": spec})
    return f"{CLAIMS}/{name}"


def _is_limited(plane: real.ControlPlane) -> bool:
    """Return whether the API server keeps the policy yet: it reads policies a moment after they are made."""
    if plane.ask("GET", f"{CLAIMS}/theirs")[0] == 404:
        claim(plane, "theirs", "others")
    return plane.ask("DELETE", f"{CLAIMS}/theirs?dryRun=All", token=plane.token(SPACE, GUARD))[0] == 403


def guard(plane: real.ControlPlane, said: list[str]) -> Guarded:
    """Return the guard as its pod would be: with the token of its own service account."""
    file = plane.folder / "token"
    file.write_text(plane.token(SPACE, GUARD))
    namespace = Namespace(url=plane.url, namespace=SPACE, token_file=file, certificate=plane.certificate)
    jobs = tuple(f"{name}-compile" for name in NAMES)
    return Guarded(namespace=namespace, deployments=NAMES, jobs=jobs, node_pool=NODE_POOL, say=said.append)


def called(plane: real.ControlPlane, said: list[str]) -> int:
    """Call the guard a second after its deadline."""
    now = dt.datetime.now(dt.UTC)
    return keep(
        guard(plane, said),
        now - dt.timedelta(seconds=1),
        period_seconds=300,
        now=lambda: dt.datetime.now(dt.UTC),
        sleep=time.sleep,
    )


def replicas(plane: real.ControlPlane, path: str = DEPLOYMENTS) -> list[int]:
    """Return how many pods each server is to have."""
    return [plane.ask("GET", f"{path}/{name}")[1]["spec"]["replicas"] for name in NAMES]


def started(plane: real.ControlPlane) -> None:
    """Let every server have its pod and every Job run."""
    for name in NAMES:
        body = {"spec": {"replicas": 1}}
        assert plane.ask("PATCH", f"{DEPLOYMENTS}/{name}/scale", body, kind=MERGE)[0] == 200
    for path, _ in made():
        if path.startswith(JOBS):
            assert plane.ask("PATCH", path, {"spec": {"suspend": False}}, kind=MERGE)[0] == 200


def test_it_scales_to_zero_and_suspends_with_its_own_rights(plane: real.ControlPlane) -> None:
    """Servers have no pod any more, compile Jobs are suspended; the load generator and the fetch Job go on."""
    started(plane)
    said: list[str] = []
    before = replicas(plane)
    status = called(plane, said)
    generator = plane.ask("GET", f"{DEPLOYMENTS}/{GENERATOR}")[1]["spec"]["replicas"]
    suspended = {
        job["metadata"]["name"]: bool(job["spec"].get("suspend")) for job in plane.ask("GET", JOBS)[1]["items"]
    }

    assert (before, status, replicas(plane), generator) == ([1, 1, 1], 0, [0, 0, 0], 1)
    assert suspended == {"qwen-vllm-fetch": False, **{f"{name}-compile": True for name in NAMES}}
    assert len(said) == 7


def test_the_neighbours_server_of_the_same_name_goes_on(plane: real.ControlPlane) -> None:
    """Rights end at the namespace."""
    called(plane, [])
    path = f"{DEPLOYMENTS}/{NAMES[0]}".replace(SPACE, "neighbour")

    assert plane.ask("GET", path)[1]["spec"]["replicas"] == 1


DENIED: tuple[tuple[str, str, str, object], ...] = (
    ("delete a server", "DELETE", f"{DEPLOYMENTS}/{NAMES[0]}", None),
    ("change a server", "PATCH", f"{DEPLOYMENTS}/{NAMES[0]}", {"spec": {"replicas": 0}}),
    ("list servers", "GET", DEPLOYMENTS, None),
    ("scale the load generator", "PATCH", f"{DEPLOYMENTS}/{GENERATOR}/scale", {"spec": {"replicas": 0}}),
    ("scale the neighbour's", "PATCH", f"{DEPLOYMENTS}/{NAMES[0]}/scale".replace(SPACE, "neighbour"), {"spec": {}}),
    ("scale CoreDNS", "PATCH", f"{DEPLOYMENTS}/coredns/scale".replace(SPACE, "kube-system"), {"spec": {}}),
    ("delete a Job", "DELETE", f"{JOBS}/{NAMES[0]}-compile", None),
    ("suspend the fetch Job", "PATCH", f"{JOBS}/qwen-vllm-fetch", {"spec": {"suspend": True}}),
    ("make a Job", "POST", JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "mine"}}),
    ("read secrets", "GET", f"/api/v1/namespaces/{SPACE}/secrets", None),
    ("read its own deadline's map", "GET", f"/api/v1/namespaces/{SPACE}/configmaps", None),
    ("delete pods", "DELETE", f"/api/v1/namespaces/{SPACE}/pods/any", None),
    ("see nodes", "GET", "/api/v1/nodes", None),
    ("change a node", "PATCH", f"{CLAIMS}/theirs", {"metadata": {"labels": {"karpenter.sh/nodepool": NODE_POOL}}}),
    ("give back a node of others", "DELETE", f"{CLAIMS}/theirs", None),
    ("give all nodes back", "DELETE", CLAIMS, None),
    ("read logs", "GET", f"/api/v1/namespaces/{SPACE}/pods/any/log", None),
    ("give itself rights", "PATCH", f"{RBAC}/namespaces/{SPACE}/roles/{GUARD}", {"rules": []}),
)


@pytest.mark.parametrize(("method", "path", "body"), [case[1:] for case in DENIED], ids=[case[0] for case in DENIED])
def test_it_may_do_nothing_else(plane: real.ControlPlane, method: str, path: str, body: object) -> None:
    """The API server itself says no."""
    kind = MERGE if method == "PATCH" else "application/json"
    status, answer = plane.ask(method, path, body, token=plane.token(SPACE, GUARD), kind=kind)

    assert (status, answer.get("reason")) == (403, "Forbidden")


def allowed(plane: real.ControlPlane, verb: str, group: str, resource: str, name: str = "") -> bool:
    """Return whether RBAC lets the load generator do ``verb``."""
    subject = f"system:serviceaccount:{SPACE}:{GENERATOR}"
    resource, _, below = resource.partition("/")
    space = "" if group == "karpenter.sh" else SPACE
    what = {"verb": verb, "group": group, "resource": resource, "subresource": below, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": subject,
            "resourceAttributes": {**what, "namespace": space},
        },
    }
    found = plane.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)[1]
    return bool(found["status"]["allowed"])


def test_the_load_generator_may_do_what_it_conducts_with(plane: real.ControlPlane) -> None:
    """Servers' scale and Jobs by name, pods and logs of its namespace, nodes; no Deployment, no secret, no node."""
    compiling = f"{NAMES[0]}-compile"
    yes = [
        ("list", "karpenter.sh", "nodeclaims", ""),
        ("delete", "karpenter.sh", "nodeclaims", "any"),
        ("patch", "apps", "deployments/scale", NAMES[0]),
        *((verb, "batch", "jobs", name) for verb in ("get", "patch") for name in (compiling, "qwen-vllm-fetch")),
        ("list", "", "pods", ""),
        ("delete", "", "pods", "any"),
        ("get", "", "pods/log", "any"),
    ]
    no = [
        ("patch", "karpenter.sh", "nodeclaims", "any"),
        ("patch", "apps", "deployments", NAMES[0]),
        ("patch", "apps", "deployments/scale", GENERATOR),
        ("patch", "batch", "jobs", "another"),
        ("delete", "batch", "jobs", compiling),
        ("create", "", "pods", ""),
        ("create", "", "pods/exec", "any"),
        ("list", "", "secrets", ""),
        ("list", "", "nodes", ""),
    ]

    assert [allowed(plane, *each) for each in yes] == [True] * len(yes)
    assert [allowed(plane, *each) for each in no] == [False] * len(no)


def test_a_node_of_ours_goes_and_one_of_others_stays(plane: real.ControlPlane) -> None:
    """The guard gives back what was never initialised; the policy tells its nodes from those of another pool."""
    ours = claim(plane, "ours", NODE_POOL)
    said: list[str] = []
    status = called(plane, said)

    assert (status, plane.ask("GET", ours)[0], plane.ask("GET", f"{CLAIMS}/theirs")[0]) == (0, 404, 200)
    assert "give back the node ours" in said


@pytest.mark.parametrize("account", [GUARD, GENERATOR])
def test_who_gives_back_a_node_of_others_is_refused_by_the_policy(plane: real.ControlPlane, account: str) -> None:
    """RBAC lets both delete any node; the API server says which they may, and limits nobody else."""
    status, answer = plane.ask("DELETE", f"{CLAIMS}/theirs", token=plane.token(SPACE, account))
    of_admin = plane.ask("DELETE", f"{CLAIMS}/theirs?dryRun=All")[0]

    assert (status, of_admin) == (403, 200)
    assert f"only nodes of the NodePool {NODE_POOL} may be given back" in answer["message"]


def without(manifest: dict[str, typing.Any], field: str) -> dict[str, typing.Any]:
    """Return ``manifest`` as Pulumi applies it where somebody else has set the field that it ignores."""
    return {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != field}}


def test_an_up_changes_no_number_of_pods(plane: real.ControlPlane) -> None:
    """A manifest applied again, the same or a changed one, starts no stopped server and stops none that runs."""
    path = f"{DEPLOYMENTS}/{NAMES[0]}"
    manifest = without(dict(made())[path], "replicas")
    other = {**manifest, "spec": {**manifest["spec"], "revisionHistoryLimit": 3}}
    seen = []
    for change in (lambda: started(plane), lambda: called(plane, [])):
        change()
        statuses = [plane.apply(path, each) for each in (manifest, other)]
        seen.append((statuses, replicas(plane)))

    assert seen == [([200, 200], [1, 1, 1]), ([200, 200], [0, 0, 0])]


def test_an_up_changes_no_suspension(plane: real.ControlPlane) -> None:
    """Applied again, a Job that was resumed runs on, and one that the guard suspended waits; saying so is refused."""
    started(plane)
    path = f"{JOBS}/{NAMES[0]}-compile"
    manifest = dict(made())[path]
    told = plane.apply(path, manifest)
    seen = []
    for change in (lambda: None, lambda: called(plane, [])):
        change()
        seen.append((plane.apply(path, without(manifest, "suspend")), plane.ask("GET", path)[1]["spec"]["suspend"]))

    assert manifest["spec"]["suspend"] is True
    assert told == 409
    assert seen == [(200, False), (200, True)]


def test_a_suspended_job_leaves_nothing(plane: real.ControlPlane) -> None:
    """It has no pod before it is resumed, and none when it is deleted."""
    called(plane, [])
    path = f"{JOBS}/{NAMES[1]}-compile"
    label = f"labelSelector=batch.kubernetes.io%2Fjob-name%3D{NAMES[1]}-compile"
    pods = f"/api/v1/namespaces/{SPACE}/pods?{label}"
    until(lambda: plane.ask("GET", pods)[1]["items"] == [], "the suspended Job has no pod")
    plane.ask("DELETE", path, {"propagationPolicy": "Foreground"})
    until(lambda: plane.ask("GET", path)[0] == 404, "the Job is gone")

    assert plane.ask("GET", pods)[1]["items"] == []
    assert plane.apply(path, dict(made())[path]) == 201


def test_the_clock_is_the_api_servers(plane: real.ControlPlane) -> None:
    """The object that the deadline counts from has a time stamp that an apply does not move."""
    clock = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clock", "namespace": SPACE}, "data": {}}
    path = f"/api/v1/namespaces/{SPACE}/configmaps/clock"
    stamps = []
    for _ in range(2):
        assert plane.apply(path, clock) in (200, 201)
        stamps.append(plane.ask("GET", path)[1]["metadata"]["creationTimestamp"])

    assert stamps[0] == stamps[1]
    assert abs((dt.datetime.fromisoformat(stamps[0]) - dt.datetime.now(dt.UTC)).total_seconds()) < 60


def test_the_cronjob_is_made_into_jobs(plane: real.ControlPlane) -> None:
    """The real controller takes its schedule, and its Job has the pod that the program planned."""
    path = f"/apis/batch/v1/namespaces/{SPACE}/cronjobs/{GUARD}"
    every_minute = {"spec": {"schedule": "* * * * *"}}
    assert plane.ask("PATCH", path, every_minute, kind=MERGE)[0] == 200
    until = time.monotonic() + 90
    guards: list[dict[str, typing.Any]] = []
    while not guards and time.monotonic() < until:
        items = plane.ask("GET", JOBS)[1]["items"]
        guards = [job for job in items if job["metadata"]["name"].startswith(f"{GUARD}-")]
        time.sleep(0.5)

    assert guards[0]["spec"]["template"]["spec"]["serviceAccountName"] == GUARD
    assert guards[0]["spec"]["activeDeadlineSeconds"] == 420
