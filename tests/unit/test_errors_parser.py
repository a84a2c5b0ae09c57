"""The one parser: everything that is wrong is said at once, with path, value, rule and remedy."""

import pydantic
import pytest

from optimal_tp.errors import SettingsError
from optimal_tp.settings.parser import Section, broken, parse


class _Inner(Section):
    size: int = pydantic.Field(default=1, ge=1)


class _Outer(Section):
    name: str
    inner: _Inner = _Inner()
    several: tuple[_Inner, ...] = ()
    maybe: _Inner | None = None

    @pydantic.field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if len(name) > 3:
            raise broken("it has at most 3 letters", "choose a shorter one", path="part", value=name[:3])
        return name


def _sentences(data: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(_Outer, data, where="top", file="a.yaml")
    return str(caught.value).splitlines()


def test_returns_a_frozen_model() -> None:
    """Good input gives the model, and it cannot be changed afterwards."""
    parsed = parse(_Outer, {"name": "abc", "inner": {"size": 2}}, where="top", file="a.yaml")

    assert parsed.inner.size == 2
    with pytest.raises(pydantic.ValidationError, match="Instance is frozen"):
        parsed.name = "x"  # type: ignore[misc]


def test_lists_every_bad_key_at_once() -> None:
    """Four mistakes of four kinds in one file are four sentences."""
    data = {"nmae": "abc", "inner": {"size": 0, "sice": 3}, "several": [{"size": 1}, {"size": "x"}]}

    assert _sentences(data) == [
        "top.name is not set; this key is required; add it to a.yaml",
        "top.inner.size is 0; input should be greater than or equal to 1; edit a.yaml",
        "top.inner.sice is 3; no such key; known keys here: size; remove or rename it in a.yaml",
        (
            "top.several[1].size is 'x'; input should be a valid integer, "
            "unable to parse string as an integer; edit a.yaml"
        ),
        "top.nmae is 'abc'; no such key; known keys here: inner, maybe, name, several; remove or rename it in a.yaml",
    ]


def test_a_rule_of_ours_names_its_own_path_value_and_remedy() -> None:
    """A validator's sentence stands as it was written."""
    assert _sentences({"name": "abcd"}) == [
        "top.name.part is 'abc'; it has at most 3 letters; choose a shorter one",
    ]


def test_an_unknown_key_in_an_optional_section_gets_that_sections_keys() -> None:
    """The known keys are those of the section in which the unknown one stands."""
    assert _sentences({"name": "a", "maybe": {"x": 1}}) == [
        "top.maybe.x is 1; no such key; known keys here: size; remove or rename it in a.yaml",
    ]


def test_something_that_is_no_mapping_is_refused() -> None:
    """A list where a section belongs is one sentence, not a traceback."""
    [sentence] = _sentences([1, 2])

    assert sentence.startswith("top is [1, 2]; input should be a valid dictionary")
