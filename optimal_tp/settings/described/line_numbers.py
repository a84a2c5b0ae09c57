"""Find the line of a bad key in its file."""

import dataclasses
import pathlib

import yaml

from optimal_tp.errors import OptimalTpError, SettingsError


def placed(error: OptimalTpError, folder: str | None = None) -> OptimalTpError:
    """Return ``error`` with the line of every bad key; a missing key gets the line of its section.

    The files are in ``folder``; None: where the process runs.
    """
    if not isinstance(error, SettingsError):
        return error
    trees: dict[str, yaml.Node | None] = {}
    problems = []
    for each in error.problems:
        if each.file and each.line is None:
            if each.file not in trees:
                trees[each.file] = tree(pathlib.Path(folder or "", each.file))
            problems.append(dataclasses.replace(each, line=_line(trees[each.file], each.path)))
        else:
            problems.append(each)
    return SettingsError(problems)


def tree(path: pathlib.Path) -> yaml.Node | None:
    """Return the YAML of the file ``path``; None if it is empty or cannot be read."""
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _line(root: yaml.Node | None, path: str) -> int | None:
    """Return the line, from 1, of the deepest part of ``path`` that the file has; None if it has no part of it."""
    config = None if root is None else _below(root, "config")
    found = None
    if config is not None:  # a stack file, whose sections carry the program's name
        found = _below(config[1], f"optimal-tp:{path}") or _below(config[1], path)
    elif root is not None:
        found = _below(root, path)
    line = None
    while found is not None:
        line, node, rest = found
        found = _below(node, rest)
    return line


def _below(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    """Return line and value of the key or item that ``path`` begins with, and the rest of the path."""
    if isinstance(node, yaml.SequenceNode):
        digits, bracket, rest = path.removeprefix("[").partition("]")
        if not path.startswith("[") or not bracket or not digits.isdigit() or int(digits) >= len(node.value):
            return None
        item = node.value[int(digits)]
        return item.start_mark.line + 1, item, rest.removeprefix(".")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            rest = path.removeprefix(str(key.value))
            if len(rest) < len(path) and (not rest or rest[0] in ".["):
                return key.start_mark.line + 1, value, rest.removeprefix(".")
    return None
