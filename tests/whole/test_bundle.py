"""The code bundle."""

import pathlib
import random
import re
import sys

import pytest

from workloads.manifests.bundle import closure, imports, parts, read_sources, with_fixed_names
from workloads.manifests.generator import PROGRAMS

ROOT = pathlib.Path(__file__).parents[2]
SOURCES = {
    "optimal_tp/__init__.py": '"""Package."""',
    "optimal_tp/cli/__init__.py": "",
    "optimal_tp/cli/run.py": "import json\nfrom optimal_tp import metrics\nfrom optimal_tp.wire import read\n",
    "optimal_tp/wire.py": "def read():\n    from optimal_tp.errors import Problem\n    return Problem\n",
    "optimal_tp/metrics.py": "import typing\nif typing.TYPE_CHECKING:\n    from optimal_tp.serving import VllmServer\n",
    "optimal_tp/serving.py": "import pulumi\n",
    "optimal_tp/errors.py": "",
    "infra/network.py": "import pulumi\n",
}


def test_a_program_takes_along_what_it_imports_and_nothing_else() -> None:
    """Packages above, modules imported as names and inside functions come along; types and neighbours stay."""
    assert list(closure(SOURCES, ["optimal_tp.cli.run"])) == [
        "optimal_tp/__init__.py",
        "optimal_tp/cli/__init__.py",
        "optimal_tp/cli/run.py",
        "optimal_tp/errors.py",
        "optimal_tp/metrics.py",
        "optimal_tp/wire.py",
    ]


def test_a_command_that_is_imported_by_name_comes_along() -> None:
    """A string that is a module's name counts, other words do not."""
    sources = {**SOURCES, "optimal_tp/menu.py": 'COMMANDS = {"run": "optimal_tp.cli.run", "x": "optimal_tp.none"}'}

    assert "optimal_tp/cli/run.py" in closure(sources, ["optimal_tp.menu"])


def test_an_entry_that_is_not_there_is_an_error() -> None:
    """A misspelt program is found here, not in the pod."""
    with pytest.raises(KeyError, match=r"there is no module optimal_tp\.nothing in the bundle's sources"):
        closure(SOURCES, ["optimal_tp.nothing"])


def test_a_small_bundle_is_one_part_named_by_its_content() -> None:
    """The same files give the same name, whatever their order; one changed letter gives another."""
    (one,) = parts("code", SOURCES)
    (again,) = parts("code", dict(reversed(SOURCES.items())))
    (other,) = parts("code", {**SOURCES, "optimal_tp/errors.py": "#"})

    assert one == again
    assert one.name != other.name
    assert re.fullmatch(r"code-[0-9a-f]{12}", one.name)


def test_parts_stay_below_the_limit_and_lose_nothing() -> None:
    """However large the files are, each is in one part, and no part is above the limit."""
    for seed in range(100):
        draw = random.Random(seed)
        sizes = [draw.choice((0, 1, draw.randint(2, 99), 100)) for _ in range(draw.randint(0, 12))]
        files = {f"workloads/file_{number}.py": "x" * size for number, size in enumerate(sizes)}
        made = parts("code", files, limit_bytes=128)
        found = {part.paths[key]: text for part in made for key, text in part.data.items()}

        assert found == files
        assert all(sum(len(text) for text in part.data.values()) <= 128 for part in made)


def test_a_file_above_the_limit_is_an_error() -> None:
    """It could never be stored."""
    with pytest.raises(ValueError, match=r"^big\.py has 135 bytes; a part of the bundle holds 128: split the file$"):
        parts("code", {"big.py": "x" * 129}, limit_bytes=128)


def test_names_for_jobs_do_not_follow_the_content() -> None:
    """A changed line must not make a Job run again: its servers hold the cores that it would want."""
    made = [with_fixed_names("jobs", parts("x", {"a.py": text}, limit_bytes=99)) for text in ("1", "2")]

    assert [part.name for each in made for part in each] == ["jobs-0", "jobs-0"]
    assert [part.data for each in made for part in each] == [{"a.py": "1"}, {"a.py": "2"}]


def test_keys_are_what_kubernetes_takes() -> None:
    """Keys have no slash; paths keep theirs."""
    (part,) = parts("code", SOURCES)

    assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) for key in part.data)
    assert set(part.paths.values()) == set(SOURCES)


def test_texts_come_along_with_their_package() -> None:
    """A template below a package that is needed travels, one below another does not."""
    sources = {**SOURCES, "optimal_tp/cli/templates/a.j2": "x", "optimal_tp/local/full.yaml": "y"}
    sources["optimal_tp/local/__init__.py"] = ""
    files = closure(sources, ["optimal_tp.cli.run"])

    assert "optimal_tp/cli/templates/a.j2" in files
    assert "optimal_tp/local/full.yaml" not in files


def test_the_bundle_needs_only_what_is_installed_for_it() -> None:
    """Every library that the load generator imports is in the requirements that its pod installs."""
    names = {
        "yaml": "pyyaml",
        "pydantic_core": "pydantic",
        "botocore": "boto3",
        "prometheus_client": "prometheus-client",
    }
    asked_for, installed = (
        set(re.findall(r"^([a-z0-9-]+)==", (ROOT / f"requirements/loadgen.{kind}").read_text(), re.MULTILINE))
        for kind in ("in", "txt")
    )
    files = closure(read_sources(ROOT), PROGRAMS)
    imported = {name.split(".")[0] for path, text in files.items() if path.endswith(".py") for name in imports(text)}
    libraries = imported - set(sys.stdlib_module_names) - {"optimal_tp"}

    assert "boto3" in libraries
    assert {names.get(library, library) for library in libraries} - asked_for == set()
    assert asked_for <= installed
