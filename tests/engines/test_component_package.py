"""The real Pulumi engine takes the component from its folder, makes a package of it, and previews the example."""

import json
import os
import pathlib
import shutil
import site
import subprocess
import sys
import venv

import pytest
import yaml
from pulumi_aws import _utilities as aws_package
from pulumi_eks import _utilities as eks_package
from pulumi_kubernetes import _utilities as kubernetes_package

from tests.engines.fakes_aws.plugin import MODEL, SCALE
from tests.engines.fakes_engines import EKS_PLUGIN, PULUMI, needs, where
from tests.fakes_stack_files import ROOT

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600), needs(PULUMI, EKS_PLUGIN)]

CHARTS = pathlib.Path(__file__).parent / "charts"
FAKE_AWS = f'#!/bin/sh\nexec {sys.executable} -m tests.engines.fakes_aws "$@"\n'
NOBODY = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "theirs", "cluster": {"server": "https://127.0.0.1:9"}}],
    "contexts": [{"name": "theirs", "context": {"cluster": "theirs", "user": "me"}}],
    "current-context": "theirs",
    "users": [{"name": "me", "user": {}}],
}
"""Of a cluster that nobody can reach: a preview must do without."""


def here(folder: pathlib.Path, *others: pathlib.Path) -> None:
    """Make a virtual environment in ``folder`` of what this one has, and ``others``; its pip has nothing to install."""
    venv.create(folder)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "here.pth").write_text("\n".join([*site.getsitepackages(), *map(str, others)]))
    (packages / "pip").mkdir()
    (packages / "pip" / "__main__.py").write_text("")


def cached(home: pathlib.Path) -> None:
    """Give the engine the plugins that the component's own packages name."""
    for name, package in (("aws", aws_package), ("eks", eks_package), ("kubernetes", kubernetes_package)):
        folder = home / "plugins" / f"resource-{name}-v{package.get_version()}"
        folder.mkdir(parents=True)
        program = folder / f"pulumi-resource-{name}"
        found = where(program.name)
        if name == "aws" or found is None:
            program.write_text(FAKE_AWS)
            program.chmod(0o755)
        else:
            program.symlink_to(found)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a copy of the repository's parts that the component stands on, with the example beside them."""
    root = tmp_path_factory.mktemp("clone")
    for name in ("optimal_tp", "infra"):
        (root / name).symlink_to(ROOT / name)
    for name in ("component", "examples"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("venv", "sdks"))
    (root / "requirements.txt").write_text("")
    example = root / "examples" / "neuron-nodes"
    here(root / "component" / "venv")
    here(example / "venv", example / "sdks" / "optimal-tp")
    program = (example / "__main__.py").read_text()
    mirror = f'registries={{"charts": "{CHARTS}"}},\n    cluster_name='
    (example / "__main__.py").write_text(program.replace("cluster_name=", mirror))
    cached(root / "home")
    (root / "state").mkdir()
    return example


def pulumi(project: pathlib.Path, *words: str) -> str:
    """Return what the engine says. Fails where it does."""
    root = project.parents[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AWS_"))},
        "PYTHONPATH": str(ROOT),
        "PULUMI_HOME": str(root / "home"),
        "PULUMI_BACKEND_URL": f"file://{root / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "of a test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        MODEL: str(root / "world.json"),
        SCALE: "0",
    }
    command = ["pulumi", *words, "--non-interactive"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_engine_takes_it(project: pathlib.Path) -> None:
    """Schema, generated package, and a preview of everything in the component; secrets stay out of sight."""
    schema = json.loads(pulumi(project, "package", "get-schema", "../../component"))
    component = schema["resources"]["optimal-tp:index:NeuronNodes"]
    pulumi(project, "package", "add", "../../component")
    pulumi(project, "stack", "init", "dev")
    pulumi(project, "config", "set", "--secret", "kubeconfig", json.dumps(NOBODY))
    pulumi(project, "config", "set", "aws:region", "ap-southeast-4")
    shown = pulumi(project, "preview", "--diff")

    assert component["isComponent"]
    assert set(component["properties"]) == {"instanceProfileName", "nodePoolName", "schedulerName"}
    assert yaml.safe_load((project / "Pulumi.yaml").read_text())["packages"] == {"optimal-tp": "../../component"}
    for kind in ("optimal-tp:index:NeuronNodes", "helm.sh/v3:Release", "v1:NodePool", "v1:EC2NodeClass"):
        assert f"{kind}: (create)" in shown
    assert "127.0.0.1:9" not in shown
