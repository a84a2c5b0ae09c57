"""The one parser of settings: plain data in, a frozen model out, or one error that lists every bad key."""

import collections.abc
import pathlib
import typing

import pydantic
import pydantic_core
import yaml

from optimal_tp.errors import Problem, SettingsError, likely, quantity, shown

M = typing.TypeVar("M", bound=pydantic.BaseModel)


class Section(pydantic.BaseModel):
    """A part of the settings: frozen, strict about unknown keys, defaults checked like anything else.

    A number is accepted as text, because ``pulumi config set`` writes one for a run called 2.
    """

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, coerce_numbers_to_str=True
    )


_SHAPES: dict[str, str] = {}
"""The rule in words, by pattern."""


def shape(pattern: str, rule: str) -> str:
    """Return ``pattern``, and let errors say ``rule`` ("must be ..., for example ...") in its place."""
    _SHAPES[pattern] = rule
    return pattern


def rule_of(pattern: str) -> str:
    """Return the rule that ``pattern`` stands for, in words."""
    return _SHAPES.get(pattern, f"must match {pattern}")


def broken(rule: str, remedy: str = "", *, path: str = "", value: object = ...) -> pydantic_core.PydanticCustomError:
    """Return the error that a validator raises when ``rule`` ("must be ...") does not hold.

    ``path`` is the key below the validated field, dotted, when the field is a section; ``value`` replaces the
    field's value in the sentence; ``remedy`` says what to do where the rule does not say it.
    """
    context: dict[str, typing.Any] = {"rule": rule, "remedy": remedy, "path": path}
    if value is not ...:
        context["value"] = value
    return pydantic_core.PydanticCustomError("broken_rule", "{rule}", context)


def parse(
    model: type[M], data: object, *, where: str, file: str, unknown: typing.Literal["forbid", "allow"] = "forbid"
) -> M:
    """Return ``data`` as ``model``.

    ``where`` is the path of ``data`` in the file ("workloads"), ``file`` its name. ``unknown`` keys
    are errors, or stay in the sections' ``model_extra``.
    Raises SettingsError with every bad key: path, value, rule, remedy.
    """
    try:
        return model.model_validate(data, extra=unknown)
    except pydantic.ValidationError as error:
        raise SettingsError([_problem(model, detail, where, file) for detail in error.errors()]) from None


class _Loader(yaml.SafeLoader):
    """YAML without surprises: a date stays text, and a duplicate key is an error."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, rule) for tag, rule in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[typing.Hashable, typing.Any]:  # noqa: FBT001, FBT002 - PyYAML's own signature
        """Refuse a key that appears twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} appears twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: pathlib.Path, *, key: str, value: str, remedy: str) -> object:
    """Return the plain data in ``path``; an empty file is an empty mapping.

    ``key`` and ``value`` are the user's setting that names the file. Raises SettingsError if it cannot be read as YAML.
    """
    try:
        data: object = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader's child
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        problem = Problem(path=key, value=value, rule=f"must name a readable file ({path}: {reason})", remedy=remedy)
    except UnicodeDecodeError as error:
        problem = Problem(path=key, value=value, rule=f"must name a file in UTF-8 ({path}: {error.reason})")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or " ".join(str(error).split())
        line = None if mark is None else mark.line + 1
        problem = Problem(path="", file=str(path), line=line, value=..., rule=f"must be YAML: {said}")
    else:
        return {} if data is None else data
    raise SettingsError([problem])


def _problem(model: type[pydantic.BaseModel], detail: pydantic_core.ErrorDetails, where: str, file: str) -> Problem:
    context = detail.get("ctx", {})
    path, value, remedy = _path(where, detail["loc"]), detail["input"], ""
    if detail["type"] == "broken_rule":
        below = context.get("path", "")
        path += below if below.startswith("[") else f".{below}" if below else ""
        value, rule, remedy = context.get("value", value), detail["msg"], context.get("remedy", "")
    elif detail["type"] == "extra_forbidden":
        known, own = _known_keys(model, detail["loc"][:-1]), str(detail["loc"][-1])
        like = likely(own, known)
        rule, value = f"must be one of {', '.join(known)}", own
        remedy = f"did you mean {like}?" if like else ""
    elif detail["type"] == "missing":
        rule, value = "must be set", ...
    elif detail["type"] == "string_type" and isinstance(value, bool):
        rule = f"must be text, but YAML reads {shown(value)}; put it in quotes"
    else:
        rule = _rule(detail["type"], context) or f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"
        if detail["type"] == "literal_error":
            like = likely(str(value), _words(str(context.get("expected", ""))))
            remedy = f"did you mean '{like}'?" if like else ""
    return Problem(path=path, value=value, rule=rule, remedy=remedy, file=file)


_RULES: typing.Final[collections.abc.Mapping[str, str]] = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "literal_error": "must be one of {expected}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "dict_type": "must be a section with keys of its own",
    "model_type": "must be a section with keys of its own",
    "model_attributes_type": "must be a section with keys of its own",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "string_too_long": "must have at most {max_length} characters",
}
"""The rule in words, by pydantic's type of error."""


def _rule(kind: str, context: collections.abc.Mapping[str, typing.Any]) -> str | None:
    """Return the rule that was broken, in words; None where pydantic's own message must do."""
    if kind == "string_pattern_mismatch":
        return rule_of(str(context["pattern"]))
    if kind == "string_too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} characters"
    if kind == "too_short":
        return f"must have at least {quantity(int(context['min_length']), 'item', 'items')}"
    if kind == "literal_error":
        return f"must be one of {', '.join(_words(str(context['expected'])))}"
    found = _RULES.get(kind)
    return None if found is None else found.format(**{key: _plain(value) for key, value in context.items()})


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words(expected: str) -> list[str]:
    """Return the words in pydantic's list of them: "'a', 'b' or 'c'"."""
    return [each.strip("'") for part in expected.split(", ") for each in part.split(" or ")]


def _path(where: str, location: typing.Sequence[int | str]) -> str:
    path = where
    for part in location:
        if part == "[key]" or (isinstance(part, str) and part.startswith("<")):
            continue  # pydantic's word for a map's key, and the tag of one of a field's forms
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _known_keys(model: type[pydantic.BaseModel], location: typing.Sequence[int | str]) -> list[str]:
    current: object = model
    for part in location:
        fields = getattr(current, "model_fields", {})
        current = section_in(fields[part].annotation) if part in fields else current
    return sorted(getattr(current, "model_fields", {}))


def section_in(annotation: object) -> type[pydantic.BaseModel] | None:
    """Return the section in ``annotation`` (``A``, ``A | None``, ``tuple[A, ...]``); None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    inside = map(section_in, typing.get_args(annotation))
    return next((model for model in inside if model is not None), None)
