"""No dead knobs: every key that a settings class declares is read by the program."""

import ast
import collections.abc
import functools
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
MODEL = "BaseModel"
"""Pydantic's own, from which every settings class comes."""


@functools.cache
def _trees() -> tuple[ast.Module, ...]:
    paths = [
        ROOT / "__main__.py",
        *(path for name in ("optimal_tp", "infra", "workloads") for path in (ROOT / name).rglob("*.py")),
    ]
    return tuple(ast.parse(path.read_text(encoding="utf-8")) for path in sorted(paths))


def _bases(node: ast.ClassDef) -> set[str]:
    return {base.attr if isinstance(base, ast.Attribute) else ast.unparse(base) for base in node.bases}


@functools.cache
def settings_classes() -> dict[str, ast.ClassDef]:
    """Return every class of the program that comes from pydantic's, also by way of others, by name."""
    every = [node for tree in _trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found: dict[str, ast.ClassDef] = {}
    while more := [node for node in every if node.name not in found and _bases(node) & {MODEL, *found}]:
        found |= {node.name: node for node in more}
    return found


def keys(node: ast.ClassDef) -> collections.abc.Iterator[str]:
    """Yield the keys that the class itself declares."""
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id


@functools.cache
def _read() -> frozenset[str]:
    """Return every name that is read as an attribute."""
    return frozenset(
        node.attr
        for tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    )


def test_the_settings_classes_are_found() -> None:
    """The sections of a stack file and of a local profile are among them."""
    assert {"InfraSettings", "WorkloadSettings", "Serving", "LoadTest", "Spend", "LocalSettings"} <= set(
        settings_classes()
    )


def test_every_key_is_read() -> None:
    """A key that nothing reads is a promise to the user that nobody keeps. Names alone are compared."""
    unread = {name: sorted(set(keys(node)) - _read()) for name, node in settings_classes().items()}

    assert {name: found for name, found in unread.items() if found} == {}
