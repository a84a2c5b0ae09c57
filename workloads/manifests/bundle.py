"""Our own code for the cluster: the modules that a program imports, as ConfigMaps named by their content."""

import ast
import collections.abc
import dataclasses
import functools
import hashlib
import pathlib
import re

import optimal_tp

SOURCES = pathlib.Path(optimal_tp.__file__).parents[1]
"""Folder from which the product was imported, so that pods get the code that runs here."""
REQUIREMENTS = "requirements/loadgen.txt"
"""Path, in the bundle and in the repository, of the load generator's dependencies with their hashes."""
FETCH_REQUIREMENTS = "requirements/fetch.txt"
"""Path of the dependencies of the Job that fetches a model."""
ROOT = pathlib.Path(__file__).parents[2]
"""The repository, which contains the requirements."""
LIMIT_BYTES = 900 * 1024
"""Most that one ConfigMap carries here. The API server refuses objects of more than 1 MiB (kubernetes.io, ConfigMap),
and names and metadata want room too."""
_TEXTS = (".py", ".json", ".j2", ".css", ".yaml")
_OURS = f"{optimal_tp.__name__}."


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeConfigMap:
    """One ConfigMap: its name, its data by key, and the path of each key in the pod."""

    name: str
    data: dict[str, str]
    paths: dict[str, str]


def read_sources(root: pathlib.Path) -> dict[str, str]:
    """Return all modules and text files of the product in ``root``, by path relative to ``root``."""
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((root / optimal_tp.__name__).rglob("*"))
        if path.suffix in _TEXTS
    }


def closure(sources: collections.abc.Mapping[str, str], entries: collections.abc.Iterable[str]) -> dict[str, str]:
    """Return the files in ``sources`` that ``entries`` (module names) need, including the entries, by path.

    Files other than modules come with their package. Imports inside functions count, and so do strings that are a
    module's name (for commands that are imported on demand); imports under TYPE_CHECKING do not. Raises KeyError for a
    missing entry.
    """
    needed: dict[str, str] = {}
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        path = _path_of(sources, module)
        if path is None:
            raise KeyError(f"there is no module {module} in the bundle's sources")
        if path in needed:
            continue
        needed[path] = sources[path]
        waiting += _packages_above(module)
        waiting += [name for name in imports(sources[path]) if _path_of(sources, name) is not None]
    texts = {
        path: text for path, text in sources.items() if not path.endswith(".py") and _package(path, sources) in needed
    }
    return dict(sorted((needed | texts).items()))


def _package(path: str, sources: collections.abc.Mapping[str, str]) -> str | None:
    """Return the ``__init__.py`` of the innermost package that contains ``path``."""
    above = (f"{parent}/__init__.py" for parent in pathlib.PurePosixPath(path).parents)
    return next((each for each in above if each in sources), None)


def parts(
    prefix: str, files: collections.abc.Mapping[str, str], *, limit_bytes: int = LIMIT_BYTES
) -> tuple[CodeConfigMap, ...]:
    """Return ConfigMaps that together hold ``files``: the same files always give the same names and contents.

    Raises ValueError for a single file above ``limit_bytes``.
    """
    groups: list[dict[str, str]] = [{}]
    room = limit_bytes
    for path, text in sorted(files.items()):
        size = len(text.encode()) + len(path)
        if size > limit_bytes:
            raise ValueError(f"{path} has {size} bytes; a part of the bundle holds {limit_bytes}: split the file")
        if size > room:
            groups.append({})
            room = limit_bytes
        groups[-1][path] = text
        room -= size
    return tuple(_part(prefix, group) for group in groups)


def with_fixed_names(prefix: str, made: collections.abc.Iterable[CodeConfigMap]) -> tuple[CodeConfigMap, ...]:
    """Return ``made`` under names that do not depend on their content: ``<prefix>-<number>``.

    This is for Jobs: with content-based names every changed line would run an ended Job again, which needs its cores.
    """
    return tuple(dataclasses.replace(part, name=f"{prefix}-{number}") for number, part in enumerate(made))


def _part(prefix: str, files: collections.abc.Mapping[str, str]) -> CodeConfigMap:
    digest = hashlib.sha256()
    for path, text in sorted(files.items()):
        digest.update(f"{path}\0{len(text)}\0{text}".encode())
    keys = {path: _key(path) for path in files}
    return CodeConfigMap(
        name=f"{prefix}-{digest.hexdigest()[:12]}",
        data={keys[path]: text for path, text in files.items()},
        paths={keys[path]: path for path in files},
    )


def _key(path: str) -> str:
    """Return ``path`` as a ConfigMap key: letters, digits, ``-``, ``_`` and ``.`` only, still unique and readable."""
    return re.sub(r"[^A-Za-z0-9_.]", "-", path.replace("/", "--"))


def _path_of(sources: collections.abc.Mapping[str, str], module: str) -> str | None:
    stem = module.replace(".", "/")
    return next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if path in sources), None)


def _packages_above(module: str) -> list[str]:
    names = module.split(".")
    return [".".join(names[:depth]) for depth in range(1, len(names))]


@functools.cache
def imports(text: str) -> tuple[str, ...]:
    """Return every name that ``text`` imports, and every string that may be the name of one of our modules."""
    found: list[str] = []
    # Most of a module are expressions; search them only if the module quotes one of our names.
    below = ast.iter_child_nodes if any(f"{quote}{_OURS}" in text for quote in "\"'") else _statements
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("typing.TYPE_CHECKING", "TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(_OURS):
            found.append(node.value)
        waiting += below(node)
    return tuple(found)


def _statements(node: ast.AST) -> collections.abc.Iterator[ast.AST]:
    """Yield the statements, exception handlers and cases directly below ``node``."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        found = getattr(node, field, ())
        yield from found if isinstance(found, list) else ()


def bundle(
    prefix: str, programs: collections.abc.Iterable[str], *, installs: bool = True, requirements: str = REQUIREMENTS
) -> tuple[CodeConfigMap, ...]:
    """Return the parts that ``programs`` (module names) need; if one ``installs``, with its ``requirements``."""
    files = closure(read_sources(SOURCES), programs)
    pinned = {requirements: (ROOT / requirements).read_text(encoding="utf-8")} if installs else {}
    return parts(prefix, {**files, **pinned})
