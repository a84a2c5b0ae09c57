"""The load generator's pod as its manifest has it, on this machine: init step and program, from its ConfigMaps."""

import os
import pathlib
import subprocess
import sys
import typing

import pytest

from tests.engines.fakes_cluster import Manifest, manifests
from tests.fakes_workloads import PROGRAMS

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]


def _pod(made: list[Manifest]) -> typing.Any:
    found = [each for each in made if (each["kind"], each["metadata"]["name"]) == ("Deployment", "qwen-vllm-loadgen")]
    return found[0]["spec"]["template"]["spec"]


def mounted(made: list[Manifest], root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Lay out below ``root`` what kubelet would mount into the pod, and return the folder of each mount path."""
    pod = _pod(made)
    data = {each["metadata"]["name"]: each["data"] for each in made if each["kind"] == "ConfigMap"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    folders = {}
    for mount in pod["containers"][0]["volumeMounts"]:
        folder = folders[mount["mountPath"]] = root / mount["name"]
        folder.mkdir()
        volume = volumes[mount["name"]]
        for source in volume.get("projected", {}).get("sources", []):
            for item in source["configMap"]["items"]:
                place = folder / item["path"]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(data[source["configMap"]["name"]][item["key"]])
        for key, text in data.get(volume.get("configMap", {}).get("name"), {}).items():
            (folder / key).write_text(text)
    return folders


def ran(container: typing.Any, folders: dict[str, pathlib.Path], *more: str) -> subprocess.CompletedProcess[str]:
    """Run ``container``'s command in its own environment, its mount paths being folders of this machine."""

    def here(word: str) -> str:
        for path, folder in sorted(folders.items(), key=lambda each: -len(each[0])):
            word = word.replace(path, str(folder)) if path != "/tmp" or word == "/tmp" else word  # noqa: S108
        return word

    program, *words = [here(word) for word in (*container["command"], *more)]
    assert program == "python"
    # The program sees what the manifest gives it. How this machine reaches a package index is the machine's affair.
    machine = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_")) or key == "PATH"}
    given = {each["name"]: here(each["value"]) for each in container["env"]}
    # The interpreter without this environment's packages: what the pod did not install is not there.
    command = [f"{sys.base_prefix}/bin/python3", "-s", *words]
    environment = {**machine, **given}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=folders["/results"]
    )


def test_the_pod_installs_its_dependencies_and_its_program_starts(tmp_path: pathlib.Path) -> None:
    """Pip accepts every pinned hash; the bundle starts with nothing else beside it, and knows every option."""
    made = manifests(PROGRAMS["one-each"]())
    folders = mounted(made, tmp_path)
    container = _pod(made)["containers"][0]
    installed = ran(_pod(made)["initContainers"][0], folders)

    assert installed.returncode == 0, installed.stderr

    started = ran(container, folders, "--help")
    dependencies = {path.name for path in folders["/opt/dependencies"].iterdir()}

    assert {"boto3", "pydantic", "numpy"} <= dependencies
    assert (started.returncode, started.stderr) == (0, "")
    assert all(word in started.stdout for word in container["args"] if word.startswith("--"))
