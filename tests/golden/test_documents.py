"""What the documents claim and can be checked: links, commands and their options, stack outputs."""

import functools
import importlib.util
import pathlib
import re
import subprocess
import sys
import textwrap
import tomllib
import typing

import jsonschema
import pytest
import yaml

from optimal_tp.settings.described.schema import stack_schema
from optimal_tp.settings.stack_keys import PROJECT, SECTIONS
from tests.fakes_pages import PAGES
from tests.fakes_pulumi import recorded
from tests.fakes_screenshots import SHOTS, TAKEN_ONCE
from tests.fakes_stack_files import ROOT
from tests.fakes_workloads import PROGRAMS

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for folder in (".github", "bench", "docs", "examples") for path in (ROOT / folder).rglob("*.md")),
    ]
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


CODE = re.compile(r"^```.*?^```|`[^`\n]+`", flags=re.MULTILINE | re.DOTALL)
OURS = re.compile(
    r"(?:python -m )((?:bench|tests)[\w.]*)( [^\n`|#)]*)?|(?:bin/|`|\$ |^)(optimal-tp)( [^\n`|#)]*)", re.MULTILINE
)


def commands() -> set[tuple[str, str, frozenset[str]]]:
    """Return (module, verb, options) of every command of ours in the documents; the changelog may name what is gone."""
    found = set()
    for name in sorted(set(NAMES) - {"CHANGELOG.md"}):
        for code in CODE.findall(text(name)):
            for module, rest, ours, words in OURS.findall(code.replace("\\\n", " ")):
                verb = re.match(r" ([a-z][a-z-]*)(?= |$)", words or rest)
                options = frozenset(re.findall(r" (--[a-z][a-z-]*)", words or rest))
                if verb or not ours:
                    found.add((module or ours.replace("-", "_"), verb[1] if verb else "", options))
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
    folders = "optimal_tp|infra|workloads|tests|docs|policy|bench|requirements|template|examples|component|\\.ci"
    named = re.findall(rf"`((?:{folders})/[\w./*-]+)`", text(name))

    assert [path for path in named if not any(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"CHANGELOG.md"}))
def test_settings_that_are_named_exist(name: str) -> None:
    """A dotted key is one of the reference, whose rows have it as their anchor."""
    known = set(re.findall(r'<a id="([^"]+)"></a>', text("docs/reference/settings.md")))
    named = re.findall(r"`((?:infra|workloads|serving|loadtest|spend)(?:\.[a-z_]+)+)(?:[`: ])", text(name))

    assert set(named) - known == set()


def snippets(name: str) -> list[dict[str, typing.Any]]:
    """Return the settings in a document's YAML, as the ``config`` of a stack file."""
    found = []
    for code in re.findall(r"^( *)```yaml\n(.*?)^\1```", text(name), flags=re.MULTILINE | re.DOTALL):
        data = yaml.safe_load(textwrap.dedent(code[1]))
        if isinstance(data, dict):
            config = data.get("config", data)
            own = {key: value for key, value in config.items() if ":" in key or key in SECTIONS}
            found.append({key if ":" in key else f"{PROJECT}:{key}": value for key, value in own.items()})
    return [each for each in found if each]


@pytest.mark.parametrize("name", NAMES)
def test_settings_in_snippets_are_known(name: str) -> None:
    """Each key of a snippet is one that the schema has; what a snippet leaves out is the reader's to add."""
    checker = jsonschema.Draft7Validator(stack_schema())
    wrong = [fault for each in snippets(name) for fault in faults(checker, {"config": each})]

    assert [fault.message for fault in wrong if fault.validator == "additionalProperties"] == []


@pytest.mark.parametrize("name", NAMES)
def test_sections_in_snippets_are_under_config(name: str) -> None:
    """A section that is copied to the left margin of a stack file would not be read."""
    codes = re.findall(r"^( *)```yaml\n(.*?)^\1```", text(name), flags=re.MULTILINE | re.DOTALL)

    assert [code for space, code in codes if re.search(rf"^{space}{PROJECT}:", code, flags=re.MULTILINE)] == []


def faults(checker: jsonschema.Draft7Validator, data: object) -> typing.Iterator[jsonschema.ValidationError]:
    """Yield every fault, also those of one form among several."""
    todo = list(checker.iter_errors(data))
    while todo:
        fault = todo.pop()
        yield fault
        todo += fault.context


def slug(heading: str) -> str:
    """Return the anchor that git hosts and the site give a heading."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


@pytest.mark.parametrize("name", NAMES)
def test_anchors_are_headings(name: str) -> None:
    """A link to a part of a page leads to one of its headings."""
    here, missing = ROOT / name, []
    for path, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text(name)):
        page = (here.parent / path).resolve() if path else here
        if "://" not in path and page.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
            missing += [f"{path}#{anchor}"] if anchor not in map(slug, headings) else []

    assert missing == []


def test_the_readme_is_short() -> None:
    """At most 700 words beside its commands and its diagram, and one table."""
    prose = re.sub(r"^```.*?^```", "", text("README.md"), flags=re.MULTILINE | re.DOTALL)

    assert len(prose.split()) <= 700
    assert len(re.findall(r"^\| ---", prose, flags=re.MULTILINE)) <= 1


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("README.md", ("preflight --stack", "# buy a Capacity Block", "pulumi up ")),
        ("docs/get-started/aws.md", ("6. Run `optimal-tp preflight", "[buy a Capacity Block]", "8. Run `pulumi up`")),
        ("docs/how-to/capacity-block.md", ("2. Run `optimal-tp preflight", "3. Buy a block", "6. Run `pulumi up`")),
    ],
)
def test_a_block_is_bought_after_preflight(name: str, steps: tuple[str, ...]) -> None:
    """A block's hours are paid for whether or not something else is missing, so that is found out first."""
    places = [text(name).index(step) for step in steps]

    assert places == sorted(places)


def test_the_badges_say_what_the_project_says() -> None:
    """Python and licence as pyproject states them; none claims a state that nobody could look up."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    least, licence = project["requires-python"].removeprefix(">="), project["license"]
    badges = dict(re.findall(r"!\[([^]]+)\]\(https://img\.shields\.io/badge/([\w.%-]+)\)\]", text("README.md")))

    assert badges == {
        f"Python {least}+": f"python-{least}%2B-blue",
        f"Licence: {licence}": f"licence-{licence.replace('-', '--')}-blue",
        "CI: .ci/run": "CI-.ci%2Frun-blue",
        "AWS: not run yet": "AWS-not_run_yet-orange",
    }


def test_every_picture_is_shown() -> None:
    """No file in the folder of pictures is left over, and each of today's report can be taken again."""
    files = {path.name for path in (ROOT / "docs/images").iterdir()}

    assert files == {name for page in NAMES for name in re.findall(r"\]\([^)\s]*images/([\w.-]+)\)", text(page))}
    assert files == SHOTS.keys() | TAKEN_ONCE


def test_every_decision_is_in_the_index() -> None:
    """The index of decisions leads to each of them, once."""
    pages = sorted(path.name for path in (ROOT / "docs/decisions").glob("0*.md"))

    assert sorted(re.findall(r"\((\d{4}-[\w-]+\.md)\)", text("docs/decisions/README.md"))) == pages


def test_every_page_has_its_place_in_the_site() -> None:
    """The strict build fails for a page without a place, too; this says it without building the site."""
    placed = set(re.findall(r"(?::|-) ([\w/-]+\.md)$", text("mkdocs.yml"), flags=re.MULTILINE))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}

    assert {page for page in pages - placed if not page.startswith("decisions/0")} == set()


def test_every_page_is_reached_by_links() -> None:
    """From the overview, as a reader of a git host goes: there is no navigation beside the pages."""
    seen, todo = set(), ["docs/README.md"]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            links = re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", text(name))
            todo += [
                str(((ROOT / name).parent / link).resolve().relative_to(ROOT)) for link in links if "://" not in link
            ]

    assert {name for name in NAMES if not name.startswith(".github/")} - seen - {"README.md"} == set()


def test_every_how_to_is_in_the_index() -> None:
    """By the question that it answers."""
    pages = {path.name for path in (ROOT / "docs/how-to").glob("*.md")} - {"README.md"}

    assert pages - set(re.findall(r"\]\(([\w-]+\.md)", text("docs/how-to/README.md"))) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_made_page_is_fresh(page: pathlib.Path) -> None:
    """The page in the repository is the one that the classes give."""
    assert page.read_text(encoding="utf-8") == PAGES[page](), "run: python -m tests.fakes_pages"


@pytest.mark.parametrize("name", NAMES)
def test_stack_outputs_exist(name: str) -> None:
    """Every output that a document asks the stack for is one that the program puts out."""
    outputs = recorded("Pulumi.dev.yaml").outputs.keys() | PROGRAMS["equal-cores"]().outputs.keys()

    assert set(re.findall(r"pulumi stack output (\w+)", text(name))) - outputs == set()


def test_the_documents_were_found() -> None:
    """The checks above have something to check."""
    assert len(commands()) > 10
    assert sum(len(snippets(name)) for name in NAMES) > 10
    assert {"docs/concepts/verdict.md", "README.md", ".github/PULL_REQUEST_TEMPLATE.md"} <= set(NAMES)
