"""The files of the repository, and its modules as the rules read them, each parsed once.

From git or, in an unpacked archive, from the folder itself.
"""

import ast
import collections.abc
import fnmatch
import functools
import os
import pathlib
import shutil
import subprocess

from tests.fakes_stack_files import ROOT


@functools.cache
def tracked(*patterns: str) -> list[pathlib.Path]:
    """Return the files that any of ``patterns`` fits; all without one. A star fits slashes too, as git has it."""
    names = by_git() if (ROOT / ".git").exists() and shutil.which("git") else sorted(walked(ROOT))
    fitting = (name for name in names if not patterns or any(fnmatch.fnmatchcase(name, each) for each in patterns))
    return [ROOT / name for name in fitting if (ROOT / name).is_file()]


def by_git() -> list[str]:
    """Return what git tracks, or would."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    return [name for name in listed.stdout.split("\0") if name]


def walked(root: pathlib.Path) -> collections.abc.Iterator[str]:
    """Yield the files below ``root`` that its .gitignore does not name."""
    lines = (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = [".git", *(line.rstrip("/") for line in lines if line and not line.startswith("#"))]

    def is_kept(name: str, depth: str) -> bool:
        return not any(fnmatch.fnmatchcase(depth + name, each) or fnmatch.fnmatchcase(name, each) for each in ignored)

    for at, below, files in os.walk(root):
        folder = pathlib.Path(at)
        depth = "/" if folder == root else ""
        below[:] = [name for name in below if is_kept(name, depth)]
        yield from ((folder / name).relative_to(root).as_posix() for name in files if is_kept(name, depth))


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
