"""What `pulumi up` and `refresh` do with what was stopped: the real engine, its plugin, a real API server."""

import collections.abc
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import typing

import pytest

from tests.engines import fakes_api_server as real
from tests.engines.fakes_engines import CONTROL_PLANE, PULUMI, needs

_PATH = os.pathsep.join([os.environ.get("ENGINES", ""), os.environ.get("PATH", "")])

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300), needs(CONTROL_PLANE, PULUMI)]

PROGRAM = """
import os
import pulumi
import pulumi_kubernetes as k

provider = k.Provider("cluster", kubeconfig=open(os.environ["KUBECONFIG_OF_TEST"]).read())
plain = pulumi.ResourceOptions(provider=provider)
label = os.environ["LABEL"]
pod = {"containers": [{"name": "c", "image": "none"}]}


def meta(name, **more):
    return {"name": name, "namespace": "default", "annotations": {"pulumi.com/skipAwait": "true", **more}}


def spec(**replicas):
    template = {"metadata": {"labels": {"app": "x", "label": label}}, "spec": pod}
    return {"selector": {"match_labels": {"app": "x"}}, "template": template, **replicas}


k.apps.v1.Deployment("first", metadata=meta("first"), spec=spec(), opts=plain)
turns = pulumi.ResourceOptions(provider=provider, ignore_changes=["spec.replicas"])
k.apps.v1.Deployment("later", metadata=meta("later"), spec=spec(replicas=0), opts=turns)
job = {"suspend": False, "template": {"spec": {**pod, "restart_policy": "Never"}}}
forced = {**meta("compile", **{"pulumi.com/patchForce": "true"}), "labels": {"label": label}}
k.batch.v1.Job("compile", metadata=forced, spec=job, opts=plain)
clock = k.core.v1.ConfigMap("clock", metadata=meta("clock"), data={"run": "1"}, opts=plain)
pulumi.export("made", clock.metadata.apply(lambda made: made.creation_timestamp))
"""
"""Servers and Jobs as workloads/serving.py and workloads/artifacts.py make them, without pods to wait for."""

MERGE = "application/merge-patch+json"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
JOB = "/apis/batch/v1/namespaces/default/jobs/compile"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack of PROGRAM on a real API server."""

    plane: real.ControlPlane
    folder: pathlib.Path

    def pulumi(self, *words: str, label: str = "a") -> str:
        """Run the real command; returns what it printed."""
        environment = {
            **os.environ,
            "PATH": _PATH,
            "PULUMI_BACKEND_URL": f"file://{self.folder}",
            "PULUMI_CONFIG_PASSPHRASE": "of a test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_PYTHON_CMD": sys.executable,
            "KUBECONFIG_OF_TEST": str(self.plane.folder / "kubeconfig"),
            "LABEL": label,
        }
        done = subprocess.run(
            [str(shutil.which("pulumi", path=_PATH)), *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self) -> None:
        """Do what guard and load generator do: nothing of the first turn, one of the later, no compiling."""
        for name, number in (("first", 0), ("later", 1)):
            self.plane.ask("PATCH", f"{DEPLOYMENTS}/{name}/scale", {"spec": {"replicas": number}}, kind=MERGE)
        self.plane.ask("PATCH", JOB, {"spec": {"suspend": True}}, kind=MERGE)

    def state(self) -> tuple[typing.Any, ...]:
        """Return the pods asked for of both servers, and whether the Job is suspended."""
        found = [self.plane.ask("GET", f"{DEPLOYMENTS}/{name}")[1]["spec"]["replicas"] for name in ("first", "later")]
        return (*found, self.plane.ask("GET", JOB)[1]["spec"]["suspend"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Stack]:
    """Return a stack that is up, with its servers as they begin."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "Pulumi.yaml").write_text("name: probe\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM)
    with real.control_plane(tmp_path_factory.mktemp("plane")) as plane:
        made = Stack(plane=plane, folder=folder)
        made.pulumi("stack", "init", "dev")
        made.pulumi("up", "--yes", "--skip-preview")
        assert made.state() == (1, 0, False)
        yield made
        made.pulumi("destroy", "--yes", "--skip-preview")


def test_up_and_refresh_leave_what_was_stopped(stack: Stack) -> None:
    """Nothing to do for an `up`; a changed template meets no conflict; the numbers stay, and the clock with them."""
    stack.stop()
    clock = stack.pulumi("stack", "output", "made")
    unchanged = stack.pulumi("up", "--yes", "--skip-preview")
    after_up = stack.state()
    stack.pulumi("up", "--yes", "--skip-preview", label="b")
    after_change = stack.state()
    stack.stop()
    stack.pulumi("refresh", "--yes", "--skip-preview", label="b")
    after_refresh = stack.state()
    stack.pulumi("up", "--yes", "--skip-preview", label="c")

    assert "6 unchanged" in unchanged
    assert (after_up, after_refresh) == ((0, 1, True), (0, 1, True))
    assert (after_change[:2], stack.state()[:2]) == ((0, 1), (0, 1))
    assert stack.pulumi("stack", "output", "made") == clock


def test_an_update_of_a_suspended_job_lets_it_run(stack: Stack) -> None:
    """Pulumi takes `suspend` back by force, whoever has set it."""
    stack.stop()
    before = stack.state()[2]
    stack.pulumi("up", "--yes", "--skip-preview", label="d")

    assert (before, stack.state()[2]) == (True, False)
