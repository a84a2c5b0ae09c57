"""Rules of the infrastructure's code that no linter knows."""

import ast
import collections.abc
import re

import pytest
import yaml

from optimal_tp.facts.versions import KARPENTER, KARPENTER_CRD, KUBERNETES, NEURON, PAIRS
from tests.fakes_stack_files import ROOT, STACK_FILES, stack_config

ASKING = frozenset({f"optimal_tp.account.{name}" for name in ("caller", "inquiry", "model_files", "registry")})
"""Who asks AWS, registries and hubs, or waits for them; everybody else is handed the answers."""
PACKAGES = ("aws", "eks", "kubernetes")
MOVING = ("boto3", "botocore", "random", "requests", "secrets", "socket", "time", "urllib", "uuid")
"""Modules whose answers are other ones each time."""


def trees(*words: str) -> dict[str, ast.Module]:
    """Return the modules of the packages, and of those below them, that have one of ``words``, by dotted name."""
    packages = ("infra", "optimal_tp/account", "optimal_tp/settings", "optimal_tp/facts")
    paths = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(text)
        for path, text in texts.items()
        if any(word in text for word in words)
    }


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
        for name, tree in trees(".apply(").items()
        for call in calls(tree)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "apply"
        for inner in calls(ast.Module(body=[ast.Expr(argument) for argument in call.args], type_ignores=[]))
    ]

    assert [(name, made) for name, made in inside if made.split(".")[0] in PACKAGES] == []


def test_only_main_reads_the_stacks_config() -> None:
    """Everything below ``__main__`` is given its settings."""
    read = {
        (name, dotted(node))
        for name, tree in trees(".Config", ".config", ".environ").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    }

    assert {each for each in read if each[1] in {"pulumi.Config", "aws.config", "os.environ"}} == set()


def test_constructors_ask_no_clock_and_no_network() -> None:
    """What is built, and what is made of answers, depends on settings and answers alone."""
    imported = {
        (name, imported.split(".")[0])
        for name, tree in trees(*(f"{verb} {module}" for verb in ("import", "from") for module in MOVING)).items()
        if name not in ASKING
        for node in ast.walk(tree)
        for imported in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert {each for each in imported if each[1] in MOVING} == set()


def test_the_packages_below_are_looked_at_too() -> None:
    """Those who ask are modules that there are, and lie below the top."""
    assert trees("boto", "registry", "sleep", "urllib").keys() > ASKING


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
    """Each section of a stack file has a comment, and the dev file has one for each key; the sample's points to it."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    sections = {"network", "control_plane", "system_nodes", "neuron", "storage", "limits"}
    unexplained = [
        line.strip()
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r" {4,6}[a-z_]+:", line)
        and line.split(":")[0].strip() not in sections
        and not before.strip().startswith("#")
    ]

    allowed = {"Pulumi.dev.yaml": 6, "Pulumi.prod.yaml": 30, "Pulumi.sample.yaml": 45}
    assert len(unexplained) <= allowed[file], unexplained
