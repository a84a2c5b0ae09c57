"""What the documents claim and can be checked: links, commands and their options, stack outputs."""

import functools
import importlib.util
import pathlib
import re
import subprocess
import sys

import PIL.Image
import pytest

from tests.fakes_pulumi import recorded
from tests.fakes_stack_files import ROOT
from tests.fakes_workloads import PROGRAMS

DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), ROOT / "bench/README.md"]
)
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def text(name: str) -> str:
    """Return one document."""
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Every link to a file of the repository leads to one."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(name))
    here = (ROOT / name).parent

    assert [link for link in links if "://" not in link and not (here / link).exists()] == []


@functools.cache
def targets() -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_make_knows_every_target(name: str) -> None:
    """Every `make` command names a target."""
    named = re.findall(r"(?:^|`)make(?: --\w+)* ([a-z][a-z-]*)\b", text(name), flags=re.MULTILINE)

    assert [target for target in named if target not in targets()] == []


def commands() -> set[tuple[str, str, frozenset[str]]]:
    """Return (module, verb, options) of every `python -m` command of ours in the documents."""
    found = set()
    for name in NAMES:
        joined = text(name).replace("\\\n", " ")
        for module, rest in re.findall(r"python -m ((?:workloads|infra|bench|tests)[\w.]*)([^\n`|#)]*)", joined):
            verb = re.match(r" ([a-z][a-z-]*)(?= |$)", rest)
            options = frozenset(re.findall(r" (--[a-z][a-z-]*)", rest))
            found.add((module, verb[1] if verb else "", options))
    return found


@functools.cache
def told(module: str, verb: str) -> tuple[int, str]:
    """Return exit status and words of a command's --help."""
    words = [sys.executable, "-m", module, *([verb] if verb else []), "--help"]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("module", "verb", "options"), sorted((module, verb, sorted(options)) for module, verb, options in commands())
)
def test_commands_exist(module: str, verb: str, options: list[str]) -> None:
    """Every command of ours answers to --help and knows the options that the documents give it."""
    assert importlib.util.find_spec(module) is not None
    if module.startswith("tests."):
        return  # it takes no options: it writes its page, which a test of its own holds fresh
    status, words = told(module, verb)

    assert status == 0, words
    assert [option for option in options if option not in words] == []


@pytest.mark.parametrize("name", NAMES)
def test_files_that_are_named_exist(name: str) -> None:
    """A path in code type is one of the repository; `*` stands for any name."""
    folders = "infra|workloads|tests|docs|policy|bench|requirements|template"
    named = re.findall(rf"`((?:{folders})/[\w./*-]+)`", text(name))

    assert [path for path in named if not any(ROOT.glob(path.rstrip("/")))] == []


def test_the_picture_is_of_the_run_that_the_readme_shows() -> None:
    """The PNG says which run it is of and what it shows: the words beside it in the README, and its report's path."""
    alt, path = re.findall(r"!\[([^]]*)\]\(([^)]*)\)", text("README.md"))[0]
    with PIL.Image.open(ROOT / path) as picture:
        described = picture.info["Description"]
    run = re.search(r"^Report: …/out/([\w-]+)/report\.html$", text("README.md"), flags=re.MULTILINE)

    assert run is not None
    assert described == f"{alt} Run {run[1]}."
    assert len(re.findall(r"TP\d+ [\d.]+ % at [\d.]+", alt)) > 1


@pytest.mark.parametrize("name", NAMES)
def test_stack_outputs_exist(name: str) -> None:
    """Every output that a document asks the stack for is one that the program puts out."""
    outputs = recorded("Pulumi.dev.yaml").outputs.keys() | PROGRAMS["equal-cores"]().outputs.keys()

    assert set(re.findall(r"pulumi stack output (\w+)", text(name))) - outputs == set()


def test_the_documents_were_found() -> None:
    """The checks above have something to check."""
    assert len(commands()) > 10
    assert pathlib.Path("docs/concepts/verdict.md") in {path.relative_to(ROOT) for path in DOCUMENTS}
