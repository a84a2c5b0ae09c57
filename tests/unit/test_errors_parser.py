"""The one parser: everything that is wrong is said at once, with path, value, rule and remedy."""

import pathlib

import pydantic
import pytest

from optimal_tp.errors import Problem, SettingsError
from optimal_tp.settings.described.line_numbers import placed
from optimal_tp.settings.parser import Section, broken, parse, read_yaml


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
        "a.yaml top.name: must be set",
        "a.yaml top.inner.size: must be at least 1 (got 0)",
        "a.yaml top.inner.sice: must be one of size (got 'sice'); did you mean size?",
        ("a.yaml top.several[1].size: must be a whole number (got 'x')"),
        "a.yaml top.nmae: must be one of inner, maybe, name, several (got 'nmae'); did you mean name?",
    ]


def test_a_rule_of_ours_names_its_own_path_value_and_remedy() -> None:
    """A validator's sentence stands as it was written."""
    assert _sentences({"name": "abcd"}) == [
        "a.yaml top.name.part: it has at most 3 letters (got 'abc'); choose a shorter one",
    ]


def test_an_unknown_key_in_an_optional_section_gets_that_sections_keys() -> None:
    """The known keys are those of the section in which the unknown one stands."""
    assert _sentences({"name": "a", "maybe": {"x": 1}}) == [
        "a.yaml top.maybe.x: must be one of size (got 'x')",
    ]


def test_a_day_without_quotes_stays_as_it_is_written(tmp_path: pathlib.Path) -> None:
    """YAML would make a date of it, which no text's rule takes."""
    (tmp_path / "a.yaml").write_text("date: 2026-10-03\n", encoding="utf-8")

    assert read_yaml(tmp_path / "a.yaml", key="a", value="a", remedy="") == {"date": "2026-10-03"}


def test_a_line_is_that_of_the_file_in_its_folder(tmp_path: pathlib.Path) -> None:
    """A program may run in another folder than the project's, which has a file of the same name."""
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n\n  optimal-tp:spend:\n    budget_usd: 1\n", encoding="utf-8")
    error = SettingsError([Problem(path="spend.budget_usd", value=1, rule="must be more", file="Pulumi.dev.yaml")])

    assert str(placed(error, str(tmp_path))) == "Pulumi.dev.yaml:4 spend.budget_usd: must be more (got 1)"


def test_errors_come_in_the_order_of_the_lines(tmp_path: pathlib.Path) -> None:
    """Across sections; what only follows from a misspelt key comes after it, and options stay apart from the file."""
    text = "config:\n  optimal-tp:spend:\n    budget: 1\n    count: 0\n  optimal-tp:infra:\n    zones: []\n"
    (tmp_path / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")
    problems = [
        Problem(path="--stack", value=1, rule="must be absent"),
        Problem(path="infra.zones", value=[], rule="must be two", file="Pulumi.dev.yaml"),
        Problem(path="spend.budget_usd", value=..., rule="must be set", file="Pulumi.dev.yaml"),
        Problem(path="spend.count", value=0, rule="must be more", file="Pulumi.dev.yaml"),
        Problem(
            path="spend.budget", value="budget", rule="x", remedy="did you mean budget_usd?", file="Pulumi.dev.yaml"
        ),
    ]
    found = placed(SettingsError(problems), str(tmp_path))

    assert isinstance(found, SettingsError)
    assert [(each.path, each.line) for each in found.problems] == [
        ("--stack", None),
        ("spend.budget", 3),
        ("spend.budget_usd", 2),
        ("spend.count", 4),
        ("infra.zones", 6),
    ]


def test_something_that_is_no_mapping_is_refused() -> None:
    """A list where a section belongs is one sentence, not a traceback."""
    [sentence] = _sentences([1, 2])

    assert sentence.startswith("a.yaml top: must be a section with keys of its own (got [1, 2])")
