"""The places of the source that make an error, a refusal or a warning, and a watch on which of them are reached."""

import ast
import collections.abc
import contextlib
import dataclasses
import functools
import pathlib
import sys
import threading
import types
import typing

from tests.fakes_pulumi import ROOT

MAKERS: typing.Final = ("Problem", "broken", "pulumi.log.warn", "parser.error")
"""Calls that make a sentence without raising it there; ``raise`` and the errors' own classes come besides."""
_LEAST_WORDS = 8
"""Characters of a literal that must stand in a sentence as they stand in the source."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """One place that makes a message."""

    path: str
    first_line: int
    last_line: int
    within: str
    """Qualified name of the function around it."""
    words: tuple[str, ...]
    """The literal text of its message that a reader sees unchanged."""

    def __str__(self) -> str:
        """Return what tells it from others in a failure."""
        return f"{self.path}:{self.first_line} in {self.within}"


@functools.cache
def sources() -> tuple[pathlib.Path, ...]:
    """Return every file of the program."""
    found = [
        ROOT / "__main__.py",
        *(path for folder in ("optimal_tp", "infra", "workloads", "policy") for path in (ROOT / folder).rglob("*.py")),
    ]
    return tuple(sorted(found))


@functools.cache
def errors() -> frozenset[str]:
    """Return the names of the program's own exceptions."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources()]
    kinds = {
        node.name: {ast.unparse(base) for base in node.bases}
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    found = {"Exception", "RuntimeError"}
    for _ in kinds:
        found |= {name for name, bases in kinds.items() if bases & found}
    return frozenset(found)


@functools.cache
def sites() -> tuple[Site, ...]:
    """Return every place that makes a message, in the order of the source."""
    return tuple(site for path in sources() for site in _in(path))


def _in(path: pathlib.Path) -> collections.abc.Iterator[Site]:
    is_of_the_pack = path.parent.name == "policy"

    def walk(node: ast.AST, within: tuple[str, ...]) -> collections.abc.Iterator[Site]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from walk(child, (*within, child.name))
            elif _makes(child) or (is_of_the_pack and _tells(child)):
                line = getattr(child, "lineno", 0)
                yield Site(
                    path=str(path.relative_to(ROOT)),
                    first_line=line,
                    last_line=getattr(child, "end_lineno", line),
                    within=".".join(within) or "the module",
                    words=tuple(_words(child)),
                )
            else:
                yield from walk(child, within)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), ())


def _tells(node: ast.AST) -> bool:
    """Say whether ``node`` is a statement of the policy pack that puts a sentence together."""
    is_statement = isinstance(node, (ast.Expr, ast.AugAssign))
    return is_statement and any(isinstance(each, ast.JoinedStr) for each in ast.walk(node))


def _makes(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) != "SystemExit"
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    said_on_exit = name == "sys.exit" and any(isinstance(each, (ast.Constant, ast.JoinedStr)) for each in node.args)
    return name in MAKERS or name in errors() or said_on_exit


def _words(node: ast.AST) -> collections.abc.Iterator[str]:
    """Yield the literals that stand in a sentence as they are; what is written with formats or escapes stays out."""
    for each in ast.walk(node):
        if isinstance(each, ast.JoinedStr):
            literals = [part.value for part in each.values if isinstance(part, ast.Constant)]
            yield from (str(part).strip() for part in literals if len(str(part).strip()) >= _LEAST_WORDS)


@functools.cache
def _lines() -> dict[str, dict[int, set[Site]]]:
    found: dict[str, dict[int, set[Site]]] = {}
    for site in sites():
        of_file = found.setdefault(str(ROOT / site.path), {})
        for line in range(site.first_line, site.last_line + 1):
            of_file.setdefault(line, set()).add(site)
    return found


@contextlib.contextmanager
def watched() -> collections.abc.Iterator[set[Site]]:
    """Collect the places that are reached inside, in this thread and those that it starts."""
    reached: set[Site] = set()
    lines = _lines()

    def of_line(frame: types.FrameType, event: str, _: object) -> typing.Any:
        if event == "line":
            reached.update(lines[frame.f_code.co_filename].get(frame.f_lineno, ()))
        return of_line

    def of_call(frame: types.FrameType, _: str, __: object) -> typing.Any:
        return of_line if frame.f_code.co_filename in lines else None

    before = sys.gettrace()
    threading.settrace(of_call)
    sys.settrace(of_call)
    try:
        yield reached
    finally:
        sys.settrace(before)
        threading.settrace(None)
