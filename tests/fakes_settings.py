"""Every setting of a stack file and every output of a stack as tables, from the classes that hold them.

``python -m tests.fakes_settings`` writes ``docs/reference/settings.md``.
"""

import ast
import collections.abc
import inspect
import itertools
import textwrap
import types
import typing

import pydantic
import pydantic_core

from infra.platform import ClusterOutputs
from optimal_tp.settings.infra import InfraSettings
from optimal_tp.settings.sections import LoadTest, Serving, Spend
from optimal_tp.settings.workload import WorkloadSettings
from tests.fakes_stack_files import ROOT
from workloads.outputs import ExperimentOutputs

PAGE = ROOT / "docs/reference/settings.md"
SECTIONS: typing.Final[dict[str, type[pydantic.BaseModel]]] = {
    "infra": InfraSettings,
    "workloads": WorkloadSettings,
    "spend": Spend,
    "serving": Serving,
    "loadtest": LoadTest,
}
"""Sections of a stack file, below ``optimal-tp:``, in the order of Pulumi.dev.yaml."""


OUTPUTS: typing.Final = (ClusterOutputs, ExperimentOutputs)
"""Who says what a stack puts out."""
KINDS: typing.Final[dict[object, str]] = {str: "text", float: "number", list[str]: "list of texts"}


def words(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """Return what the docstring below each field of ``model`` says, by field."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__[: model.__mro__.index(pydantic.BaseModel)]):
        found |= own_words(base)
    return found


def own_words(holder: type) -> dict[str, str]:
    """Return what the docstring below each field that the class itself declares says, by field."""
    found: dict[str, str] = {}
    body = typing.cast("ast.ClassDef", ast.parse(textwrap.dedent(inspect.getsource(holder))).body[0]).body
    for field, after in itertools.pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[field.target.id] = " ".join(str(after.value.value).split()).replace("``", "`")
    return found


def outputs() -> dict[str, tuple[object, str]]:
    """Return (type once it is known, meaning) of every stack output, by name."""
    found = {}
    for holder in OUTPUTS:
        said = own_words(holder)
        for name, hint in holder.__annotations__.items():
            found[name] = (typing.get_args(hint)[0], said.get(name, ""))
    return found


def below(annotation: object) -> type[pydantic.BaseModel] | None:
    """Return the section that ``annotation`` holds, alone, as a choice, or as an item; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    inside = (below(each) for each in typing.get_args(annotation))
    return next((model for model in inside if model is not None), None)


def choices(annotation: object) -> str:
    """Return the words that a field may have, or nothing where it is free."""
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{each}`" for each in typing.get_args(annotation))
    if typing.get_origin(annotation) in (tuple, types.UnionType, typing.Union):
        return "; ".join(filter(None, (choices(each) for each in typing.get_args(annotation))))
    return ""


def rows(model: type[pydantic.BaseModel], path: str) -> collections.abc.Iterator[tuple[str, str, str]]:
    """Yield (key, default, meaning) for every setting of ``model`` and of the sections in it."""
    said = words(model)
    for name, field in model.model_fields.items():
        section = below(field.annotation)
        meaning = said.get(name, "")
        if section is None:
            yield f"{path}.{name}", _default(field.get_default(call_default_factory=True)), _cell(meaning, field)
        else:
            if meaning:
                yield f"{path}.{name}", "", meaning
            yield from rows(section, f"{path}.{name}")


def _default(value: object) -> str:
    if value is pydantic_core.PydanticUndefined:
        return "required"
    if value is None:
        return "absent"
    plain = list(value) if isinstance(value, tuple) else value
    return f"`{plain}`" if plain != "" else ""


def _cell(meaning: str, field: pydantic.fields.FieldInfo) -> str:
    extra = field.json_schema_extra
    named = extra.get("enum", ()) if isinstance(extra, dict) else ()
    allowed = ", ".join(f"`{each}`" for each in named) if isinstance(named, list) else choices(field.annotation)
    return " ".join(filter(None, (meaning, f"One of {allowed}." if allowed else ""))).replace("|", "\\|")


def page() -> str:
    """Return the whole page."""
    lines = ["# Settings and outputs", ""]
    lines += ["Written by `python -m tests.fakes_settings` from the classes that hold them; a test holds it fresh."]
    lines += ["Sections stand below `optimal-tp:`. An unknown key is an error, and all bad keys are told at once.", ""]
    for name, model in SECTIONS.items():
        lines += [f"## `{name}`", "", "| key | default | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in rows(model, name)]
        lines.append("")
    lines += ["## What the stack puts out", "", "By name, with `pulumi stack output`:", ""]
    lines += ["| output | type | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {KINDS[type_]} | {meaning} |" for name, (type_, meaning) in outputs().items()]
    lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
