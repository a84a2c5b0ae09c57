"""docs/verdict.md says what the program does: its words and its exit statuses."""

import pathlib
import re
import typing

import pytest

from optimal_tp.verdict.findings import EXIT_STATUS, Word

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "verdict.md").read_text()


@pytest.mark.parametrize("word", typing.get_args(Word))
def test_every_word_is_explained(word: str) -> None:
    """Whoever reads one in a report finds it on the page."""
    assert f"`{word}`" in PAGE


def test_every_exit_status_is_stated() -> None:
    """The outcomes with their numbers, and the one for bad input."""
    stated = dict(re.findall(r"(\d) (settled|inconclusive|void|no run to read)", PAGE))

    assert stated == {str(status): outcome for outcome, status in EXIT_STATUS.items()} | {"2": "no run to read"}
