"""The product as a user installs it: a wheel in an environment of its own, used from another folder."""

import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import typing

import packaging.requirements
import pytest
import yaml

from tests.fakes_run import planted_run, store
from tests.fakes_server import Script, ScriptedServer
from tests.fakes_tree import tracked

pytestmark = pytest.mark.measurement  # it builds, installs and starts processes

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = {
    "degrees": [1],
    "model": {"name": "scripted"},
    "load": {"concurrency": [1], "block_seconds": 1, "warm_up_requests": 1, "output_tokens": 4},
    "decision": {"budget_seconds": 5},
}


class Installed(typing.NamedTuple):
    """A user's environment and the folder he works in."""

    command: pathlib.Path
    folder: pathlib.Path
    requires: tuple[str, ...]
    """What the wheel's own metadata asks for, as pip reads it."""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``optimal-tp`` with ``words``, with nothing of this checkout on Python's path."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.command), *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return an environment with the wheel; its libraries are those of this one, so that nothing is fetched."""
    home = tmp_path_factory.mktemp("home")
    source, environment = home / "source", home / "environment"
    for path in tracked():
        name = path.relative_to(ROOT)
        if name.parts[0] not in {"tests", "docs"}:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(path.read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    built = [*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(home), str(source)]
    subprocess.run(built, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (wheel,) = home.glob("optimal_tp-*.whl")
    python = environment / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    folder = home / "elsewhere"
    folder.mkdir()
    (metadata,) = packages.glob("optimal_tp-*.dist-info")
    requires = importlib.metadata.Distribution.at(metadata).requires or ()
    return Installed(environment / "bin" / "optimal-tp", folder, tuple(requires))


def _asked(name: str) -> set[str]:
    """Return the libraries that ``requirements/NAME.in`` names itself."""
    return set(re.findall(r"^([\w.-]+)(?:\[.*\])?==", (ROOT / f"requirements/{name}.in").read_text(), re.MULTILINE))


def test_it_asks_for_what_the_requirements_pin(installed: Installed) -> None:
    """Its libraries are those of the requirements, with ``numba`` for ``plan``; each pin is a version it allows."""
    wanted = [packaging.requirements.Requirement(each) for each in installed.requires]
    pinned = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)
    refused = [
        f"{each} is pinned to {version}"
        for each in wanted
        for name, version in pinned
        if name == each.name and not each.specifier.contains(version)
    ]
    local = {each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": "local"})}

    assert {each.name for each in wanted if each.marker is None} == _asked("loadgen") | {"numba"}
    assert local == _asked("loadgen") | _asked("local")
    assert {each.name for each in wanted} <= {name for name, _ in pinned}
    assert refused == []


def test_it_says_its_version_and_its_commands(installed: Installed) -> None:
    """The version is the distribution's; internal commands are not offered."""
    version, told = installed.run("--version"), installed.run("--help")

    assert (version.returncode, version.stdout) == (0, "optimal-tp 0.2.0\n")
    assert told.returncode == 0
    assert "preflight" in told.stdout
    assert "share" not in told.stdout


@pytest.mark.parametrize("command", ["load", "run", "report", "compare", "plan", "watch", "preflight", "leftovers"])
def test_every_command_tells_its_options_and_exit_status(installed: Installed, command: str) -> None:
    """Help works without the checkout and ends with 0."""
    told = installed.run(command, "--help")

    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"usage: optimal-tp {command} ")


def test_a_stored_run_is_reported_compared_and_planned(installed: Installed) -> None:
    """Templates, schema and style travel in the wheel."""
    store(installed.folder / "run", *planted_run(blocks=20, requests=30))
    shown = installed.run("report", "run")
    compared = installed.run("compare", "run", "run")
    planned = installed.run("plan", "run", "--rate", "5/s", "--limit", "p99_total_ms=2000")

    assert (shown.returncode, compared.returncode, planned.returncode) == (0, 0, 0), shown.stderr + planned.stderr
    assert "<html" in (installed.folder / "run" / "report.html").read_text(encoding="utf-8")
    assert (installed.folder / "run" / "fleet.html").exists()


def test_a_server_of_ones_own_is_loaded_and_judged(installed: Installed) -> None:
    """``load`` and ``run`` reach a server and leave their files in the folder they were started in."""
    (installed.folder / "settings.yaml").write_text(yaml.safe_dump({"workloads": SETTINGS}), encoding="utf-8")
    with ScriptedServer(Script(ttft_seconds=0.005, gap_seconds=0.001), process=True) as server:
        loaded = installed.run("load", server.url, "--output", "load.json", "--stream", "--requests", "3")
        target = f"1={server.url}"
        ran = installed.run("run", "--target", target, "--settings", "settings.yaml", "--results", "out")

    assert loaded.returncode == 0, loaded.stderr
    assert json.loads((installed.folder / "load.json").read_text(encoding="utf-8"))["requests"]["ok"] == 3
    assert ran.returncode in {0, 3, 4}, ran.stderr
    assert list((installed.folder / "out").glob("*/verdict.json"))
