"""Pages that are made: of the reference from the classes they describe, of the evidence from tables.

``python -m tests.fakes_pages`` writes them; a test keeps them fresh. ``tests.fakes_settings`` writes that of settings.
"""

import ast
import inspect
import json
import pathlib
import textwrap
import typing

from optimal_tp import errors
from tests import fakes_evidence
from tests.fakes_stack_files import ROOT

FOLDER = ROOT / "docs" / "reference"
SCHEMA = ROOT / "optimal_tp" / "report" / "verdict.schema.json"
_MADE = "Made by `python -m tests.fakes_pages`; a test keeps it fresh."
_JSON_NAMES = {"string": "text", "boolean": "true or false"}


def _documented(statuses: type[errors.Exit]) -> dict[str, str]:
    """Return the docstring below each member, by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(statuses)))
    assert isinstance(tree.body[0], ast.ClassDef)
    found, name = {}, ""
    for node in tree.body[0].body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            found[name] = " ".join(str(node.value.value).split())
    return found


def _first_line(kind: type) -> str:
    """Return the first line of a class's docstring in the marks of Markdown."""
    return inspect.cleandoc(kind.__doc__ or "").splitlines()[0].replace("``", "`")


def exit_codes() -> str:
    """Return the page on exit codes and errors."""
    words = _documented(errors.Exit)
    rows = [f"| {status.value} | {words[status.name]} |" for status in errors.Exit]
    kinds = [
        f"| `{kind.__name__}` | {_first_line(kind)} | {int(kind.exit_status)} |"
        for kind in errors.OptimalTpError.__subclasses__()
        if kind.__module__ == errors.__name__  # others come and go with what else was imported
    ]
    return f"""# Exit codes and errors

{_MADE}

The exit code tells scripts how a command ended. All commands share them.

| code | meaning |
| --- | --- |
{chr(10).join(rows)}

A sweep ends with the gravest code of its runs: interrupted, failed, bad input, void, inconclusive, settled.
`make` itself knows only success and failure; `make local` leaves the code in `out/last-status`.

## Errors

An error is one sentence for each broken rule, on standard error: what and where, the value found there, the rule, the
remedy. All bad keys of an input are reported at once, also those of several sections; whether right keys contradict
each other is checked after that. In Python each error is a class of `optimal_tp/errors.py`:

| error | meaning | code |
| --- | --- | --- |
{chr(10).join(kinds)}
"""


def _kind(schema: dict[str, typing.Any]) -> str:
    """Return what a value may be, in words; another object is linked to its table."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    choices = [_kind(one) for one in schema.get("anyOf", ())]
    choices += [f"`{one}`" for one in schema.get("enum", [schema["const"]] if "const" in schema else ())]
    if choices:
        return " or ".join(dict.fromkeys(choices))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object with values of {_kind(schema['additionalProperties'])}"
    kind = str(schema.get("type", "any value"))
    return _JSON_NAMES.get(kind, kind)


def _fields(schema: dict[str, typing.Any]) -> list[str]:
    """Return the rows of an object's table: key, value, description."""
    return [
        "| key | value |",
        "| --- | --- |",
        *(f"| `{key}` | {_kind(value)} |" for key, value in schema.get("properties", {}).items()),
        "",
    ]


def _sentence(schema: dict[str, typing.Any]) -> list[str]:
    """Return an object's description as a paragraph, in the marks of Markdown; nothing where it has none."""
    words = " ".join(schema.get("description", "").replace("``", "`").split())
    return [words, ""] if words else []


def verdict_schema() -> str:
    """Return the page on the form of verdict.json."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    lines = [
        "# Schema of verdict.json",
        "",
        _MADE,
        "",
        "Programs can check the file against [`verdict.schema.json`](../../optimal_tp/report/verdict.schema.json).",
        "Within a version no key is renamed, removed or given another meaning:",
        "[what changed between versions](../concepts/verdict.md#verdictjson).",
        "",
        *_fields(schema),
    ]
    for name, part in schema["$defs"].items():
        lines += [f"## {name}", "", *_sentence(part), *(_fields(part) if "properties" in part else [_kind(part), ""])]
    return "\n".join(lines)


PAGES: dict[pathlib.Path, typing.Callable[[], str]] = {
    FOLDER / "exit-codes.md": exit_codes,
    FOLDER / "verdict-schema.md": verdict_schema,
    **fakes_evidence.PAGES,
}

if __name__ == "__main__":
    for page, made in PAGES.items():
        page.write_text(made(), encoding="utf-8")
