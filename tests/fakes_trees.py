"""Modules of the program as the rules read them, each parsed once."""

import ast
import collections.abc
import functools
import pathlib


@functools.cache
def tree(path: pathlib.Path) -> ast.Module:
    """Return the module at ``path``."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def statements(path: pathlib.Path) -> list[ast.AST]:
    """Return the statements, handlers of exceptions and cases of a module; not their expressions, which are many."""
    found: list[ast.AST] = [tree(path)]
    for node in found:
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            found.extend(getattr(node, field, ()))
    return found


def attributes_read(path: pathlib.Path) -> collections.abc.Iterator[str]:
    """Yield the name of every attribute that a module reads."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
