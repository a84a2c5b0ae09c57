"""Find the line of a bad key in its file."""

import dataclasses
import math
import pathlib

import yaml

from optimal_tp.errors import OptimalTpError, Problem, SettingsError


def placed(error: OptimalTpError, folder: str | None = None) -> OptimalTpError:
    """Return ``error`` with the line of every bad key, in the order of the lines; a missing key gets its section's.

    A missing key that stands there misspelt comes after the misspelt one. Problems of one file stay together, those
    without a line at the end. The files are in ``folder``; None: where the process runs.
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
    files = list(dict.fromkeys(each.file for each in problems))
    meant = {_meant(each): each.line or math.inf for each in problems if each.remedy}
    lines = [max(each.line or math.inf, meant.get(each.path, 0)) for each in problems]
    order = sorted(
        range(len(problems)),
        key=lambda index: (files.index(problems[index].file), lines[index], problems[index].path in meant),
    )
    return SettingsError([problems[index] for index in order])


def _meant(problem: Problem) -> str:
    """Return the path of the key that ``problem`` says was probably meant; empty if it says none."""
    like = problem.remedy.removeprefix("did you mean ").removesuffix("?")
    above, dot, _ = problem.path.rpartition(".")
    return f"{above}{dot}{like}" if like != problem.remedy else ""


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
