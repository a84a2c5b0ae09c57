"""Habits of writing that a reader stumbles over: none of them in the documents, the messages and the help."""

import ast
import pathlib
import re

import pytest

from tests.fakes_stack_files import ROOT

ANYWHERE = {
    r"\bwhom\b": "start a new sentence, or name the person",
    r"\bthe AWS sample's seed\b|\bthe seed's\b": "say the AWS sample, or state the fact",
    r"\bgone on with\b": "say continued",
    r"\bthere and back\b": "say in the order A B B A",
    r"\bnot to be trusted\b": "say what is wrong with it",
    r"\b(?i:utili[sz]es?|leverag(?:e|es|ed|ing)|seamless(?:ly)?|blazing|effortless(?:ly)?)\b": "say what it does",
    r"\b(?i:simply|obviously|of course)\b": "leave it out",
    r"\bpython -m (?:workloads|infra|optimal_tp)\b(?!\.)": "the command is optimal-tp",
}
"""Pattern, and what to write in its place: in documents, and in every text that the program holds."""

IN_DOCUMENTS = ANYWHERE | {
    r"(?<![Tt]here )\b(?:is|are) no (?!longer\b|more\b|less\b|fewer\b|worse\b)\w+": "say is not a, or begin with There",
    r"\btold (?:apart|of|by|at once)\b|\b(?:is|was|are) told\b(?! to\b)": "say distinguished, named, shown or reported",
    r"(?:[;:] |, (?!or |and |if ))else (?!`|\d)": "say otherwise",
    r"(?<!are )(?<!is )(?<!was )(?<!far )\balike\b": "say equally",
    r"\bSure to at least\b": "say with at least 95 % confidence",
    r"\ball the same\b": "say nevertheless, or begin with If",
}
"""More, but not in pages made from docstrings."""

WRITTEN_BY_CODE = {
    "docs/reference/cli.md",
    "docs/reference/settings.md",
    "docs/reference/metrics.md",
    "docs/reference/verdict-schema.md",
}
"""Pages made from docstrings and tables: held to the worst of them."""


def prose(path: pathlib.Path) -> str:
    """Return a document without code and quotations of others, every run of blanks as one."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"`[^`\n]*`", "`…`", text))


def literals(path: pathlib.Path) -> str:
    """Return the texts of a module that may reach a user: every string but docstrings, one after the other."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    if "cli" in path.parts and isinstance(tree.body[0], ast.Expr):
        silent.remove(id(tree.body[0].value))  # the command's help
    return " ¶ ".join(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent
    )


PAGES = sorted(
    {*ROOT.glob("*.md")} - {ROOT / "CHANGELOG.md"}
    | {path for folder in ("docs", "bench", "examples", ".github") for path in (ROOT / folder).rglob("*.md")}
)
TEXTS = sorted(
    path for folder in ("optimal_tp", "infra", "workloads", "policy") for path in (ROOT / folder).rglob("*.py")
)
OTHERS = sorted(path for folder in ("optimal_tp", "template", "examples") for path in (ROOT / folder).rglob("*.yaml"))


def faults(text: str, patterns: dict[str, str]) -> list[str]:
    """Return each hit with a few words around it, and what to write."""
    return [
        f"…{text[max(0, match.start() - 30) : match.end() + 20]}…: {remedy}"
        for pattern, remedy in patterns.items()
        for match in re.finditer(pattern, text)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_reads_plainly(path: pathlib.Path) -> None:
    """No sentence of a document has a banned habit."""
    made = str(path.relative_to(ROOT)) in WRITTEN_BY_CODE

    assert faults(prose(path), ANYWHERE if made else IN_DOCUMENTS) == []


def test_messages_and_help_read_plainly() -> None:
    """No text of the program has a banned habit."""
    found = [f"{path.relative_to(ROOT)}: {fault}" for path in TEXTS for fault in faults(literals(path), IN_DOCUMENTS)]

    assert found == []


SOURCES = {r"\boptimal_tp/[\w/]+\.py\b": "name a page of the documents or a command"}
"""Nobody has to read the program to use it. Pages may name a module, for those who want to."""


def test_no_message_sends_a_user_to_the_source() -> None:
    """An error's remedy is a key, a command or a page."""
    texts = [path for path in TEXTS if path.name != "reference.py"]  # it writes a page

    assert [f"{path.name}: {fault}" for path in texts for fault in faults(literals(path), SOURCES)] == []


def test_stack_files_and_templates_read_plainly() -> None:
    """Nor have comments and values of stack files, profiles and examples."""
    files = [*OTHERS, *ROOT.glob("Pulumi*.yaml")]

    assert len(files) > 5
    assert [f"{path.name}: {fault}" for path in files for fault in faults(path.read_text(), SOURCES)] == []
    assert [f"{path.name}: {fault}" for path in files for fault in faults(path.read_text(), ANYWHERE)] == []


@pytest.mark.parametrize(
    "words",
    [
        "TP4 is no choice.",
        "The two lowest are not told apart.",
        "It runs at once; else one after the other.",
        "Whatever happens, it simply works.",
        "Ask the person whom it signals.",
        "Sure to at least 95 %, however often the run was looked at.",
    ],
)
def test_a_banned_habit_is_found(words: str) -> None:
    """Each of these sentences was once ours."""
    assert faults(words, IN_DOCUMENTS) != []


@pytest.mark.parametrize(
    "words",
    [
        "There is no verdict yet.",
        "It is no longer there.",
        "The cost is shown, or else the run ends.",
        "`is no token` in code",
        "The two runs are alike.",
        "Karpenter is told to wait.",
    ],
)
def test_plain_sentences_pass(tmp_path: pathlib.Path, words: str) -> None:
    """No false alarm."""
    page = tmp_path / "page.md"
    page.write_text(words, encoding="utf-8")

    assert faults(prose(page), IN_DOCUMENTS) == []
