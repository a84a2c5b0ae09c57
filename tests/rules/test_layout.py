"""The layout: contracts without exemptions, folders that a reader can take in, a picture drawn from the contracts."""

import ast
import collections
import itertools
import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).parents[2]
MOST_MODULES = 16
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
FLOORS = next(each for each in CONTRACTS if each["id"] == "floors")["layers"]


def modules(*folders: str) -> list[pathlib.Path]:
    """Return the modules below ``folders``, without the packages' own files."""
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "__init__.py" and ".venv" not in path.parts
    ]


def test_contracts_have_no_exemption() -> None:
    """An import that breaks a rule is mended or the rule is changed; none is ignored."""
    assert [each["id"] for each in CONTRACTS if "ignore_imports" in each] == []
    assert [each["id"] for each in CONTRACTS if each.get("exhaustive")] == ["floors"]


def test_folders_are_narrow() -> None:
    """A folder holds at most 16 modules."""
    sizes = collections.Counter(
        str(path.parent.relative_to(ROOT)) for path in modules("optimal_tp", "infra", "workloads")
    )

    assert len(sizes) > 20
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_the_picture_is_drawn_from_the_contracts() -> None:
    """The page on the architecture shows the floors of the contract, in their order, in at most 12 boxes."""
    page = (ROOT / "docs/concepts/architecture.md").read_text(encoding="utf-8")
    drawn = re.findall(r'(\w+)\["([^"]+)"\]', page)
    arrows = re.findall(r"^  (\w+)\S*.* --> (\w+)", page, flags=re.MULTILINE)

    assert [text for _, text in drawn] == ["infra | workloads", *(floor for floor in FLOORS if floor != "__main__")]
    assert len(drawn) <= 12
    assert arrows == [(one[0], other[0]) for one, other in itertools.pairwise(drawn)]


def test_the_page_explains_every_package() -> None:
    """Each package of the contract has its row."""
    page = (ROOT / "docs/concepts/architecture.md").read_text(encoding="utf-8")
    explained = {
        name for row in re.findall(r"^\| (`[^|]+) \|", page, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }

    assert explained == {name for floor in FLOORS for name in floor.split(" | ")} - {"__main__"}


def test_nothing_imports_the_program() -> None:
    """``__main__.py`` is the top; it imports the three packages and Pulumi alone."""
    tree = ast.parse((ROOT / "__main__.py").read_text(encoding="utf-8"))
    imported = {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    importers = [
        str(path.relative_to(ROOT))
        for path in modules("optimal_tp", "infra", "workloads")
        if re.search(r"^(from|import) __main__\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    ]

    assert imported == {"pulumi", "infra", "workloads", "optimal_tp"}
    assert importers == []
