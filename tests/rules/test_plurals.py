"""A sentence with a number in it is right for one, too: "1 server is left", never "1 servers are left"."""

import ast
import pathlib
import re
import typing

import pytest

from optimal_tp.errors import quantity
from tests.fakes_stack_files import ROOT

NOUNS = (
    "servers|requests|turns|blocks|nodes|cores|pods|models|runs(?! on)|rows|files|samples|minutes|hours|days|degrees|"
    "candidates|items|periods|sequences|layers|heads|prompts|chunks|graphs|steps|values|generators|warnings|keys"
)
"""What the program counts and there may be one of. Tokens, bytes and characters are always many."""
ADJECTIVES = "more|logical|CPU|idle|query|system|block|load|service|metric|counted|such|random"
COUNTED = re.compile(rf"^ (?:(?:(?:{ADJECTIVES}) )?(?:{NOUNS})\b(?!/)|(?:are|were|have) )")
OF_ALL = re.compile(r"\b(?:of|all|of the|of its|of all|x) $", re.IGNORECASE)
""""1 of 3 turns", "all 3 turns", and the figures of a product, whose form is that of many."""
INFLECTED = re.compile(r"^ (?:\w+ ){0,3}(?:are|were|have|do|need|hold|carry|withstand|prove|belong|miss)\b")
RATIOS = ("figure(", "percent(", "ranged(", "usd(", "duration(", "plural(", "quantity(", "_ms(", "_gb(")
"""Calls that bring their own unit, or whose figure is no count."""
NEVER_ONE = {
    ("plan/lineup.py", "len(self.models)"): "one model has a line of its own",
    ("plan/feasibility.py", "wanted.pods"): "one load generator has none",
    ("plan/feasibility.py", "len(left)"): "there are two system nodes",
    ("plan/feasibility.py", "degree"): "one core fits on every node",
    ("plan/placement.py", "kind.logical_cores"): "a chip has four",
    ("facts/sizes.py", "shape.q_heads"): "more than its key and value heads",
    ("measurement/audit.py", "words"): "a range of tokens",
    ("plan/fit.py", "what"): "always many heads or experts",
    ("report/physics/extrapolations.py", "names"): "two names and more",
    ("report/two_runs.py", "names[1]"): "two names",
    ("workloads/dashboard.py", "minutes"): "a constant",
    ("loadgen/connection.py", "self._most_chunks"): "four for each token, and 64",
    ("verdict/caveats.py", "max(1, turns // 3)"): "a rarity: 1 in 3 turns",
}


def places(folder: str) -> typing.Iterator[tuple[str, ast.FormattedValue, str, str]]:
    """Yield file, value, the text before it and the text after it, for each value in the f-strings of a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = str(path.relative_to(ROOT)).removeprefix("optimal_tp/")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts = [each.value if isinstance(each, ast.Constant) else None for each in node.values]
                for index, each in enumerate(node.values[:-1]):
                    if isinstance(each, ast.FormattedValue) and texts[index + 1] is not None:
                        before = texts[index - 1] if index else ""
                        yield name, each, str(before or ""), str(texts[index + 1])


def faults(found: typing.Iterable[tuple[str, ast.FormattedValue, str, str]]) -> dict[tuple[str, str], str]:
    """Return each value whose sentence is wrong for one, by file and expression, with the text after it."""
    wrong = {}
    for name, each, before, after in found:
        value = ast.unparse(each.value)
        spec = "" if each.format_spec is None else ast.unparse(each.format_spec)
        is_bare = COUNTED.match(after) and not OF_ALL.search(before) and not value.startswith(RATIOS)
        is_count = not re.search(r"\.\d+[fg]|:g", spec)
        if (is_bare and is_count) or (value.startswith("plural(") and INFLECTED.match(after)):
            wrong[name, value] = after
    return wrong


@pytest.mark.parametrize("folder", ["optimal_tp", "infra", "workloads", "policy", "component"])
def test_what_is_counted_may_be_one(folder: str) -> None:
    """``plural`` and ``quantity`` write the noun, and ``quantity`` the verb after it."""
    assert [found for found in faults(places(folder)).items() if found[0] not in NEVER_ONE] == []


def test_every_exemption_is_needed() -> None:
    """None that outlived its sentence."""
    found = [place for folder in ("optimal_tp", "workloads") for place in places(folder)]

    assert set(NEVER_ONE) - faults(found).keys() == set()


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ('f"{n} servers"', True),
        ('f"the budget holds {n:,} blocks"', True),
        ("f\"{plural(n, 'server')} are left\"", True),
        ("f\"{plural(n, 'turn')} of TP1 were far too slow\"", True),
        ("f\"{quantity(n, 'server is', 'servers are')} left\"", False),
        ("f\"{plural(n, 'server')} of TP1\"", False),
        ('f"{n} were read"', True),
        ('f"{bad} of {n} turns failed"', False),
        ('f"{rate:.2f} requests/s"', False),
        ('f"at most {n} tokens"', False),
    ],
)
def test_the_rule_finds_what_it_must(text: str, is_wrong: bool, tmp_path: pathlib.Path) -> None:  # noqa: FBT001
    """And nothing else."""
    (tmp_path / "module.py").write_text(f"text = {text}\n", encoding="utf-8")
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.JoinedStr)
    texts = [str(each.value) if isinstance(each, ast.Constant) else "" for each in node.values]
    found = [
        ("module.py", each, texts[index - 1] if index else "", texts[index + 1])
        for index, each in enumerate(node.values[:-1])
        if isinstance(each, ast.FormattedValue)
    ]

    assert bool(faults(found)) == is_wrong


@pytest.mark.parametrize(("count", "said"), [(0, "0 servers are"), (1, "1 server is"), (2000, "2,000 servers are")])
def test_a_quantity_has_its_noun_and_verb(count: int, said: str) -> None:
    """Zero is many."""
    assert quantity(count, "server is", "servers are") == said
