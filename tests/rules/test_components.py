"""Rules of every component, in both packages: a literal token of its own, typed outputs, all of them registered."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def _components() -> dict[str, tuple[str, ast.ClassDef]]:
    """Return (package, class) of every component, by name."""
    found = {}
    for package in ("infra", "workloads"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for node in ast.parse(text).body if "ComponentResource" in text else ():
                if isinstance(node, ast.ClassDef) and "pulumi.ComponentResource" in map(ast.unparse, node.bases):
                    assert node.name not in found
                    found[node.name] = (package, node)
    return found


COMPONENTS = _components()


def _call(node: ast.AST, method: str) -> ast.Call:
    """Return the one call of ``method`` in ``node``."""
    (found,) = (
        each
        for each in ast.walk(node)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == method
    )
    return found


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_token_is_project_package_and_class(name: str) -> None:
    """It is a literal: identity that no variable can move."""
    package, node = COMPONENTS[name]
    token = _call(node, "__init__").args[0]

    assert isinstance(token, ast.Constant)
    assert token.value == f"optimal-tp:{package}:{name}"


@pytest.mark.parametrize("name", COMPONENTS)
def test_outputs_are_typed_and_registered(name: str) -> None:
    """Every annotated output is registered, and nothing else is."""
    _, node = COMPONENTS[name]
    typed = {
        ast.unparse(field.target)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and "pulumi.Output[" in ast.unparse(field.annotation)
    }
    registered = _call(node, "register_outputs").args[0]

    assert isinstance(registered, ast.Dict)
    assert {ast.literal_eval(key) for key in registered.keys if key is not None} == typed
    assert [ast.unparse(value) for value in registered.values] == [
        f"self.{ast.literal_eval(key)}" for key in registered.keys if key is not None
    ]


def test_the_components_were_found() -> None:
    """The rules above have something to hold."""
    assert len(COMPONENTS) == 13
