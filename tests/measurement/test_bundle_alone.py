"""Programs started from their bundle alone, as a pod starts them."""

import collections.abc
import os
import pathlib
import subprocess
import sys

import pytest

from workloads.manifests.bundle import closure, parts, read_sources
from workloads.manifests.generator import PROGRAMS

ROOT = pathlib.Path(__file__).parents[2]


def unpack(programs: collections.abc.Iterable[str], folder: pathlib.Path) -> None:
    """Write the real bundle of ``programs`` into ``folder``, as the pod sees it."""
    for part in parts("code", closure(read_sources(ROOT), programs)):
        for key, text in part.data.items():
            path = folder / part.paths[key]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.mark.slow  # it imports every library anew
def test_the_load_generator_runs_from_its_bundle_alone(tmp_path: pathlib.Path) -> None:
    """Unpacked elsewhere and started there with the libraries alone, the run command reads its arguments."""
    unpack(PROGRAMS, tmp_path)
    command = [sys.executable, "-m", "optimal_tp", "run", "--settings", "none.yaml", "--results", "out"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "--settings: must name a readable file" in done.stderr
    assert (tmp_path / "optimal_tp/report/templates/report.html.j2").exists()


@pytest.mark.parametrize("program", ["optimal_tp.pods.compile", "optimal_tp.pods.fetch_model"])
def test_the_real_programs_run_from_their_bundle_alone(program: str, tmp_path: pathlib.Path) -> None:
    """Unpacked elsewhere and started there, each prints its usage: nothing is missing."""
    unpack([program], tmp_path)
    command = [sys.executable, "-S", "-E", "-m", program, "--help"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
