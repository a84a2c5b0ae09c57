"""The guard on a real API server: with its own rights and nothing more, on the manifests that the program makes."""

import collections.abc
import datetime as dt
import time
import typing

import pytest

from optimal_tp.pods.guard import Guard, keep
from optimal_tp.pods.kubernetes import Namespace
from optimal_tp.servers.deployment import GENERATOR
from tests.engines import fakes_api_server as real
from tests.engines.fakes_engines import CONTROL_PLANE, needs
from tests.fakes_schemas import whole
from tests.fakes_workloads import PROGRAMS
from workloads.manifests.guard import GUARD

pytestmark = [pytest.mark.engines, pytest.mark.timeout(180), needs(CONTROL_PLANE)]

SPACE = "optimal-tp"
NAMES = tuple(f"qwen-vllm-tp{degree}" for degree in (1, 2, 4))
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{SPACE}/deployments"
JOBS = f"/apis/batch/v1/namespaces/{SPACE}/jobs"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PLURALS: typing.Final = {
    "ServiceAccount": f"/api/v1/namespaces/{SPACE}/serviceaccounts",
    "Role": f"{RBAC}/namespaces/{SPACE}/roles",
    "RoleBinding": f"{RBAC}/namespaces/{SPACE}/rolebindings",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
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
        for name in (SPACE, "neighbour"):
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            assert running.ask("POST", "/api/v1/namespaces", space)[0] == 201
        for path, manifest in made():
            assert running.apply(path, manifest) in (200, 201), path
        theirs = dict(made())[f"{DEPLOYMENTS}/{NAMES[0]}"]
        theirs = {**theirs, "metadata": {**theirs["metadata"], "namespace": "neighbour"}}
        path = f"{DEPLOYMENTS}/{NAMES[0]}".replace(SPACE, "neighbour")
        assert running.apply(path, theirs) in (200, 201)
        yield running


def guard(plane: real.ControlPlane, said: list[str]) -> Guard:
    """Return the guard as its pod would be: with the token of its own service account."""
    file = plane.folder / "token"
    file.write_text(plane.token(SPACE, GUARD))
    namespace = Namespace(url=plane.url, namespace=SPACE, token_file=file, certificate=plane.certificate)
    jobs = tuple(f"{name}-compile" for name in NAMES)
    return Guard(namespace=namespace, deployments=NAMES, jobs=jobs, say=said.append)


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
        assert plane.ask("PATCH", f"{DEPLOYMENTS}/{name}/scale", body, kind="application/merge-patch+json")[0] == 200
    for path, manifest in made():
        if path.startswith(JOBS):
            assert plane.apply(path, manifest, force=True) == 200


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


MERGE = "application/merge-patch+json"
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
    ("see NodeClaims", "GET", "/apis/karpenter.sh/v1/nodeclaims", None),
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


def test_the_load_generator_sees_nodeclaims_and_scales_servers(plane: real.ControlPlane) -> None:
    """It may list NodeClaims for the receipt and scale the servers; not delete, not read secrets, not suspend."""
    yes = [("list", "karpenter.sh", "nodeclaims", ""), ("patch", "apps", "deployments/scale", NAMES[0])]
    no = [
        ("delete", "karpenter.sh", "nodeclaims", "any"),
        ("patch", "apps", "deployments", NAMES[0]),
        ("patch", "apps", "deployments/scale", GENERATOR),
        ("patch", "batch", "jobs", f"{NAMES[0]}-compile"),
        ("list", "", "secrets", ""),
        ("list", "", "nodes", ""),
    ]

    assert [allowed(plane, *each) for each in yes] == [True] * len(yes)
    assert [allowed(plane, *each) for each in no] == [False] * len(no)


def test_an_up_leaves_stopped_servers_stopped(plane: real.ControlPlane) -> None:
    """The same manifest applied again, or a changed one, has no conflict over the number and does not change it."""
    started(plane)
    called(plane, [])
    manifest = dict(made())[f"{DEPLOYMENTS}/{NAMES[0]}"]
    other = {**manifest, "spec": {**manifest["spec"], "revisionHistoryLimit": 3}}
    same, changed = (plane.apply(f"{DEPLOYMENTS}/{NAMES[0]}", each) for each in (manifest, other))

    assert (same, changed, replicas(plane)) == (200, 200, [0, 0, 0])


def test_a_number_in_the_manifest_would_start_a_stopped_server(plane: real.ControlPlane) -> None:
    """Why it is left out: nobody owns a number set through the scale, so an `up` would start the server unasked."""
    started(plane)
    called(plane, [])
    path = f"{DEPLOYMENTS}/{NAMES[0]}"
    manifest = dict(made())[path]
    status = plane.apply(path, {**manifest, "spec": {**manifest["spec"], "replicas": 1}})
    restarted = replicas(plane)[0]
    plane.apply(path, manifest)

    assert (status, restarted) == (200, 1)


def test_an_up_takes_a_suspended_job_back(plane: real.ControlPlane) -> None:
    """Applied with force, as its annotation asks Pulumi to, it runs again; without, the API server refuses."""
    started(plane)
    called(plane, [])
    path, manifest = f"{JOBS}/{NAMES[0]}-compile", dict(made())[f"{JOBS}/{NAMES[0]}-compile"]
    without, with_it = plane.apply(path, manifest), plane.apply(path, manifest, force=True)

    assert manifest["metadata"]["annotations"]["pulumi.com/patchForce"] == "true"
    assert (without, with_it, plane.ask("GET", path)[1]["spec"]["suspend"]) == (409, 200, False)


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
