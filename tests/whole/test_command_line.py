"""The command line: help, the likely word, options that every command takes, and its generated page."""

import json
import pathlib
import re
import shlex
import sys

import pytest

from optimal_tp.__main__ import main
from optimal_tp.cli import COMMANDS
from optimal_tp.cli.reference import cli_page
from optimal_tp.cli.setup.completion import words
from optimal_tp.cli.terminal.argument_parser import parser_of, subparsers_of
from optimal_tp.errors import Exit, likely
from optimal_tp.report import files
from tests.fakes_run import planted_run, store

ROOT = pathlib.Path(__file__).parents[2]
PUBLIC = [name for name, command in COMMANDS.items() if not command.is_internal]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the pictures to their own tests: they take most of a report's time."""
    monkeypatch.setattr(files, "plots", lambda _analysis: ())


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the sentence with which ``words`` are refused."""
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_help_has_an_example(name: str) -> None:
    """With the exit status, and the options that all commands share."""
    said = parser_of(name).format_help()

    assert f"optimal-tp {name}" in said.partition("Example:")[2]
    assert "Exit status: " in said
    assert [option for option in ("--json", "--quiet", "--no-color") if option not in said] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_every_subcommands_help_has_an_example(name: str) -> None:
    """Of its own."""
    for below, parser in subparsers_of(parser_of(name)).items():
        said = parser.format_help()

        assert f"optimal-tp {name} {below}" in said.partition("Example:")[2]
        assert "Exit status: " in said
        assert [option for option in ("--json", "--quiet", "--no-color") if option not in said] == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["wathc"], "optimal-tp: no command 'wathc'; did you mean 'watch'?"),
        (["report", "--opne"], "optimal-tp report: no option --opne; did you mean '--open'?"),
        (
            ["plan", "--limit", "p99_total_ms=1", "--routing", "randm"],
            (
                "optimal-tp plan: --routing must be one of least-in-flight, round-robin, random (got 'randm'); "
                "did you mean 'random'?"
            ),
        ),
        (["plan"], "optimal-tp plan: --limit must be given"),
        (["plan", "--limit", "x", "--zones", "two"], "optimal-tp plan: --zones must be a whole number (got 'two')"),
        (["--jsno"], "optimal-tp: no option --jsno; did you mean '--json'?"),
        (["--jsno", "runs"], "optimal-tp: no option --jsno; did you mean '--json'?"),
    ],
)
def test_a_misspelt_word_gets_the_likely_one(
    line: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and exit status 2."""
    assert refused(line, capsys) == sentence


def test_internal_commands_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """Help lists every public command in its group and no other."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    said = capsys.readouterr().out

    assert ended.value.code == 0
    assert [name for name in PUBLIC if f"\n  {name} " not in said] == []
    assert "share" not in said.split()


def test_the_page_is_fresh() -> None:
    """docs/reference/cli.md is what the parsers say, as Python 3.11 prints it."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("other versions of Python lay out help in another way")

    assert (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8") == cli_page()


def test_every_exit_status_has_words() -> None:
    """In the one table that the pages have of them."""
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "docs/reference/exit-codes.md").read_text(), re.MULTILINE)

    assert [int(status) for status, _ in rows] == list(Exit)
    assert "| 1 |" not in (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And the options of each."""
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out

    assert [name for name in PUBLIC if name not in script] == []
    assert "profile" in script
    assert {"check", "schema", "explain"} <= set(words()["settings"])


def test_json_stands_before_or_after_the_command(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output then has nothing but JSON."""
    store(tmp_path / "out" / "one", *planted_run(blocks=20, requests=30))

    assert main(["report", str(tmp_path / "out" / "one"), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["verdict"]["outcome"] == "settled"
    assert "Report:" in told.err
    assert main(["--json", "runs", str(tmp_path / "out")]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["outcome"], row["model"], row["winner"][:2]) == ("settled", "Qwen/Qwen3-0.6B", "TP")


@pytest.mark.parametrize("name", PUBLIC)
def test_an_example_can_be_copied(name: str) -> None:
    """Each of its lines is a command that the parser takes, as a shell reads it."""
    examples = parser_of(name).format_help().partition("Example:\n")[2].replace("\\\n", " ")
    for line in filter(None, map(str.strip, examples.splitlines())):
        words = shlex.split(line.partition(" > ")[0])

        assert words[:2] == ["optimal-tp", name]
        parser_of(name).parse_args(words[2:])


@pytest.mark.parametrize("name", PUBLIC)
def test_what_an_option_takes_has_a_short_name(name: str) -> None:
    """READ_TIMEOUT_SECONDS is what argparse makes of a name, not what a person would write."""
    parsers = [parser_of(name), *subparsers_of(parser_of(name)).values()]

    assert [word for each in parsers for word in re.findall(r"\b[A-Z]+_[A-Z_]+\b", each.format_usage())] == []


def test_json_of_a_completion_is_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    """By command."""
    assert main(["completion", "bash", "--json"]) == 0
    assert "--open" in json.loads(capsys.readouterr().out)["report"]


def test_quiet_says_nothing(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status tells."""
    store(tmp_path / "one", *planted_run(blocks=20, requests=30))

    assert main(["report", str(tmp_path / "one"), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("columns", ["80", "40"])
def test_runs_keep_the_names_of_their_folders_whole(
    columns: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that one can be copied from a narrow terminal, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", columns)
    name = "out/20261128T101112Z-7e2e-a-long-name"
    store(tmp_path / name, *planted_run(blocks=20, requests=30))

    assert main(["runs", "out"]) == 0
    assert name in [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]


def test_runs_of_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence."""
    assert main(["runs", "nowhere"]) == 2
    assert capsys.readouterr().err == "FOLDER: must be a folder that holds runs (got 'nowhere')\n"


def test_the_likely_word() -> None:
    """Whatever its case; nothing where nothing is like it."""
    assert likely("ZONE", ["zones", "tags"]) == "zones"
    assert likely("colour", ["zones", "tags"]) is None
