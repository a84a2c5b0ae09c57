"""docs/reference/settings.md has every setting that a stack file may hold, with its default and meaning."""

import typing

import yaml

from optimal_tp.settings.described.fields import all_settings
from tests.fakes_settings import PAGE, page
from tests.fakes_stack_files import ROOT, STACK_FILES


def keys() -> set[str]:
    """Return every key of the page."""
    return {each.key.replace("[]", "") for each in all_settings()}


def test_the_page_is_fresh() -> None:
    """The page in the repository is the one that the models give."""
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.fakes_settings"


def test_every_key_has_a_meaning() -> None:
    """A row says what its key does, or which words it takes."""
    assert [each.key for each in all_settings() if not (each.meaning or each.range)] == []


def _leaves(value: object, path: str) -> set[str]:
    if isinstance(value, dict) and value:
        return {leaf for key, part in value.items() for leaf in _leaves(part, f"{path}.{key}")}
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return {leaf for part in value for leaf in _leaves(part, path)}
    return {path}


def test_every_key_of_the_stack_files_is_on_the_page() -> None:
    """What the stack files set can be looked up; maps of the user's own names count as one key."""
    known = keys()
    for file in STACK_FILES:
        config: dict[str, typing.Any] = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["config"]
        for section, data in config.items():
            if section.startswith("optimal-tp:"):
                for leaf in _leaves(data, section.removeprefix("optimal-tp:")):
                    assert any(leaf == key or leaf.startswith(f"{key}.") or key.startswith(f"{leaf}.") for key in known)
