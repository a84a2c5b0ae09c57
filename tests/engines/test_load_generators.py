"""Several load generators on a real API server with the real Job controller: numbered, begun together."""

import collections.abc
import datetime as dt
import typing

import pytest

from optimal_tp.cluster.controls import Controls
from optimal_tp.cluster.job import RUN, STEPS, PodOptions, common
from optimal_tp.facts.candidates import Candidate
from optimal_tp.measurement.steps import Step, encode_steps
from optimal_tp.pods.kubernetes import Namespace
from optimal_tp.servers.deployment import GENERATOR
from tests.engines.fakes_api_server import ControlPlane, control_plane
from tests.engines.fakes_cluster import NAMESPACE, applied, manifests, until
from tests.engines.fakes_engines import CONTROL_PLANE, needs
from tests.fakes_workloads import PROGRAMS

pytestmark = [pytest.mark.engines, pytest.mark.timeout(180), needs(CONTROL_PLANE)]

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
JOB = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{GENERATOR}"
THEIRS = ("Namespace", "ServiceAccount", "Role", "RoleBinding", "Job")


COMPILED = Step(
    candidate=Candidate(1, None),
    what="compile",
    began="2026-07-01T12:00:00+00:00",
    node_seconds=60.0,
    seconds=600.0,
    usd=0.15,
)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[ControlPlane]:
    """Return an API server on which the load generators' Job was applied as the program makes it, and resumed."""
    with control_plane(tmp_path_factory.mktemp("plane")) as running:
        made = [each for each in manifests(PROGRAMS["pods"]()) if each["kind"] in THEIRS]
        for kind in THEIRS:
            for each in made:
                if each["kind"] == kind and (kind != "Job" or each["metadata"]["name"] == GENERATOR):
                    assert applied(running, each) is None
        assert _pods(running) == []
        told = {RUN: "20260701T120000Z-abcd", STEPS: encode_steps((COMPILED,))}
        Controls(namespace=_own(running)).resume(GENERATOR, told)
        until(lambda: len(_pods(running)) == 2, "the resumed Job has its two pods")
        yield running


def _own(plane: ControlPlane) -> Namespace:
    """Return the namespace as the load generators' service account sees it."""
    file = plane.folder / "token"
    file.write_text(plane.token(NAMESPACE, GENERATOR))
    return Namespace(url=plane.url, namespace=NAMESPACE, token_file=file, certificate=plane.certificate)


def _pods(plane: ControlPlane) -> list[dict[str, typing.Any]]:
    found = plane.ask("GET", f"{PODS}?labelSelector=optimal-tp/role%3Dshare")[1]["items"]
    return list(found)


def _index(pod: dict[str, typing.Any]) -> str:
    """Return the number that kubelet would put into the load generator's environment."""
    (container,) = pod["spec"]["containers"]
    (variable,) = [each for each in container["env"] if each["name"] == "JOB_COMPLETION_INDEX"]
    path = variable["valueFrom"]["fieldRef"]["fieldPath"]
    kind, _, key = path.removeprefix("metadata.").partition("[")
    return str(pod["metadata"][kind][key.strip("']")])


def test_each_pod_has_a_number_of_its_own(plane: ControlPlane) -> None:
    """The Job controller sets the variable that the command share reads, 0 and 1, on pods that start together."""
    pods = _pods(plane)

    assert sorted(_index(pod) for pod in pods) == ["0", "1"]
    assert all(pod["spec"]["containers"][0]["command"][-1] == "share" for pod in pods)
    assert plane.ask("GET", JOB)[1]["spec"]["completionMode"] == "Indexed"


def test_the_common_start_is_read_with_the_load_generators_own_rights(plane: ControlPlane) -> None:
    """It may read this Job: when it started, which run it is of, and what stood before it."""
    options = PodOptions(pods=2, pod=0, job=GENERATOR, start=None, start_after_seconds=300)
    known = common(options, "", lambda: _own(plane))
    begin = dt.datetime.fromisoformat(known.start)
    created = dt.datetime.fromisoformat(plane.ask("GET", JOB)[1]["metadata"]["creationTimestamp"])

    assert dt.timedelta(seconds=300) <= begin - created <= dt.timedelta(seconds=360)
    assert (known.run, known.steps) == ("20260701T120000Z-abcd", (COMPILED,))
