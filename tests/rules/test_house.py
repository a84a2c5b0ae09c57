"""The house's rules that no linter knows: sizes, pins, tests that are collected, words that have no place here."""

import ast
import collections
import functools
import io
import pathlib
import re
import tokenize

import pytest
import yaml

from tests.fakes_tree import statements, tracked, tree, walked

ROOT = pathlib.Path(__file__).parents[2]
MOST_MODULE_LINES = 250
MOST_FUNCTION_LINES = 60
BROAD = {"Exception", "BaseException"}
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


@functools.cache
def _program() -> list[pathlib.Path]:
    return tracked("__main__.py", "optimal_tp/*.py", "infra/*.py", "workloads/*.py", "policy/*.py", "bench/*.py")


@functools.cache
def _code_lines(text: str) -> frozenset[int]:
    """Return the numbers of lines that hold code: no blanks, comments or docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return frozenset(lines)


def test_modules_are_small() -> None:
    """No module of the program has more than 250 lines of code."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in _program()}
    # Tokens are slow: what is short with its comments is short without them.
    long = {name: text for name, text in texts.items() if text.count("\n") > MOST_MODULE_LINES}
    sizes = {name: len(_code_lines(text)) for name, text in long.items()}

    assert {name: size for name, size in sizes.items() if size > MOST_MODULE_LINES} == {}


def test_functions_are_small() -> None:
    """No function of the program has more than 60 lines of code."""
    long = {}
    for path in _program():
        for node in statements(path):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                if len(span) <= MOST_FUNCTION_LINES:
                    continue
                size = len(_code_lines(path.read_text()).intersection(span))
                if size > MOST_FUNCTION_LINES:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = size

    assert long == {}


def test_no_module_is_a_junk_drawer() -> None:
    """A module is one noun that says what is in it."""
    names = {path.stem for path in _program()} | {path.parent.name for path in _program()}

    assert names & {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler", "misc"} == set()


def test_the_first_screen_fits() -> None:
    """``__main__.py`` is a table of contents of at most 60 lines."""
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= 60


def _compiled() -> list[pathlib.Path]:
    """Return what is installed from: overrides are the compiler's input."""
    return [path for path in tracked("requirements.txt", "requirements/*.txt") if "overrides" not in path.name]


@pytest.mark.parametrize("path", _compiled(), ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_hashes(path: pathlib.Path) -> None:
    """What is installed is what was compiled, byte for byte; a registry's host is nowhere named."""
    text = path.read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE).strip())

    assert [
        entry.split()[0] for entry in entries if not re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^ ]+ ", entry)
    ] == []
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.search(r"--(extra-)?index-url|--find-links|https?://", text) is None


@pytest.mark.parametrize("path", tracked("requirements/*.in", "bench/*.in"), ids=lambda path: path.name)
def test_every_dependency_says_why(path: pathlib.Path) -> None:
    """The hand-written lists have a reason on each line."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "-"))]

    assert lines
    assert [line for line in lines if " # " not in line] == []


def test_every_test_file_is_collected() -> None:
    """A file below tests/ is a test, a fake, a fixture or data."""
    names = [str(path.relative_to(ROOT)) for path in tracked("tests/*.py")]
    good = re.compile(r"tests/(.+/)?(test_\w+|conftest|fakes_\w+)\.py|tests/(.+/)?fakes_\w+/.+\.py")

    assert [name for name in names if not good.fullmatch(name)] == []


def test_test_files_have_different_names() -> None:
    """Test folders are not packages: two files of one name would shadow each other."""
    names = [path.name for path in tracked("tests/**/test_*.py")]

    assert sorted(set(names)) == sorted(names)


def test_no_reference_moves() -> None:
    """Nothing that is deployed or installed is named by a tag that moves."""
    moving = re.compile(r":latest\b|@latest\b|@master\b|@main\b|/(master|main)/[\w/.-]+\.ya?ml")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in (*_program(), *tracked("*.yaml", "*.yml", "Dockerfile", "Makefile"))
        if "tests/crds" not in str(path) and (match := moving.search(path.read_text()))
    ]

    assert found == []


def test_an_archive_without_git_has_the_same_files(tmp_path: pathlib.Path) -> None:
    """Caches, environments and results are left out there too."""
    (tmp_path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    left_out = [".venv-scan/a.py", "out/b.py", "tests/__pycache__/c.py", "site/d.py", ".git/e.py", "x.egg-info/f.py"]
    for name in ("optimal_tp/site/g.py", "h.py", *left_out):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert sorted(walked(tmp_path)) == [".gitignore", "h.py", "optimal_tp/site/g.py"]


def test_nothing_that_a_run_writes_is_tracked() -> None:
    """Samples, and pictures other than those that documents show, stay where they were measured."""
    pictures = [path for path in tracked("*.png") if path.parent != ROOT / "docs" / "images"]

    assert pictures + tracked("samples-*.jsonl", "*/samples-*.jsonl") == []


def test_pre_commit_runs_what_make_test_runs() -> None:
    """A commit is held to the rules of ``make test`` that take seconds."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    recipe = (ROOT / "Makefile").read_text()

    assert [hook["entry"] for hook in hooks if hook["entry"].split("/")[-1] not in recipe] == []


def test_no_mutable_class_state_hides_behind_an_annotation() -> None:
    """``ClassVar`` silences the rule on shared lists and dicts: none is one (ctypes' ``_fields_`` aside)."""
    found = [
        f"{path.relative_to(ROOT)}:{statement.lineno}"
        for path in _program()
        for node in statements(path)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.value, (ast.List, ast.Dict, ast.Set))
        and ast.unparse(statement.target) != "_fields_"
    ]

    assert found == []


def test_a_class_name_means_one_thing() -> None:
    """No two classes of the product and of its Pulumi packages have the same name."""
    paths = tracked("optimal_tp/*.py", "infra/*.py", "workloads/*.py")
    names = collections.Counter(
        node.name for path in paths for node in tree(path).body if isinstance(node, ast.ClassDef)
    )

    assert [name for name, count in names.items() if count > 1] == []


def test_a_percentile_has_one_definition() -> None:
    """``percentile_of`` for what was measured; interpolation for what is simulated, in one place."""
    found = [str(path.relative_to(ROOT)) for path in tracked("optimal_tp/*.py") if "np.percentile" in path.read_text()]

    assert found == ["optimal_tp/fleet/simulation/answers.py"]


def test_nothing_swallows_everything() -> None:
    """``except Exception`` hides what nobody thought of, unless it only cleans up and raises again."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _program()
        for node in statements(path)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _raises_again(node)
    ]

    assert found == []


def _is_broad(kind: ast.expr | None) -> bool:
    names = list(kind.elts) if isinstance(kind, ast.Tuple) else [kind]
    return any(name is None or (isinstance(name, ast.Name) and name.id in BROAD) for name in names)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
