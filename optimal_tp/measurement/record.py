"""Records as JSON text: written with sorted keys, and read with one sentence for an error."""

import json
import typing

import pydantic
import pydantic_core

from optimal_tp.errors import shown

R = typing.TypeVar("R")


def encode(form: pydantic.TypeAdapter[R], record: R) -> str:
    """Return ``record`` as indented JSON. Raises ValueError for a number that is not finite."""
    # A run is encoded after every block, and with an indent the json module runs in Python, ten times as slow.
    line = json.dumps(form.dump_python(record, mode="json"), sort_keys=True, allow_nan=False)
    return pydantic_core.to_json(json.loads(line), indent=1, ensure_ascii=True).decode()


def versioned(text: str, version: int, *, name: str) -> dict[str, typing.Any]:
    """Return the data of a ``name`` in ``text``. Raises ValueError for a truncated text or another version."""
    data = json.loads(text)
    found = data.get("schema_version") if isinstance(data, dict) else None
    if found != version:
        raise ValueError(f"schema_version must be {version} in a {name}, but it is {shown(found)}")
    return typing.cast("dict[str, typing.Any]", data)


def decode(
    form: pydantic.TypeAdapter[R], data: object, *, name: str, unknown: typing.Literal["forbid", "ignore"] = "forbid"
) -> R:
    """Return ``data`` in the given ``form``; ``unknown`` says whether unknown keys are forbidden or ignored.

    Raises ValueError with the first key that a ``name`` must not have, or must have in another form.
    """
    try:
        return form.validate_python(data, extra=unknown)
    except pydantic.ValidationError as error:
        raise ValueError(_sentence(error.errors()[0], name)) from None


def _sentence(detail: pydantic_core.ErrorDetails, name: str) -> str:
    key = ".".join(map(str, detail["loc"])) or "all of it"
    if detail["type"] == "missing":
        return f"{key} must be set in a {name}"
    if detail["type"] == "unexpected_keyword_argument":
        return f"{key} must not be in a {name}"
    return f"{key} must not be {shown(detail['input'])} in a {name}"
