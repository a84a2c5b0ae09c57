"""The one parser of settings: plain data in, a frozen model out, or one error that lists every bad key."""

import pathlib
import typing

import pydantic
import pydantic_core
import yaml

from optimal_tp.errors import Problem, SettingsError

M = typing.TypeVar("M", bound=pydantic.BaseModel)


class Section(pydantic.BaseModel):
    """A part of the settings: frozen, strict about unknown keys, defaults checked like anything else.

    A number is taken where text is meant: ``pulumi config set`` writes one for a run called 2.
    """

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, coerce_numbers_to_str=True
    )


def broken(rule: str, remedy: str = "", *, path: str = "", value: object = ...) -> pydantic_core.PydanticCustomError:
    """Return the error that a validator raises when ``rule`` does not hold.

    ``path`` is the key below the validated field, dotted, when the field is a section; ``value`` replaces the
    field's value in the sentence; ``remedy`` replaces "edit <file>".
    """
    context: dict[str, typing.Any] = {"rule": rule, "remedy": remedy, "path": path}
    if value is not ...:
        context["value"] = value
    return pydantic_core.PydanticCustomError("broken_rule", "{rule}", context)


def parse(
    model: type[M], data: object, *, where: str, file: str, unknown: typing.Literal["forbid", "allow"] = "forbid"
) -> M:
    """Return ``data`` as ``model``.

    ``where`` is the path of ``data`` in the file ("workloads"), ``file`` its name, used in the remedy. ``unknown`` keys
    are errors, or stay in the sections' ``model_extra``.
    Raises SettingsError with every bad key: path, value, rule, remedy.
    """
    try:
        return model.model_validate(data, extra=unknown)
    except pydantic.ValidationError as error:
        raise SettingsError([_problem(model, detail, where, file) for detail in error.errors()]) from None


class _Loader(yaml.SafeLoader):
    """YAML that means what its writer sees: a day is text, and no key takes the place of another in silence."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, rule) for tag, rule in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[typing.Hashable, typing.Any]:  # noqa: FBT001, FBT002 - PyYAML's own signature
        """Refuse a key that stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: pathlib.Path, *, key: str, value: str, remedy: str) -> object:
    """Return the plain data in ``path``; an empty file is an empty mapping.

    ``key`` and ``value`` are what the user said that led here. Raises SettingsError if it cannot be read as YAML.
    """
    try:
        data: object = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader's child
    except OSError as error:
        rule = f"it names a readable file ({error.strerror})"
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        rule, remedy = f"it holds YAML ({' '.join(str(error).split())})", f"mend {path}"
    else:
        return {} if data is None else data
    raise SettingsError([Problem(path=key, value=value, rule=rule, remedy=remedy)])


def _problem(model: type[pydantic.BaseModel], detail: pydantic_core.ErrorDetails, where: str, file: str) -> Problem:
    context = detail.get("ctx", {})
    path = _path(where, detail["loc"])
    remedy = f"edit {file}"
    if detail["type"] == "broken_rule":
        below = context.get("path", "")
        path += below if below.startswith("[") else f".{below}" if below else ""
        value = context.get("value", detail["input"])
        return Problem(path=path, value=value, rule=detail["msg"], remedy=context.get("remedy") or remedy)
    if detail["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(model, detail["loc"][:-1]))
        rule = f"no such key; known keys here: {known}"
        return Problem(path=path, value=detail["input"], rule=rule, remedy=f"remove or rename it in {file}")
    if detail["type"] == "missing":
        return Problem(path=path, value=None, rule="this key is required", remedy=f"add it to {file}")
    if detail["type"] == "string_type" and isinstance(detail["input"], bool):
        rule = "it is text, and YAML takes it for true or false"
        return Problem(path=path, value=detail["input"], rule=rule, remedy=f"put it in quotes in {file}")
    return Problem(path=path, value=detail["input"], rule=_lowered(detail["msg"]), remedy=remedy)


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


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
        current = _section_of(fields[part].annotation) if part in fields else current
    return sorted(getattr(current, "model_fields", {}))


def _section_of(annotation: object) -> object:
    """Return the first settings model inside ``annotation`` (``Limits | None``, ``tuple[Model, ...]``)."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for part in typing.get_args(annotation):
        found = _section_of(part)
        if found is not None:
            return found
    return None
