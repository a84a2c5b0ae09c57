"""JSON Schema of a stack file, and of any file made of settings, for editors: completion, types, ranges and meaning."""

import collections.abc
import json
import typing

import pydantic

from optimal_tp.settings.described.fields import SECTIONS, STANDS_IN, words
from optimal_tp.settings.parser import section_in
from optimal_tp.settings.stack_keys import HUB_TOKEN, PROFILE, PROJECT

STACK_SCHEMA: typing.Final = "stack.schema.json"
"""Name of the file, beside the settings; modelines of stack files name it."""
_DIALECT = "http://json-schema.org/draft-07/schema#"
"""The draft that yaml-language-server is sure to read (its README, "Adding custom schemas")."""

Schema = dict[str, typing.Any]


def stack_schema() -> Schema:
    """Return the schema of a stack file: the program's sections and the other keys that Pulumi allows there."""
    definitions: Schema = {}
    sections = {f"{PROJECT}:{name}": _section(model, definitions) for name, model in SECTIONS.items()}
    # A pattern would refuse the known keys too, so they are left out of it.
    known = "|".join([*SECTIONS, HUB_TOKEN])
    secret = {"type": "object", "required": ["secure"], "properties": {"secure": {"type": "string"}}}
    config = {
        "type": "object",
        "required": [f"{PROJECT}:infra", f"{PROJECT}:spend"],
        "properties": {
            "aws:region": {
                "type": "string",
                "description": "Region of every AWS call; must be the region of infra.zones.",
            },
            PROFILE: {"type": "string", "description": "Profile of ~/.aws/config to call AWS with."},
            f"{PROJECT}:{HUB_TOKEN}": {
                "description": "Token of the model hub, for gated models: pulumi config set --secret "
                f"{PROJECT}:{HUB_TOKEN}",
                "oneOf": [{"type": "string"}, secret],
            },
            **sections,
        },
        "patternProperties": {f"^{PROJECT}:(?!({known})$)": False},
    }
    return {
        "$schema": _DIALECT,
        "title": "Stack file of optimal-tp",
        "type": "object",
        "required": ["config"],
        "properties": {"config": config},
        "definitions": definitions,
    }


def sections_schema(title: str, sections: collections.abc.Mapping[str, type[pydantic.BaseModel]]) -> Schema:
    """Return the schema of a file with ``sections`` at its top and nothing else."""
    definitions: Schema = {}
    properties = {name: _section(model, definitions) for name, model in sections.items()}
    return {
        "$schema": _DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "definitions": definitions,
    }


def as_text(schema: Schema) -> str:
    """Return ``schema`` as its file has it."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _section(model: type[pydantic.BaseModel], definitions: Schema) -> Schema:
    """Return the schema of ``model``, whose sections go into ``definitions``."""
    made = model.model_json_schema(mode="validation", ref_template="#/definitions/{model}")
    for name, each in made.pop("$defs", {}).items():
        definitions[name] = each
    for each in _models(model):
        _described(definitions.get(each.__name__, made if each is model else {}), each)
    made.pop("title", None)
    return made


def _models(model: type[pydantic.BaseModel]) -> collections.abc.Iterator[type[pydantic.BaseModel]]:
    yield model
    for field in model.model_fields.values():
        section = section_in(field.annotation)
        if section is not None:
            yield from _models(section)


def _described(schema: Schema, model: type[pydantic.BaseModel]) -> None:
    """Describe each property by the docstring of its field."""
    said = words(model) | (words(STANDS_IN[model]) if model in STANDS_IN else {})
    for name, each in schema.get("properties", {}).items():
        each.pop("title", None)
        if name in said:
            each["description"] = said[name]
        if name not in model.model_fields or model.model_fields[name].is_required():
            each.pop("default", None)
