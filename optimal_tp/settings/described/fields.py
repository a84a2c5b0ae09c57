"""Every setting by its dotted key: type, range, default, meaning and a snippet, from the classes that hold them."""

import ast
import collections.abc
import dataclasses
import functools
import inspect
import itertools
import sys
import types
import typing

import annotated_types
import pydantic
import pydantic_core

from optimal_tp.errors import shown
from optimal_tp.settings.aws.existing import ExistingCluster, ExistingStack
from optimal_tp.settings.described.choices import notes_of
from optimal_tp.settings.infra import InfraSettings
from optimal_tp.settings.models import Workloads
from optimal_tp.settings.parser import rule_of, section_in
from optimal_tp.settings.spend import LoadTestSettings, Serving, Spend

SECTIONS: typing.Final[collections.abc.Mapping[str, type[pydantic.BaseModel]]] = {
    "infra": InfraSettings,
    "workloads": Workloads,
    "spend": Spend,
    "serving": Serving,
    "loadtest": LoadTestSettings,
}
"""Sections of a stack file, below ``optimal-tp:``, in the order of Pulumi.dev.yaml."""

STANDS_IN: typing.Final[collections.abc.Mapping[type[pydantic.BaseModel], type[pydantic.BaseModel]]] = {
    ExistingCluster: ExistingStack
}
"""Keys that a file may have in a section although the section's class does not declare them, by that class."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One key of a stack file."""

    key: str
    """Dotted: ``infra.network.cidr``."""
    type: str
    """In words: "whole number", "list of texts", "section"."""
    range: str
    """Limits, choices or form in words; empty where the type says it all."""
    default: str
    """In YAML; or "required", or "absent"."""
    meaning: str
    notes: tuple[str, ...] = ()
    """Lines that explain each choice; empty where the range is enough."""

    @property
    def is_section(self) -> bool:
        """Return whether other keys stand below it."""
        return self.type == "section"

    def snippet(self) -> str:
        """Return the lines of a stack file that set it, to its default where it has one."""
        first, *rest = self.key.split(".")
        lines = ["config:", f"  optimal-tp:{first}:"]
        lines += [f"{'  ' * (depth + 2)}{part}:" for depth, part in enumerate(rest)]
        value = "..." if self.is_section or self.default in {"required", "absent"} else self.default
        return "\n".join(lines) + f" {value}"


def words(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """Return the docstring of each field of ``model``, by field."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__[: model.__mro__.index(pydantic.BaseModel)]):
        found |= own_words(base)
    return found


def own_words(holder: type) -> dict[str, str]:
    """Return the docstring of each field that ``holder`` itself declares, by field."""
    found: dict[str, str] = {}
    for field, after in itertools.pairwise(_classes(holder.__module__)[holder.__name__].body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[field.target.id] = " ".join(str(after.value.value).split()).replace("``", "`")
    return found


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """Return the classes of ``module`` by name. ``inspect`` would parse the module again for each of them."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def settings_of(model: type[pydantic.BaseModel], path: str) -> collections.abc.Iterator[Setting]:
    """Yield every setting of ``model``, which stands at ``path``, and of the sections in it."""
    said = words(model)
    if model in STANDS_IN:
        yield from settings_of(STANDS_IN[model], path)
    for name, field in model.model_fields.items():
        key, section = f"{path}.{name}", section_in(field.annotation)
        default = default_of(field)
        if section is None:
            yield Setting(
                key=key, type=type_words(field.annotation), range=range_words(field), default=default,
                meaning=said.get(name, ""), notes=notes_of(key),
            )  # fmt: skip
            continue
        several = typing.get_origin(_plain(field.annotation)) in (tuple, dict)
        kind = "list of sections" if several else "section"
        shown_default = default if default in {"required", "absent"} or several else ""
        meaning = said.get(name) or (inspect.getdoc(section) or "").partition("\n")[0]
        yield Setting(key=key, type=kind, range="", default=shown_default, meaning=meaning.replace("``", "`"))
        yield from settings_of(section, f"{key}[]" if several else key)


def all_settings() -> tuple[Setting, ...]:
    """Return every setting of a stack file, in its order."""
    return tuple(each for name, model in SECTIONS.items() for each in settings_of(model, name))


def default_of(field: pydantic.fields.FieldInfo) -> str:
    """Return a field's default as YAML has it."""
    value = field.get_default(call_default_factory=True)
    if value is pydantic_core.PydanticUndefined:
        return "required"
    if value is None:
        return "absent"
    return value if isinstance(value, str) and value else shown(list(value) if isinstance(value, tuple) else value)


def _plain(annotation: object) -> object:
    """Return ``annotation`` without Annotated and without None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        kept = [each for each in typing.get_args(annotation) if each is not type(None)]
        return _plain(kept[0]) if len(kept) == 1 else annotation
    return annotation


_TYPES: typing.Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_PLURALS: typing.Final = {"text": "texts", "whole number": "whole numbers", "number": "numbers", "choice": "choices"}


def type_words(annotation: object) -> str:
    """Return the type in words."""
    plain = _plain(annotation)
    if plain in _TYPES:
        return _TYPES[plain]
    origin, parts = typing.get_origin(plain), typing.get_args(plain)
    if origin is typing.Literal:
        return "choice"
    if origin in (tuple, list):
        inside = type_words(parts[0])
        return f"list of {_PLURALS.get(inside, inside)}"
    if origin is dict:
        return f"map of {type_words(parts[0])} to {type_words(parts[1])}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(type_words(each) for each in parts if each is not type(None)))
    return "anything"


def range_words(field: pydantic.fields.FieldInfo) -> str:
    """Return limits, choices or form of a field in words; its ``x-range`` takes precedence where code checks more."""
    extra = field.json_schema_extra
    named = extra.get("enum") if isinstance(extra, dict) else None
    if isinstance(named, list):
        return f"one of {', '.join(map(str, named))}"
    worded = extra.get("x-range") if isinstance(extra, dict) else None
    if isinstance(worded, str):
        return worded
    found = choices(field.annotation)
    limits = [*field.metadata, *_metadata(field.annotation)]
    said = [f"one of {found}"] if found else []
    said += [_limit(each) for each in limits]
    return "; ".join(dict.fromkeys(filter(None, said)))


def choices(annotation: object) -> str:
    """Return the words that a field may have, joined by commas; empty if any text will do."""
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(str(each) for each in typing.get_args(annotation))
    return "; ".join(filter(None, (choices(each) for each in typing.get_args(annotation) if not isinstance(each, str))))


def _metadata(annotation: object) -> collections.abc.Iterator[object]:
    if typing.get_origin(annotation) is typing.Annotated:
        for each in typing.get_args(annotation)[1:]:
            yield from each.metadata if isinstance(each, pydantic.fields.FieldInfo) else (each,)
    for each in typing.get_args(annotation):
        if not isinstance(each, str):
            yield from _metadata(each)


_LIMITS: typing.Final = (
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Gt, "gt", "above"),
    (annotated_types.Le, "le", "at most"),
    (annotated_types.Lt, "lt", "below"),
)


def _limit(said: object) -> str:
    for kind, name, word in _LIMITS:
        if isinstance(said, kind):
            return f"{word} {getattr(said, name):g}"
    pattern = getattr(said, "pattern", None)
    if isinstance(pattern, str):
        return rule_of(pattern).removeprefix("must be ").removeprefix("must ")
    if isinstance(said, annotated_types.MaxLen):
        return f"at most {said.max_length} characters"
    return ""
