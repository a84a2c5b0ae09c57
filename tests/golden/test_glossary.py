"""The glossary explains what a reader meets in a report: columns, tiles, and the words beside a candidate."""

import ast
import collections.abc
import pathlib
import re

import pytest

from optimal_tp.measurement.estimate import METRIC_WORDS
from optimal_tp.report.page.glossary import WORDS
from optimal_tp.report.words import PLAIN
from optimal_tp.verdict.comparisons import UNIT

ROOT = pathlib.Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs/reference/glossary.md").read_text(encoding="utf-8")
TEMPLATES = ROOT / "optimal_tp/report/templates"
TILES = ROOT / "optimal_tp/report/page/tiles.py"
MODULES = sorted(
    path
    for folder in ("report", "report/page", "report/physics", "fleet")
    for path in (ROOT / "optimal_tp" / folder).glob("*.py")
)
"""Where the tables of reports and plans are made."""

ORDINARY = {
    *("cheapest", "dollars", "end", "failed", "figure", "from requests/s", "gone", "hour", "if your limit is"),
    *("latency", "launched", "load", "lost", "metric", "model", "parameters", "percentile", "ran", "rate", "requests"),
    *("result", "seconds", "server", "servers", "servers left", "servers per node", "to requests/s", "tokens", "type"),
    *("usd", "usd/hour", "verdict", "why", "with", "$ a month (instances)"),
}
"""Heads that say what they mean."""


def explained() -> set[str]:
    """Return every term of the glossary in small letters: whole cells, and what their commas part."""
    found: set[str] = set()
    for cell in re.findall(r"^\| ([^|]+) \|", GLOSSARY, flags=re.MULTILINE):
        found |= {cell.lower(), *cell.lower().split(", ")}
    return found


EXPLAINED = explained()


def texts(node: ast.AST) -> collections.abc.Iterator[str]:
    """Yield the whole texts below ``node``; parts of composed ones and what is called are left out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not isinstance(node, (ast.JoinedStr, ast.Call)):
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def assigned(node: ast.AST) -> tuple[str, ast.AST | None]:
    """Return the name that ``node`` gives a value to, and the value: of a keyword, or of a plain assignment."""
    if isinstance(node, ast.keyword):
        return node.arg or "", node.value
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return "", None


def heads() -> set[str]:
    """Return the heads of all tables, and the labels of the tiles."""
    found: set[str] = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name, value = assigned(node)
            if value is not None and (name.lower().endswith("heads") or (path == TILES and name == "label")):
                found |= set(texts(value))
    for path in TEMPLATES.glob("*.j2"):
        found |= set(re.findall(r'<th scope="col"[^>{]*>([^<{]+)</th>', path.read_text(encoding="utf-8")))
    return found


def term(head: str) -> str:
    """Return what a head speaks of, without its unit: "Goodput, requests/s per core" speaks of goodput."""
    return re.sub(r"(, requests/s( per core)?| in ms|, ms|, \$/h)$", "", head).lower()


HEADS = sorted({term(head) for head in heads()})


@pytest.mark.parametrize("head", sorted(set(HEADS) - ORDINARY))
def test_every_column_and_tile_is_explained(head: str) -> None:
    """A new head needs a row of the glossary, or is so plain that it is listed above."""
    assert head in EXPLAINED or head.removesuffix("s") in EXPLAINED


def test_what_needs_no_explanation_is_there() -> None:
    """The list above names nothing that is gone, and the columns were found."""
    assert set(HEADS) >= ORDINARY
    assert {"decided by", "fitted goodput", "of memory bandwidth (mbu)", "slots taken"} <= set(HEADS)


@pytest.mark.parametrize("word", PLAIN)
def test_every_word_beside_a_candidate_is_explained(word: str) -> None:
    """As verdict.json has it, and as the report says it."""
    (said,) = re.findall(rf"^\| `{word}` \| ([^|]+) \|", GLOSSARY, flags=re.MULTILINE)

    assert {plain for name, plain in PLAIN.items() if name == word} <= set(said.split("; "))


@pytest.mark.parametrize("words", [*METRIC_WORDS.values(), *UNIT.values()])
def test_what_is_measured_is_explained(words: str) -> None:
    """Metrics with limits, and what candidates are compared by."""
    assert words in EXPLAINED


@pytest.mark.parametrize("word", WORDS)
def test_the_pages_own_words_are_the_glossarys(word: str) -> None:
    """The page explains its words without network, and as the documents do."""
    meanings = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", GLOSSARY.replace("`", ""), flags=re.MULTILINE))
    (meaning,) = (meaning for cell, meaning in meanings.items() if word in cell.split(", "))

    assert WORDS[word] == meaning
