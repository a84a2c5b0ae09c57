"""docs/verdict.md says what the program does: its words, its exit statuses, its margin."""

import pathlib
import re
import typing

from optimal_tp.verdict.findings import EXIT_STATUS, Word
from optimal_tp.verdict.ranking import MARGIN
from optimal_tp.verdict.statistics import PRIOR_VARIANCE

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "verdict.md").read_text()


def test_every_word_is_explained() -> None:
    """The table of gates has each word of the program, and no other."""
    table = PAGE.split("## The rule")[1].split("Chosen is")[0]

    assert set(re.findall(r"\| `([a-z-]+)` \|", table)) == set(typing.get_args(Word))


def test_every_exit_status_is_stated() -> None:
    """The outcomes with their numbers, and the one for bad input."""
    stated = dict(re.findall(r"(\d) (settled|inconclusive|void|no run to read)", PAGE))

    assert stated == {str(status): outcome for outcome, status in EXIT_STATUS.items()} | {"2": "no run to read"}


def test_the_margin_and_the_prior_are_those_of_the_program() -> None:
    """2 % and 10."""
    assert f"could give {100 * MARGIN:g} % more than the chosen one: the upper end of its ratio is at most" in PAGE
    assert f"g is {PRIOR_VARIANCE:g}: half widths" in PAGE
