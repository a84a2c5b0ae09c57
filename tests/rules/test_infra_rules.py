"""Rules of the infrastructure's code that no linter knows."""

import ast
import collections.abc
import functools
import re

import pytest
import yaml

from optimal_tp.facts.versions import KARPENTER, KARPENTER_CRD, KUBERNETES, NEURON, PAIRS
from tests.fakes_stack_files import ROOT, STACK_FILES, stack_config

ASKING = frozenset({"optimal_tp.account.inquiry", "optimal_tp.account.registry"})
"""Who asks AWS and registries, or waits for them; everybody else is handed the answers."""
PACKAGES = ("aws", "eks", "kubernetes")


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Return every module of the packages, and of the packages below them, by its dotted name."""
    packages = ("infra", "optimal_tp/account", "optimal_tp/settings", "optimal_tp/facts")
    paths = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in zip(names, paths, strict=True)}


def calls(tree: ast.AST) -> collections.abc.Iterator[ast.Call]:
    """Yield every call in ``tree``."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for an attribute of names, and nothing for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_no_resource_is_made_in_apply() -> None:
    """A resource made inside ``apply`` is missing from previews whenever the value is unknown."""
    inside = [
        (name, dotted(inner.func))
        for name, tree in trees().items()
        for call in calls(tree)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "apply"
        for inner in calls(ast.Module(body=[ast.Expr(argument) for argument in call.args], type_ignores=[]))
    ]

    assert [(name, made) for name, made in inside if made.split(".")[0] in PACKAGES] == []


def test_only_main_reads_the_stacks_config() -> None:
    """Everything below ``__main__`` is given its settings."""
    read = {
        (name, dotted(node))
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"Config", "config", "environ"}
    }

    assert {each for each in read if each[1] in {"pulumi.Config", "aws.config", "os.environ"}} == set()


def test_constructors_ask_no_clock_and_no_network() -> None:
    """What is built, and what is made of answers, depends on settings and answers alone."""
    imported = {
        (name, imported.split(".")[0])
        for name in trees().keys() - ASKING
        for node in ast.walk(trees()[name])
        for imported in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    moving = {"boto3", "botocore", "random", "requests", "secrets", "socket", "time", "urllib", "uuid"}

    assert {each for each in imported if each[1] in moving} == set()


def test_the_packages_below_are_looked_at_too() -> None:
    """Those who ask are modules that there are, and lie below the top."""
    assert trees().keys() > ASKING


@pytest.mark.parametrize(
    "pin",
    [
        *(chart.version for chart in (KARPENTER, KARPENTER_CRD, NEURON)),
        *(kubernetes.scheduler_tag for kubernetes in KUBERNETES.values()),
        *(pair.image_tag for pair in PAIRS.values()),
        *(pair.ami_release for pair in PAIRS.values()),
    ],
)
def test_pins_do_not_move(pin: str) -> None:
    """A pin is an exact version: it has digits and none of the words that move."""
    assert re.search(r"\d", pin)
    assert not re.search(r"latest|main|master|stable|recommended", pin)


def test_karpenter_and_its_definitions_are_one_version() -> None:
    """A controller and definitions of different versions do not understand each other."""
    assert KARPENTER.version == KARPENTER_CRD.version
    assert KARPENTER.version in (ROOT / "tests" / "crds" / "README.md").read_text(encoding="utf-8")


def test_project_file_describes_its_configuration() -> None:
    """`pulumi config` and `pulumi new` can explain every key that a stack file has."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    keys = {key.removeprefix("optimal-tp:") for file in STACK_FILES for key in stack_config(file)}

    assert {*project["config"], *project["template"]["config"]} == keys
    assert all(each["description"] for each in project["config"].values())


@pytest.mark.parametrize("file", STACK_FILES)
def test_stack_files_explain_their_keys(file: str) -> None:
    """Each section of a stack file has a comment, and the dev file has one for each key of its infra section."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    sections = {"network", "control_plane", "system_nodes", "neuron", "storage", "limits"}
    unexplained = [
        line.strip()
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r" {4,6}[a-z_]+:", line)
        and line.split(":")[0].strip() not in sections
        and not before.strip().startswith("#")
    ]

    assert len(unexplained) <= (6 if file == "Pulumi.dev.yaml" else 30), unexplained
