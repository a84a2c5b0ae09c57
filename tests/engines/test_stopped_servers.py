"""What `pulumi up` and `refresh` leave as others have set it: the real engine, its plugin, a real API server."""

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


def meta(name):
    return {"name": name, "namespace": "default", "annotations": {"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}}


def ignoring(field):
    return pulumi.ResourceOptions(provider=provider, ignore_changes=[field])


for name in ("first", "later"):
    template = {"metadata": {"labels": {"app": name, "label": label}}, "spec": pod}
    spec = {"replicas": 0, "selector": {"match_labels": {"app": name}}, "template": template}
    k.apps.v1.Deployment(name, metadata=meta(name), spec=spec, opts=ignoring("spec.replicas"))
job = {"suspend": True, "template": {"spec": {**pod, "restart_policy": "Never"}}}
labelled = {**meta("compile"), "labels": {"label": label}}
k.batch.v1.Job("compile", metadata=labelled, spec=job, opts=ignoring("spec.suspend"))
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

    def change(self, first: int, later: int, *, suspend: bool) -> None:
        """Do what guard and load generator do: scale the servers, resume or suspend the Job."""
        for name, number in (("first", first), ("later", later)):
            self.plane.ask("PATCH", f"{DEPLOYMENTS}/{name}/scale", {"spec": {"replicas": number}}, kind=MERGE)
        self.plane.ask("PATCH", JOB, {"spec": {"suspend": suspend}}, kind=MERGE)

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
        assert made.state() == (0, 0, True)
        yield made
        made.pulumi("destroy", "--yes", "--skip-preview")


RUNNING: typing.Final = (1, 0, False)
STOPPED: typing.Final = (0, 0, True)


def test_up_and_refresh_leave_what_runs_and_what_was_stopped(stack: Stack) -> None:
    """Nothing to do for an `up`; a changed template meets no conflict; numbers and suspension stay, and the clock."""
    clock = stack.pulumi("stack", "output", "made")
    seen = []
    for number, (first, later, suspend) in enumerate((RUNNING, STOPPED)):
        stack.change(first, later, suspend=suspend)
        label = f"a{number}"
        stack.pulumi("up", "--yes", "--skip-preview", label=label)
        after_change = stack.state()
        unchanged = "6 unchanged" in stack.pulumi("up", "--yes", "--skip-preview", label=label)
        stack.pulumi("refresh", "--yes", "--skip-preview", label=label)
        stack.pulumi("up", "--yes", "--skip-preview", label=f"b{number}")
        seen.append((after_change, unchanged, stack.state()))

    assert seen == [(RUNNING, True, RUNNING), (STOPPED, True, STOPPED)]
    assert stack.pulumi("stack", "output", "made") == clock


def test_what_was_refreshed_while_it_ran_stays_stopped(stack: Stack) -> None:
    """A refresh writes down what runs; what is stopped after it is not started by the next `up` that changes it."""
    stack.change(*RUNNING[:2], suspend=RUNNING[2])
    stack.pulumi("refresh", "--yes", "--skip-preview", label="c")
    stack.change(*STOPPED[:2], suspend=STOPPED[2])
    stack.pulumi("up", "--yes", "--skip-preview", label="d")

    assert stack.state() == STOPPED
