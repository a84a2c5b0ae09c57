"""Machine code of an older state of the sources is neither read nor run."""

import pathlib
import shutil
import subprocess
import sys
import typing

import pytest

from optimal_tp.fleet.compilation import sources_digest

pytestmark = pytest.mark.measurement  # compiling takes seconds

ONE_REQUEST: typing.Final = """
import numpy as np
from optimal_tp.fleet.engine.stepping import EngineSteps, Work, run
one = np.ones(1)
print(run(Work(one, one, np.array([2]), one / 2, 0, 0.0), EngineSteps(1.0, 0.0, 0.0, 0.0, False, 1, 1), 1)[0][0])
"""


@pytest.fixture
def package(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a copy of the product's package."""
    source = pathlib.Path(__file__).parents[2] / "optimal_tp"
    return pathlib.Path(
        shutil.copytree(source, tmp_path / "optimal_tp", ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    )


def _seconds_of_two_steps(package: pathlib.Path) -> float:
    """Return the simulated seconds of one request with two tokens, in an interpreter of its own."""
    environment = {"PYTHONPATH": str(package.parent), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", ONE_REQUEST],
        cwd=package.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def _edit(path: pathlib.Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_upgrade_leaves_old_machine_code_behind(package: pathlib.Path) -> None:
    """A class has another name, and a step takes twice as long: the new sources are simulated."""
    stepping = package / "fleet" / "engine" / "stepping.py"

    assert _seconds_of_two_steps(package) == pytest.approx(2)

    _edit(stepping, "EngineServers", "ServersOfAnEngine")
    _edit(stepping, "each = engine.base +", "each = 2 * engine.base +")

    assert _seconds_of_two_steps(package) == pytest.approx(4)


def test_every_module_of_the_loops_counts(package: pathlib.Path) -> None:
    """A change of a called function, in another module than the caller's, is a new state too."""
    fleet = package / "fleet"
    before = sources_digest(fleet)
    _edit(fleet / "simulation" / "kernel.py", "NO_ONE = -1", "NO_ONE = -2")

    assert sources_digest(fleet) not in {before, sources_digest()}
