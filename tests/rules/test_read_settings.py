"""No dead knobs: every key that a settings class declares is read by the program."""

import ast
import collections.abc
import functools
import pathlib
import re

from tests.fakes_tree import attributes_read, statements

ROOT = pathlib.Path(__file__).parents[2]
MODEL = "BaseModel"
"""Pydantic's own, from which every settings class comes."""


@functools.cache
def _modules() -> tuple[pathlib.Path, ...]:
    below = (path for name in ("optimal_tp", "infra", "workloads") for path in (ROOT / name).rglob("*.py"))
    return (ROOT / "__main__.py", *sorted(below))


def _bases(node: ast.ClassDef) -> set[str]:
    return {base.attr if isinstance(base, ast.Attribute) else ast.unparse(base) for base in node.bases}


@functools.cache
def settings_classes() -> dict[str, ast.ClassDef]:
    """Return every class of the program that comes from pydantic's, also by way of others, by name."""
    classes = [node for path in _modules() for node in statements(path) if isinstance(node, ast.ClassDef)]
    every = [(node, _bases(node)) for node in classes]
    found: dict[str, ast.ClassDef] = {}
    while more := [node for node, bases in every if node.name not in found and bases & {MODEL, *found}]:
        found |= {node.name: node for node in more}
    return found


def keys(node: ast.ClassDef) -> collections.abc.Iterator[str]:
    """Yield the keys that the class itself declares."""
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id


def _unread(wanted: collections.abc.Set[str]) -> set[str]:
    """Return those of ``wanted`` that are nowhere read as an attribute; only a module that may read one is searched."""
    left = set(wanted)
    for path in _modules():
        if not left.isdisjoint(re.findall(r"\.\s*(\w+)", path.read_text(encoding="utf-8"))):
            left.difference_update(attributes_read(path))
    return left


def test_the_settings_classes_are_found() -> None:
    """The sections of a stack file and of a local profile are among them."""
    assert {"InfraSettings", "WorkloadSettings", "Serving", "LoadTest", "Spend", "LocalSettings"} <= set(
        settings_classes()
    )


def test_every_key_is_read() -> None:
    """A key that nothing reads is a promise to the user that nobody keeps. Names alone are compared."""
    declared = {name: set(keys(node)) for name, node in settings_classes().items()}
    unread = _unread(set().union(*declared.values()))

    assert {name: found for name, own in declared.items() if (found := own & unread)} == {}
